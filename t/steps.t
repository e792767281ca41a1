# Each step with which a cell is made and a guest walled in is made to fail, one after the other, by strace's fault
# injection in the warden and the zygotes. No guest may run then, whatever wall it was; and when the fault is gone, all is
# as before.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually);
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

# Who is to fail, in which call, what that call is for, and the layer with (!: without) which it is made at all.
my @steps = (
    ['warden', 'unshare',      'new namespaces'],
    ['warden', 'mount',        'the tmpfs'],
    ['warden', 'mkdir',        'its directories'],
    ['warden', 'chown',        'their owner', 'uid_per_cell'],
    ['warden', 'clone',        'the init of the pid namespace'],
    ['zygote', 'setns',        'joining the namespaces'],
    ['zygote', 'clone3',       'the fork'],
    ['zygote', 'setsid',       'a session of its own'],
    ['zygote', 'write',        'joining the control groups', 'cgroup_files'], # of version 2: the fork
    ['zygote', 'setgroups',    'dropping groups', 'uid_per_cell'],
    ['zygote', 'setresgid',    'the group id', 'uid_per_cell'],
    ['zygote', 'setresuid',    'the user id', 'uid_per_cell'],
    ['zygote', 'unshare',      'a user namespace of its own', '!uid_per_cell'],
    ['zygote', 'prctl',        'an empty bounding set in it', '!uid_per_cell'],
    ['zygote', 'capset',       'dropping capabilities'],
    ['zygote', 'chdir',        'the working directory'],
    ['zygote', 'landlock_create_ruleset', 'Landlock'],
    ['zygote', 'landlock_add_rule',       'its rules'],
    ['zygote', 'landlock_restrict_self',  'and the wall'],
    ['zygote', 'dup2',         'stdio'],
    ['zygote', 'prlimit64',    'rlimits'],
    ['zygote', 'close_range',  'closing what is not its own'],
    ['zygote', 'seccomp',      'the last filter'],
);

# Have a call of some processes fail: no program of the language may run then, and when it works again, all do. A cell that
# was armed before the fault is not under it, so the first runs may still succeed; those after it may not. $language: or a list
# of the fields of a run. A function at the end is called when the fault is there.
sub fail_step {
    my $then = ref $_[-1] eq 'CODE' ? pop : sub { };
    my ($name, $call, $language, $code, @pids) = @_;
    my @run = (ref $language ? @$language : (language => $language), code => $code);
    ok $cb->healthy_within(10), "before $name: healthy";
    $cb->run(@run);
    my $tracer = Tracer->attach(\@pids, '-f', '-e', "trace=$call", '-e', "inject=$call:error=EPERM");
    ok $tracer->is_attached, "$name: strace is attached" or diag $tracer->says;

    $then->();
    $cb->run(@run) for 1 .. 2; # uses up what was armed before
    my @got = map { $cb->run(@run) } 1 .. 3;
    is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } @got), '', "$name fails: no guest runs";
    is scalar(grep { $_->{status} == 200 && $_->{data}{status} eq 'ok' } @got), 0, "$name fails: and none is said to have";

    $tracer->detach;
    ok eventually(15, sub { my $r = $cb->run(@run); $r->{status} == 200 && $r->{data}{stdout} eq "out\n" }),
        "$name: when it works again, so does the service";
    return;
}

my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};
$layers->{cgroup_files} = { in_force => scalar($layers->{cgroup}{in_force} && $layers->{cgroup}{detail} =~ m{\Aversion 1\b}) };
sub is_made {
    my ($layer) = @_;
    return !defined $layer || ($layer =~ /\A!(.*)/ ? !$layers->{$1}{in_force} : $layers->{$layer}{in_force});
}

for (grep { is_made($_->[3]) } @steps) {
    my ($role, $call, $for) = @$_;
    fail_step("$role $call ($for)", $call, 'python3', 'print("out")', $cb->pids($role));
}

