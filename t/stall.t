# The limit of wall time grows by what a run had to wait for a processor, and by nothing else: a
# program near its limit ends on a busy machine as on a quiet one, and none can make its own time
# longer.
use strict;
use warnings;
use Cellblock qw(eventually missing);
use Events;
use Test::More;

chomp(my $processors = `nproc`);
Cellblock::skip_all("$processors processors: too many to keep them all busy") if $processors > 16;

# Programs that keep every processor busy, four for each, in cells of their own. They end when this
# is called: their clients go away.
sub busy {
    my ($cb) = @_;
    my @sockets = map {
        my $socket = $cb->connect_raw('');
        print {$socket} $cb->run_bytes(code => 'while True: pass', limits => { wall_ms => 120_000, cpu_ms => 120_000 });
        $socket->flush;
        $socket;
    } 1 .. 4 * $processors;
    my $running = sub { my ($n) = $cb->get('/v1/sandbox/metrics', key => undef)->{body} =~ /^cellblock_runs_running\{language="python3"\} (\d+)$/m; $n // 0 };
    ok eventually(60, sub { $running->() >= 4 * $processors }), 'programs keep all processors busy' or diag $running->();
    return sub {
        close $_ for @sockets;
        ok eventually(60, sub { $running->() == 0 }), 'they have ended';
    };
}

my $cb = Cellblock->start(own => 1, args => ['--cells', 4 * $processors + 16], conf => [
    ['cellblock.conf', qr/stall_percent = \d+/, 'stall_percent = 10000'],
    ['languages/perl.conf', qr/^armed = 2;/m, "armed = 2;\nlimits = { wall_ms = { default = 2000; maximum = 2000; }; };"],
]);

# --- what is stretched -------------------------------------------------------------------------------------------------

my $near = 'import time
while time.process_time() < 0.7: pass
print("done")';
my $sleeper = 'import time; time.sleep(60)';
my %limits = (limits => { wall_ms => 1000, cpu_ms => 10_000 });
my $end = busy($cb);

my $r = $cb->run(code => $near, %limits);
is $r->{data}{status}, 'ok', 'busy: a program near its limit ends as on a quiet machine' or diag $r->{body};
cmp_ok $r->{data}{usage}{wall_ms}, '>', 1000, 'busy: it took longer than its limit';
cmp_ok $r->{data}{usage}{stall_ms} // 0, '>', 0, 'busy: usage tells what it had to wait';
cmp_ok $r->{data}{usage}{stall_ms} // 0, '<=', $r->{data}{usage}{wall_ms} - 600, 'busy: that is not more than it cannot have run';

$r = $cb->run(code => $near, tests => [{}], %limits);
is $r->{data}{tests}[0]{verdict}, 'accepted', 'busy: so does a test' or diag $r->{body};
cmp_ok $r->{data}{tests}[0]{usage}{stall_ms} // 0, '>', 0, 'busy: its usage has the wait';
my ($result) = grep { $_->{event} eq 'result' } @{ Events->start($cb, 'ndjson', { language => 'python3', code => $near, %limits })->rest(120) };
cmp_ok $result->{data}{usage}{stall_ms} // 0, '>', 0, 'busy: so has the event of the result';

$r = $cb->run(code => 'import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"])
print("done")', limits => { wall_ms => 1500, cpu_ms => 10_000 });
is $r->{data}{status}, 'ok', 'busy: so does one whose child does the work' or diag $r->{body};

$r = $cb->run(code => 'while True: pass', %limits);
is $r->{data}{status}, 'timeout', 'busy: a program above its limit meets it';
is $r->{data}{fault}, 'limit', 'busy: and that is its own fault';
cmp_ok $r->{data}{usage}{cpu_ms}, '>', 500, 'busy: it had about the time of a quiet machine';
cmp_ok $r->{data}{usage}{cpu_ms}, '<', 1500, 'busy: and not much more';

# No time is given beyond the maximum. Then an end says nothing about the program.
SKIP: {
    my $is_there = grep { $_->{name} eq 'perl' && $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    my $missing = missing('Perl is not there', $is_there);
    skip $missing, 4 if $missing;
    $r = $cb->run(language => 'perl', code => '1 while 1');
    is $r->{data}{status}, 'timeout', 'a run whose limit cannot be stretched meets it';
    is $r->{data}{fault}, 'service', 'that it lacked so much is the fault of the service' or diag $r->{body};
    cmp_ok $r->{data}{usage}{stall_ms} // 0, '>', 200, 'usage tells how much';
    $r = $cb->run(language => 'perl', code => '1 while 1', tests => [{}]);
    is $r->{data}{tests}[0]{verdict}, 'service_fault', 'the verdict on such a test says nothing about it';
}

$r = $cb->run(code => $sleeper, limits => { wall_ms => 3000 });
is $r->{data}{status}, 'timeout', 'busy: a program that sleeps meets its limit';
is $r->{data}{fault}, 'limit', 'busy: that is its own fault';
cmp_ok $r->{data}{usage}{stall_ms} // 0, '<', 1500, 'busy: its sleep is no wait';
$end->();

# --- attacks -----------------------------------------------------------------------------------------------------------

# In each the threads of a run wait for each other, or for the share of their cell, and nothing that
# the run has done itself may count: what is left of the wall time without the time that it used, or
# that it takes to use so much. $percent: the share of one processor.
sub is_not_stretched {
    my ($service, $name, $percent, %request) = @_;
    my $reply = $service->run(limits => { wall_ms => 2000, cpu_ms => 60_000 }, %request);
    my $usage = $reply->{data}{usage};
    is $reply->{data}{status}, 'timeout', "$name: it meets its limit" or diag $reply->{body};
    # A cell may get somewhat more than its share.
    my $others_ms = $usage->{wall_ms} - $usage->{cpu_ms} * ($percent < 100 ? 100 / $percent : 1);
    cmp_ok $usage->{stall_ms} // 0, '<=', ($others_ms > 0 ? $others_ms : 0) + 300, "$name: no time of its own counts" or diag $reply->{body};
    return;
}

my $many = 'import os
for _ in range(40):
    if os.fork() == 0: break
';
is_not_stretched($cb, 'forty processes that compete', 100, code => "${many}while True: pass");
is_not_stretched($cb, 'forty processes on one processor', 100, code => "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n${many}while True: pass");
is_not_stretched($cb, 'forty threads that compete', 100, code => 'import hashlib, threading
data = bytes(1 << 22)
def work():
    while True: hashlib.sha256(data).digest() # without the lock of the interpreter
for _ in range(40): threading.Thread(target=work, daemon=True).start()
work()');
is_not_stretched($cb, 'processes that come and go', 100, code => 'import os, time
while True:
    for _ in range(20):
        if os.fork() == 0:
            until = time.monotonic() + 0.02
            while time.monotonic() < until: pass
            os._exit(0)
    for _ in range(20): os.wait()');
is_not_stretched($cb, 'threads that yield to each other', 100, code => 'import os, hashlib, threading
data = bytes(1 << 12)
def work():
    while True:
        hashlib.sha256(data).digest()
        os.sched_yield()
for _ in range(20): threading.Thread(target=work, daemon=True).start()
work()');
$cb->finish;

# A share of a quarter of a processor: a program that computes waits for most of the time. And no
# run has more than the half of its limit.
$cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/cpu_percent = 100/, 'cpu_percent = 25'], ['cellblock.conf', qr/stall_percent = \d+/, 'stall_percent = 50']]);
is_not_stretched($cb, 'a program that uses up its share', 25, code => 'while True: pass');
is_not_stretched($cb, 'twenty processes that use up their share, and sleep', 25, code => 'import os, time
for _ in range(20):
    if os.fork() == 0: break
until = time.monotonic() + 0.5
while time.monotonic() < until: pass
time.sleep(60)');
is_not_stretched($cb, 'a program that steps back behind all others', 25, code => 'import os
os.nice(19); os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True: pass');
$cb->finish;
done_testing;
