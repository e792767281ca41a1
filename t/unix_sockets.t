# Sockets of AF_UNIX within a run: servers and clients of all languages, and the layer that keeps
# their names in the cell. t/attacks/cases/sockets.cases attacks it.
use strict;
use warnings;
use Cellblock qw(eventually missing);
use Test::More;

my $cb = Cellblock->start(own => 1);
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

sub prints {
    my ($language, $code, $expected, $name, %more) = @_;
  SKIP: {
        skip $_, 2 for grep {defined} missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        my $r = $cb->run(language => $language, code => $code, %more);
        is $r->{data}{stdout}, $expected, $name or diag $r->{body};
        # A JVM looks for IPv6 at its start.
        is_deeply [map { $_->{name} } @{ $r->{data}{denied} }], $language eq 'java' ? ['socket'] : [], "$name: no call is denied but those that a bare start makes";
    }
    return;
}

my $layer = $cb->get('/v1/sandbox/capabilities')->{data}{layers}{unix_sockets};
ok $layer->{in_force} && $layer->{required}, 'the capabilities have the layer, and it is in force';
like $layer->{detail}, qr/network namespace of the cell/, 'the capabilities say what keeps the names apart';

# --- by path, by an abstract name, in pairs ------------------------------------------------------------------------------

prints(python3 => <<'PYTHON', "by path abstract made up pair dgram descriptor\n", 'Python: all kinds of names, and descriptors in messages');
import os, socket
def talk(kind, name, say):
    server = socket.socket(socket.AF_UNIX, kind); server.bind(name)
    client = socket.socket(socket.AF_UNIX, kind)
    if kind == socket.SOCK_DGRAM:
        client.sendto(say, server.getsockname())
        return server.recv(99).decode()
    server.listen(); client.connect(server.getsockname()); peer, _ = server.accept(); client.sendall(say)
    return peer.recv(99).decode()
got = [talk(socket.SOCK_STREAM, "/tmp/server", b"by path"), talk(socket.SOCK_SEQPACKET, "\0name", b"abstract"), talk(socket.SOCK_DGRAM, "", b"made up")]
near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); near.send(b"pair"); got.append(far.recv(9).decode())
near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); near.send(b"dgram"); got.append(far.recv(9).decode())
reading, writing = os.pipe(); socket.send_fds(near, [b"x"], [writing]); os.close(writing)
_, descriptors, _, _ = socket.recv_fds(far, 1, 1); os.write(descriptors[0], b"descriptor"); got.append(os.read(reading, 99).decode())
print(*got)
PYTHON
prints(python3 => <<'PYTHON', "[0, 1, 4] 9\n", 'Python: multiprocessing with a manager, and a listener by name', limits => { processes => 16 });
from multiprocessing import Manager, Process
from multiprocessing.connection import Client, Listener
def work(squares, k): squares[k] = k * k
def answer(address):
    with Client(address) as c: c.send(9)
if __name__ == "__main__":
    with Manager() as manager:
        squares = manager.list([None] * 3)
        workers = [Process(target=work, args=(squares, k)) for k in range(3)]
        for w in workers: w.start()
        for w in workers: w.join()
        kept = list(squares)
    with Listener(family="AF_UNIX") as listener:
        client = Process(target=answer, args=(listener.address,)); client.start()
        print(kept, listener.accept().recv()); client.join()
PYTHON
prints(nodejs => <<'JAVASCRIPT', "parent got pong\n", 'Node.js: child_process.fork and its messages', limits => { processes => 8 });
if (process.argv[2] === 'child') {
	process.on('message', (m) => process.send(m === 'ping' ? 'pong' : '?', () => process.disconnect()));
} else {
	const child = require('child_process').fork(__filename, ['child']);
	child.on('message', (m) => console.log('parent got', m));
	child.send('ping');
}
JAVASCRIPT
prints(nodejs => <<'JAVASCRIPT', "hello\n", 'Node.js: a server at a path');
const net = require('net');
const server = net.createServer((s) => s.end('hello')).listen('/tmp/node.sock', () =>
	net.connect('/tmp/node.sock').on('data', (d) => console.log(String(d))).on('end', () => server.close()));
