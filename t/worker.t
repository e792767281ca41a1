# A worker process: many requests at the same time, its confinement, and the end of a process
# without a lost request.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json process_status slurp);
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--workers', 1, '--cells', 24],
    conf => [['cellblock.conf', qr/#?\bqueue = 256;/, 'queue = 100;'], ['cellblock.conf', qr/drain_ms = 30000/, 'drain_ms = 2000']], allow => [qr/request=\S+: the run is lost/]);
my ($worker) = $cb->pids('worker');

# --- its threads -----------------------------------------------------------------------------------------------------------

my %threads = map { $_ => { slurp("$_/status") =~ /^(\w+):[ \t]*(.*?)[ \t]*$/mg } } glob "/proc/$worker/task/*";
is scalar(keys %threads), 33, 'a thread for each of 32 requests, and one that waits for the order to stop';
my $filtered = grep { $_->{Seccomp} == 2 } values %threads;
is $filtered, $cb->sanitized ? 0 : 33, 'the filter is in force for each';
for my $field (qw(NoNewPrivs CapEff CapPrm)) {
    my %value = map { $_->{$field} => 1 } values %threads;
    is join(' ', keys %value), $field eq 'NoNewPrivs' ? 1 : '0' x 16, "$field of each";
}
my $limits = slurp("/proc/$worker/limits");
like $limits, qr/^Max open files +496 +496 /m, 'descriptors are limited to what 32 requests need';
like $limits, qr/^Max data size +\d+ +\d+ /m, 'memory is limited' if !$cb->sanitized;
like $limits, qr/^Max processes +0 +0 /m, 'processes are limited';

# --- many requests ------------------------------------------------------------------------------------------------------------

is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'a run';
my $begin = time;
my @sockets = map { $cb->connect_raw($cb->run_bytes(code => "import time; time.sleep(1); print($_)")) } 1 .. 20;
my @replies = map { $cb->read_reply($_) } @sockets;
is join(' ', map { $_->{data}{stdout} // 'none' } @replies), join(' ', map {"$_\n"} 1 .. 20), 'one process handles 20 requests, and each client gets its own answer';
cmp_ok time - $begin, '<', 15, 'they do not wait for one another';
cmp_ok process_status($worker)->{VmRSS} =~ s/ kB//r, '<', 20_000, 'the memory of a worker after that, in KiB' if !$cb->sanitized;

# Requests of all kinds at the same time, none of which disturbs another.
my @kinds = (
    [{ code => 'print("x" * 300000)' }, sub { length $_[0]{data}{stdout} == 300001 }],
    [{ code => 'import sys; print(sys.stdin.read()[-9:])', stdin => 'y' x 200000 . 'the end.' }, sub { $_[0]{data}{stdout} eq "ythe end.\n" }],
    [{ code => '1/0' }, sub { $_[0]{data}{status} eq 'exit' }],
    [{ code => 'x', language => 'nothing' }, sub { $_[0]{status} == 400 }],
    [{ code => 'while True: pass', limits => { wall_ms => 50 } }, sub { $_[0]{data}{status} eq 'timeout' }],
    [{ code => 'int main(void){return 3;}', language => 'c' }, sub { $_[0]{data}{exit_code} == 3 }],
);
my ($sent, $wrong, $answers) = (0, '', 0);
$cb->many(30, sub { $sent < 300 ? { %{ $kinds[$sent++ % @kinds][0] }, env => { N => "$sent" } } : undef }, sub {
    my ($fields, $reply) = @_;
    $answers++;
    my ($kind) = grep { $_->[0]{code} eq $fields->{code} } @kinds;
    $wrong = json->encode([$fields->{code}, $reply->{status}, substr $reply->{body}, 0, 300]) if $reply->{status} == 0 || !eval { $kind->[1]($reply) };
});
is $answers, 300, '300 requests of six kinds, 30 at the same time, are answered';
is $wrong, '', 'each in its own way';

# Unread messages of the worker's user have as many descriptors as a process of it may have open: as
# in a burst of runs while the runner is busy, or another service of this user is.
SKIP: {
    skip 'needs root, to be another user', 2 if $> != 0;
    my ($uid) = slurp("/proc/$worker/status") =~ /^Uid:\s+(\d+)/m;
    open my $crowd, '-|', 'python3', '-c', <<'PYTHON', $uid // die "open: $!";
import os, resource, socket, sys, time
os.setuid(int(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_NOFILE, (496, 496))
pairs = []
try:
    while True:
        pairs.append(socket.socketpair())
        for _ in range(30): socket.send_fds(pairs[-1][0], [b"x"], [0, 1, 2])
except OSError as e:
    print(e, flush=True)
time.sleep(1)
PYTHON
    like scalar <$crowd>, qr/Too many references/, 'unread messages have all descriptors that they may have';
    my $reply = $cb->run(code => 'print(1)');
    is $reply->{data}{stdout}, "1\n", 'a run waits until they are fewer' or diag $reply->{body};
    close $crowd;
}

# A connection that sends no request, or half of one, does no harm. The socket is not a client's to
# reach, so root does what nginx never would.
SKIP: {
    skip 'not root', 1 if $>;
    my $path = "$cb->{dir}/live/sock/fcgi.sock";
    for my $bytes ('', "\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0", 'GET / HTTP/1.0' . "\r\n" x 20, "\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0\1\4\0\1\xff\xff\0\0" . 'x' x 100) {
        my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
        syswrite $socket, $bytes;
        close $socket;
    }
    is $cb->run(code => 'print(2)')->{data}{stdout}, "2\n", 'connections without a request';
    is join(' ', $cb->pids('worker')), $worker, 'the worker has survived them';
}

# --- the end of a process ----------------------------------------------------------------------------------------------------------

@sockets = map { $cb->connect_raw($cb->run_bytes(code => "import time; time.sleep(1); print($_)")) } 1 .. 12;
ok eventually(10, sub { scalar(() = $cb->pids('guest')) >= 12 }), 'twelve programs run';
kill 'TERM', $worker;
my @later = map { $cb->connect_raw($cb->run_bytes(code => "print($_)")) } 101 .. 112;
@replies = map { $cb->read_reply($_) } @sockets, @later;
is join(' ', map { $_->{data}{stdout} // "status $_->{status}" } @replies), join(' ', map {"$_\n"} 1 .. 12, 101 .. 112),
    'SIGTERM: what the process had begun is finished, and another one takes the rest';
ok eventually(10, sub { !-d "/proc/$worker" }), 'SIGTERM: the process ends';
ok eventually(10, sub { $cb->log_text =~ /cellblock-fcgi\[$worker\] info: stopped by SIGTERM/ }), 'SIGTERM: the log says so';

($worker) = $cb->pids('worker');
my $long = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)', limits => { wall_ms => 90_000 }));
ok eventually(10, sub { scalar(() = $cb->pids('guest')) >= 1 && $cb->run(code => 'print(3)')->{status} == 200 }), 'a program runs for long';
$begin = time;
kill 'TERM', $worker;
my $r = $cb->read_reply($long);
envelope_ok($r, 500, -500, 'a run that outlasts drain_ms is given up');
like $r->{json}{message}, qr/\Alost: the run may have begun/, 'its client learns that it may have begun';
cmp_ok time - $begin, '>=', 1.9, 'it had all of drain_ms';
ok eventually(10, sub { !-d "/proc/$worker" }), 'the process ends then';

# --- a runner that dies ---------------------------------------------------------------------------------------------------------------

$cb->healthy_within(30);
my ($broker) = $cb->pids('broker');
$long = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)', limits => { wall_ms => 90_000 }));
ok eventually(10, sub { $cb->run(code => 'print(4)'); scalar(() = $cb->pids('guest')) >= 1 && $cb->log_text =~ /"outcome":"ok"/ }), 'a program runs for long again';
select undef, undef, undef, 0.2;
kill 'KILL', $broker;
$r = $cb->read_reply($long);
envelope_ok($r, 500, -500, 'the runner dies during a run');
like $r->{json}{message}, qr/\Alost: the run may have begun/, 'the runner dies: the client learns that its run may have begun';
ok defined $cb->healthy_within(30), 'the workers find the next runner';
# A thread that connects with its next request only may find a runner with another configuration.
ok eventually(10, sub { $cb->runner_connections >= 32 }), 'all threads connect, before they have a request' or diag $cb->runner_connections;

$cb->finish;

# --- a process for each request ----------------------------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, args => ['--cells', 18], conf => [['cellblock.conf', qr/requests = 32/, 'requests = 1'], ['cellblock.conf', qr/queue = 256/, 'queue = 2']]);
is scalar(() = $cb->pids('worker')), 52, 'worker.requests = 1: as many processes as may run and wait, and 32';
is $cb->run(code => 'print(5)')->{data}{stdout}, "5\n", 'worker.requests = 1: a run';
$cb->finish;
done_testing;
