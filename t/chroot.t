# Level chroot: the service in what a plain container leaves of this host (t/container/plain.c), with neither namespaces nor
# mounts nor control groups. What runs there has walls all the same, and nothing outlives its run.
use strict;
use warnings;
use Cellblock qw(command eventually runner_program slurp write_configuration);
use Container;
use File::Find ();
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Tracer;

my $container = Container->new;
my ($plain, $first_uid, $cells) = ($container->plain, $container->{first_uid}, Container::CELLS);
my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';

# --- what cannot be had is said, and what to do about it -------------------------------------------------------------------------

sub configured {
    my (@changes) = @_;
    my $dir = tempdir('conf-XXXXXX', DIR => $container->{folder});
    chmod 0755, $dir;
    write_configuration("$dir/conf", [$c, qr{socket = "[^"]*"}, "socket = \"$dir/runner.sock\""],
        [$c, qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
        [$c, qr{^\s*#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @changes);
    unlink grep { !m{/python3\.conf\z} } glob "$dir/conf/languages/*.conf";
    return "$dir/conf/cellblock.conf";
}
my @small = grep { $_->[0] eq $c || $_->[0] eq $p } $container->conf;
{
    my $conf = configured([$c, qr/cgroup = "required"/, 'cgroup = "off"']);
    my ($exit, $out, $err) = command([$plain, runner_program(), '-c', $conf], seconds => 20);
    is $exit, 1, 'level namespaces in a plain container: no start';
    like $err . $out, qr/user namespace.*isolation\.level = "chroot".*SECURITY\.md/, 'and it says what can be had';
    ($exit, $out) = command([$plain, runner_program(), '-c', $conf, '--check-host']);
    is $exit, 1, '--check-host says so too';
    like $out, qr/^level namespaces, as configured: cannot be had: user_namespace/m, 'for the one level';
    like $out, qr/^level chroot: can be had$/m, 'and for the other';
    ($exit, $out) = command([$plain, runner_program(), '-c', configured(@small), '--check-host']);
    is $exit, 0, '--check-host where level chroot is asked for';
    like $out, qr/^level chroot, as configured: can be had$/m, 'and can be had';
    ($exit, $out, $err) = command(['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', runner_program(), '-c', configured(@small)], seconds => 20);
    is $exit, 1, 'level chroot as an ordinary user: no start';
    like $err, qr/isolation\.level: "chroot" needs a start as root/, 'and it says why';
    for my $capability (qw(chown kill mknod setgid setuid sys_chroot dac_override)) {
        ($exit, $out) = command([$plain, 'setpriv', "--bounding-set=-$capability", '--inh-caps=-all', runner_program(), '-c', configured(@small), '--check-host'], seconds => 20);
        is $exit, 1, "without the capability $capability it cannot be had";
    }
}

# --- the service -----------------------------------------------------------------------------------------------------------------

my $cb = Cellblock->start(own => 1, inside => [$plain], conf => [$container->conf, [$c, qr/queue_ms = 10000/, 'queue_ms = 2000']],
    allow => [qr/keeper died/, qr/the broker died/, qr/a cell could not be made/, qr/a run could not start/, qr/zygote died/, qr/warden died/]);
my $capabilities = $cb->get('/v1/sandbox/capabilities')->{data};
is $capabilities->{level}, 'chroot', 'the level is told';
ok !$capabilities->{layers}{pid_namespace}{in_force}, 'and what it lacks';
ok $capabilities->{layers}{chroot}{in_force}, 'and what it has';

my %says = (
    python3 => 'print("out")', nodejs => 'console.log("out")', bash => 'echo out', perl => 'print "out\n"',
    c => "#include <stdio.h>\nint main(void) { puts(\"out\"); }\n",
);
my %reason = map { $_->{name} => $_->{available} ? undef : $_->{reason} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
for my $language (sort keys %says) {
  SKIP: {
        my $missing = Cellblock::missing("$language: " . ($reason{$language} // ''), !defined $reason{$language});
        skip $missing, 1 if $missing;
        my $r;
        ok eventually(60, sub { $r = $cb->run(language => $language, code => $says{$language}); ($r->{data}{stdout} // '') eq "out\n" }),
            "$language works" or diag $r->{body};
        is $r->{data}{isolation}, 'chroot', "$language: its reply says at what level";
        # One that comes while the last cell is still being emptied may have to wait for another tree.
        ok eventually(60, sub { ($cb->run(language => $language, code => $says{$language})->{data}{stdout} // '') eq "out\n" }), "$language: and again"
            for 1 .. 3;
    }
}

sub python {
    my ($code, %field) = @_;
    my $r = $cb->run(code => $code, %field);
    diag $r->{body} if $r->{status} != 200;
    return $r->{data} || {};
}

is python(<<'PYTHON')->{stdout}, "['box', 'dev', 'tmp'] [] ['main.py'] /box True\n", 'its own /tmp and /box, and no file of the container';
import os
top = [n for n in os.listdir("/") if n not in ("bin", "lib", "lib64", "usr", "etc", "root", "opt", "cellblock")]
open("/tmp/mine", "w").write("x"); os.unlink("/tmp/mine")
print(sorted(top), os.listdir("/tmp"), os.listdir("."), os.getcwd(), os.stat("/tmp").st_uid == os.getuid())
for path in "/proc", "/sys", "/etc/passwd", "/etc/shadow", "/home", "/var":
    if os.path.exists(path): print("escaped", path)
PYTHON
is python(<<'PYTHON')->{stdout}, "tried\n", 'nothing but these can be written, and there is no way up';
import os, sys
for path in "/x", "/usr/x", "/dev/x", os.__file__, sys.executable, "/dev":
    for attempt in lambda: open(path, "r+b"), lambda: open(path, "w"), lambda: os.chmod(path, 0o777), lambda: os.rename(path, "/tmp/y"):
        try:
            attempt(); print("escaped", path)
        except OSError:
            pass
for path in "../" * 30 + "etc/shadow", "/../../../../etc/shadow", "/dev/../../etc/shadow":
    if os.path.exists(path): print("escaped", path)
try:
    os.chroot("/tmp"); print("escaped chroot")
except OSError:
    pass
print("tried")
PYTHON

# --- nothing outlives a run ----------------------------------------------------------------------------------------------------------

# Processes of the cells' uids: pid => [real uid, name]. Those of keepers are behind the cells'.
sub of_cells {
    my %found;
    for my $proc (glob '/proc/[0-9]*') {
        my $status = slurp("$proc/status") // next;
        my ($uid) = $status =~ /^Uid:\t(\d+)/m;
        my ($name) = $status =~ /^Name:\t(.*)$/m;
        $found{ $proc =~ s{/proc/}{}r } = [$uid, $name] if $uid > $first_uid && $uid <= $first_uid + $cells;
    }
    return %found;
}

# What a run says of its pids is true here: there is one pid namespace. None of them may be there soon after it.
sub gone {
    my ($pids, $name) = @_;
    ok @$pids > 1, "$name: it started some" or return;
    my $left = sub { my %now = of_cells(); return grep { $now{$_} } @$pids };
    ok eventually(5, sub { !$left->() }), "$name: and they are gone" or diag join ' ', $left->();
    return;
}

my $daemons = python(<<'PYTHON', limits => { processes => 10 });
import os, signal, sys, time
for i in range(6):
    if os.fork() == 0:
        if i % 2: os.setpgid(0, 0)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        if os.fork(): os._exit(0)
        os.write(1, b"%d\n" % os.getpid())
        os.close(0); os.close(1); os.close(2)
        time.sleep(600)
time.sleep(0.3)
PYTHON
gone([$daemons->{stdout} =~ /(\d+)/g], 'daemons that ignore every signal');

my $bomb = $cb->run(language => 'python3', limits => { processes => 64, wall_ms => 2000, cpu_ms => 2000 }, code => <<'PYTHON');
import os
first = os.getpid()
while True:
    try:
        if os.fork() == 0: os.write(1, b"%d\n" % os.getpid())
        elif os.getpid() != first and os.getpid() % 2: os._exit(0)
    except OSError: pass
PYTHON
gone([($bomb->{data}{stdout} // '') =~ /(\d+)/g], 'a fork bomb that moves on, new processes all the time');
is $bomb->{status}, 200, 'and it is answered: ' . ($bomb->{data}{status} // '');

my $stopped = python(<<'PYTHON', limits => { processes => 10, wall_ms => 1500 });
import os, signal
pids = []
for i in range(5):
    pid = os.fork()
    if pid == 0:
        while True: pass
    print(pid, flush=True)
    os.kill(pid, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
PYTHON
gone([$stopped->{stdout} =~ /(\d+)/g], 'children that are stopped');

# A keeper has the run's uid as its effective one, and is out of its reach: real and saved are another.
is python(<<'PYTHON')->{stdout}, "0 signalled, 0 renamed\n", 'no other process can be signalled, its keeper neither';
import os, signal
reached = 0
for pid in range(2, 70000):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGKILL); reached += 1
        except OSError: pass
try:
    os.kill(-1, 9)
except OSError: pass
print(f"{reached} signalled, 0 renamed")
PYTHON
ok defined $cb->healthy_within(10), 'healthy after all that';

# --- files --------------------------------------------------------------------------------------------------------------------------

sub left_files {
    my @left;
    no warnings 'File::Find'; # of what goes while it looks
    File::Find::find({ no_chdir => 1, wanted => sub { push @left, $_ if m{/tree-\d+/(?:box|tmp)/(?!main\.py\z)} } }, $container->trees);
    return @left;
}

is python(<<'PYTHON')->{stdout}, "left\n", 'a run that leaves all kinds of files behind';
import os
for top in ".", "/tmp":
    os.chdir(top)
    open("file", "w").write("secret")
    os.symlink("/usr", "link"); os.symlink("nowhere", "broken"); os.link("file", "hard")
    try: os.mkfifo("fifo")
    except OSError: pass
    os.mkdir("shut"); open("shut/in", "w"); os.mkdir("shut/deep"); os.chmod("shut/deep", 0); os.chmod("shut", 0)
    os.mkdir("0"); os.mkdir("0/0"); os.mkdir("0/1"); os.mkdir("sticky"); open("sticky/x", "w"); os.chmod("sticky", 0o1000)
    for i in range(40):
        os.mkdir("d"); os.chdir("d")
    os.chdir("/box")
os.chmod("/tmp", 0); os.chmod("/box", 0)
print("left")
PYTHON
ok eventually(5, sub { !left_files() }), 'nothing of it is left on the disk' or diag join "\n", left_files();
ok -e '/usr/bin', 'and what links point to is there';
is python('import os; print(os.listdir("/tmp"), os.listdir("."), oct(os.stat("/tmp").st_mode))')->{stdout}, "[] ['main.py'] 0o40700\n",
    'the next run finds nothing' for 1 .. 3;

my $mib = 1 << 20;
my %full = (
    'one file'   => 'f = open("x", "wb")' . "\nwhile True: f.write(bytes(1 << 20)); f.flush()",
    'many files' => "import time\nfor i in range(60): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))\ntime.sleep(10)",
    'many names' => "import time\nfor i in range(6000): open(f'/tmp/{i}', 'w')\ntime.sleep(10)",
    'folders in each other' => "import os, time\nfor i in range(100): os.mkdir('d'); os.chdir('d')\ntime.sleep(10)",
);
is python($full{$_}, limits => { disk_bytes => 8 * $mib, wall_ms => 9000 })->{status}, 'disk_limit', "disk: $_" for sort keys %full;
is python('import os; f = os.open("x", os.O_CREAT | os.O_RDWR); import ctypes; print(ctypes.CDLL(None).fallocate(f, 1, 0, ctypes.c_long(1 << 40)), os.fstat(f).st_blocks)')->{stdout},
    "-1 0\n", 'disk: nothing is taken ahead';

# --- when something of ours dies ------------------------------------------------------------------------------------------------------

sub children_of {
    my ($pid) = @_;
    my %all = Cellblock::all_processes();
    return map { $all{$_} } sort { $a <=> $b } grep { $all{$_}{ppid} == $pid } keys %all;
}
# The broker is the one of the runner's two children that has some of its own.
sub broker {
    my %mine = $cb->processes;
    for my $one (values %mine) {
        next if $one->{comm} !~ $Cellblock::runner_names || !$mine{ $one->{ppid} } || $mine{ $one->{ppid} }{comm} !~ $Cellblock::runner_names;
        my @children = grep { $_->{comm} !~ /\Asupervisord/ } children_of($one->{pid});
        return $one->{pid} if grep { $_->{comm} =~ /python/ } @children;
    }
    return;
}
# Wardens have a capability that zygotes and launchers lack.
sub wardens {
    return grep { my $s = Cellblock::process_status($_); $s && $s->{Uid} =~ /\A0\b/ && hex($s->{CapPrm}) & 1 } map { $_->{pid} } children_of(broker() // 0);
}
sub keepers {
    return grep {
        my $status = Cellblock::process_status($_);
        my $uid = $status ? (split ' ', $status->{Uid})[0] : 0;
        $uid > $first_uid + $cells && $uid <= $first_uid + 2 * $cells; # its real one
    } map { s{/proc/}{}r } glob '/proc/[0-9]*';
}

ok my @keepers = keepers(), 'each cell has a keeper';
for my $status (map { Cellblock::process_status($_) || () } @keepers[0, 1]) {
    my @uids = split ' ', $status->{Uid};
    ok $uids[1] == $uids[0] - $cells && $uids[2] == $uids[0], 'with the uid of its run as effective one only';
    is hex $status->{CapPrm}, 0, 'and without a capability';
}
kill 9, @keepers;
ok defined $cb->healthy_within(20), 'all keepers are killed: healthy again';
my $wait = fork // die;
if (!$wait) {
    $cb->{http} = undef;
    my $r = $cb->run(code => "import threading, time\nfor _ in range(12): threading.Thread(target=time.sleep, args=(8,), daemon=True).start()\ntime.sleep(8)");
    POSIX::_exit($r->{status} == 200 && $r->{data}{status} eq 'ok' ? 1 : 0);
}
ok eventually(5, sub { $cb->find_by_threads(13) }), 'a run is under way';
kill 9, keepers();
waitpid $wait, 0;
is $?, 0, 'its keeper is killed: it does not go on';
ok defined $cb->healthy_within(20), 'and then: healthy again';

kill 9, wardens();
ok defined $cb->healthy_within(30), 'wardens are killed: healthy again';
ok my $broker = broker(), 'there is a broker';
my %were = of_cells();
kill 9, $broker;
ok eventually(10, sub { my %now = of_cells(); !grep { $now{$_} } keys %were }), 'the broker is killed: no cell outlives it';
ok defined $cb->healthy_within(60), 'and then: healthy again';

# --- each step with which a cell is made is made to fail --------------------------------------------------------------------------------

# So many runs side by side: each waits as long as a run may wait. Returns the replies.
sub at_once {
    my ($count, @run) = @_;
    my @replies;
    my $left = $count;
    $cb->many($count, sub { $left-- > 0 ? {@run} : undef }, sub { push @replies, $_[1] }, 60);
    return @replies;
}

SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    my @steps = (
        ['warden', 'unlinkat',  'removing the last /tmp and /box'],
        ['warden', 'mkdirat',   'new ones'],
        ['warden', 'fchownat',  'their owner'],
        ['warden', 'clone',     'the keeper'],
        ['warden', 'openat',    "the cell's root"],
        ['zygote', 'chroot',    "enter the cell's root"],
        ['zygote', 'fchdir',    'on the way there'],
        ['zygote', 'clone',     'the fork'],
        ['zygote', 'setsid',    'a session of its own'],
        ['zygote', 'setgroups', 'dropping groups'],
        ['zygote', 'setresgid', 'the group id'],
        ['zygote', 'setresuid', 'the user id'],
        ['zygote', 'capset',    'dropping capabilities'],
        ['zygote', 'prlimit64', 'rlimits'],
        ['zygote', 'seccomp',   'the last filter'],
    );
    my @run = (code => 'print("out")', limits => { wall_ms => 2000 });
    at_once($cells, code => 'import time; time.sleep(1)'); # from now on there is a last one in every tree
    for (@steps) {
        my ($role, $call, $for) = @$_;
        my $name = "$role $call ($for)";
        ok defined $cb->healthy_within(30), "before $name: healthy";
        my @pids = $role eq 'warden' ? wardens() : map { $_->{pid} } grep { $_->{comm} =~ /python/ && (Cellblock::process_status($_->{pid})->{Uid} // '') =~ /\A0\b/ } children_of(broker());
        my $tracer = Tracer->attach(\@pids, '-f', '-e', "trace=$call", '-e', "inject=$call:error=EPERM");
        ok $tracer->is_attached, "$name: strace is attached" or diag $tracer->says;
        at_once($cells, @run); # uses up what was armed before
        my @got = at_once(2, @run);
        is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } @got), '', "$name fails: no guest runs";
        $tracer->detach;
        ok eventually(30, sub { my $r = $cb->run(@run); ($r->{data}{stdout} // '') eq "out\n" }), "$name: when it works again, so does the service";
    }

    # Steps of a zygote's start that other levels do not have. A process that becomes one makes the same calls for other reasons first:
    # capset(2) when it enters its root, and none of seccomp(2).
    for (['capset', 2, "drop the container's capabilities"], ['seccomp', 1, 'deny fallocate']) {
        my ($call, $when, $step) = @$_;
        ok defined $cb->healthy_within(30), "before $step: healthy";
        my $log = sub { slurp("$cb->{dir}/log/runner.log") // '' };
        my $logged = length $log->();
        my $tracer = Tracer->attach([broker()], '-f', '-e', "trace=$call", '-e', "inject=$call:error=EPERM:when=$when");
        ok $tracer->is_attached, "$step: strace is attached" or diag $tracer->says;
        kill 'KILL', grep { (slurp("/proc/$_/comm") // '') eq "zygote python3\n" } map { $_->{pid} } children_of(broker());
        ok eventually(20, sub { substr($log->(), $logged) =~ /\Q$step: Operation not permitted\E/ || $cb->get('/health', key => undef)->{body} =~ /\Q$step: Operation not permitted\E/ }), "$step fails: it is reported"
            or diag substr($log->(), $logged);
        at_once($cells, @run); # uses up what was armed before
        is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } at_once(2, @run)), '', "$step fails: no guest runs";
        $tracer->detach;
        ok eventually(30, sub { my $r = $cb->run(@run); ($r->{data}{stdout} // '') eq "out\n" }), "$step: when it works again, so does the service";
    }
}

$cb->finish;
ok eventually(10, sub { !glob $container->trees . "/*" }), 'stop: no tree is left';
is scalar(() = of_cells()), 0, 'stop: no process of a cell';
is scalar(() = keepers()), 0, 'stop: no keeper';
done_testing;
