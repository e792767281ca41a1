# Load: many simultaneous clients get the right answers, and thousands of runs leave nothing behind.
#
# CELLBLOCK_LOAD_RUNS says how many (default 2000).
use strict;
use warnings;
use Cellblock qw(eventually json process_status slurp);
use Test::More;
use Time::HiRes qw(time);

my $runs = $ENV{CELLBLOCK_LOAD_RUNS} // 2000;
# As many cells as can be armed or running with eight workers, so that all are used from the start.
my $cb = Cellblock->start(own => 1, args => ['--workers', 8], conf => [['cellblock.conf', qr/cells = 32/, 'cells = 18']]);
is scalar(my @workers = $cb->pids('worker')), 8, 'eight workers';

# --- 64 clients on 8 workers ------------------------------------------------------------------------------------------------

my ($asked, $right, @wrong) = (0, 0);
$cb->many(64, sub {
    return if $asked >= 640;
    my $token = 'token-' . ++$asked . '-' . int rand 1e9;
    return { code => "import sys, time\ntime.sleep(.01)\nprint(sys.argv[1], input())\nprint(sys.argv[1][::-1], file=sys.stderr)",
        args => [$token], stdin => "in-$token" };
}, sub {
    my ($fields, $r) = @_;
    my $token = $fields->{args}[0];
    my $good = $r->{status} == 200 && $r->{data}{stdout} eq "$token in-$token\n" && $r->{data}{stderr} eq reverse($token) . "\n"
        && $r->{data}{error} eq '';
    $good ? $right++ : push @wrong, "$r->{status} " . substr $r->{body}, 0, 300;
}, 120);
is $right, 640, 'every client got its own answer' or diag join "\n", @wrong[0 .. ($#wrong < 5 ? $#wrong : 5)];

# --- all statuses at once ------------------------------------------------------------------------------------------------

my @kinds = (
    [ok            => 'print(1)'],
    [exit          => 'raise SystemExit(4)'],
    [exit          => '1/0'],
    [signal        => 'import os; os.kill(os.getpid(), 11)'],
    [timeout       => 'while True: pass',                           { wall_ms => 150 }],
    [memory_limit  => 'x = []' . "\n" . 'while True: x.append(bytes(1 << 20) + b"x")', { memory_bytes => 48 << 20 }],
    [output_limit  => 'while True: print("x" * 1000)',              { output_bytes => 100_000 }],
    [ok            => 'import json, re, datetime, random; print(json.dumps({"a": random.random()}))'],
);
my $next = 0;
my (%mixed, %expected);
$cb->many(24, sub {
    return if $next >= 240;
    my ($status, $code, $limits) = @{ $kinds[$next++ % @kinds] };
    $expected{$status}++;
    return { code => $code, limits => $limits || {}, expected => $status };
}, sub {
    my ($fields, $r) = @_;
    my $status = $r->{status} == 200 ? $r->{data}{status} : "HTTP $r->{status}";
    $mixed{$status}++;
    diag "$fields->{expected} became $status: " . substr $r->{body}, 0, 300 if $status ne $fields->{expected};
}, 180);
is_deeply \%mixed, \%expected, 'simultaneous runs with all statuses: each run has the expected status';

# --- thousands of runs ------------------------------------------------------------------------------------------------------------

# The processes, control groups, descriptors, mounts and memory of an instance at rest.
sub holdings {
    my %now = (processes => 0, cgroups => scalar(my @groups = $cb->cgroups));
    my %mine = $cb->processes;
    $now{processes} = keys %mine;
    for my $role (qw(runner broker warden zygote)) {
        for my $pid ($cb->pids($role)) {
            $now{"fds of $role $pid"} = () = glob "/proc/$pid/fd/*";
            $now{"mounts of $role $pid"} = () = (slurp("/proc/$pid/mountinfo") // '') =~ /\n/g;
            ($now{"rss of $role $pid"}) = (process_status($pid)->{VmRSS} // 0) =~ /(\d+)/;
        }
    }
    for my $pid ($cb->pids('worker')) {
        $now{"fds of worker $pid"} = () = glob "/proc/$pid/fd/*";
        ($now{"rss of worker $pid"}) = (process_status($pid)->{VmRSS} // 0) =~ /(\d+)/;
    }
    return \%now;
}

# At rest as many cells are armed as before. That is so when two counts, a moment apart, are equal.
sub at_rest {
    my $last = '';
    my $found;
    eventually(10, sub {
        $found = holdings();
        my $text = json->encode({ map { $_ => $found->{$_} } grep { !/^rss/ } keys %$found });
        my $same = $text eq $last;
        $last = $text;
        select undef, undef, undef, 0.2 if !$same; # cells are armed in a few milliseconds
        return $same;
    });
    return $found;
}

sub quick_runs {
    my ($count, $at_once) = @_;
    my ($sent, $good) = (0, 0);
    my $begin = time;
    $cb->many($at_once, sub { $sent++ < $count ? { code => "print($sent * 2)", number => $sent } : undef }, sub {
        my ($fields, $r) = @_;
        $good++ if $r->{status} == 200 && $r->{data}{stdout} eq $fields->{number} * 2 . "\n";
    }, 60 + $count / 20);
    return ($good, time - $begin);
}

my ($warmed) = quick_runs(500, 64); # caches, pools and allocators fill up first, and every cell is made
is $warmed, 500, 'the first 500 quick runs are right';
my $before = at_rest();
my ($good, $took) = quick_runs($runs, 16);
is $good, $runs, "$runs quick runs: every answer is right";
diag sprintf '%d runs in %.1f s: %.0f a second', $runs, $took, $runs / $took;
my $after = at_rest();
for my $what (sort keys %$before) {
    if ($what =~ /^rss/) {
        next if !defined $after->{$what} || $cb->sanitized;
        cmp_ok $after->{$what}, '<=', $before->{$what} * 1.1 + 1024, "after $runs runs: $what (kB) is flat";
    }
    else {
        next if $what =~ /zygote/ && !defined $after->{$what}; # one that has made so many guests is replaced
        is $after->{$what}, $before->{$what}, "after $runs runs: $what";
    }
}

$cb->finish;
done_testing;
