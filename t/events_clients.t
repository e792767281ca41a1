# Events and their clients: those that go away, that do not read, that are many; HTTP/2; and what
# becomes of a stream when a worker, the service or its configuration changes.
use strict;
use warnings;
use Cellblock qw(command eventually missing process_status slurp spew);
use Events;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--cells', 16], conf => [['cellblock.conf', qr/heartbeat_ms = 10000/, 'heartbeat_ms = 200'],
    ['cellblock.conf', qr/drain_ms = 30000/, 'drain_ms = 4000']],
    keys => { other => 'other-key-0123456789' },
    allow => [qr/request=\S+: the run is lost/, qr/requests or fewer are given up/, qr/had begun and are lost/, qr/cellblock-fcgi.*killed|signal 9/i]);
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
    my $code = "import os, time\nb = b'x' * 65536\nt = time.monotonic()\nfor i in range(160): os.write(1, b)\nos.write(2, b'%.3f' % (time.monotonic() - t))";
    my $stream = Events->start($cb, 'ndjson', { code => $code }, small => 1);
    my ($first, $wait) = ($stream->next(30), time + 4);
    eventually(5, sub { time > $wait });
    my $events = $stream->rest(60);
    is length Events::text($events, 'stdout'), 160 * 65536, 'a client that reads late has all of 10 MB';
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
    my $most = 0;
    ok eventually(60, sub {
        my $now = $memory->();
        $most = $now if $now > $most;
        return scalar(grep { $cb->log_text =~ /"request":"\Q$_->{headers}{'x-request-id'}\E"/ } @streams) == 4;
    }), 'and then nothing is cut';
    is join(' ', map { ended($_, 5)->{outcome} } @streams), join(' ', ('cancelled') x 4), 'its run has ended';
    cmp_ok $most - $before, '<', 4 * 33 * 1024 + 40_000, 'the worker holds no more than the output, in KiB' if !$cb->sanitized;
    ok eventually(20, sub { $memory->() - $before < 10_000 }), 'and gives it back' if !$cb->sanitized;
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

# --- curl, and HTTP/2 -------------------------------------------------------------------------------------------------------------