JAVASCRIPT
prints(perl => <<'PERL', "perl\n", 'Perl: a server and its client');
use IO::Socket::UNIX;
my $server = IO::Socket::UNIX->new(Local => '/tmp/perl', Listen => 1) or die $!;
my $client = IO::Socket::UNIX->new(Peer => '/tmp/perl') or die $!;
my $peer = $server->accept; print $client "perl\n"; close $client; print scalar <$peer>;
PERL
prints(ruby => 'require "socket"; s = UNIXServer.new("/tmp/r"); c = UNIXSocket.new("/tmp/r"); p = s.accept; c.puts "ruby"; print p.gets', "ruby\n", 'Ruby: a server and its client');
prints(java => <<'JAVA', "java\n", 'Java: a server and its client');
import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*;
public class Main { public static void main(String[] a) throws Exception {
	var address = UnixDomainSocketAddress.of(Path.of("/tmp/java.sock"));
	var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX); server.bind(address);
	var client = SocketChannel.open(address); var peer = server.accept();
	client.write(ByteBuffer.wrap("java\n".getBytes())); var b = ByteBuffer.allocate(9); peer.read(b);
	System.out.print(new String(b.array(), 0, b.position())); } }
JAVA
prints(go => <<'GO', "go\n", 'Go: a server and its client');
package main
import ("fmt"; "net")
func main() {
	l, err := net.Listen("unix", "/tmp/go.sock")
	if err != nil { panic(err) }
	c, err := net.Dial("unix", "/tmp/go.sock")
	if err != nil { panic(err) }
	p, _ := l.Accept()
	fmt.Fprintln(c, "go")
	var s string
	fmt.Fscanln(p, &s)
	fmt.Println(s)
}
GO

# --- the socket of a name service daemon, which libc looks for -------------------------------------------------------------

prints(python3 => "import pwd\ntry: pwd.getpwnam('nobody of this name')\nexcept KeyError: print('none')", "none\n", 'a look-up of a user makes no denied call');

# --- runs at the same time do not meet --------------------------------------------------------------------------------------

my %bound;
my @codes = map {"import socket, time\ns = socket.socket(socket.AF_UNIX); s.bind('\\0same'); s.listen(); time.sleep(0.4)\nc = socket.socket(socket.AF_UNIX); c.connect('\\0same'); a, _ = s.accept(); a.send(b'$_'); print(c.recv(9).decode())"} 1 .. 6;
$cb->many(3, sub { @codes ? { code => shift @codes } : undef }, sub { $bound{ $_[1]{data}{stdout} // $_[1]{body} }++ });
is_deeply \%bound, { map { ("$_\n" => 1) } 1 .. 6 }, 'simultaneous runs can use the same abstract name and do not meet';
$bound{ $cb->run(code => "import socket\ns = socket.socket(socket.AF_UNIX); s.bind('\\0same'); print('free')")->{data}{stdout} }++ for 1 .. 12;
is $bound{"free\n"}, 12, 'a name is free again when its run has ended';

# --- each cell keeps its namespace --------------------------------------------------------------------------------------------

sub namespaces {
    my %seen;
    for my $pid ($cb->pids('guest')) {
        my $namespace = readlink "/proc/$pid/ns/net";
        $seen{$namespace}++ if defined $namespace;
    }
    return \%seen;
}
$cb->healthy_within(10);
my $of_broker = readlink '/proc/' . ($cb->pids('broker'))[0] . '/ns/net';
my $seen;
ok eventually(10, sub { $seen = namespaces(); keys %$seen > 1 && !grep { $_ > 1 } values %$seen }), 'no two cells are in the same network namespace' or diag explain $seen;
ok !exists $seen->{$of_broker}, 'no cell is in that of the broker';

$cb->finish;

# --- nor do runs one after the other -------------------------------------------------------------------------------------------

# Few cells, so that a cell is used again as soon as it is free. The kernel collects sockets that
# are in messages to themselves only some time after their process has ended.
$cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf',         qr/cells = 32/,      'cells = 2'],
    (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
    ['languages/python3.conf', qr/armed = 6/,       'armed = 1'],
    ['languages/python3.conf', qr/armed = 3/,       'armed = 0'],
]);
my $leaves = <<'PYTHON';
import socket
try:
    for i in range(60): # as many as may be on the way at the same time
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind('\0left%d' % i)
            a, b = socket.socketpair()
            with a, b:
                socket.send_fds(a, [b'x'], [s.fileno(), a.fileno(), b.fileno()])
                socket.send_fds(b, [b'x'], [s.fileno(), a.fileno(), b.fileno()])
except OSError: pass
PYTHON
my $looks = <<'PYTHON';
import socket
seen = 0
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    for i in range(60):
        try: s.sendto(b'x', '\0left%d' % i); seen += 1
        except ConnectionRefusedError: pass
        except OSError: seen += 1
print(seen)
PYTHON
my ($sent, %found) = 0;
$cb->many(4, sub { $sent++ < 400 ? { code => $sent % 2 ? $leaves : $looks } : undef }, sub { $found{ $_[1]{data}{stdout} // $_[1]{body} }++ });
is_deeply \%found, { '' => 200, "0\n" => 200 }, 'no run sees names that another one has left in its cell' or diag explain \%found;

$cb->finish;
done_testing;
