# Steps.pm - a service in which a test makes each step of making a cell fail, by strace's fault
# injection, and the tables of the steps that are rows in runner/guest/walls.c.
#
#   my $steps = Steps->start;                              # or the file ends: there is no strace
#   my $cb = $steps->service;
#   $steps->fail_step('warden mount', 'mount', 'python3', 'print("out")', [$cb->pids('warden')]);
#   $steps->fail_rows('guest', Steps::rows('guest_walls'));
#   $steps->finish;
#
# t/steps.t asserts that each row of walls.c has a test here. Each table is the subject of one file:
# t/steps.t, t/steps_run.t or t/steps_zygote.t.
package Steps;
use strict;
use warnings;

use Cellblock qw(eventually process_status root slurp);
use Test::More;
use Tracer;

# --- the rows of walls.c --------------------------------------------------------------------------

# The number of capabilities; the guest's prctl(2) calls are: its name, then a look at each of them
# and its removal, ...
my $capabilities = slurp('/proc/sys/kernel/cap_last_cap') + 1;

# A row's call, how it fails (EPERM), the layer with (!: without) which it is made at all, and which
# one of a process's calls it is. A zygote that is traced makes its own first call, too, and then no
# other one fails in it. A row of a zygote has the argument that tells its call from others.
my %tests = (
    guest_walls => {
        "join the cell's namespaces"      => [['setns', when => 1]],
        "leave the runner's session"      => [['setsid']],
        "join the cell's cgroup"          => [['write', layer => 'cgroup_files']], # of version 2: the fork
        # With a procfs, which every host has whose tests carry out these rows.
        'hide the path of its cgroup'     => [['unshare', when => 1]],
        "make the cell's user namespace"  => [['unshare', layer => '!uid_per_cell', when => 2]],
        'empty its bounding set'          => [['prctl', layer => '!uid_per_cell', when => 3]],
        'lock its securebits'             => [['prctl', layer => '!uid_per_cell', when => 2 * $capabilities + 3]],
        'become undumpable'               => [['prctl', layer => '!uid_per_cell', when => 2 * $capabilities + 4]],
        "drop the runner's groups"        => [['setgroups', layer => 'uid_per_cell']],
        "become the cell's group"         => [['setresgid', layer => 'uid_per_cell']],
        "become the cell's user"          => [['setresuid', layer => 'uid_per_cell', when => 1]],
        "stay the cell's user"            => [['setresuid', layer => 'uid_per_cell', when => 2, result => 'retval=0']],
        'drop all capabilities'           => [['capset']],
        'verify no_new_privs'             => [
            ['prctl', layer => 'uid_per_cell', when => 2],
            ['prctl', layer => '!uid_per_cell', when => 2 * $capabilities + 5],
        ],
        'renew its random bytes'          => [['getrandom']],
        'have an empty stdin'             => [['pipe2']],
        'enter the working directory'     => [['chdir']],
        'become dumpable'                 => [['prctl', layer => 'uid_per_cell', when => 3]],
        'enter the Landlock domain'       => [['landlock_create_ruleset'], ['landlock_add_rule'], ['landlock_restrict_self']],
    },
    run_walls => {
        "place the run's descriptors" => [['dup2']],
        "set the run's rlimits"       => [['prlimit64']],
        'close all other descriptors' => [['close_range']],
        'load the last filter'        => [['seccomp']],
    },
    zygote_walls => {
        'have one thread'                    => [['unshare', argument => 'CLONE_THREAD']],
        'empty the bounding set'             => [['prctl', argument => 'PR_CAPBSET_DROP']],
        'lock the securebits'                => [['prctl', argument => 'PR_SET_SECUREBITS']],
        'set no_new_privs'                   => [['prctl', argument => 'PR_SET_NO_NEW_PRIVS']],
        "enter the zygote's Landlock domain" => [['landlock_restrict_self', layer => 'zygote_landlock']],
        'load the base filter'               => [['seccomp']],
    },
);
# Rows of level chroot alone.
my %elsewhere = map { $_ => 't/chroot_steps.t' } "enter the cell's root", "drop the container's capabilities", "spare the host's disk";

