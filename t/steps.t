# Each step with which a cell is made and a guest walled in is made to fail, one after the other, by
# strace's fault injection in the warden and the zygotes. No guest may run then, and the name of the
# step is reported. When the fault is gone, all is as before. The steps of zygotes and guests are
# the rows of the tables in runner/guest/walls.c, whose names are read there: a row without a test
# fails.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually root slurp);
use File::Temp ();
use Test::More;
use Tracer;

my $p  = 'languages/python3.conf';
my $cb = Cellblock->start(own => 1, allow => [qr/fatal: relay: (?:Landlock|load its policy|no_new_privs)/, qr/LeakSanitizer (?:has encountered|does not work under ptrace)/], conf => [
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 300'],
    [$p,               qr/armed = 1;/,        'armed = 0;'],
    [$p,               qr/armed = 8/,        'armed = 1'],
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

# ---- the steps of a cell, made by its warden: call, what it is for, and the layer with (!: without) which it is made at all

my @cell_steps = (
    ['unshare', 'new namespaces'],
    ['mount',   'the tmpfs'],
    ['mkdir',   'its directories'],
    ['chown',   'their owner', 'uid_per_cell'],
    ['clone',   'the init of the pid namespace'],
);

# ---- the rows of walls.c

sub rows {
    my ($table) = @_;
    my ($text) = slurp(root() . '/runner/guest/walls.c') =~ /^static const struct wall \Q$table\E\[\] = \{\n(.*?)^\};/ms;
    return $text =~ /^\t\{ "(.+)", \w+ \},$/mg;
}

# The number of capabilities; the guest's prctl(2) calls are: its name, then a look at each of them
# and its removal, ...
my $capabilities = slurp('/proc/sys/kernel/cap_last_cap') + 1;

# A row's call, how it fails (EPERM), the layer as in @cell_steps, and which one of a process's
# calls it is. A zygote that is traced makes its own first call, too, and then no other one fails in
# it.
my %guest_rows = (
    "join the cell's namespaces"      => [['setns', when => 1]],
    "leave the runner's session"      => [['setsid']],
    "join the cell's cgroup"          => [['write', layer => 'cgroup_files']], # of version 2: the fork
    "make the cell's user namespace"  => [['unshare', layer => '!uid_per_cell']],
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
    'enter the working directory'     => [['chdir']],
    'enter the Landlock domain'       => [['landlock_create_ruleset'], ['landlock_add_rule'], ['landlock_restrict_self']],
);
my %run_rows = (
    "place the run's descriptors" => [['dup2']],
    "set the run's rlimits"       => [['prlimit64']],
    'close all other descriptors' => [['close_range']],
    'load the last filter'        => [['seccomp']],
);
# Further calls of the guest, before and after the rows above.
my %guest_more = (
    "join the cell's pid namespace" => [['setns']],
    'fork a guest'                  => [['clone3']],
    'place the control socket'      => [['dup3']],
);
my %run_more = (
    'find the size of the job' => [['newfstatat,fstat', when => 1]],
    'write the program'        => [['openat', path => 'main.py']],
);
# A call of a zygote at its start, and the argument that tells it from others.
my %zygote_rows = (
    'have one thread'                    => [['unshare', argument => 'CLONE_THREAD']],
    'empty the bounding set'             => [['prctl', argument => 'PR_CAPBSET_DROP']],
    'lock the securebits'                => [['prctl', argument => 'PR_SET_SECUREBITS']],
    'set no_new_privs'                   => [['prctl', argument => 'PR_SET_NO_NEW_PRIVS']],
    "enter the zygote's Landlock domain" => [['landlock_restrict_self', layer => 'zygote_landlock']],
    'load the base filter'               => [['seccomp']],
);
# Rows of level chroot alone.
my %elsewhere = map { $_ => 't/chroot_steps.t' } "enter the cell's root", "drop the container's capabilities", 'deny fallocate';

for (['zygote_walls', \%zygote_rows], ['guest_walls', \%guest_rows], ['run_walls', \%run_rows]) {
    my ($table, $tests) = @$_;
    my @rows = rows($table);
    cmp_ok scalar @rows, '>=', 4, "$table: " . @rows . ' rows';
    is join(', ', grep { !$tests->{$_} && !$elsewhere{$_} } @rows), '', "$table: each row has a test";
    my %is_row = map { $_ => 1 } @rows;
    is join(', ', grep { !$is_row{$_} } sort keys %$tests), '', "$table: each test has a row";
    is join(', ', grep { $elsewhere{$_} && index(slurp(root() . "/$elsewhere{$_}"), $_) < 0 } @rows), '', "$table: so have rows that are tested elsewhere";
}

sub runner_log { return slurp("$cb->{dir}/log/runner.log") // '' }

# Have a call of some processes fail: no program of the language may run then, and when it works
# again, all do. A cell that was armed before the fault is not under it, so the first runs may still
# succeed; those after it may not. $language: or a list of the fields of a run. In %how: `step`,
# which must be reported; `is_run`, the step comes after the guest has its run; `then`, a function
# that is called when the fault is there; `path`, `result` and `when` of the calls, for strace;
# `fresh`, a function that makes a code of its own for each run.
sub fail_step {
    my ($name, $call, $language, $code, $pids, %how) = @_;
    my @fields = ref $language ? @$language : (language => $language);
    my $run = sub { $cb->run(@fields, code => $how{fresh} ? $how{fresh}->() : $code) };
    ok $cb->healthy_within(20), "before $name: healthy";
    $run->();
    my $inject = "inject=$call:" . ($how{result} // 'error=EPERM') . ($how{when} ? ":when=$how{when}" : '');
    my $logged = length runner_log();
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
        # The log has the first of several failures, the health the last.
        # It has one line a second for those of a kind.
        ok eventually(10, sub { substr(runner_log(), $logged) =~ $says || ($how{is_run} ? !$run->() : $cb->get('/health', key => undef)->{body} =~ $says) }),
            "$name fails: the step is reported" or diag substr(runner_log(), $logged);
    }

    $tracer->detach;
    ok eventually(20, sub { my $r = $run->(); $r->{status} == 200 && $r->{data}{stdout} eq "out\n" }),
        "$name: when it works again, so does the service";
    return;
}

my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};
$layers->{zygote_landlock} = { in_force => scalar($layers->{landlock}{detail} =~ /around zygotes, too/) };
$layers->{cgroup_files} = { in_force => scalar($layers->{cgroup}{in_force} && $layers->{cgroup}{detail} =~ m{\Aversion 1\b}) };
sub is_made {
    my ($layer) = @_;
    return !defined $layer || ($layer =~ /\A!(.*)/ ? !$layers->{$1}{in_force} : $layers->{$layer}{in_force});
}

# The zygotes of a language, launchers included. A guest that has just been forked has its zygote's
# name, but not its role.
sub zygotes_of {
    my ($language) = @_;
    return grep { (slurp("/proc/$_/cmdline") // '') =~ /\Acellblock: zygote \Q$language\E\0/ } $cb->pids('zygote');
}

for (grep { is_made($_->[2]) } @cell_steps) {
    my ($call, $for) = @$_;
    fail_step("warden $call ($for)", $call, 'python3', 'print("out")', [$cb->pids('warden')]);
}
for (['guest', { %guest_more, %guest_rows }], ['run', { %run_rows, %run_more }]) {
    my ($role, $rows) = @$_;
    for my $step (sort keys %$rows) {
        for (@{ $rows->{$step} }) {
            my ($call, %how) = @$_;
            next if !is_made($how{layer});
            fail_step("$role $call ($step)", $call, 'python3', 'print("out")', [zygotes_of('python3')], %how, step => $step, is_run => $role eq 'run');
        }
    }
}

# Version 1 has two limits of memory. When the second of a run is refused, the cell is not used, and
# the first holds for no later run.
if ($layers->{cgroup}{detail} =~ /version 1/ && -e '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes') {
    $cb->processes_at_rest;
    my $tracer = Tracer->attach([$cb->pids('broker')], '-e', 'trace=pwrite64', '-e', 'inject=pwrite64:error=EBUSY:when=2');
    ok $tracer->is_attached, 'half a limit: strace is attached' or diag $tracer->says;
    is $cb->run(code => 'print("out")', limits => { memory_bytes => 64 << 20 })->{data}{status}, 'ok', 'half a limit: the run takes another cell';
    $tracer->detach;
    is join(' ', grep { $_ ne 'ok' } map { $cb->run(code => 'bytearray(100 << 20)')->{data}{status} } 1 .. 8), '', 'half a limit: later ones have their own';
}

# The same of what a run with a network has besides.
my @networked = (language => 'python3', enable_network => JSON::PP::true);
my @network_steps = (
    ['warden', 'unshare', 'a network namespace'],
    ['warden', 'socket',  'a socket to bring its loopback up'],
    ['warden', 'ioctl',   'which is done by this'],
    ['warden', 'bind',    'the listener'],
    ['warden', 'listen',  'which listens'],
    ['zygote', 'setns',   'joining the namespaces'],
    ['zygote', 'landlock_restrict_self', 'Landlock'],
    ['zygote', 'seccomp', 'the last filter'],
);
for (@network_steps) {
    my ($role, $call, $for) = @$_;
    fail_step("with a network: $role $call ($for)", $call, \@networked, 'print("out")', [$cb->pids($role)]);
}
if ($layers->{zygote_landlock}{in_force}) {
    fail_step('warden ioctl (its namespaces, for zygotes that may not look at its init)', 'ioctl', 'python3', 'print("out")', [$cb->pids('warden')]);
}

# A zygote that cannot put up one of its own walls does not serve, nor do those that are started in
# its place. Which of its calls that is, is seen in one that can.
sub calls_at_start {
    my ($broker) = $cb->pids('broker');
    my $file = File::Temp->new;
    my %before = map { $_ => 1 } zygotes_of('python3');
    my $tracer = Tracer->attach([$broker], '-f', '-e', 'trace=unshare,prctl,landlock_restrict_self,seccomp', '-o', $file->filename);
    ok $tracer->is_attached, 'a zygote starts: strace is attached' or diag $tracer->says;
    kill 'KILL', keys %before;
    ok eventually(20, sub { grep { !$before{$_} } zygotes_of('python3') }), 'there is a new one';
    ok $cb->healthy_within(20), 'and it serves';
    $tracer->detach;
    my %of;
    /^(\d+) +(\w+)\((.*)/ and push @{ $of{$1} }, [$2, $3] for split /\n/, slurp($file->filename);
    # It has named itself, and loaded a filter.
    my ($zygote) = grep { grep({ $_->[1] =~ /"zygote python3"/ } @{ $of{$_} }) && grep { $_->[0] eq 'seccomp' } @{ $of{$_} } } sort { $a <=> $b } keys %of;
    ok defined $zygote, 'and its calls are seen' or diag slurp($file->filename);
    return @{ $of{ $zygote // 0 } || [] };
}
{
    my @calls = calls_at_start();
    my ($broker) = $cb->pids('broker');
    for my $step (sort keys %zygote_rows) {
        for (@{ $zygote_rows{$step} }) {
            my ($call, %how) = @$_;
            next if !is_made($how{layer});
            my @same = grep { $_->[0] eq $call } @calls;
            my ($number) = grep { index($same[$_][1], $how{argument} // '') >= 0 } 0 .. $#same;
            ok defined $number, "$step: a zygote calls $call" or next;
            fail_step("zygote $call ($step, at its start)", $call, 'python3', 'print("out")', [$broker], step => $step, when => $number + 1,
                says => $step eq 'have one thread' ? 'an imported module has started a thread' : undef,
                then => sub { kill 'KILL', zygotes_of('python3') });
        }
    }
}

# The walls of the relay, which is no relay without them: where none serves, the cell's proxy has no
# answer, not even that it cannot be reached.
my $answered = 'import socket; s = socket.create_connection(("127.0.0.1", 3128), 1); s.send(b"GET / HTTP/1.1\r\n\r\n"); b"502" in s.recv(99) or exit(1); print("out")';
for my $call (qw(landlock_restrict_self prctl), $cb->sanitized ? () : 'seccomp') {
    my $relay = eventually(10, sub { $cb->relay });
    my $door = Cellblock::process_status($relay)->{PPid} =~ s/\s//gr;
    fail_step("relay $call", $call, \@networked, $answered, [$door], then => sub { kill 'KILL', $relay });
}

# The same of guests that are made in other ways: by a launcher, by hook.so, by Node.js.
my @others = (
    ['bash',   'echo out'],
    ['perl',   'print "out\n"'],
    ['nodejs', 'console.log("out")'],
);
my @walls = (
    ['setns',     "join the cell's pid namespace"],
    $layers->{uid_per_cell}{in_force} ? ['setresuid', "become the cell's user"] : ['unshare', "make the cell's user namespace"],
    ['capset',    'drop all capabilities'],
    ['landlock_restrict_self', 'enter the Landlock domain'],
    ['prlimit64', "set the run's rlimits", 1],
    ['seccomp',   'load the last filter', 1],
);
# Meanwhile the cells of another language, of which one is ready, are made as fast as ever. A try
# that fails is repeated after 0.5 s.
sub others_run {
    my ($language, @failing) = @_;
    my @waited;
    for (1 .. 7) {
        $cb->run(@failing);
        $cb->run(code => 'print("in")'); # takes the one that is ready
        push @waited, ($cb->run(code => 'print("in")')->{data} || {})->{usage}{queue_ms} // 300;
    }
    # By now it has failed for more than a second.
    my @refused = map { $cb->run(@failing) } 1 .. 4;
    is join(' ', map { $_->{status} } @refused), '500 500 500 500', "$language: its own runs do not wait for the queue's end"
        or diag join "\n", map { $_->{body} } @refused;
    my $median = (sort { $a <=> $b } @waited)[3];
    cmp_ok $median, '<', 100, "$language: others do not wait for its cells" or diag "@waited";
    return;
}
for (@others) {
    my ($language, $code) = @$_;
    my ($why_not) = map { $_->{reason} } grep { $_->{name} eq $language && !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
  SKIP: {
        skip $why_not, 1 if $why_not = Cellblock::missing("$language: " . ($why_not // ''), !defined $why_not);
        ok eventually(10, sub { ($cb->run(language => $language, code => $code)->{data}{stdout} // '') eq "out\n" }), "$language: awake";
        for (@walls) {
            my ($call, $step, $is_run) = @$_;
            fail_step("$language $call ($step)", $call, $language, $code, [zygotes_of($language)], step => $step, is_run => $is_run,
                then => sub { others_run($language, language => $language, code => $code) if $call eq 'capset' });
        }
    }
}
# The last steps of a launcher's guest. With arguments it has no interpreter that has started
# already.
for (['bash', 'execute the interpreter', 'echo out', args => ['x']], ['c', 'execute the compiler', "#include <stdio.h>\nint main(void) { puts(\"out\"); }\n"]) {
    my ($language, $step, $code, @more) = @$_;
    my @run = (language => $language, @more);
  SKIP: {
        my $ready = eventually(20, sub { ($cb->run(@run, code => $code)->{data}{stdout} // '') eq "out\n" });
        skip "no $language", 1 if Cellblock::missing("$language", $ready);
        # Not a program that has been compiled already.
        my $number = 0;
        fail_step("$language execve ($step)", 'execve', \@run, $code, [zygotes_of($language)], step => $step, is_run => 1, fresh => sub { "$code\n" . "\n" x ++$number });
    }
}

$cb->finish;
done_testing;