# Version 1 has two limits of memory. When the second of a run is refused, it does not start, and the first holds for no later one.
if ($layers->{cgroup}{detail} =~ /version 1/ && -e '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes') {
    $cb->processes_at_rest;
    my $tracer = Tracer->attach([$cb->pids('broker')], '-e', 'trace=pwrite64', '-e', 'inject=pwrite64:error=EBUSY:when=2');
    ok $tracer->is_attached, 'half a limit: strace is attached' or diag $tracer->says;
    is $cb->run(code => 'print("out")', limits => { memory_bytes => 64 << 20 })->{data}{status}, 'memory_limit', 'half a limit: the run does not start';
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
    fail_step("with a network: $role $call ($for)", $call, \@networked, 'print("out")', $cb->pids($role));
}
# A zygote that cannot put up its own Landlock does not serve, nor do those that are started in its place.
my $is_around_zygotes = $layers->{landlock}{detail} =~ /around zygotes, too/;
if ($is_around_zygotes) {
    fail_step('warden ioctl (its namespaces, for zygotes that may not look at its init)', 'ioctl', 'python3', 'print("out")', $cb->pids('warden'));
    my ($broker) = $cb->pids('broker');
    fail_step('zygote landlock_restrict_self (at its start)', 'landlock_restrict_self', 'python3', 'print("out")', $broker,
        sub { kill 'KILL', $cb->pids('zygote') });
}

# The walls of the relay, which is no relay without them: where none serves, the cell's proxy has no answer, not even that it
# cannot be reached.
my $answered = 'import socket; s = socket.create_connection(("127.0.0.1", 3128), 1); s.send(b"GET / HTTP/1.1\r\n\r\n"); b"502" in s.recv(99) or exit(1); print("out")';
for my $call (qw(landlock_restrict_self prctl), $cb->sanitized ? () : 'seccomp') {
    my $relay = eventually(10, sub { $cb->relay });
    my $door = Cellblock::process_status($relay)->{PPid} =~ s/\s//gr;
    fail_step("relay $call", $call, \@networked, $answered, $door, sub { kill 'KILL', $relay });
}

# The same of guests that are made in other ways: by a launcher (which looks like a warden), by hook.so, by Node.js.
my @others = (
    ['bash',   'echo out',           'warden'],
    ['perl',   'print "out\n"',      'zygote'],
    ['nodejs', 'console.log("out")', 'zygote'],
);
my @walls = (
    ['setns',     'joining the namespaces'],
    $layers->{uid_per_cell}{in_force} ? ['setresuid', 'the user id'] : ['unshare', 'a user namespace of its own'],
    ['capset',    'dropping capabilities'],
    ['landlock_restrict_self', 'Landlock'],
    ['seccomp',   'the last filter'],
);
# Meanwhile the cells of another language, of which one is ready, are made as fast as ever. A try that fails is repeated after 0.5 s.
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
    my ($language, $code, $role) = @$_;
    my ($why_not) = map { $_->{reason} } grep { $_->{name} eq $language && !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
  SKIP: {
        skip $why_not, 1 if $why_not = Cellblock::missing("$language: " . ($why_not // ''), !defined $why_not);
        my %before = map { $_ => 1 } $cb->pids($role);
        ok eventually(10, sub { ($cb->run(language => $language, code => $code)->{data}{stdout} // '') eq "out\n" }), "$language: awake";
        # A zygote that is just coming up has children to test itself.
        my ($broker) = $cb->pids('broker');
        my @pids = grep { !$before{$_} && (Cellblock::process_status($_) // { PPid => '' })->{PPid} eq $broker } $cb->pids($role);
        # A warden calls setns to step back from a cell, and ends if it cannot: that is its own test, above.
        for (grep { $language ne 'bash' || $_->[0] ne 'setns' } @walls) {
            my ($call, $for) = @$_;
            fail_step("$language $call ($for)", $call, $language, $code, @pids,
                sub { others_run($language, language => $language, code => $code) if $call eq 'capset' });
        }
    }
}

$cb->finish;
done_testing;