# The tests of a table's rows: name => list of calls. The file that asks for them carries them out.
sub rows {
    my ($table) = @_;
    return $tests{$table} // die "no table $table";
}

# Each row of each table of walls.c has a test, and the file of each table carries its tests out.
sub each_row_is_tested_ok {
    my %file_of = @_;
    my $walls = slurp(root() . '/runner/guest/walls.c');
    my %text;
    $text{$1} = $2 while $walls =~ /^static const struct wall (\w+)\[\] = \{\n(.*?)^\};/gms;
    is join(' ', sort keys %text), join(' ', sort keys %tests), 'each table of walls.c has tests';
    for my $table (sort keys %tests) {
        my $of_table = $tests{$table};
        my @rows = ($text{$table} // '') =~ /^\t\{ "(.+)", \w+ \},$/mg;
        cmp_ok scalar @rows, '>=', 4, "$table: " . @rows . ' rows';
        is join(', ', grep { !$of_table->{$_} && !$elsewhere{$_} } @rows), '', "$table: each row has a test";
        my %is_row = map { $_ => 1 } @rows;
        is join(', ', grep { !$is_row{$_} } sort keys %$of_table), '', "$table: each test has a row";
        is join(', ', grep { $elsewhere{$_} && index(slurp(root() . "/$elsewhere{$_}"), $_) < 0 } @rows), '', "$table: so have rows that are tested elsewhere";
        my $file = $file_of{$table} // '/dev/null';
        like slurp(root() . "/$file"), qr/\bSteps::rows\('$table'\)/, "$table: $file carries the tests out";
    }
    return;
}

# --- the service ----------------------------------------------------------------------------------

# Start it. @allow: patterns of log lines that the test provokes.
sub start {
    my ($class, @allow) = @_;
    my $p = 'languages/python3.conf';
    my $cb = Cellblock->start(own => 1, allow => [@allow, qr/LeakSanitizer (?:has encountered|does not work under ptrace)/], conf => [
        ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 300'],
        ['cellblock.conf', qr/cell_runs = \d+/, 'cell_runs = 1'], # a cell that is not made anew goes by the steps
        (map { [$p, qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
        [$p,               qr/armed = 6/,        'armed = 1'],
        [$p,               qr/armed = 3/,        'armed = 0'],
        ['languages/bash.conf',   qr/^armed = \d+/m, 'armed = 1'],
        ['languages/nodejs.conf', qr/armed = 4/,     'armed = 1'],
        ['languages/perl.conf',   qr/^armed = \d+/m, 'armed = 1'],
        # Nobody needs to listen there.
        ['cellblock.conf', qr/mode = "none";/, 'mode = "proxy"; proxies = ( { name = "all"; address = "127.0.0.1:9"; } );'],
        ['cellblock.conf', qr/^\tarmed = 2;/m, "\tarmed = 1;"],
    ]);
    if (Tracer::missing()) {
        $cb->finish;
        done_testing;
        exit;
    }
    $cb->processes_at_rest; # all zygotes have passed the self-test, which a fault would mislead
    my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};
    $layers->{zygote_landlock} = { in_force => scalar($layers->{landlock}{detail} =~ /around zygotes, too/) };
    $layers->{cgroup_files} = { in_force => scalar($layers->{cgroup}{in_force} && $layers->{cgroup}{detail} =~ m{\Aversion 1\b}) };
    return bless { cb => $cb, layers => $layers }, $class;
}

sub service { return $_[0]{cb} }
sub layers  { return $_[0]{layers} }

# Whether a step is made: always, or with a layer, or without it ("!").
sub is_made {
    my ($self, $layer) = @_;
    my $layers = $self->{layers};
    return !defined $layer || ($layer =~ /\A!(.*)/ ? !$layers->{$1}{in_force} : $layers->{$layer}{in_force});
}

# The zygotes of a language, launchers included. A guest that has just been forked has its zygote's
# name, but not its role. It is in the pid namespace of its cell, so it has a pid more. It may be
# gone before strace is attached.
sub zygotes_of {
    my ($self, $language) = @_;
    my %depth;
    for my $pid (grep { (slurp("/proc/$_/cmdline") // '') =~ /\Acellblock: zygote \Q$language\E\0/ } $self->{cb}->pids('zygote')) {
        my $status = process_status($pid) // next;
        $depth{$pid} = () = $status->{NSpid} =~ /\d+/g;
    }
    my ($least) = sort { $a <=> $b } values %depth;
    return grep { $depth{$_} == $least } sort { $a <=> $b } keys %depth;
}

sub runner_log { return slurp("$_[0]{cb}{dir}/log/runner.log") // '' }

# Have a call of some processes fail: no program of the language may run then, and when it works
# again, all do. A cell that was armed before the fault is not under it, so the first runs may still
# succeed; those after it may not. $pids: or a function that returns them, where they may change
# before. $language: or a list of the fields of a run. In %how: `step`, which must be reported;
# `is_run`, the step comes after the guest has its run; `then`, a function that is called when the
# fault is there; `path`, `result` and `when` of the calls, for strace; `fresh`, a function that
# makes a code of its own for each run.
sub fail_step {
    my ($self, $name, $call, $language, $code, $pids, %how) = @_;
    my $cb = $self->{cb};
    my @fields = ref $language ? @$language : (language => $language);
    my $run = sub { $cb->run(@fields, code => $how{fresh} ? $how{fresh}->() : $code) };
    ok defined $cb->healthy_within(60), "before $name: healthy"
        or diag join "\n", $cb->get('/health', key => undef)->{body}, grep {/self-test/} split /\n/, $self->runner_log;
    $run->();
    my $inject = "inject=$call:" . ($how{result} // 'error=EPERM') . ($how{when} ? ":when=$how{when}" : '');
    my $logged = length $self->runner_log;
    my $tracer = Tracer->attach($pids, '-f', '-e', "trace=$call", '-e', $inject, $how{path} ? ('-P', $how{path}) : ());
    ok $tracer->is_attached, "$name: strace is attached" or diag $tracer->says;

    $how{then}->() if $how{then};
    $run->() for 1 .. 2; # uses up what was armed before
    my @got = map { $run->() } 1 .. 3;
    is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } @got), '', "$name fails: no guest runs";
    is scalar(grep { $_->{status} == 200 && $_->{data}{status} eq 'ok' } @got), 0, "$name fails: and none is said to have";
    is join(' ', map { $_->{status} } @got), '500 500 500', "$name fails: it is our fault" or diag join "\n", map { $_->{body} } @got if $how{is_run};
    if ($how{step}) {
        my $says = quotemeta($how{step}) . ': Operation not permitted';
        $says = "a run was refused: internal error: $says" if $how{is_run};
        $says = quotemeta($how{says}) if $how{says};
        # The log has the first of several failures, one line a second for those of a kind, and the
        # health has the last. A zygote's own first call may have failed in place of a guest's, so
        # that further runs are needed.
        my $is_reported = sub { substr($self->runner_log, $logged) =~ $says || (!$how{is_run} && $cb->get('/health', key => undef)->{body} =~ $says) };
        ok eventually(20, sub { $is_reported->() || ($run->(), $is_reported->())[-1] }), "$name fails: the step is reported"
            or diag substr($self->runner_log, $logged);
    }

    $tracer->detach;
    ok eventually(20, sub { my $r = $run->(); $r->{status} == 200 && $r->{data}{stdout} eq "out\n" }),
        "$name: when it works again, so does the service";
    return;
}

# Have the calls of a table's rows fail in guests of Python. $role: `guest`, or `run` for a guest
# that has its run.
sub fail_rows {
    my ($self, $role, $rows) = @_;
    for my $step (sort keys %$rows) {
        for (@{ $rows->{$step} }) {
            my ($call, %how) = @$_;
            next if !$self->is_made($how{layer});
            $self->fail_step("$role $call ($step)", $call, 'python3', 'print("out")', sub { $self->zygotes_of('python3') }, %how, step => $step, is_run => $role eq 'run');
        }
    }
    return;
}

# Stop the service, and end the file.
sub finish {
    my ($self) = @_;
    $self->{cb}->finish;
    done_testing;
    return;
}

1;
