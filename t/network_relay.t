# The relay between runs with a network and their proxies: its layers, programs that abuse it, and
# its death.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network";
use Cellblock qw(eventually json process_status);
use Test::More;
use Time::HiRes qw(time);
use World qw(prints run_with);

World::enter();
my $world = World->new;
my $cb = $world->service;
my $true = JSON::PP::true;

# --- the relay ---------------------------------------------------------------------------------------------------------------

my $relay = $cb->relay;
ok $relay, 'the relay runs' or diag json->encode({ $cb->roles });
my $status = process_status($relay);
like $status->{Uid}, qr/\A(\d{5,})\s+\1\s+\1/, 'the relay is not root';
is hex $status->{$_}, 0, "the relay's $_ is empty" for qw(CapPrm CapEff CapBnd CapAmb);
is $status->{NoNewPrivs}, 1, 'the relay has no_new_privs';
is $status->{Seccomp}, 2, 'the relay has a seccomp policy' if !$cb->sanitized;
my @files = grep { !/^(?:socket:|anon_inode:)/ } map { readlink $_ // () } glob "/proc/$relay/fd/*";
cmp_ok scalar(grep { !m{\Q$cb->{dir}\E/log|/dev/null|pipe:} } @files), '==', 0, 'the relay has no file open except the log' or diag "@files";

sub relay_fds { my @all = glob "/proc/$relay/fd/*"; return scalar @all }
$cb->processes_at_rest; # each cell that is armed has a descriptor there
my $fds_at_rest = relay_fds();

# Programs that abuse the relay, while others use it.
my %hostile = (
    'thousands of connections' => 'import socket
while True:
    s = socket.socket(); s.setblocking(False)
    try: s.connect(("127.0.0.1", 3128))
    except OSError: pass
    s.close()',
    'half-open connections that send nothing' => 'import socket, time
l = []
while True:
    try: s = socket.socket(); s.setblocking(False); s.connect_ex(("127.0.0.1", 3128)); l.append(s)
    except OSError: time.sleep(.01)',
    'a client that never reads' => 'import socket, time
l = []
for i in range(20):
    s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"GET http://origin.test/?megabytes=100 HTTP/1.1\r\nHost: x\r\n\r\n"); l.append(s)
time.sleep(60)',
    'a client that writes without end' => 'import socket
s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"POST http://origin.test/none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
while True: s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")',
    'resets of connections' => 'import socket, struct
while True:
    s = socket.create_connection(("127.0.0.1", 3128)); s.send(b"x"); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()',
    'half-closed connections' => 'import socket, time
l = []
for i in range(500):
    s = socket.create_connection(("127.0.0.1", 3128)); s.shutdown(socket.SHUT_RD if i % 2 else socket.SHUT_WR); l.append(s) if i % 3 else s.close()
    l = l[-100:]
time.sleep(60)',
    'connections to itself' => 'import socket
l = []
s = socket.create_server(("127.0.0.1", 9000), backlog=4096)
while True:
    try: c = socket.create_connection(("127.0.0.1", 9000)); a, _ = s.accept(); c.setblocking(False); c.send(b"x" * (1 << 22)); l += [a, c]
    except OSError: l = []',
);
for my $name (sort keys %hostile) {
    my $socket = $cb->connect_raw($cb->run_bytes(code => $hostile{$name}, enable_network => $true, limits => { wall_ms => 4000 }));
    select undef, undef, undef, 0.5;
    my ($worst, $bad) = (0, 0);
    for (1 .. 6) {
        my $begin = time;
        my $other = run_with('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())');
        $bad++ if ($other->{data}{stdout} // '') ne "public\n";
        my $took = time - $begin;
        $worst = $took if $took > $worst;
    }
    is $bad, 0, "$name: other runs are served";
    cmp_ok $worst, '<', 3, 'other runs are answered within 3 s';
    my $reply = $cb->read_reply($socket);
    ok $reply->{status} == 200 && $reply->{data}{status} ne 'ok', 'the hostile run ends by its limits' or diag $reply->{body};
    ok eventually(10, sub { relay_fds() <= $fds_at_rest + 4 }), 'the relay has closed the descriptors of the hostile run' or diag relay_fds() . " and not $fds_at_rest";
}
is($cb->relay, $relay, 'the relay was never restarted');

# The relay is killed, and killed again at once.
kill 'KILL', $relay;
my $second;
ok eventually(10, sub { $second = $cb->relay; $second && $second != $relay }), 'a killed relay is started again';
kill 'KILL', $second;
my $health;
ok eventually(5, sub { $health = $cb->get('/health', key => undef); $health->{status} == 503 }), 'a relay that is killed again is started after a backoff; until then /health is 503';
like $health->{body}, qr/relay/, '/health names the relay';
ok eventually(10, sub { (run_with('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())')->{data}{stdout} // '') eq "public\n" }),
    'runs have a network again';
like $cb->log_text, qr/the relay died/, 'the log reports the death of the relay';

$cb->finish;
$world->stop;
done_testing;

