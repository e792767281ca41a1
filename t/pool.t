# The pool: runs wait for cells, are rejected when the queue is full, and zygotes are replaced.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json);
use IO::Select;
use Test::More;
use Time::HiRes qw(time);

my $p = 'languages/python3.conf';

# --- two cells, a queue of one, more workers than both ------------------------------------------------------------------------

my $cb = Cellblock->start(own => 1, args => ['--workers', 6], conf => [
    ['cellblock.conf', qr/cells = 32/,        'cells = 2'],
    ['cellblock.conf', qr/queue = 256/,       'queue = 1'],
    ['cellblock.conf', qr/queue_ms = 10000/,  'queue_ms = 3000'],
    (map { [$p, qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
    [$p,               qr/armed = 6/,         'armed = 0'],
    [$p,               qr/armed = 3/,         'armed = 1'],
    ['languages/nodejs.conf', qr/armed = 4/,  'armed = 0'],
]);

# A run that waits until its client disconnects. Its number of threads identifies it from outside.
sub holder {
    my ($threads) = @_;
    my $socket = $cb->connect_raw($cb->run_bytes(
        code => "import threading, time\nfor _ in range($threads): threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(60)"));
    ok eventually(10, sub { $cb->find_by_threads($threads + 1) }), "a run occupies a cell";
    return $socket;
}
my @holders = map { holder($_) } 11, 12;

# Put a run into the queue of one. It is there when the next run is rejected at once; a run that is
# rejected late has taken the place itself.
sub waiter {
    my ($code) = @_;
    for (1 .. 5) {
        my $socket = $cb->connect_raw($cb->run_bytes(code => $code));
        my $asked = time;
        my $refused = $cb->run(code => '1');
        return $socket if $refused->{status} == 503 && time - $asked < 1;
    }
    return;
}

my $begin = time;
my @two = map { $cb->connect_raw($cb->run_bytes(code => 'print("never")')) } 1, 2;
my @first = IO::Select->new(@two)->can_read(1.4);
is scalar @first, 1, 'of two runs one waits, and the other is rejected at once'; # in any order
my ($waiting) = grep { $_ != $first[0] } @two;
my $refused = $cb->read_reply($first[0]);
envelope_ok($refused, 503, -503, 'the queue is full: the answer is an envelope');
like $refused->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, 'the queue is full: the answer has Retry-After';
is $cb->get('/health', key => undef)->{status}, 200, 'a busy service is healthy';
my $late = $cb->read_reply($waiting);
my $waited = time - $begin;
envelope_ok($late, 503, -503, 'a run that waited for queue_ms is rejected');
ok $waited > 2.9 && $waited < 6, 'it waited for the configured queue_ms' or diag $waited;

# A cell becomes free in time.
my $lucky = waiter('print("served")');
ok $lucky, 'a run waits in the queue';
close shift @holders;
my $served = $cb->read_reply($lucky);
is $served->{data}{stdout}, "served\n", 'a run is served when a cell becomes free' or diag $served->{body};
cmp_ok $served->{data}{usage}{queue_ms}, '>', 1, 'its usage reports how long it waited';

# The client of a waiting run disconnects. The place is free as soon as nginx and the worker have
# noticed; until then other runs are rejected at once.
my $left = holder(13);
my $gone = waiter('print("nobody reads this")');
ok $gone, 'a run waits in the queue';
close $gone;
my $next;
ok eventually(2, sub { # 2 s are less than queue_ms
    $next = $cb->connect_raw($cb->run_bytes(code => 'print("in its place")'));
    return !IO::Select->new($next)->can_read(1);
}), 'the client of a waiting run disconnects: its place in the queue is free';
close $left;
my $after = $cb->read_reply($next);
ok $after->{status} == 200 && $after->{data}{stdout} eq "in its place\n", 'the client of a waiting run disconnects: the next run is served' or diag $after->{body};
close $_ for @holders;

# 100 runs of six clients through two cells: a rejected run is sent again, until all are served.
my @todo = 1 .. 100;
my (%served, @wrong);
my $end = time + 60;
while (@todo && time < $end) {
    $cb->many(6, sub { @todo ? { code => "print($todo[0])", number => shift @todo } : undef }, sub {
        my ($fields, $r) = @_;
        if ($r->{status} == 503) { push @todo, $fields->{number} }
        elsif ($r->{status} == 200 && $r->{data}{stdout} eq "$fields->{number}\n") { $served{ $fields->{number} }++ }
        else { push @wrong, "$r->{status} $r->{body}" }
    }, 60);
}
is_deeply \@wrong, [], 'two cells, six clients: no answer is wrong';
is scalar(grep { ($served{$_} // 0) == 1 } 1 .. 100), 100, 'two cells, six clients: each run is served once';
$cb->finish;

# --- zygotes that are replaced every 25 runs ----------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, args => ['--workers', 4], conf => [[$p, qr/recycle_runs = 10000/, 'recycle_runs = 25']]);
my %before = map { $_ => 1 } $cb->pids('zygote');
my $processes = $cb->processes_at_rest;
my $good = 0;
my %hashes;
my $sent = 0;
$cb->many(4, sub { $sent++ < 400 ? { code => 'print(hash("x"))' } : undef }, sub {
    my ($fields, $r) = @_;
    $good++ if $r->{status} == 200 && $r->{data}{status} eq 'ok';
    $hashes{ $r->{data}{stdout} // '' }++;
}, 60);
is $good, 400, 'zygotes are replaced between runs: every run is right';
is $cb->processes_settle($processes), $processes, 'zygotes are replaced: there are as many processes as before';
my @now = $cb->pids('zygote');
ok @now >= 2, 'zygotes are replaced: two or more serve';
cmp_ok scalar(grep { $before{$_} } @now), '<', scalar(@now), 'zygotes are replaced: some are new';
cmp_ok scalar keys %hashes, '>=', 6, 'zygotes are replaced: they have different hash seeds';
$cb->finish;

done_testing;
