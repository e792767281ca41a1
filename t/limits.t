# Limits: each one ends a run with a status of its own, is reported by name, and does not harm the
# service.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json process_status);
use Test::More;
use Time::HiRes qw(time);

# Here a run has one process unless it asks for more, up to ten. The time until an answer is tested,
# so no limit is stretched, however busy the machine is; t/stall.t has that.
my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/stall_percent = \d+/, 'stall_percent = 0'],
    ['cellblock.conf', qr/processes = \{ maximum = \d+;/, 'processes = { default = 1; maximum = 10;']]);
my $MB = 1 << 20;

# Name, program, limits; then the expected status, exit code and error, the longest time for an
# answer in seconds, and stdout.
my @ends = (
    ['sleeps',                    'import time; time.sleep(60)',                        { wall_ms => 300 },
        'timeout', -1, qr/error: timeout \(300 ms\)/, 3],
    ['spins',                     'while True: pass',                                   { wall_ms => 400 },
        'timeout', -1, qr/error: timeout \(400 ms\)/, 3],
    ['waits for a lock that is never released', 'import threading; l = threading.Lock(); l.acquire(); l.acquire()', { wall_ms => 300 },
        'timeout', -1, qr/timeout/, 3],
    ['computes in one bytecode instruction', 'x = 10 ** (10 ** 8)',                              { wall_ms => 500 },
        'timeout', -1, qr/timeout/, 3],
    ['ignores every signal', <<'PYTHON', { wall_ms => 400 },
import signal
for s in signal.valid_signals():
    try: signal.signal(s, signal.SIG_IGN)
    except OSError: pass
while True: pass
PYTHON
        'timeout', -1, qr/timeout/, 3],
    ['blocks every signal', <<'PYTHON', { wall_ms => 400 },
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True: pass
PYTHON
        'timeout', -1, qr/timeout/, 3],
    ['stops itself',              'import os, signal; os.kill(os.getpid(), signal.SIGSTOP)', { wall_ms => 300 },
        'timeout', -1, qr/timeout/, 3],
    ['stops its process group', <<'PYTHON', { wall_ms => 300 },
import os, signal
try: os.kill(0, signal.SIGSTOP)
except OSError: pass
while True: pass
PYTHON
        'timeout', -1, qr/timeout/, 3],
    ['catches every exception', <<'PYTHON', { wall_ms => 400 },
while True:
    try:
        while True: pass
    except BaseException: pass
PYTHON
        'timeout', -1, qr/timeout/, 3],
    ['leaves a thread running', <<'PYTHON', { wall_ms => 500 },
import threading
def f():
    while True: pass
threading.Thread(target=f).start(); print('main ends', flush=True)
PYTHON
        'timeout', -1, qr/timeout/, 3, "main ends\n"],
    ['leaves daemon threads spinning', <<'PYTHON', { wall_ms => 5000 },
import threading
def f():
    while True: pass
for _ in range(8): threading.Thread(target=f, daemon=True).start()
print('main ends')
PYTHON
        'ok', 0, qr/\A\z/, 6, "main ends\n"],
    ['sleeps in an exit hook',    'import atexit, time; atexit.register(time.sleep, 60); print("x", flush=True)', { wall_ms => 400 },
        'timeout', -1, qr/timeout/, 3, "x\n"],
    ['closes its output and goes on', <<'PYTHON', { wall_ms => 500 },
import os
os.write(1, b'said')
os.close(1); os.close(2)
while True: pass
PYTHON
        'timeout', -1, qr/timeout/, 3, 'said'],
    ['closes its output and ends well', <<'PYTHON', {},
import os, time
os.write(1, b'said')
os.close(1); os.close(2)
time.sleep(.3); os._exit(5)
PYTHON
        'exit', 5, qr/code 5/, 3, 'said'],
    ['prints before a timeout', <<'PYTHON', { wall_ms => 300 },
import time
print('first', flush=True)
time.sleep(60)
PYTHON
        'timeout', -1, qr/timeout/, 3, "first\n"],
    ['uses CPU time',             'while True: pass',                                   { cpu_ms => 300, wall_ms => 10_000 },
        'cpu_limit', -1, qr/error: cpu limit exceeded \(300 ms\)|error: .*cpu.*300/i, 5],
    ['uses CPU time in threads', <<'PYTHON', { cpu_ms => 400, wall_ms => 10_000 },
import threading, hashlib
def f():
    while True: hashlib.sha256(bytes(1 << 20))
for _ in range(4): threading.Thread(target=f).start()
PYTHON
        'cpu_limit', -1, qr/cpu/i, 8],
    ['sleeps under a CPU limit',  'import time; time.sleep(.5); print("rested")',       { cpu_ms => 300 },
        'ok', 0, qr/\A\z/, 3, "rested\n"],
    ['allocates memory without end', <<'PYTHON', { memory_bytes => 64 * $MB },
x = []
while True: x.append(bytes(1 << 20) + b'x')
PYTHON
        'memory_limit', -1, qr/error: memory limit exceeded \(67108864 bytes\)/, 10],
    ['allocates one big block', <<'PYTHON', { memory_bytes => 64 * $MB },
x = bytearray(b'x') * (100 << 20)
print(len(x))
PYTHON
        undef, undef, qr/memory limit exceeded \(67108864 bytes\)|MemoryError/, 10, ''],
    ['allocates small objects without end', <<'PYTHON',  { memory_bytes => 64 * $MB, wall_ms => 30_000 },
x = {}
for i in range(10 ** 9): x[i] = str(i)
PYTHON
        'memory_limit', -1, qr/memory limit/, 30],
    ['fills its memory with files', <<'PYTHON', { memory_bytes => 64 * $MB, disk_bytes => 200 * $MB },
f = open('big', 'wb')
while True: f.write(bytes(1 << 20))
PYTHON
        'memory_limit', -1, qr/memory limit/, 10],
    ['uses most of its memory',   'x = bytearray(b"x") * (150 << 20); print(len(x))',   { memory_bytes => 256 * $MB },
        'ok', 0, qr/\A\z/, 10, (150 << 20) . "\n"],
    ['writes more than its disk limit', <<'PYTHON', { disk_bytes => 8 * $MB },
with open('f', 'wb', 0) as f:
    for _ in range(64): f.write(bytes(1 << 20))
PYTHON
        undef, 1, qr/No space left on device|disk limit/, 5],
    ['writes less than its disk limit', <<'PYTHON', { disk_bytes => 80 * $MB, memory_bytes => 256 * $MB },
with open('f', 'wb', 0) as f:
    for _ in range(64): f.write(bytes(1 << 20))
import os; print(os.path.getsize('f'))
PYTHON
        'ok', 0, qr/\A\z/, 10, (64 << 20) . "\n"],
    ['writes to every writable place', <<'PYTHON', { disk_bytes => 8 * $MB },
import os, tempfile
n = 0
try:
    for d in ('/box', '/tmp', '/dev/shm', os.environ['HOME'], tempfile.gettempdir()):
        try:
            with open(d + '/fill', 'ab', 0) as f:
                while True: n += f.write(bytes(1 << 16))
        except OSError: pass
finally: print(n < 10 << 20)
PYTHON
        undef, undef, qr//, 10, "True\n"],
    ['makes many small files', <<'PYTHON', { wall_ms => 10_000 },
n = 0
try:
    while True:
        open(f'f{n}', 'w').close()
        n += 1
except OSError as e: print(e.strerror, n < 100_000)
PYTHON
        'ok', 0, qr/\A\z/, 10, "No space left on device True\n"],
    ['makes many directories', <<'PYTHON', { wall_ms => 10_000 },
import os
n = 0
try:
    while True:
        os.mkdir(str(n)); os.chdir(str(n))
        n += 1
except OSError as e: print(n < 100_000)
PYTHON
        'ok', 0, qr/\A\z/, 10, "True\n"],
    ['opens many files', <<'PYTHON', {},
import os
n = 0
try:
    while True: os.open('/dev/null' if os.path.exists('/dev/null') else '/box/main.py', 0); n += 1
except OSError as e: print(e.strerror, n < 5000)
PYTHON
        'ok', 0, qr/\A\z/, 5, "Too many open files True\n"],
    ['starts many threads', <<'PYTHON', {},
import threading, time
n = 0
try:
    while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1
except RuntimeError as e: print(e, 32 <= n < 5000)
PYTHON
        'ok', 0, qr/\A\z/, 5, "can't start new thread True\n"],
    ['dies of a signal',          'import os; os.kill(os.getpid(), 11)',                {},
        'signal', -1, qr/error: signal: segmentation fault/, 3],
    ['kills itself',              'import os; os.kill(os.getpid(), 9)',                 {},
        'signal', -1, qr/error: signal: killed/i, 3],
    ['overflows its stack', <<'PYTHON', { memory_bytes => 256 * $MB, wall_ms => 20_000 },
import sys
sys.setrecursionlimit(10 ** 9)
exec('def f(): [*map(lambda _: f(), [1])]')
f()
PYTHON
        undef, -1, qr/signal: segmentation fault|memory limit/, 20],
);
for (@ends) {
    my ($name, $code, $limits, $status, $exit, $error, $seconds, $stdout) = @$_;
    my $begin = time;
    my $r = $cb->run(code => $code, limits => $limits);
    my $took = time - $begin;
    envelope_ok($r, 200, 0, "$name: an answer") or next;
    my $d = $r->{data};
    my $shown = "status $d->{status}, exit code $d->{exit_code}, error: " . substr $d->{error}, 0, 500;
    is $d->{status}, $status, "$name: status" or diag $shown if defined $status;
    is $d->{exit_code}, $exit, "$name: exit code" or diag $shown if defined $exit;
    like $d->{error}, $error, "$name: error";
    is $d->{stdout}, $stdout, "$name: stdout" or diag $shown if defined $stdout;
    cmp_ok $took, '<', $seconds, "$name: the answer comes within 15 s";
}

# --- output --------------------------------------------------------------------------------------------------------------

my @floods = (
    ['print for ever',            "while True: print('x' * 1000)",                                      'stdout'],
    ['write for ever to stderr', <<'PYTHON',               'stderr'],
import sys
while True: sys.stderr.write('x' * 1000)
PYTHON
    ['write for ever by the descriptor', <<'PYTHON',           'stdout'],
import os
while True: os.write(1, b'x' * 100000)
PYTHON
    ['write byte by byte', <<'PYTHON',                           'stdout'],
import os
while True: os.write(1, b'x')
PYTHON
    ['write from threads', <<'PYTHON', 'stdout'],
import threading, os
def f():
    while True: os.write(1, b'x' * 5000)
for _ in range(4): threading.Thread(target=f).start()
PYTHON
);
for (@floods) {
    my ($name, $code, $stream) = @$_;
    my $begin = time;
    my $r = $cb->run(code => $code, limits => { output_bytes => $MB, wall_ms => 30_000, cpu_ms => 30_000 });
    envelope_ok($r, 200, 0, "$name: an answer") or next;
    my $d = $r->{data};
    is $d->{status}, 'output_limit', "$name: status";
    ok JSON::PP::is_bool($d->{truncated}) && $d->{truncated}, "$name: truncated";
    is $d->{exit_code}, -1, "$name: exit code";
    like $d->{error}, qr/output limit exceeded \(1048576 bytes\)|error: .*output.*1048576/, "$name: error";
    my $size = length $d->{$stream};
    ok $size >= $MB - 1000 && $size <= $MB, "$name: $stream is cut at the limit" or diag $size;
    cmp_ok time - $begin, '<', 15, "$name: the answer comes within 15 s";
}
for my $size ($MB, $MB + 1) {
    my $d = $cb->run(code => "import os\nn = $size\nwhile n: n -= os.write(1, b'x' * min(n, 65536))", limits => { output_bytes => $MB })->{data};
    is $d->{status}, $size > $MB ? 'output_limit' : 'ok', "$size bytes of output with a limit of $MB: status";
    is !!$d->{truncated}, $size > $MB, "$size bytes of output: truncated";
    is length $d->{stdout}, $MB, "$size bytes of output: stdout";
}
my $d = $cb->run(code => "import sys\nprint('x' * 1000)\nwhile True: sys.stderr.write('y' * 1000)", limits => { output_bytes => 5000 })->{data};
is $d->{stdout} =~ s/\n//r, 'x' x 1000, 'stderr exceeds the limit: stdout is complete' if $d->{stdout} ne '';
is length $d->{stderr}, 5000, 'stderr exceeds the limit: stderr is cut';
my $cut = $cb->run(code => "print('\x{20ac}' * 1000)", limits => { output_bytes => 1000 })->{data};
like $cut->{stdout}, qr/\A\x{20ac}{333}\x{fffd}?\z/, 'a cut inside a character leaves no partial character';

# --- a request's limits against the configured ones -----------------------------------------------------------------------

my $limits = $cb->get('/v1/sandbox/capabilities')->{data}{limits};
for my $limit (sort keys %$limits) {
    my $most = $limits->{$limit}{maximum};
    envelope_ok($cb->run(code => 'print(1)', limits => { $limit => $most }), 200, 0, "$limit at its maximum is accepted");
    envelope_ok($cb->run(code => 'print(1)', limits => { $limit => $most + 1 }), 400, -400, "$limit above its maximum is rejected");
}
my $whole = 40 * $MB; # between the default and the maximum of output_bytes
SKIP: {
    skip 'the configured limits leave no room for this', 2
        if $limits->{output_bytes}{default} >= $whole || $limits->{output_bytes}{maximum} < $whole;
    my $r = $cb->run(code => "import os\nn = $whole\nwhile n: n -= os.write(1, b'x' * min(n, 1 << 20))", limits => { output_bytes => $whole });
    is $r->{data}{status}, 'ok', 'a request can raise output_bytes';
    is length($r->{data}{stdout} // ''), $whole, 'a request can raise output_bytes: the output is complete';
}
is $cb->run(code => 'print(1)', limits => { wall_ms => 100_000, cpu_ms => 100_000 })->{data}{stdout}, "1\n", 'a request can raise several limits';

# The smallest limits give a verdict each, and never a failure of the service.
for ([wall_ms => qr/ok|timeout/], [cpu_ms => qr/ok|cpu_limit/], [memory_bytes => qr/memory_limit/], [output_bytes => qr/output_limit/],
    [disk_bytes => qr/ok|exit|disk_limit/]) {
    my ($limit, $status) = @$_;
    my $r = $cb->run(code => 'print("more than a byte")', limits => { $limit => 1 });
    envelope_ok($r, 200, 0, "$limit of 1") and like $r->{data}{status}, qr/\A(?:$status)\z/, "$limit of 1: status";
}

# --- processes -----------------------------------------------------------------------------------------------------------

my @processes = (
    ['three allowed, two used', <<'PYTHON', 3, "b'child' 7\n"],
import os
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b'child')
    os._exit(7)
print(os.read(r, 9), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
    ['three allowed, many wanted', <<'PYTHON', 3, "Resource temporarily unavailable 3\ndone\n"],
import os, time
n = 1
try:
    while n < 50:
        if os.fork() == 0: time.sleep(60)
        n += 1
except OSError as e: print(e.strerror, n)
finally: print('done')
PYTHON
    ['a subprocess', <<'PYTHON', 5, qr/returncode=0, stdout='42\\n'/],
import subprocess, sys
print(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True))
PYTHON
);
for (@processes) {
    my ($name, $code, $allowed, $stdout) = @$_; # allowed: limits.processes
    my $got = $cb->run(code => $code, limits => { processes => $allowed, wall_ms => 10_000 })->{data};
    ref $stdout ? like $got->{stdout}, $stdout, $name : is $got->{stdout}, $stdout, $name;
    diag json->encode($got) if !($got->{stdout} =~ (ref $stdout ? $stdout : qr/\A\Q$stdout\E\z/));
}
my $bomb = $cb->run(code => "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", limits => { processes => 10, wall_ms => 1000, cpu_ms => 10_000 });
is $bomb->{data}{status}, 'timeout', 'a fork bomb with ten processes ends by its time limit';
# A grandchild in a session of its own. Its number of threads identifies it from outside.
my $orphan = $cb->run(limits => { processes => 5 }, code => <<'PYTHON');
import os, threading, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(1)
        os.close(2)
        for _ in range(17):
            threading.Thread(target=time.sleep, args=(300,)).start()
        time.sleep(300)
    os._exit(0)
os.wait()
time.sleep(.2)
print('parent ends')
PYTHON
is $orphan->{data}{stdout}, "parent ends\n", 'a run ends with its first process';
ok eventually(5, sub { !$cb->find_by_threads(18) }), 'a run ends with its first process: its other processes are killed';
is $cb->run(code => 'print(1)', limits => { processes => 11 })->{status}, 400, 'more processes than the configuration allows are rejected';
ok defined $cb->healthy_within(5), 'the service is healthy after all limits';

# --- memory of the workers ----------------------------------------------------------------------------------------------

my @workers = $cb->pids('worker');
ok @workers > 0, 'there are workers';
for my $pid (@workers) {
    my ($kb) = process_status($pid)->{VmHWM} =~ /(\d+)/;
    # The reply of 40 MB above takes the output, its JSON and a growing buffer.
    cmp_ok $kb, '<', 250 << 10, "worker $pid: the peak of its memory is below 250 MB";
}

$cb->finish;
done_testing;
