# Control groups of version 2: the groups of the runner and its cells, their limits, delegation, and
# that nothing runs without them. For hosts with version 2 only, such as the machines of t/hosts/vm.
use strict;
use warnings;
use Cellblock qw(command eventually runner_program slurp spew write_configuration);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

my $top = '/sys/fs/cgroup';
Cellblock::skip_all("$top is not of version 2, or we are not root") if !-e "$top/cgroup.controllers" || $> != 0;

sub procs { return split /\n/, slurp("$_[0]/cgroup.procs") // '' }
sub value { return (slurp("$_[0]") // '') =~ s/\n\z//r }

# Call a function in a child process in a group. Returns the child's pid.
sub in_group {
    my ($group, $do) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    spew("$group/cgroup.procs", "$$") if defined $group;
    $do->();
    POSIX::_exit(127);
}

# --- the service, started among other processes ---------------------------------------------------------------------------

# supervisord, nginx and the workers are in the runner's own group, so the cells must be beside that
# group.
spew("$top/cgroup.subtree_control", '+cpu +memory +pids'); # with systemd this is done already
make_path("$top/service/inner");
spew("$top/service/inner/cgroup.procs", "$$");
my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/processes = \{ maximum = \d+;/, 'processes = { default = 1; maximum = 16;'],
    ['cellblock.conf', qr/cpu_percent = 100/, 'cpu_percent = 150'],
]);
my ($ours) = glob "$top/service/cellblock-*";
ok $ours, 'the cells are below the nearest group without processes of its own' or BAIL_OUT('no group');
my $capabilities = $cb->get('/v1/sandbox/capabilities');
like $capabilities->{data}{layers}{cgroup}{detail}, qr/\Aversion 2\b/, 'the capabilities report the version';
is value("$top/service/cgroup.subtree_control"), 'cpu memory pids', 'only the needed controllers are enabled';
is_deeply [procs($ours)], [], 'no process is in the group of the cells itself';
my %roles = $cb->roles;
my %in_leaf = map { $_ => 1 } procs("$ours/runner");
is join(' ', grep { !$in_leaf{$_} } map { @{ $roles{$_} } } qw(runner broker warden zygote)), '', 'all processes of the runner are in a leaf of their own';
is join(' ', grep { $in_leaf{$_} } @{ $roles{worker} }), '', 'no worker is in that leaf';
is_deeply [procs("$ours-parent/runner")], $roles{'runner parent'}, 'the parent of the runner is alone in a group beside that';

my $owner = (stat "$ours/runner/cgroup.procs")[4];
isnt $owner, 0, 'the leaf does not belong to root';
is +(stat "$ours/memory.max")[4], 0, 'the limits of the whole belong to root';

# The group of a run, and its limits.
my $pid = in_group(undef, sub { $cb->{http} = undef; $cb->run(code => 'import time; time.sleep(30)', limits => { memory_bytes => 100 << 20, processes => 3 }); POSIX::_exit(0) });
my $cell = eventually(20, sub { (grep { value("$_/memory.max") eq 100 << 20 && procs($_) } glob "$ours/cell-*")[0] });
ok $cell, 'a run is in a group of its own';
if ($cell) {
    is value("$cell/pids.max"), 3, 'the group has the run\'s limit of processes';
    is value("$cell/cpu.max"), '150000 100000', 'the group has the share of CPU time';
    is value("$cell/memory.swap.max"), 0, 'the group has no swap';
}
kill 'KILL', $pid;
waitpid $pid, 0;
ok eventually(20, sub { !procs($cell) }), 'the group is empty after the client has disconnected' if $cell;

# --- the limits hold ----------------------------------------------------------------------------------------------------------

my $r = $cb->run(code => 'x = bytearray(64 << 20); print(len(x))', limits => { memory_bytes => 100 << 20 });
is $r->{data}{status}, 'ok', 'a program may use 64 of 100 MiB';
cmp_ok $r->{data}{usage}{memory_peak_bytes}, '>', 64 << 20, 'the reply reports the peak';
$r = $cb->run(code => 'print(1)', limits => { memory_bytes => 100 << 20 });
cmp_ok $r->{data}{usage}{memory_peak_bytes}, '<', 40 << 20, 'the peak is not that of an earlier run';
$r = $cb->run(code => 'x = bytearray(200 << 20)', limits => { memory_bytes => 100 << 20 });
is $r->{data}{status}, 'memory_limit', 'the memory of one process is limited';
$r = $cb->run(language => 'python3', limits => { memory_bytes => 100 << 20, processes => 8 }, code => <<'PYTHON');
import os, sys
pids = []
for i in range(4):
    pid = os.fork()
    if pid == 0:
        x = bytearray(40 << 20)
        os.read(0, 1)
        os._exit(0)
    pids.append(pid)
sys.exit(max(os.waitpid(pid, 0)[1] & 127 for pid in pids))
PYTHON
is $r->{data}{status}, 'memory_limit', 'the memory of several processes together is limited';
$r = $cb->run(code => 'open("/tmp/x", "wb").write(bytes(60 << 20))', limits => { memory_bytes => 32 << 20 });
is $r->{data}{status}, 'memory_limit', 'the memory of files is limited';
$r = $cb->run(code => 'import os; [os.fork() for i in range(40)]', limits => { processes => 8 });
is $r->{data}{status}, 'process_limit', 'the number of processes is limited';
$r = $cb->run(code => "import os\nos.fork()\nwhile 1: pass", limits => { processes => 2, cpu_ms => 1500, wall_ms => 60_000 });
is $r->{data}{status}, 'cpu_limit', 'the CPU time of all processes together is limited';
# 1 MiB is less than an interpreter uses. Whatever memory a waiting guest has, no run may fail
# otherwise.
$r = $cb->run(code => 'x = bytearray(4 << 20)', limits => { memory_bytes => 1 << 20 });
is $r->{data}{status}, 'memory_limit', 'a memory limit of 1 MiB holds' or diag $r->{body};

# --- nothing runs without a control group --- ----------------------------------------------------------------------------------

# A group that may not be entered: no guest can be made in it.
my @groups = map {"$_/cgroup.procs"} $ours, glob "$ours/cell-*";
chown 0, 0, @groups;
my @got = map { $cb->run(code => 'print("out")', limits => { wall_ms => 1000 }) } 1 .. 12; # more than are armed
is scalar(grep { ($_->{data}{stdout} // '') eq "out\n" } @got[8 .. 11]), 0, 'a cell whose group cannot be joined runs nothing';
is $got[11]{status}, 500, 'a cell whose group cannot be joined: the answer is 500';
chown $owner, $owner, @groups;
ok eventually(30, sub { my $again = $cb->run(code => 'print("up")'); $again->{data} && $again->{data}{stdout} eq "up\n" }), 'runs succeed when the group can be joined again';

spew("$top/cgroup.procs", "$$");
$cb->finish;
is_deeply [glob "$top/service/cellblock-*"], [], 'the groups are gone after the stop';
ok rmdir "$top/service/inner", 'the group of the service is empty';

# --- the runner alone: as systemd starts it, with Delegate=yes, and as an ordinary user ----------------------------------------

my $c = 'cellblock.conf';
my $ordinary = getpwnam 'www-data';

sub prepared {
    my ($user, @changes) = @_;
    my $dir = tempdir('cellblock-cgroup-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chown $user, $user, $dir;
    chmod 0755, $dir;
    write_configuration("$dir/conf", [$c, qr{socket = "[^"]*"}, "socket = \"$dir/runner.sock\""],
        [$c, qr{worker_user = "[^"]*"}, "worker_user = \"" . getpwuid($user || 65_534) . '"'],
        [$c, qr/uid_per_cell = "required"/, 'uid_per_cell = "optional"'], [$c, qr{^#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @changes);
    unlink grep { !m{/python3\.conf\z} } glob "$dir/conf/languages/*.conf";
    return $dir;
}

sub start_runner {
    my ($dir, $group, $user) = @_;
    return in_group($group, sub {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec('setpriv', "--reuid=$user", "--regid=$user", '--clear-groups', runner_program(), '-c', "$dir/conf/$c");
    });
}

sub stop_runner {
    my ($runner) = @_;
    kill 'TERM', $runner;
    return eventually(20, sub { waitpid($runner, POSIX::WNOHANG()) == $runner });
}

for (['root', 0], ['an ordinary user', $ordinary]) {
    my ($who, $user) = @$_;
    my $group = "$top/delegated";
    mkdir $group;
    chown $user, $user, $group, map {"$group/cgroup.$_"} qw(procs subtree_control threads);
    my $dir = prepared($user);
    my $runner = start_runner($dir, $group, $user);
    my $serves = eventually(60, sub { glob("$group/cellblock-*/cell-*") && grep { procs($_) } glob "$group/cellblock-*/cell-*" });
    ok $serves, "$who, alone in a group: a guest is in a cell below it" or diag slurp("$dir/log");
    is_deeply [procs($group)], [], "$who: the runner has moved to its leaf";
    stop_runner($runner);
    ok eventually(10, sub { !grep { /^populated 1/m } slurp("$group/cgroup.events") }), "$who: the group is empty after the stop";
    system 'find', $group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';';
}

# Without delegation a start of an ordinary user fails if control groups are required.
for (['required', qr/control groups are required and cannot be had: .*Permission denied/], ['optional', qr/rlimits only: .*Permission denied/]) {
    my ($how, $says) = @$_;
    my $dir = prepared($ordinary, [$c, qr/cgroup = "required"/, "cgroup = \"$how\""]);
    my $runner = start_runner($dir, undef, $ordinary);
    my $log = eventually(60, sub { my $text = slurp("$dir/log") // ''; $text =~ $says ? $text : '' });
    like $log || slurp("$dir/log"), $says, "nothing delegated, $how: the log says so";
    if ($how eq 'required') { ok eventually(10, sub { waitpid($runner, POSIX::WNOHANG()) == $runner }) && $? != 0, 'nothing delegated, required: the runner ends' }
    else                    { ok eventually(60, sub { slurp("$dir/log") =~ /serving/ }), 'nothing delegated, optional: the runner serves'; stop_runner($runner) }
}

# --check-host enables controllers to try them, and disables them again: those that were enabled
# before stay.
for (['', ''], ['pids', 'pids']) {
    my ($was, $name) = @$_;
    make_path("$top/check/inner");
    spew("$top/check/cgroup.subtree_control", "+$was") if $was;
    my $dir = prepared(0);
    my $checker = in_group("$top/check/inner", sub {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec(runner_program(), '-c', "$dir/conf/$c", '--check-host');
    });
    ok eventually(60, sub { waitpid($checker, POSIX::WNOHANG()) == $checker }), '--check-host ends';
    like slurp("$dir/log"), qr/^cgroup +ok +required version 2/m, 'it finds control groups';
    is value("$top/check/cgroup.subtree_control"), $name, "and leaves above its own what was enabled there ('$name')";
    is_deeply [glob "$top/check/cellblock* $top/check/inner/cellblock*"], [], 'and no group';
    ok rmdir("$top/check/inner") && rmdir("$top/check"), 'nor a process';
}

# A parent group with processes of its own cannot have groups of cells.
mkdir "$top/busy";
my $sleeper = in_group("$top/busy", sub { exec 'sleep', '600' });
my $dir = prepared(0, [$c, qr/#cgroup_parent = .*;/, "cgroup_parent = \"$top/busy\";"]);
my $runner = start_runner($dir, undef, 0);
ok eventually(60, sub { waitpid($runner, POSIX::WNOHANG()) == $runner }), 'a parent with processes of its own: the runner ends';
like slurp("$dir/log"), qr{enable memory, pids and cpu in $top/busy/cgroup\.subtree_control.*it has processes of its own: name another isolation\.cgroup_parent},
    'a parent with processes of its own: the log says why';
is_deeply [glob "$top/busy/cellblock*"], [], 'a parent with processes of its own: no group is left in it';
kill 'KILL', $sleeper;
waitpid $sleeper, 0;
ok rmdir("$top/busy"), 'a parent with processes of its own: no process was added';

done_testing;
