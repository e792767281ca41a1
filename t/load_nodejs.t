# Load: many different Node.js programs at once. Every answer is right, and the zygote does not
# grow.
#
# CELLBLOCK_LOAD_RUNS says how many (default 1000).
use strict;
use warnings;
use Cellblock qw(prefix skip_all slurp);
use Encode ();
use File::Basename qw(basename);
use Test::More;
use Time::HiRes qw(time);

my $runs = $ENV{CELLBLOCK_LOAD_RUNS} // 1000;
skip_all('built without the headers of Node.js') if !-e prefix() . '/lib/cellblock/nodejs/engine.so';
# One zygote for all runs.
my $cb = Cellblock->start(own => 1, conf => [['languages/nodejs.conf', qr/recycle_runs = \d+/, 'recycle_runs = 1000000']]);

# The outcome of a program, without the parts that differ from run to run.
sub outcome {
    my ($reply) = @_;
    return "HTTP $reply->{status}: $reply->{body}" if $reply->{status} != 200;
    my $d = $reply->{data};
    return join "\0", @$d{qw(status exit_code)}, $d->{signal} // '', map { s/\(node:\d+\)/(node)/gr } @$d{qw(stdout stderr)};
}

# Quick programs whose outcome is the same when they run again, alone.
my @programs;
for my $file (sort glob Cellblock::root() . '/t/nodejs/*.js') {
    my %fields = (language => 'nodejs', code => Encode::decode('UTF-8', slurp($file)));
    my ($first, $second) = map { $cb->run(%fields) } 1, 2;
    next if outcome($first) ne outcome($second) || $first->{data}{usage}{wall_ms} > 100;
    push @programs, { fields => \%fields, name => basename($file), outcome => outcome($second) };
}
cmp_ok scalar @programs, '>=', 60, 'there are ' . @programs . ' programs to mix';

# The zygote is the oldest process of the interpreter.
sub zygote_kb {
    my %mine = $cb->processes;
    my ($zygote) = sort { $mine{$a}{start} <=> $mine{$b}{start} } grep { $mine{$_}{cmdline} =~ /\Acellblock: zygote nodejs\b/ } keys %mine;
    my ($kb) = (slurp("/proc/$zygote/status") // '') =~ /^VmRSS:\s+(\d+)/m;
    return ($zygote, $kb);
}

my ($zygote, $before) = zygote_kb();
my ($sent, @wrong) = (0);
my $begin = time;
$cb->many(8, sub {
    return if $sent >= $runs;
    my $number = int rand @programs;
    $sent++;
    return { %{ $programs[$number]{fields} }, number => $number };
}, sub {
    my ($fields, $reply) = @_;
    my $program = $programs[ $fields->{number} ];
    push @wrong, "$program->{name}: " . outcome($reply) if outcome($reply) ne $program->{outcome};
}, 60 + $runs / 10);
my $took = time - $begin;
is scalar @wrong, 0, "$runs runs of a mix, 8 at once: every answer is right" or diag substr join("\n", @wrong[0 .. ($#wrong < 3 ? $#wrong : 3)]), 0, 2000;
my ($same, $after) = zygote_kb();
is $same, $zygote, 'one zygote has forked all guests';
cmp_ok $after, '<=', $before * 1.05, "the zygote has not grown ($before kB before, $after kB after)";
diag sprintf '%d runs in %.1f s: %.0f a second', $runs, $took, $runs / $took;
$cb->finish;
done_testing;
