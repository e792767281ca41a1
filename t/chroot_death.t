# Level chroot: reapers, wardens and the broker are killed. No run outlives them, and the service
# heals itself.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use Container;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Tracer;

my $container = Container->new;
my $cb = $container->service;
my $cells = Container::CELLS;

my @reapers;
ok eventually(10, sub { @reapers = $container->reapers; @reapers > 1 }), 'each cell has a reaper';
for my $status (map { Cellblock::process_status($_) || () } @reapers[0, 1]) {
    my @uids = split ' ', $status->{Uid};
    ok $uids[1] == $uids[0] - $cells && $uids[2] == $uids[0], 'a reaper has the uid of its cell as its effective uid only';
    is hex $status->{CapPrm}, 0, 'a reaper has no capability';
}
kill 9, @reapers;
ok defined $cb->healthy_within(20), 'all reapers are killed: the service recovers';
my $wait = fork // die;
if (!$wait) {
    $cb->{http} = undef;
    my $r = $cb->run(code => "import threading, time\nfor _ in range(12): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ntime.sleep(60)", limits => { wall_ms => 60_000 });
    POSIX::_exit($r->{status} == 200 && $r->{data}{status} eq 'ok' ? 1 : 0);
}
ok eventually(50, sub { $cb->find_by_threads(13) }), 'a run is under way';
kill 9, $container->reapers;
waitpid $wait, 0;
is $?, 0, 'the reaper of a run is killed: the run ends';
ok defined $cb->healthy_within(20), 'the reaper of a run is killed: the service recovers';

SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    # A warden that cannot start another reaper is asked again, but not without a pause.
    my $log = sub { slurp("$cb->{dir}/log/runner.log") // '' };
    my $count = sub { scalar(() = $log->() =~ /its reaper died/g) };
    my $socket = $cb->connect_raw($cb->run_bytes(code => "import threading, time\nfor _ in range(14): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ntime.sleep(60)", limits => { wall_ms => 60_000 }));
    ok eventually(50, sub { $cb->find_by_threads(15) }), 'a run is under way again';
    my $tracer = Tracer->attach([$container->wardens($cb)], '-e', 'trace=clone', '-e', 'inject=clone:error=EAGAIN');
    ok $tracer->is_attached, 'no reaper can be started: strace is attached' or diag $tracer->says;
    my ($before, $begin) = ($count->(), time);
    kill 9, $container->reapers;
    select undef, undef, undef, 3; # how many there are in this time is what counts
    my $lines = $count->() - $before;
    cmp_ok $lines, '<=', $cells * (6 + (time - $begin) * 5), 'no reaper can be started: at most five are requested in a second';
    $tracer->detach;
    is $cb->read_reply($socket)->{status}, 500, 'no reaper can be started: the run fails';
    ok defined $cb->healthy_within(30), 'no reaper can be started: the service recovers';
}

kill 9, $container->wardens($cb);
ok defined $cb->healthy_within(30), 'the wardens are killed: the service recovers';
ok my $broker = $container->broker($cb), 'there is a broker';
my %were = $container->processes_of_cells;
kill 9, $broker;
ok eventually(10, sub { my %now = $container->processes_of_cells; !grep { $now{$_} } keys %were }), 'the broker is killed: no process of a cell outlives it';
ok defined $cb->healthy_within(60), 'the broker is killed: the service recovers';

$cb->finish;
ok eventually(10, sub { !glob $container->trees . "/*" }), 'stop: no tree is left';
ok eventually(5, sub { !$container->processes_of_cells }), 'stop: no process of a cell is left';
ok eventually(5, sub { !$container->reapers }), 'stop: no reaper is left';
done_testing;
