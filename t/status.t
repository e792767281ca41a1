# The status process: health, readiness, languages and capabilities are answered whatever the load
# of runs, by a process of its own that is confined like a worker.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually json process_status slurp);
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Test::More;
use Time::HiRes qw(time);

my $bound = 1; # seconds; the target is 50 ms on a machine that nobody else uses
# No key has all cells, nor the whole queue: these three take them together.
my @flooding = map {"flooding-key-$_-0123456789"} 1 .. 3;
my $cb = Cellblock->start(own => 1, args => ['--connections', 2000], keys => { map {; "flooding-$_" => $flooding[$_] } 0 .. 2 }, conf => [
    ['cellblock.conf', qr/cells = 32/, 'cells = 16'],
    ['cellblock.conf', qr/queue = 256/, 'queue = 1000'],
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 120000'],
]);
my @open = qw(/health /livez /readyz);
my @keyed = qw(/v1/sandbox/languages /v1/sandbox/capabilities);

# --- the routes -------------------------------------------------------------------------------------------------------

for my $path (@open) {
    my $r = $cb->get($path, key => undef);
    is "$r->{status} $r->{body}", '200 "ok"', "$path needs no key";
    like $r->{headers}{'content-type'}, qr{\Aapplication/json}, "$path is JSON";
    is $cb->request('HEAD', $path, key => undef)->{status}, 200, "$path has HEAD";
    my $wrong = $cb->request('POST', $path, key => undef, content => '{}');
    envelope_ok($wrong, 405, -405, "$path has no POST");
    is $wrong->{headers}{allow}, 'GET, HEAD', "$path lists its methods";
}
for my $path (@keyed) {
    is $cb->get($path)->{status}, 200, "$path is answered";
    envelope_ok($cb->get($path, key => undef), 401, -401, "$path needs a key");
    envelope_ok($cb->get($path, key => 'wrong-key-0123456789'), 401, -401, "$path needs a right key");
}
envelope_ok($cb->get($_), 404, -404, "$_: there is no such route") for '/healthz', '/v1/sandbox/metrics/x';

# --- the process ------------------------------------------------------------------------------------------------------

my @pids = $cb->pids('status');
is scalar @pids, 1, 'there is one status process';
my $status = process_status($pids[0]);
isnt $status->{Uid} =~ s/\s.*//r, 0, 'it is not root' if !$>;
is $status->{CapEff}, '0000000000000000', 'it has no capability';
is $status->{NoNewPrivs}, 1, 'it cannot get any';
SKIP: {
    skip 'a build with sanitizers has no filter', 2 if $cb->sanitized;
    is $status->{Seccomp}, 2, 'it has a seccomp filter';
    my @threads = glob "/proc/$pids[0]/task/*";
    is scalar(grep { (slurp("$_/status") // '') =~ /^Seccomp:\s*2$/m } @threads), scalar @threads, 'so has each of its threads';
}

# --- under load -------------------------------------------------------------------------------------------------------

my @sleepers;
sleepers(600);
ok eventually(60, sub { metric('cellblock_runs_running{language="python3"}') == 16 && metric('cellblock_runs_queued{language="python3"}') >= 200 }),
    'all cells run sleepers, and hundreds of runs wait';
diag sprintf '%d run, %d wait', map { metric("cellblock_runs_$_\{language=\"python3\"}") } qw(running queued);
for my $path (@open, @keyed, '/v1/sandbox/metrics', '/v1/sandbox/metrics/keys') {
    my ($slowest, $bad, $times) = (0, '', $path =~ m{\A/v1/} ? 20 : 5); # nginx delays more than some from an address
    for (1 .. $times) {
        my $begin = time;
        my $r = $cb->get($path);
        my $took = time - $begin;
        $slowest = $took if $took > $slowest;
        $bad = "$r->{status} $r->{body}" if $r->{status} != 200;
    }
    is $bad, '', "$path is 200 under load";
    cmp_ok $slowest, '<', $bound, "$path is answered at once under load";
    diag sprintf '%s: the slowest of %d took %.1f ms', $path, $times, $slowest * 1000;
}

# --- readers that do nothing ------------------------------------------------------------------------------------------

my ($socket) = grep {m{/status\.sock\z}} $cb->sockets;
ok $socket, 'it has a socket of its own';
my $silent = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket) or die "connect: $!";
my $half = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket) or die "connect: $!";
syswrite $half, pack 'CCnnCx', 1, 1, 1, 8, 0; # the head of a FastCGI request, without its body
my $begin = time;
is $cb->get('/health', key => undef)->{status}, 200, 'two connections that send nothing do not stop it';
cmp_ok time - $begin, '<', $bound, 'nor slow it down';
ok eventually(20, sub { my $got = sysread $half, my $bytes, 1; defined $got && $got == 0 }), 'a connection that sends nothing is closed';

# --- a full queue -----------------------------------------------------------------------------------------------------

sleepers(600);
ok eventually(60, sub { metric('cellblock_runs_queued{language="python3"}') >= 1000 }), 'the queue is full';
envelope_ok($cb->get('/readyz', key => undef), 503, -503, 'with a full queue it is not ready');
is $cb->get('/health', key => undef)->{status}, 200, 'and still healthy';
close $_ for @sleepers;
ok eventually(60, sub { $cb->get('/readyz', key => undef)->{status} == 200 && metric('cellblock_runs_queued{language="python3"}') == 0 }),
    'it is ready when the queue is empty';

# --- without the runner -----------------------------------------------------------------------------------------------

my @supervisor = ('supervisorctl', '-c', "$cb->{dir}/supervisord.conf");
is +(command([@supervisor, 'stop', 'runner']))[0], 0, 'the runner is stopped';
my $r;
ok eventually(10, sub { ($r = $cb->get('/health', key => undef))->{status} == 503 }), 'without the runner it is not healthy';
envelope_ok($r, 503, -503, 'without the runner: the answer');
ok $r->{headers}{'retry-after'}, 'and when to try again';
is $cb->get('/readyz', key => undef)->{status}, 503, 'nor ready';
is $cb->get('/livez', key => undef)->{status}, 200, 'and alive';
envelope_ok($cb->get($_), 503, -503, "$_ needs the runner") for @keyed;
is metric('cellblock_runner_up'), 0, 'the metrics say that the runner is away';
is +(command([@supervisor, 'start', 'runner']))[0], 0, 'the runner is started';
ok eventually(30, sub { $cb->get('/health', key => undef)->{status} == 200 }), 'it is healthy again';
is join(' ', $cb->pids('status')), "@pids", 'the status process is still the same';

# --- it dies, and it is told to stop ----------------------------------------------------------------------------------

kill 'KILL', @pids;
ok eventually(20, sub { my @now = $cb->pids('status'); @now == 1 && $now[0] != $pids[0] }), 'another one is started after its death';
ok eventually(20, sub { $cb->get('/health', key => undef)->{status} == 200 }), 'and serves';

# Send so many runs that take long, of each key in turn.
sub sleepers {
    my ($count) = @_;
    for my $number (1 .. $count) {
        local $cb->{key} = $flooding[$number % @flooding];
        push @sleepers, $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(100)', limits => { wall_ms => 110000 }));
    }
    return;
}

# The value of a metric; -1 if there is none.
sub metric {
    my ($name) = @_;
    my $text = $cb->get('/v1/sandbox/metrics')->{body} // '';
    return $text =~ /^\Q$name\E (\S+)$/m ? $1 : -1;
}

$cb->finish;
done_testing;
