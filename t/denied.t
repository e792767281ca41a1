# Denied system calls: which ones a reply lists, how often, and with what hint. A flood of them does
# not stop the service.
use strict;
use warnings;
use Cellblock qw(json);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, conf => [
    ['languages/python3.conf', qr/^#limits = .*/m, 'limits = { processes = { default = 1; maximum = 16; }; };'],
]);

sub calls {
    my ($reply) = @_;
    return { map { $_->{name} => $_->{count} } @{ $reply->{data}{denied} } };
}

sub hint_of {
    my ($reply, $name) = @_;
    return (grep { $_->{name} eq $name } @{ $reply->{data}{denied} })[0]{hint};
}

# --- calls that libraries make, by name --------------------------------------------------------------------

my @cases = (
    ['a socket',              'import socket; socket.socket()',                       'socket'],
    ['a child process',       'import os; os.fork()',                                 'clone'],
    ['a device',              'import os; os.mknod("/box/d", 0o20600, 0x103)',        'mknodat'],
    ['another root',          'import os; os.chroot("/box")',                         'chroot'],
);
for (@cases) {
    my ($name, $code, $call) = @$_;
    my $r = $cb->run(code => $code);
    is_deeply calls($r), { $call => 1 }, "$name: the call is listed with its count" or diag json->encode($r->{data}{denied});
    is $r->{data}{status}, 'exit', "$name: the program ends with an exit status";
    like $r->{data}{error}, qr/\Aprocess exited with code 1\nerror: operation not permitted \(\Q$call\E\)/, "$name: the error names the call";
    like $r->{data}{error}, qr/PermissionError|Address family not supported/, "$name: the error has the program's own message";
}

my $r = $cb->run(code => 'import socket; socket.create_connection(("192.0.2.1", 80))');
like $r->{data}{error}, qr/\(socket\); no network is configured on this server; network: loopback /, 'a socket: the error contains the hint';
is hint_of($r, 'socket'), 'no network is configured on this server; network: loopback asks for localhost alone', 'a socket: the list contains the hint, which advises nothing that would not help';
$r = $cb->run(code => 'import urllib.request; urllib.request.urlopen("http://example.org")');
like $r->{data}{error}, qr/\Aprocess exited with code 1\nerror: operation not permitted \(socket\)/, 'a name that cannot be looked up: the error names the cause, which stderr does not';

# --- calls that the kernel itself keeps within a cell, and calls that programs only try ---------------------

sub prints {
    my ($language, $code, $out, $name, %field) = @_;
    SKIP: {
        my $reply = $cb->run(language => $language, code => $code, %field);
        skip "no $language here", 3 if $reply->{status} == 400;
        is $reply->{data}{stdout}, $out, $name or diag json->encode($reply->{data});
        is $reply->{data}{stderr}, '', "$name: without a complaint";
        is_deeply calls($reply), {}, "$name: nothing is reported";
    }
    return;
}

prints(python3 => <<'PYTHON', "0 refused\n1 2\n95 38 22\n(1, 1)\nend\n", 'ids, owners, priorities, attributes');
import ctypes, os, resource, shutil, signal
open("f", "w").close()
shutil.chown("f", os.getuid(), os.getgid())
os.chown("f", -1, -1)
if os.getuid() != 65534: # without ids of their own, programs have none to set
    os.setuid(os.getuid()); os.setgid(os.getgid()); os.setresuid(-1, os.getuid(), -1); os.seteuid(os.geteuid())
got = 0
for f in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.chown("f", 0, 0), lambda: os.chown("/usr", -1, os.getgid()), lambda: os.nice(-1)):
    try: f(); got += 1
    except OSError: pass
print(got, "refused")
os.nice(1); os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(len(os.sched_getaffinity(0)), 2)
os.mkfifo("fifo"); os.mknod("plain")
libc = ctypes.CDLL(None, use_errno=True)
errors = []
for call in (lambda: libc.setxattr(b"f", b"user.a", b"b", 1, 0), lambda: libc.inotify_init1(0), lambda: libc.prctl(22, 2, 0, 0, 0)):
    errors.append(ctypes.get_errno() if call() < 0 else 0)
