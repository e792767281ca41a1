# A run that succeeds is answered when its program has ended, while the kernel still frees its
# memory. A program can announce its end itself: it gains nothing by that.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use POSIX ();
use Test::More;
use Tracer;

use constant PF_EXITING => 4; # in the flags of /proc/PID/stat

my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/reserve = \d+;/, 'reserve = 0;']]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

# --- the answer comes first -------------------------------------------------------------------------

# Run a program $times. Returns how often its process was still exiting when the answer was there.
sub exiting {
    my ($times, @run) = @_;
    my $count = 0;
    for (1 .. $times) {
        $cb->processes_at_rest;
        my @guests = $cb->pids('guest');
        my $r = $cb->run(@run);
        my @stats = map { slurp("/proc/$_/stat") // () } @guests;
        push @main::answers, $r->{data}{exit_code} // $r->{body};
        $count += grep { (split ' ', s/.*\)//sr)[6] & PF_EXITING } @stats;
    }
    return $count;
}

# The kernel frees much memory slowly. How slowly, nobody knows: some tries may come too late.
my %large = (
    python3 => ["b = bytearray(200 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\n", 'raise SystemExit(3)'],
    nodejs  => ["const b = Buffer.alloc(200 << 20, 1);\n",                               'process.exitCode = 3'],
);
for my $language (sort keys %large) {
  SKIP: {
        skip "no $language here", 1 if !$available{$language};
        my ($code, $fail) = @{ $large{$language} };
        our @answers = ();
        ok eventually(60, sub { exiting(1, language => $language, code => $code) > 0 }), "$language: the answer comes before the process has gone";
        is_deeply [grep { $_ ne '0' } @answers], [], "$language: all of these runs succeed";
        @answers = ();
        is exiting(5, language => $language, code => $code . $fail), 0, "$language: the answer of a run that fails comes later";
        is_deeply \@answers, [(3) x 5], "$language: its exit code is known";
    }
}

# --- nothing is lost --------------------------------------------------------------------------------

my $r = $cb->run(code => 'print("x" * 1_000_000, end="")');
is length $r->{data}{stdout}, 1_000_000, 'output that is flushed at the end is complete';
$r = $cb->run(code => "import atexit, sys\natexit.register(lambda: (print('out'), print('err', file=sys.stderr)))");
is $r->{data}{stdout} . $r->{data}{stderr}, "out\nerr\n", 'what runs at the exit runs before it is announced';
$r = $cb->run(code => "open('f', 'w').write('x' * 100)", collect => ['f']);
is $r->{data}{files}[0]{size}, 100, 'files are collected';
$r = $cb->run(code => "b = bytearray(60 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1");
cmp_ok $r->{data}{usage}{memory_peak_bytes}, '>', 60 << 20, 'the memory of the run is known';
$r = $cb->run(code => "import time\nwhile time.process_time() < 0.2: pass");
cmp_ok $r->{data}{usage}{cpu_ms}, '>=', 199, 'and its processor time';

# --- attacks ----------------------------------------------------------------------------------------

# exit_group(2) with the mark of the drivers: no secret, see common/mark.h.
my $announce = <<'CODE';
import ctypes, os, platform, signal, threading, time
libc = ctypes.CDLL(None)
number = {'x86_64': 231, 'aarch64': 94}[platform.machine()]
def announce(status=0, resident=0):
    libc.syscall(ctypes.c_long(number), ctypes.c_long(status), ctypes.c_ulong(resident), *[ctypes.c_long(0)] * 3, ctypes.c_ulong(0x63656c6c626c6f63))
CODE

sub announced { return $cb->run(code => $announce . $_[0], @_[1 .. $#_])->{data} }

my $data = announced("print('early', flush=True)\nannounce()\nprint('late', flush=True)");
is_deeply [@$data{qw(stdout exit_code status)}], ["early\n", 0, 'ok'], 'an announced end is the end';
$data = announced('announce(7)');
is_deeply [@$data{qw(exit_code status)}], [7, 'exit'], 'an announced failure is the failure';
$data = announced('announce(0x100)');
is_deeply [@$data{qw(exit_code status)}], [0, 'ok'], 'only the low byte of the status counts, as for the kernel';
$data = announced("b = bytearray(50 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\nannounce(0, 1)");
cmp_ok $data->{usage}{memory_peak_bytes}, '>', 50 << 20, 'a program cannot hide the memory that it took';
for my $resident ('1 << 62', '(1 << 64) - 1', '1 << 54') {
    $data = announced("announce(0, $resident)", limits => { memory_bytes => 100 << 20 });
    cmp_ok $data->{usage}{memory_peak_bytes}, '<=', 100 << 20, "nor claim more than its limit: $resident KiB";
}

$data = announced(<<'CODE', limits => { processes => 8 });
for status in 0, 9:
    pid = os.fork()
    if pid == 0: announce(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
thread = os.fork()
if thread == 0:
    threading.Thread(target=announce).start()
    time.sleep(60)
os.waitpid(thread, 0)
print('goes on')
raise SystemExit(5)
CODE
is_deeply [@$data{qw(stdout exit_code)}], ["0\n9\ngoes on\n", 5], 'a child announces its own end only';

$data = announced("threading.Thread(target=announce).start()\ntime.sleep(60)");
is_deeply [@$data{qw(exit_code status)}], [0, 'ok'], 'a thread ends its process, as by exit_group(2)';

# A program that announces its end while it becomes another one, or while signals interrupt it.
# Whatever it gains is killed soon, and what it says by then may be in its reply.
my @race = (
    ['another program',   "threading.Thread(target=lambda: os.execv('/bin/sleep', ['sleep', '61'])).start()\nannounce()"],
    ['signals',           "signal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\nfor _ in range(100): announce()\ntime.sleep(61)"],
    ['a child that stays', "if os.fork() == 0: time.sleep(61)\nannounce()"],
);
for (@race) {
    my ($name, $code) = @$_;
    my ($left, @bad) = (30);
    $cb->many(6, sub { $left-- > 0 ? { code => $announce . $code, limits => { processes => 4, wall_ms => 1000 } } : undef }, sub {
        my $answer = $_[1];
        # execve(2) may win. Then it is the program that the limit ends.
        push @bad, $answer->{body} if $answer->{status} != 200 || $answer->{data}{status} !~ /^(?:ok|timeout)$/;
    }, 120);
    is_deeply \@bad, [], "$name: all runs are answered";
    ok eventually(30, sub { !grep { (slurp("/proc/$_/cmdline") // '') =~ /^sleep\x0061/ } map { m{(\d+)} } glob '/proc/[0-9]*' }), "$name: nothing goes on";
}

# The same for certain: the broker has answered the run, and is slow to let the call be made.
SKIP: {
    skip $_, 4 for grep {defined} Tracer::missing();
    $cb->processes_at_rest;
    my $goes_on = sub { grep { (slurp("/proc/$_/cmdline") // '') =~ /^sleep\x0063/ } map { m{(\d+)} } glob '/proc/[0-9]*' };
    my $tracer = Tracer->attach([$cb->pids('broker')], '-e', 'trace=ioctl', '-e', 'inject=ioctl:delay_enter=3000000:when=2');
    ok $tracer->is_attached, 'strace is attached' or diag $tracer->says;
    my $data = announced("threading.Thread(target=lambda: (time.sleep(0.3), os.execv('/bin/sleep', ['sleep', '63']))).start()\nannounce()",
        limits => { processes => 4, wall_ms => 100_000 });
    is $data->{status}, 'ok', 'a slow broker: the run is answered';
    ok eventually(5, sub { $goes_on->() > 0 }), 'a slow broker: the program becomes another one';
    ok eventually(5, sub { $goes_on->() == 0 }), 'a slow broker: that is killed' or kill 'KILL', $goes_on->();
    $tracer->detach;
}

# Many processes that announce their ends hold nobody else up.
my $flood = <<'CODE';
end = time.monotonic() + 2
count = 0
while time.monotonic() < end:
    pid = os.fork()
    if pid == 0: announce()
    os.waitpid(pid, 0)
    count += 1
print(count)
CODE
my ($left, @floods, @others, @bad) = (60);
$cb->many(4, sub { $left-- > 57 ? { code => $announce . $flood, limits => { processes => 8 } } : $left >= 0 ? { code => 'print(1)' } : undef }, sub {
    my ($fields, $answer) = @_;
    push @bad, $answer->{body} if $answer->{status} != 200 || $answer->{data}{status} ne 'ok';
    push @{ $fields->{code} eq 'print(1)' ? \@others : \@floods }, $answer->{data}{stdout};
}, 60);
is_deeply \@bad, [], 'floods: every run ends well';
is_deeply \@others, [("1\n") x 57], 'floods: other runs go on';
cmp_ok $_, '<', 20_000, 'floods: they are slowed down' for @floods;

$cb->processes_at_rest;
$cb->finish;
done_testing;
