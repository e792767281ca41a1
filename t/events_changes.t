# Events over HTTP/1.1 and HTTP/2 with curl, and what becomes of them when a worker, the runner or
# the configuration changes in the middle.
use strict;
use warnings;
use Cellblock qw(command eventually missing slurp spew);
use Events;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--cells', 16], conf => [['cellblock.conf', qr/heartbeat_ms = 10000/, 'heartbeat_ms = 200'],
    ['cellblock.conf', qr/drain_ms = 30000/, 'drain_ms = 4000']],
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

# --- curl, and HTTP/2 -------------------------------------------------------------------------------------------------------------

SKIP: {
    my (undef, $version) = command(['curl', '--version']);
    my $why = missing('no curl with HTTP/2', ($version // '') =~ /HTTP2/);
    skip $why, 1 if $why;

    # The site has no HTTP/2 (docs/front.md). Where it is added, events work.
    my $site = slurp("$cb->{dir}/site.conf");
    spew("$cb->{dir}/site.conf", $site =~ s/listen ([^;]*\b\Q$cb->{tls_port}\E) ssl;/listen $1 ssl http2;/r);
    my ($master) = slurp("$cb->{dir}/nginx.pid") =~ /(\d+)/;
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
    is scalar(grep { $_->{event} =~ /\A(?:result|error)\z/ } @$events), 0, "$form: a worker dies: there is no result, and no error";
    ok $stream->{end}, "$form: the answer ends"; # nginx ends it in good order, for HTTP
    $cb->healthy_within(30);
}
ok eventually(20, sub { scalar(grep { -e "/proc/$_/root/box/main.py" } $cb->pids('guest')) == 0 }), 'no program is left';

$cb->finish;
done_testing;
