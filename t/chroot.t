# Level chroot: the service in a plain container, with neither namespaces nor mounts nor control
# groups. A run sees only its own tree, and no process outlives its run.
use strict;
use warnings;
use Cellblock qw(eventually);
use Container;
use Test::More;

my $container = Container->new;
my $cb = $container->service;

my $capabilities = $cb->get('/v1/sandbox/capabilities')->{data};
is $capabilities->{level}, 'chroot', 'the capabilities report the level';
ok !$capabilities->{layers}{pid_namespace}{in_force}, 'the capabilities report a missing layer';
ok $capabilities->{layers}{chroot}{in_force}, 'the capabilities report a layer in force';

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
            "$language: a run succeeds" or diag $r->{body};
        is $r->{data}{isolation}, 'chroot', "$language: the reply reports the level";
        # A run may have to wait for a new tree while the last cell is being emptied.
        ok eventually(60, sub { ($cb->run(language => $language, code => $says{$language})->{data}{stdout} // '') eq "out\n" }), "$language: another run succeeds"
            for 1 .. 3;
    }
}

is $container->python($cb, <<'PYTHON')->{stdout}, "['box', 'dev', 'tmp'] [] ['main.py'] /box True\n", 'a run has its own /tmp and /box, and no file of the container';
import os
top = [n for n in os.listdir("/") if n not in ("bin", "lib", "lib64", "usr", "etc", "root", "opt", "cellblock")]
open("/tmp/mine", "w").write("x"); os.unlink("/tmp/mine")
print(sorted(top), os.listdir("/tmp"), os.listdir("."), os.getcwd(), os.stat("/tmp").st_uid == os.getuid())
for path in "/proc", "/sys", "/etc/shadow", "/etc/ssh", "/home", "/var":
    if os.path.exists(path): print("escaped", path)
PYTHON
is $container->python($cb, <<'PYTHON')->{stdout}, "tried\n", 'a run can write nothing else, and cannot leave its root';
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

# --- no process outlives a run ----------------------------------------------------------------------------------------------------------

# At this level there is one pid namespace, so the pids that a run prints are real. Soon after the
# run none of these processes may exist.
sub gone {
    my ($pids, $name) = @_;
    ok @$pids > 1, "$name: the run started processes" or return;
    my $left = sub { my %now = $container->processes_of_cells; return grep { $now{$_} } @$pids };
    ok eventually(5, sub { !$left->() }), "$name: the processes are gone" or diag join ' ', $left->();
    return;
}

my $daemons = $container->python($cb, <<'PYTHON', limits => { processes => 10 });
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
gone([($bomb->{data}{stdout} // '') =~ /(\d+)/g], 'a fork bomb whose processes change all the time');
is $bomb->{status}, 200, 'a fork bomb is answered: ' . ($bomb->{data}{status} // '');

my $stopped = $container->python($cb, <<'PYTHON', limits => { processes => 10, wall_ms => 1500 });
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

# A reaper has the run's uid as its effective uid only. Its real and saved uids differ, so the run
# cannot signal it.
is $container->python($cb, <<'PYTHON')->{stdout}, "0 signalled, 0 renamed\n", 'a run can signal no other process, not even its reaper';
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
ok defined $cb->healthy_within(10), 'the service is healthy after all that';

$cb->finish;
ok eventually(10, sub { !glob $container->trees . "/*" }), 'stop: no tree is left';
ok eventually(5, sub { !$container->processes_of_cells }), 'stop: no process of a cell is left';
ok eventually(5, sub { !$container->reapers }), 'stop: no reaper is left';
done_testing;