SKIP: {
    my (undef, $version) = command(['curl', '--version']);
    my $why = missing('no curl with HTTP/2', ($version // '') =~ /HTTP2/);
    skip $why, 1 if $why;

    # The site has no HTTP/2 (docs/front.md). Where it is added, events work.
    my $site = slurp("$cb->{dir}/site.conf");
    spew("$cb->{dir}/site.conf", $site =~ s/listen ([^;]*\b\Q$cb->{tls_port}\E) ssl;/listen $1 ssl http2;/r);
    my ($master) = grep { process_status($_)->{PPid} && (slurp("/proc/$_/cmdline") // '') =~ /master process/ } $cb->pids('nginx');
    kill 'HUP', $master;
    my $curl = sub {
        my ($url, @args) = @_;
        my @command = ('curl', '-sSNk', '-m', 40, '-o', '-', '-w', '\n%{http_version} %{http_code} %{content_type}', '-H', "X-Api-Key: $cb->{key}", @args, "$url/v1/sandbox/run");
        my $begin = time;
        open my $out, '-|', @command or die "curl: $!";
        my (@lines, @at);
        while (my $line = <$out>) { push @lines, $line; push @at, time - $begin }
        close $out;
        return (\@lines, \@at);
    };
    my $body = $json->encode({ language => 'python3', code => "import time\nprint('one', flush=True); time.sleep(1.5); print('two')" });
    ok eventually(20, sub { my ($l) = $curl->($cb->{tls_url}, '--http2', '-d', $body, '-H', 'Accept: application/x-ndjson'); $l->[-1] =~ /\A2 200/ }), 'nginx speaks HTTP/2 now';
    for (['HTTP/1.1', $cb->{url}, '--http1.1', '1.1'], ['HTTP/1.1 over TLS', $cb->{tls_url}, '--http1.1', '1.1'], ['HTTP/2', $cb->{tls_url}, '--http2', '2'], ['an upgrade that is not made', $cb->{url}, '--http2', '1.1']) {
        my ($name, $url, $arg, $is) = @$_;
        my ($lines, $at) = $curl->($url, $arg, '-d', $body, '-H', 'Accept: application/x-ndjson');
        is pop @$lines, "$is 200 application/x-ndjson; charset=utf-8", "curl by $name";
        pop @$lines if $lines->[-1] eq "\n";
        my @events = map { { %{ $json->decode($lines->[$_]) }, at => $at->[$_] } } grep { $lines->[$_] !~ /"heartbeat"/ } 0 .. $#$lines;
        is Events::kinds(\@events), 'queued started stdout result', "$name: all events";
        my @out = grep { $_->{event} eq 'stdout' } @events;
        is $out[0]{data}, "one\n", "$name: output";
        cmp_ok $out[1]{at} - $out[0]{at}, '>', 0.5, "$name: comes while the program runs";
    }
    # A client of HTTP/2 that goes away closes a stream, and not a connection.
    my $pid = open my $out, '-|', 'curl', '-sSNk', '--http2', '-H', "X-Api-Key: $cb->{key}", '-H', 'Accept: application/x-ndjson', '-H', 'X-Request-Id: gone-by-http2', '-d',
        $json->encode({ language => 'python3', code => $ticks, limits => { wall_ms => 90_000 } }), "$cb->{tls_url}/v1/sandbox/run";
    my $seen;
    while (my $line = <$out>) { last if $seen = $line =~ /"stdout"/ }
    ok $seen, 'HTTP/2: a client that reads its events';
    kill 'TERM', $pid;
    close $out;
    is ended({ headers => { 'x-request-id' => 'gone-by-http2' } }, 20)->{outcome}, 'cancelled', 'goes away, and its run is cancelled';
    spew("$cb->{dir}/site.conf", $site);
    kill 'HUP', $master;
}

# --- reload, stop, and death in the middle --------------------------------------------------------------------------------------------

{
    my $stream = Events->start($cb, 'sse', { code => "import time\nfor i in range(30): print(i, flush=True); time.sleep(0.1)" });
    ok $stream->next_of(30, 'stdout'), 'a program writes';
    my ($exit, undef, $err) = command([Cellblock::root() . '/script/server', '--reload', '--dir', $cb->{dir}], seconds => 60);
    is $exit, 0, 'the service is reloaded' or diag $err;
    my $events = $stream->rest(60);
    is $events->[-1]{event}, 'result', 'the events go on to the result';
    like Events::text($events, 'stdout'), qr/\b29\n\z/, 'with all output';
    is $stream->{end}, 'whole', 'and the answer is whole';
}
$cb->healthy_within(30);
{
    my $stream = Events->start($cb, 'ndjson', { code => $ticks, limits => { wall_ms => 90_000 } });
    ok $stream->next_of(30, 'stdout'), 'a program writes again';
    kill 'TERM', $cb->pids('worker');
    my $events = $stream->rest(60);
    is $events->[-1]{event}, 'error', 'a worker that is told to stop gives up what outlasts drain_ms';
    is "$events->[-1]{data}{status} $events->[-1]{data}{code}", '500 -500', 'with the status of the plain answer';
    like $events->[-1]{data}{message}, qr/\Alost: the run may have begun/, 'the client learns that the run is lost';
    like Events::text($events, 'stdout'), qr/^20$/m, 'it had all output until then';
    is $stream->{end}, 'whole', 'the answer is whole';
}
$cb->healthy_within(30);
{
    my $stream = Events->start($cb, 'ndjson', { code => $ticks, limits => { wall_ms => 90_000 } });
    ok $stream->next_of(30, 'stdout'), 'a program writes again';
    kill 'KILL', $cb->pids('broker');
    my $events = $stream->rest(60);
    is $events->[-1]{event}, 'error', 'the runner dies: an error';
    like $events->[-1]{data}{message}, qr/\Alost/, 'the run is lost';
}
$cb->healthy_within(30);
for my $form (qw(sse ndjson)) {
    my $stream = Events->start($cb, $form, { code => $ticks, limits => { wall_ms => 90_000 } });
    ok $stream->next_of(30, 'stdout'), 'a program writes again';
    kill 'KILL', $cb->pids('worker');
    my $events = $stream->rest(60);
    is scalar(grep { $_->{event} =~ /\A(?:result|error)\z/ } @$events), 0, "$form: a worker dies: there is no result";
    is $stream->{end}, 'cut', "$form: the answer is cut";
    $cb->healthy_within(30);
}
ok eventually(20, sub { scalar(grep { -e "/proc/$_/root/box/main.py" } $cb->pids('guest')) == 0 }), 'no program is left';

$cb->finish;
done_testing;
