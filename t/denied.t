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
    ['another user',          'import os; os.setuid(5)',                              'setuid'],
    ['a call for zygotes only', 'import os; os.setresuid(5, 5, 5)',        'setresuid'],
    ['an affinity',           'import os; os.sched_setaffinity(0, {0})',              'sched_setaffinity'],
    ['a priority',            'import os; os.setpriority(os.PRIO_PROCESS, 0, 5)',     'setpriority'],
    ['a device',              'import os; os.mknod("/box/d", 0o20600, 0x103)',        'mknodat'],
    ['an extended attribute', 'import os; os.setxattr("/box", "user.a", b"")',        'setxattr'],
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
for call, times in ((lambda: os.setuid(5), 3), (socket.socket, 2), (lambda: os.chroot("/"), 1)):
    for _ in range(times):
        try: call()
        except OSError: pass
print("went on")
CODE
is_deeply calls($r), { setuid => 3, socket => 2, chroot => 1 }, 'several denied calls: each is listed with its count';
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