print(*errors)
libc.prctl(1, 15); libc.prctl(36, 1); libc.mlock(ctypes.create_string_buffer(64), 64)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); print(resource.getrlimit(resource.RLIMIT_CORE)); os.sync()
print("end")
PYTHON
prints(bash => <<'BASH', "data\n640\n3\nthrough the pipe\n0\n0\n0\n", 'cp, mv, sed and their like');
set -e
ulimit -c 0
mkdir src; echo data >src/f; cp -a src copy; cp -p src/f f2; cat copy/f
printf 'a=1\n' >conf; chmod 640 conf; sed -i s/1/2/ conf; stat -c %a conf
t=$(mktemp); seq 3 >"$t"; mv "$t" n.txt; wc -l <n.txt
mkfifo p; (echo through the pipe >p) & cat p; wait
timeout 5 true; echo $?
chown "$(id -u):$(id -g)" f2; install -m 600 f2 f3; sync; echo $?
[ "$(nice -n 5 nice)" -gt "$(nice)" ]; echo $?
BASH
prints(bash => "printf 'all:\n\t\@echo made\n' >Makefile\nmake", "made\n", 'make') if -x '/usr/bin/make' && !$ENV{CELLBLOCK_TEST_WITHOUT};
prints(python3 => 'import os, sys; os.execv(sys.executable, ["python3", "-c", "print(6 * 7)"])', "42\n", 'a Python program becomes another');

# GNU programs look at their stack at each start, and nothing waits for it.
{
    my $loop = 'n=0; for i in $(seq 1 150); do if echo "line $i" | grep -q 7; then n=$((n + 1)); fi; done; echo $n';
    my ($least, $outside);
    for (1 .. 3) {
        my $began = time;
        `bash -c '$loop'`;
        my $took = time - $began;
        $outside = $took if !defined $outside || $took < $outside;
        my $reply = $cb->run(language => 'bash', code => $loop);
        $took = $reply->{data}{usage}{wall_ms} / 1000;
        is $reply->{data}{stdout}, "24\n", 'greps in a loop find what they look for';
        is_deeply calls($reply), {}, 'greps in a loop: nothing is reported';
        $least = $took if !defined $least || $took < $least;
    }
    note sprintf '150 greps: %.0f ms, outside %.0f ms', 1000 * $least, 1000 * $outside;
    cmp_ok $least, '<', 2 * $outside, 'greps in a loop take no longer than outside';
}

# mincore tells nothing of a file that its caller may not write: not even that nobody has read it.
my ($topics) = glob '/usr/lib/python3*/pydoc_data/topics.py';
SKIP: {
    my $look = <<'PYTHON';
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDONLY)
pages = os.fstat(fd).st_size // 4096
at = libc.mmap(None, ctypes.c_size_t(pages * 4096), 1, 1, fd, ctypes.c_long(0))
there = ctypes.create_string_buffer(pages)
print(libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(pages * 4096), there), sum(c & 1 for c in there.raw) < pages)
PYTHON
    skip 'there is no large file of Python that nobody reads', 2 if !$topics;
    system 'dd', "if=$topics", 'iflag=nocache', 'count=0', 'status=none';
    open my $python, '-|', 'python3', '-c', $look, $topics or die "python3: $!\n";
    skip 'the file cannot be dropped from the cache', 2 if readline($python) ne "0 True\n";
    is $cb->run(code => $look, args => [$topics])->{data}{stdout}, "0 False\n", 'mincore of a shared file says that all of it is in memory';
    system 'dd', "if=$topics", 'iflag=nocache', 'count=0', 'status=none';
    open $python, '-|', 'python3', '-c', $look, $topics or die "python3: $!\n";
    is readline($python), "0 True\n", 'and it is not';
}

# --- the cause of an end ----------------------------------------------------------------------------------------

