# SIGTERM: what has begun is finished, what waits is answered, and neither takes longer than
# runner.drain_ms. The workers, the runner, and the whole service.
use strict;
use warnings;
use Cellblock qw(command eventually process_status slurp);
use IO::Select;
use Test::More;
use Time::HiRes qw(time);

# Two cells, so that a third run waits.
my @few = (['cellblock.conf', qr/cells = 32/, 'cells = 2'], (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3), ['languages/python3.conf', qr/armed = 6/, 'armed = 2'],
    ['languages/python3.conf', qr/armed = 3/, 'armed = 0']);

sub parent { my ($cb, $part) = @_; return ($cb->pids("$part parent"))[0] }

# Start runs that sleep, and wait until they sleep. Returns their connections.
sub sleepers {
    my ($cb, $count, $seconds) = @_;
    my @sockets = map { $cb->connect_raw($cb->run_bytes(code => "import time; time.sleep($seconds); print($_)", limits => { wall_ms => 60000 })) } 1 .. $count;
    return @sockets;
}

sub guests { my ($cb) = @_; return grep { my $s = process_status($_); $s && $s->{State} =~ /\AS/ } $cb->pids('guest') }

# How many of the runner's cells run something: their programs have closed the control socket, so a
# guest that waits for a run differs from one that sleeps in time.sleep.
sub running {
    my ($cb, $count) = @_;
    return eventually(20, sub {
        my @asleep = grep { (slurp("/proc/$_/wchan") // '') =~ /nanosleep|hrtimer/ || (slurp("/proc/$_/syscall") // '') =~ /\A(?:230|35|115) / } $cb->pids('guest');
        return @asleep >= $count;
    });
}

sub mark { my ($cb) = @_; return { map { $_ => -s } $cb->logs } }

sub since {
    my ($cb, $mark) = @_;
    return join '', map { substr slurp($_) // '', $mark->{$_} // 0 } $cb->logs;
}

# --- the workers -------------------------------------------------------------------------------------------------------------

{
    my $cb = Cellblock->start(own => 1);
    my $old = parent($cb, 'worker');
    my @sockets = sleepers($cb, 8, 4);
    ok running($cb, 8), 'eight runs have begun';
    my ($exit, $out, $err) = command(['supervisorctl', '-c', "$cb->{dir}/supervisord.conf", 'restart', 'worker'], seconds => 60);
    is $exit, 0, 'the workers are restarted' or diag "$out$err";
    is join(' ', map { $cb->read_reply($_)->{status} } @sockets), join(' ', (200) x 8), 'no run is lost';
    ok eventually(10, sub { my $new = parent($cb, 'worker'); $new && $new != $old }), 'another parent has started';
    ok defined $cb->healthy_within(20), 'and serves';

    # The same by SIGHUP.
    @sockets = sleepers($cb, 8, 4);
    ok running($cb, 8), 'eight runs have begun again';
    my $mark = mark($cb);
    my $begin = time;
    kill 'HUP', parent($cb, 'worker');
    ok eventually(30, sub { since($cb, $mark) =~ /worker: generation \d+ serves; / }), 'new workers serve';
    my $meanwhile = $cb->run(code => 'print(1)');
    is $meanwhile->{status}, 200, 'a run meanwhile' or diag $meanwhile->{body};
    is join(' ', map { $cb->read_reply($_)->{status} } @sockets), join(' ', (200) x 8), 'no run is lost';

    # A new runner. The old one serves its runs.
    @sockets = sleepers($cb, 4, 5);
    ok running($cb, 4), 'four runs have begun';
    my @brokers = $cb->pids('broker');
    $mark = mark($cb);
    kill 'HUP', parent($cb, 'runner');
    ok eventually(60, sub { since($cb, $mark) =~ /runner: generation \d+ serves; / }), 'a new runner serves';
    is join(' ', map { $cb->read_reply($_)->{status} } @sockets), join(' ', (200) x 4), 'no run is lost';
    ok eventually(20, sub { !grep { -d "/proc/$_" } @brokers }), 'then the old one ends, long before runner.drain_ms';

    # The whole.
    @sockets = sleepers($cb, 4, 4);
    ok running($cb, 4), 'four runs have begun before the stop';
    $cb->finish;
    is join(' ', map { $cb->read_reply($_)->{status} } @sockets), join(' ', (200) x 4), 'script/server --stop: no run is lost';
}

# --- the runner: what waits, and what lasts too long --------------------------------------------------------------------------------

{
    my $cb = Cellblock->start(own => 1, conf => [@few], args => ['--workers', 2]);
    my @running = sleepers($cb, 2, 3);
    ok running($cb, 2), 'two runs have begun';
    my @waiting = sleepers($cb, 3, 0);
    ok !IO::Select->new(@waiting)->can_read(0.5), 'and three wait';
    my $begin = time;
    kill 'TERM', parent($cb, 'runner');
    my @replies = map { $cb->read_reply($_) } @waiting;
    my $waited = time - $begin;
    is join(' ', map { $_->{status} } @replies), '503 503 503', 'SIGTERM: those that wait are answered with 503';
    cmp_ok $waited, '<', 2, 'SIGTERM: at once';
    ok $replies[0]{headers}{'retry-after'}, 'SIGTERM: and are told when to try again';
    is $cb->run(code => 'print(1)')->{status}, 503, 'SIGTERM: a run that comes is refused';
    is join(' ', map { $cb->read_reply($_)->{status} } @running), '200 200', 'SIGTERM: those that have begun are finished';
    # supervisord starts it again.
    ok defined $cb->healthy_within(30), 'the service is healthy again';
    $cb->finish;
}

{
    my $cb = Cellblock->start(own => 1, conf => [@few, ['cellblock.conf', qr/drain_ms = 30000/, 'drain_ms = 1000']], args => ['--workers', 2]);
    for (['TERM', 'the runner stops'], ['HUP', 'the runner is replaced']) {
        my ($signal, $name) = @$_;
        my @running = sleepers($cb, 2, 50);
        ok running($cb, 2), "$name: two runs have begun";
        my @waiting = sleepers($cb, 1, 0);
        ok !IO::Select->new(@waiting)->can_read(0.5), "$name: and one waits";
        my $mark = mark($cb);
        kill $signal, parent($cb, 'runner');
        my @lost = map { $cb->read_reply($_) } @running;
        is join(' ', map { $_->{status} } @lost), '500 500', "$name: runs that last longer than runner.drain_ms are lost";
        like $lost[0]{json}{message}, qr/lost/, "$name: the answer says so";
        is $cb->read_reply($waiting[0])->{status}, 503, "$name: the one that has not begun may be sent again";
        ok eventually(10, sub { since($cb, $mark) =~ /2 run\(s\) had begun and are lost/ }), "$name: the log says so" or diag since($cb, $mark);
        ok defined $cb->healthy_within(30), "$name: the service is healthy again";
    }

    # A second signal does not wait.
    my @running = sleepers($cb, 1, 50);
    ok running($cb, 1), 'a run has begun';
    my $parent = parent($cb, 'runner');
    kill 'TERM', $parent;
    ok eventually(10, sub { $cb->log_text =~ /stopping: 1 run/ }), 'it stops';
    my $begin = time;
    kill 'TERM', $parent;
    ok eventually(10, sub { !-d "/proc/$parent" || (process_status($parent) // { State => 'Z' })->{State} =~ /\AZ/ }), 'a second SIGTERM ends it';
    is $cb->read_reply($running[0])->{status}, 500, 'its run is lost';
    ok defined $cb->healthy_within(30), 'the service is healthy again';
    $cb->finish;
}

done_testing;
