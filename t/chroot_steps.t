# Level chroot: each step of making a cell is made to fail, by strace's fault injection. No guest
# runs then, and the service recovers when the fault is gone.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use Container;
use Test::More;
use Tracer;

my $container = Container->new;
# The first run waits for its language's first tree, which takes seconds on a machine that is busy.
my $cb = $container->service(['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 5000']);
my $cells = Container::CELLS;

SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    my @steps = (
        ['warden', 'unlinkat',  'removing the last /tmp and /box'],
        ['warden', 'mkdirat',   'making the new ones'],
        ['warden', 'fchownat',  'their owner'],
        ['warden', 'readlinkat,symlinkat', "its user"],
        ['warden', 'clone',     'the reaper'],
        ['warden', 'openat',    "opening the cell's root"],
        ['zygote', 'chroot',    "enter the cell's root"],
        ['zygote', 'fchdir',    'changing to the root directory'],
        ['zygote', 'clone',     'the fork'],
        ['zygote', 'setsid',    'the session'],
        ['zygote', 'setgroups', 'dropping groups'],
        ['zygote', 'setresgid', 'the group id'],
        ['zygote', 'setresuid', 'the user id'],
        ['zygote', 'capset',    'dropping capabilities'],
        ['zygote', 'prlimit64', 'rlimits'],
        ['zygote', 'seccomp',   'the last filter'],
    );
    my @run = (code => 'print("out")', limits => { wall_ms => 2000 });
    $container->at_once($cb, $cells, code => 'import time; time.sleep(1)'); # now every tree has the files of an earlier run
    for (@steps) {
        my ($role, $call, $for) = @$_;
        my $name = "$role $call ($for)";
        ok defined $cb->healthy_within(30), "before $name: the service is healthy";
        my @pids = $role eq 'warden' ? $container->wardens($cb) : $container->zygotes($cb);
        my $tracer = Tracer->attach(\@pids, '-f', '-e', "trace=$call", '-e', "inject=$call:error=EPERM");
        ok $tracer->is_attached, "$name: strace is attached" or diag $tracer->says;
        # Cells that were armed, or nearly so, before the fault still serve: use them up.
        for (1 .. 3) {
            last if !grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } $container->at_once($cb, $cells, @run);
        }
        my @got = $container->at_once($cb, 2, @run);
        is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } @got), '', "$name fails: no guest runs";
        $tracer->detach;
        ok eventually(30, sub { my $r = $cb->run(@run); ($r->{data}{stdout} // '') eq "out\n" }), "$name: the service recovers";
    }

    # Rows of the zygote's walls that only this level has. A process that becomes a zygote makes the
    # same calls before, for other reasons: capset(2) once, when it enters its root.
    for (['capset', 2, "drop the container's capabilities"], ['seccomp', 1, "spare the host's disk"]) {
        my ($call, $when, $step) = @$_;
        ok defined $cb->healthy_within(30), "before $step: the service is healthy";
        my $log = sub { slurp("$cb->{dir}/log/runner.log") // '' };
        my $logged = length $log->();
        my $says = qr/\Q$step: Operation not permitted\E/;
        my $tracer = Tracer->attach([$container->broker($cb)], '-f', '-e', "trace=$call", '-e', "inject=$call:error=EPERM:when=$when");
        ok $tracer->is_attached, "$step: strace is attached" or diag $tracer->says;
        kill 'KILL', $container->zygotes($cb);
        ok eventually(20, sub { substr($log->(), $logged) =~ $says || $cb->get('/health', key => undef)->{body} =~ $says }), "$step fails: it is reported"
            or diag substr($log->(), $logged);
        $container->at_once($cb, $cells, @run); # uses up the cells that were armed before
        is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } $container->at_once($cb, 2, @run)), '', "$step fails: no guest runs";
        $tracer->detach;
        ok eventually(30, sub { my $r = $cb->run(@run); ($r->{data}{stdout} // '') eq "out\n" }), "$step: the service recovers";
    }
}

$cb->finish;
ok eventually(10, sub { !glob $container->trees . "/*" }), 'stop: no tree is left';
ok eventually(5, sub { !$container->processes_of_cells }), 'stop: no process of a cell is left';
ok eventually(5, sub { !$container->reapers }), 'stop: no reaper is left';
done_testing;
