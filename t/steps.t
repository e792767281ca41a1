# Each step with which a cell is made and a guest walled in is made to fail, one after the other, by
# strace's fault injection in the warden and the zygotes. No guest may run then, and the name of the
# step is reported. When the fault is gone, all is as before. The steps of zygotes and guests are
# the rows of the tables in runner/guest/walls.c, whose names are read there: a row without a test
# fails. t/steps_run.t and t/steps_zygote.t have the steps of a run and of a zygote's start.
use strict;
use warnings;
use Cellblock qw(eventually);
use Steps;
use Test::More;
use Tracer;

my $steps = Steps->start;
my $cb    = $steps->service;

Steps::each_row_is_tested_ok(guest_walls => 't/steps.t', run_walls => 't/steps_run.t', zygote_walls => 't/steps_zygote.t');

# The broker makes the network namespace of a cell when the cell is first used: so this comes first,
# with as many runs as cells, of some that have not been used.
{
    my $tracer = Tracer->attach([$cb->pids('broker')], '-e', 'trace=clone3', '-e', 'inject=clone3:error=EAGAIN');
    ok $tracer->is_attached, 'a network namespace cannot be made: strace is attached' or diag $tracer->says;
    my $at_once = sub {
        my ($wanted, %statuses) = @_;
        $cb->many(32, sub { $wanted-- > 0 ? { code => 'import time; time.sleep(0.5); print("out")' } : undef }, sub { $statuses{ $_[1]{status} }++ }, 60);
        return \%statuses;
    };
    my $got = $at_once->(32);
    is_deeply [grep { !/\A(?:200|500|503)\z/ } keys %$got], [], 'a network namespace cannot be made: runs are answered' or diag explain $got;
    like $steps->runner_log, qr/make its network namespace: Resource temporarily unavailable/, 'a network namespace cannot be made: the step is reported';
    $tracer->detach;
    ok $cb->healthy_within(20), 'a network namespace can be made again: healthy';
    # On a slow machine runs wait for the next attempt longer than a request may.
    eventually(60, sub { $got = $at_once->(32); return $got->{200} });
    ok $got->{200} && !$got->{500}, 'a network namespace can be made again: no run fails' or diag explain $got;
}

# The steps of a cell, made by its warden: call, what it is for, and the layer with (!: without)
# which it is made at all.
my @cell_steps = (
    ['clone',       'namespaces and the init'],
    ['setns',       'its network namespace'],
    ['socket,unshare', 'another one, where the kernel does not tell whether this one is empty'],
    ['close_range', 'no descriptor of the warden'],
    ['mount',       'the procfs', 'proc', 1],
    ['mount',       'the first file of ours in it', 'proc', 2],
    ['mount',       'the file of its memory', 'proc', 5],
    ['openat',      'the files that are kept', 'proc'],
    ['chdir',       'the directory that is kept', 'proc'],
    ['mount',       'the end of all other files', 'proc', 6],
    ['mount',       'the tmpfs, with a procfs', 'proc', 7],
    ['mount',       'the tmpfs, without', '!proc', 1],
    ['mkdir',       'its directories'],
    ['chown',       'their owner', 'uid_per_cell'],
    ['mount',       '/tmp', 'proc', 8],
    ['mount',       '/box', 'proc', 9],
    ['mount',       'its user', 'uid_per_cell', $steps->is_made('proc') ? 10 : 4],
);
for (grep { $steps->is_made($_->[2]) } @cell_steps) {
    my ($call, $for, undef, $when) = @$_;
    $steps->fail_step("warden $call ($for)", $call, 'python3', 'print("out")', [$cb->pids('warden')], when => $when);
}

# The guest's rows, and its further calls before and after them.
my %guest_more = (
    "join the cell's pid namespace" => [['setns']],
    'fork a guest'                  => [['clone3']],
    'place the control socket'      => [['dup3']],
);
$steps->fail_rows('guest', { %guest_more, %{ Steps::rows('guest_walls') } });

# Version 1 has two limits of memory. When the second of a run is refused, the cell is not used, and
# the first holds for no later run.
if ($steps->layers->{cgroup}{detail} =~ /version 1/ && -e '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes') {
    $cb->processes_at_rest;
    my $tracer = Tracer->attach([$cb->pids('broker')], '-e', 'trace=pwrite64', '-e', 'inject=pwrite64:error=EBUSY:when=2');
    ok $tracer->is_attached, 'half a limit: strace is attached' or diag $tracer->says;
    is $cb->run(code => 'print("out")', limits => { memory_bytes => 64 << 20 })->{data}{status}, 'ok', 'half a limit: the run takes another cell';
    $tracer->detach;
    is join(' ', grep { $_ ne 'ok' } map { $cb->run(code => 'bytearray(100 << 20)')->{data}{status} } 1 .. 8), '', 'half a limit: later ones have their own';
}

$steps->finish;
