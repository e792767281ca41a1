# Events and their clients: those that go away, that do not read, and that are many.
use strict;
use warnings;
use Cellblock qw(eventually process_status slurp);
use Events;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--cells', 16], conf => [['cellblock.conf', qr/heartbeat_ms = 10000/, 'heartbeat_ms = 200']],
    keys => { other => 'other-key-0123456789' });
local $SIG{PIPE} = 'IGNORE';
my $json = JSON::PP->new->utf8;

# The line of the log about a request, which comes when it has ended.
sub ended {
    my ($stream, $seconds) = @_;
    my $id = $stream->{headers}{'x-request-id'} // 'none';
    my $line;
    eventually($seconds, sub { ($line) = $cb->log_text =~ /^.*?(\{[^\n]*"request":"\Q$id\E"[^\n]*\})$/m });
    return $line ? $json->decode($line) : {};
}

my $ticks = "import time\nfor i in range(600): print(i, flush=True); time.sleep(0.1)";

# The CPU time of all workers, in seconds.
sub worker_seconds {
    my $ticks = 0;
    for my $pid ($cb->pids('worker')) {
        my ($rest) = (slurp("/proc/$pid/stat") // next) =~ /\) (.*)/s;
        my @field = split / /, $rest;
        $ticks += $field[11] + $field[12];
    }
    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# --- a client that goes away ---------------------------------------------------------------------------------------------------

for my $how ('reads its events', 'has a quiet program') {
    my $stream = Events->start($cb, 'sse', { code => $how =~ /quiet/ ? 'import time; time.sleep(60)' : $ticks, limits => { wall_ms => 90_000 } });
    ok $stream->next_of(30, $how =~ /quiet/ ? 'started' : 'stdout'), "a client that $how";
    my $begin = time;
    $stream->close_now;
    my $log = ended($stream, 20);
    is $log->{outcome}, 'cancelled', 'goes away, and its run is cancelled';
    cmp_ok $log->{wall_ms} // 1e9, '<', 15_000, 'before its end';
    diag sprintf '%.0f ms after the client', 1000 * (time - $begin);
}
ok eventually(20, sub { scalar(grep { -e "/proc/$_/root/box/main.py" } $cb->pids('guest')) == 0 }), 'no program is left';
is scalar(grep { $_->{status} == 200 } map { $cb->run(code => 'print(1)') } 1 .. 20), 20, 'all cells come back';

# --- clients that do not read ----------------------------------------------------------------------------------------------------

# The program never waits for its client, and a client that reads late has all.
{
    my $code = "import os, time\nb = b'x' * 65536\nt = time.monotonic()\nfor i in range(400): os.write(1, b)\nos.write(2, b'%.3f' % (time.monotonic() - t))";
    my $stream = Events->start($cb, 'ndjson', { code => $code });
    my ($first, $wait) = ($stream->next(30), time + 4);
    eventually(5, sub { time > $wait });
    my $events = $stream->rest(60);
    is length Events::text($events, 'stdout'), 400 * 65536, 'a client that reads late has all of 26 MB';
    cmp_ok Events::text($events, 'stderr'), '<', 3, 'its program has not waited for it';
    cmp_ok $events->[-1]{data}{usage}{wall_ms}, '<', 3500, 'nor has its time passed';
}

# nginx cuts a client that takes nothing for 10 s. Its run ends then.
{
    my $memory = sub { my $sum = 0; $sum += process_status($_)->{VmRSS} =~ s/ kB//r for $cb->pids('worker'); return $sum };
    my $before = $memory->();
    my $code = "import os, time\nb = b'x' * 65536\nfor i in range(480): os.write(1, b)\ntime.sleep(100)";
    my @streams = map { Events->start($cb, 'ndjson', { code => $code, limits => { wall_ms => 110_000 } }, small => 1) } 1 .. 4;
    ok $_->next(30), 'a client that reads one event' for @streams;
    my ($most, $seconds) = (0, worker_seconds());
    ok eventually(60, sub {
        my $now = $memory->();
        $most = $now if $now > $most;
        return scalar(grep { $cb->log_text =~ /"request":"\Q$_->{headers}{'x-request-id'}\E"/ } @streams) == 4;
    }), 'and then nothing is cut';
    is join(' ', map { ended($_, 5)->{outcome} } @streams), join(' ', ('cancelled') x 4), 'its run has ended';
    cmp_ok worker_seconds() - $seconds, '<', 5, 'the worker has not turned in circles meanwhile' if !$cb->sanitized;
    cmp_ok $most - $before, '<', 4 * 33 * 1024 + 40_000, 'the worker holds no more than the output, in KiB' if !$cb->sanitized;
    ok eventually(20, sub { $memory->() - $before < 10_000 }), 'and gives it back' if !$cb->sanitized;
}

# Half a character is nothing that can be sent, and nothing to wake up for.
{
    my $stream = Events->start($cb, 'sse', { code => "import os, time\nos.write(1, b'\\xf0\\x9f\\x98'); os.write(2, b'\\xe2')\ntime.sleep(3)" });
    ok $stream->next_of(30, 'started'), 'a program that writes half a character';
    my $seconds = worker_seconds();
    my $events = $stream->rest(30);
    is Events::text($events, 'stdout') . Events::text($events, 'stderr'), "\x{fffd}\x{fffd}", 'has U+FFFD at its end';
    cmp_ok worker_seconds() - $seconds, '<', 1, 'and no worker turns in circles';
}

# Slow clients hold threads of workers. So there are not as many of them as there are threads.
{
    my ($of_key, $of_all) = slurp("$cb->{dir}/site.conf") =~ /limit_conn cellblock_key_events (\d+);\s+limit_conn cellblock_all_events (\d+);/;
    is "$of_key $of_all", '36 48', 'the most requests with events, of a key and of all, follow the cells';
    my $sleep = { code => 'import time; time.sleep(100)', limits => { wall_ms => 110_000 } };
    my @held = map { Events->start($cb, 'sse', $sleep) } 1 .. $of_key;
    ok eventually(30, sub { scalar(grep { defined $_->{status} || $_->next(0.01) } @held) == $of_key }), 'a key has as many as it may';
    my $over = Events->start($cb, 'sse', $sleep);
    my $answer = $over->refusal(30);
    is "$over->{status} $answer->{code}", '429 -429', 'one more is refused';
    ok $over->{headers}{'retry-after'}, 'with Retry-After';
    my @others = map { Events->start($cb, 'sse', { %$sleep, code => 'import time; time.sleep(99)' }, key => 'other-key-0123456789') } 1 .. $of_all - $of_key;
    ok eventually(30, sub { scalar(grep { defined $_->{status} || $_->next(0.01) } @others) == @others }), 'another key has the others';
    my $more = Events->start($cb, 'ndjson', $sleep, key => 'other-key-0123456789');
    $more->refusal(30);
    is $more->{status}, 429, 'all together have no more';
    is $cb->get('/v1/sandbox/languages')->{status}, 200, 'other requests are served';
    $_->close_now for @held;
    is $cb->run(code => 'print(6 * 7)')->{data}{stdout}, "42\n", 'and plain runs';
    $_->close_now for @others;
}

$cb->finish;
done_testing;