# A call that a program was denied, and did without, is no cause of its end.
{
    my $reply = $cb->run(language => 'bash', code => "mknod d c 1 3\necho one >&2\necho two >&2\necho three >&2\necho 'no such record' >&2\nexit 3");
    unlike $reply->{data}{error}, qr/not permitted \(/, 'a program that ends later for another reason: error names no call';
    is_deeply calls($reply), { mknodat => 1 }, 'and denied does';
    $reply = $cb->run(code => "import os, socket, sys\ntry: socket.socket()\nexcept OSError as e: print(e, file=sys.stderr)\nraise ValueError('bad column')");
    unlike $reply->{data}{error}, qr/not permitted \(/, 'a traceback about something else: error names no call';
    $reply = $cb->run(code => "import os\ntry: os.fork()\nexcept OSError: pass\nos.chroot('/')");
    like $reply->{data}{error}, qr/\nerror: operation not permitted \(chroot\)\n/, 'of several denied calls, error names the last';
    is_deeply [map { $_->{name} } @{ $reply->{data}{denied} }], [qw(clone chroot)], 'denied has them in the order of their last attempts';
}

# A program that was told to be silent has no words: its exit code is of the denied socket.
for (['curl -s http://192.0.2.1/', 'curl'], ['curl http://example.org/', 'curl'], ['wget -q http://example.org/', 'wget'], ['wget http://192.0.2.1/', 'wget']) {
    my ($command, $program) = @$_;
    SKIP: {
        skip "no $program here", 2 if system "command -v $program >/dev/null";
        my $reply = $cb->run(language => 'bash', code => $command);
        like $reply->{data}{error}, qr/\nerror: operation not permitted \(socket\); no network is configured/, "$command: the error has the cause"
            or diag json->encode($reply->{data});
        is $reply->{data}{status}, 'exit', "$command: the exit code is the program's";
    }
}

# A runtime that crashes has a debugger look at it.
SKIP: {
    my $reply = $cb->run(language => 'csharp', code => 'class P { static void Main() { System.Environment.FailFast("enough"); } }');
    skip 'no csharp here', 2 if $reply->{status} == 400;
    is $reply->{data}{signal}, 'SIGABRT', 'C#: a program that aborts ends by that signal';
    unlike $reply->{data}{error}, qr/not permitted \(/, 'C#: and no denied call is blamed for it' or diag json->encode($reply->{data});
}

# Calls that a library does without are no cause of an end.
my @innocent = (
    [python3 => "import platform\nplatform.platform()\nraise ValueError('bad column')", qr/ValueError: bad column/, 'clone'],
    [python3 => "import uuid\nuuid.uuid1()\nraise KeyError('FilePermission')", qr/KeyError/, 'socket'],
    [bash => "echo a >a; echo b >b; diff a b >c; grep -q x a; exit 4", qr/\Aprocess exited with code 4\n\z/],
    [ruby => 'raise "x"', qr/x \(RuntimeError\)/],
    [java => 'public class Main { public static void main(String[] a) { int x = "s"; } }', qr/incompatible types/],
);
for (@innocent) {
    my ($language, $code, $error, $denied) = @$_;
    SKIP: {
        my $reply = $cb->run(language => $language, code => $code);
        skip "no $language here", 3 if $reply->{status} == 400;
        my $d = $reply->{data};
        unlike $d->{error}, qr/not permitted/, "$language: a failure is not blamed on a call that was no cause";
        like $d->{error}, $error, "$language: the error has the cause";
        ok !$denied || calls($reply)->{$denied}, "$language: the call is listed as denied all the same" or diag json->encode($d->{denied});
    }
}
is_deeply calls($cb->run(language => 'bash', code => "echo a >a; diff a a; grep -q a a; cmp a a; sort a >b")), {}, 'GNU programs make no denied call that is reported';
like hint_of($cb->run(code => 'import os; os.fork()'), 'clone'), qr/limits\.processes/, 'a process: the list contains a hint about limits.processes';

# --- many, few, none ---------------------------------------------------------------------------------------------------

$r = $cb->run(code => <<'CODE');
import os, socket
for call, times in ((lambda: os.mknod("d", 0o20600, 0x103), 3), (socket.socket, 2), (lambda: os.chroot("/"), 1)):
    for _ in range(times):
        try: call()
        except OSError: pass
print("went on")
CODE
is_deeply calls($r), { mknodat => 3, socket => 2, chroot => 1 }, 'several denied calls: each is listed with its count';
is $r->{data}{error}, '', 'several denied calls: a program that succeeds has no error';
is $r->{data}{stdout}, "went on\n", 'several denied calls: the output is there';

is_deeply calls($cb->run(code => 'print(1)')), {}, 'no denied call: the list is empty';
is_deeply calls($cb->run(code => <<'CODE')), {}, 'Python\'s standard library makes no denied call';
import asyncio, concurrent.futures, ctypes, decimal, email, getpass, hashlib, json, locale, logging, multiprocessing, os
import pwd, random, re, secrets, shutil, sqlite3, ssl, statistics, subprocess, sys, tempfile, threading, time, urllib.request, uuid, zoneinfo
with tempfile.TemporaryDirectory() as d:
    shutil.copytree("/box", os.path.join(d, "copy"))
uuid.uuid4(); os.path.expanduser("~nobody"); locale.getlocale(); os.cpu_count(); time.localtime()
with concurrent.futures.ThreadPoolExecutor() as pool: list(pool.map(abs, range(9)))
asyncio.run(asyncio.sleep(0.01))
CODE
is_deeply calls($cb->run(language => 'bash', code => 'echo $(id -u) | cat; whoami; cd ~nobody; true')), {}, 'a shell makes no denied call';

# --- children, threads, floods ------------------------------------------------------------------------------------------

$r = $cb->run(limits => { processes => 4 }, code => <<'CODE');
import os
for _ in range(3):
    if os.fork() == 0:
        try: os.chroot("/")
        except PermissionError: os._exit(0)
for _ in range(3): os.wait()
CODE
is_deeply calls($r), { chroot => 3 }, 'denied calls of child processes are counted';
is_deeply calls($cb->run(code => 'import os; os.fork()')), { clone => 1 }, 'a run with one process: its denied fork is listed';

my $flood = <<'CODE';
import os, threading, time
end = time.monotonic() + 2
def flood():
    while time.monotonic() < end:
        try: os.chroot("/")
        except PermissionError: pass
threads = [threading.Thread(target=flood) for _ in range(16)]
for t in threads: t.start()
for t in threads: t.join()
CODE
# An allowance comes back with time: only a flood waits.
$r = $cb->run(code => <<'CODE');
import os, time
def denied(n):
    began = time.monotonic()
    for _ in range(n):
        try: os.chroot("/")
        except PermissionError: pass
    return time.monotonic() - began
denied(300)
print(min((time.sleep(.35), denied(25))[1] for _ in range(5)))
CODE
cmp_ok $r->{data}{stdout}, '<', .012, 'a run that has made many denied calls, and none for a while, does not wait';

my (@others, @bad);
my $left = 60;
$cb->many(3, sub { $left-- > 57 ? { code => $flood } : $left >= 0 ? { code => 'print(1)' } : undef }, sub {
    my ($fields, $answer) = @_;
    push @bad, $answer->{body} if $answer->{status} != 200 || $answer->{data}{status} ne 'ok';
    push @others, $answer->{data}{usage}{wall_ms} if $fields->{code} ne $flood;
}, 60);
is_deeply \@bad, [], 'three runs make denied calls without end: every run ends well';
$r = $cb->run(code => $flood);
cmp_ok calls($r)->{chroot}, '>', 256, 'a flood of denied calls is counted';
cmp_ok calls($r)->{chroot}, '<', 100_000, 'a flood of denied calls is slowed down';

# A process in a session of its own, and a table of held answers that is full.
my $alone = <<'CODE';
import os, threading, time
%s
end = time.monotonic() + 2
made = [0] * 60
def flood(i):
    while time.monotonic() < end:
        try: os.chroot("/")
        except PermissionError: made[i] += 1
threads = [threading.Thread(target=flood, args=(i,)) for i in range(%d)]
for t in threads: t.start()
for t in threads: t.join()
print(sum(made), flush=True)
CODE
$r = $cb->run(limits => { processes => 16 }, code => sprintf $alone, "if os.fork() != 0: os.wait(); os._exit(0)\nos.setsid()", 8);
like $r->{data}{stdout}, qr/^[0-9]+$/, 'a flood from a session of its own: it ran';
cmp_ok $r->{data}{stdout}, '<', 60_000, 'a flood from a session of its own is slowed down';
SKIP: {
    # The cell is found by its pid namespace.
    skip 'Linux 6.11 is needed', 1 if (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/ && $1 * 100 + $2 < 611;
    cmp_ok calls($r)->{chroot}, '>=', $r->{data}{stdout}, 'a flood from a session of its own is counted';
}
my $made = 0;
$left = 8;
$cb->many(8, sub { $left-- > 0 ? { code => sprintf $alone, '', 60 } : undef }, sub { $made += $_[1]{data}{stdout} }, 60);
cmp_ok $made, '<', 200_000, 'eight floods of sixty threads each are slowed down';
cmp_ok $made, '>', 1000, 'none of them stands still';
is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'and runs go on';

# --- plain attacks ------------------------------------------------------------------------------------------------------

my ($bpf, $setns) = (POSIX::uname())[4] eq 'aarch64' ? (280, 268) : (321, 308);
$r = $cb->run(code => "import ctypes; ctypes.CDLL(None).syscall($bpf, 0, 0, 0)");
is $r->{data}{status}, 'denied', 'a call that no program needs ends the run: the status is denied';
is $r->{data}{signal}, 'SIGSYS', 'a call that no program needs ends the run: the signal is SIGSYS';
like $r->{data}{error}, qr/operation not permitted/, 'a call that no program needs ends the run: the error says so';
$r = $cb->run(code => <<"CODE");
import ctypes
number = ctypes.c_long
ctypes.CDLL(None).syscall(number($setns), number(-1), number(0), number(0), number(0), number(0), number(0x63656c6c626c6f63))
CODE
is $r->{data}{signal}, 'SIGSYS', 'the mark of the zygotes\' calls does not help a program';
$cb->finish;

done_testing;
