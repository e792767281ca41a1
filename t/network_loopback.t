# network: "loopback" in a request: servers and clients of all languages in one run, nothing
# outside, and who may ask for it.
use strict;
use warnings;
use Cellblock qw(json missing);
use Test::More;

my $no = 'n' x 48;
my $cb = Cellblock->start(own => 1, keys => { no => { key => $no, settings => 'loopback = false;' } });
my @loopback = (network => 'loopback');
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

sub prints {
    my ($language, $code, $expected, $name, %more) = @_;
  SKIP: {
        skip $_, 1 for grep {defined} missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        my $r = $cb->run(language => $language, code => $code, @loopback, %more);
        (ref $expected ? \&like : \&is)->($r->{data}{stdout}, $expected, $name) or diag $r->{body};
    }
    return;
}

# --- servers and their clients ------------------------------------------------------------------------------------------------

my $echo = 'import socket
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); p, _ = s.accept()
p.send(b"tcp"); print(c.recv(9).decode(), end=" ")
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v.sendto(b"udp", u.getsockname()); print(u.recvfrom(9)[0].decode(), end=" ")
s = socket.create_server(("::1", 0), family=socket.AF_INET6); c = socket.create_connection(s.getsockname()[:2]); p, _ = s.accept()
p.send(b"tcp6"); print(c.recv(9).decode())';
my $r = $cb->run(code => $echo, @loopback);
is $r->{data}{stdout}, "tcp udp tcp6\n", 'Python: TCP, UDP and IPv6 on the loopback' or diag $r->{body};
is $r->{data}{network}, 'loopback', 'the reply reports the network';
is_deeply $r->{data}{denied}, [], 'no call is denied';
prints(python3 => <<'PYTHON', "here 12\n", 'Python: http.server with urllib, and xmlrpc');
import http.server, threading, urllib.request as u, xmlrpc.client, xmlrpc.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("", 8000), H); threading.Thread(target=s.serve_forever, daemon=True).start()
x = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 8001), logRequests=False); x.register_function(pow); threading.Thread(target=x.serve_forever, daemon=True).start()
print(u.urlopen("http://127.0.0.1:8000/").read().decode(), xmlrpc.client.ServerProxy("http://127.0.0.1:8001").pow(2, 3) + 4)
PYTHON
prints(nodejs => <<'JAVASCRIPT', "pong fetched datagram\n", 'Node.js: http, fetch and dgram');
const http = require('http'), dgram = require('dgram');
const server = http.createServer((q, r) => r.end(q.url === '/' ? 'pong' : 'fetched')).listen(0, '127.0.0.1', async () => {
	const got = [], { port } = server.address();
	got.push(await new Promise((resolve) => http.get({ port, host: '127.0.0.1' }, (r) => r.on('data', (d) => resolve(String(d))))));
	got.push(await (await fetch(`http://127.0.0.1:${port}/x`)).text());
	const to = dgram.createSocket('udp4'), from = dgram.createSocket('udp4');
	to.bind(0, '127.0.0.1', () => from.send('datagram', to.address().port, '127.0.0.1'));
	got.push(await new Promise((resolve) => to.on('message', (m) => resolve(String(m)))));
	console.log(...got);
	to.close(); from.close(); server.close(); server.closeAllConnections();
});
JAVASCRIPT
prints(java => <<'JAVA', "65 66 true\n", 'Java: sockets, an HTTP server, datagrams');
import java.net.*;
import com.sun.net.httpserver.HttpServer;
public class Main { public static void main(String[] a) throws Exception {
	ServerSocket s = new ServerSocket(0, 1, InetAddress.getByAddress(new byte[] { 127, 0, 0, 1 }));
	Socket c = new Socket("127.0.0.1", s.getLocalPort()); s.accept().getOutputStream().write(65);
	int first = c.getInputStream().read();
	HttpServer h = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
	h.createContext("/", e -> { e.sendResponseHeaders(200, 1); e.getResponseBody().write(66); e.close(); }); h.start();
	int second = new URL("http://127.0.0.1:" + h.getAddress().getPort() + "/").openStream().read();
	DatagramSocket d = new DatagramSocket(new InetSocketAddress("127.0.0.1", 0)), e = new DatagramSocket();
	e.send(new DatagramPacket(new byte[] { 1 }, 1, d.getLocalSocketAddress())); d.receive(new DatagramPacket(new byte[9], 9));
	System.out.println(first + " " + second + " true"); h.stop(0); System.exit(0); } }
JAVA
prints(go => <<'GO', "go\n", 'Go: net/http');
package main
import ("fmt"; "io"; "net"; "net/http")
func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "go") }))
	r, err := http.Get("http://" + l.Addr().String())
	if err != nil { panic(err) }
	b, _ := io.ReadAll(r.Body)
	fmt.Println(string(b))
}
GO
prints(perl => 'use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $@; my $c = IO::Socket::INET->new("127.0.0.1:" . $s->sockport) or die $@; my $p = $s->accept; print $p "perl\n"; close $p; print <$c>', "perl\n", 'Perl: a server and its client');
prints(ruby => 'require "socket"; s = TCPServer.new("127.0.0.1", 0); c = TCPSocket.new("127.0.0.1", s.addr[1]); s.accept.puts "ruby"; print c.gets', "ruby\n", 'Ruby: a server and its client');
prints(python3 => $echo, "tcp udp tcp6\n", 'a run with processes has it, too', limits => { processes => 4 });
prints(python3 => $echo, "tcp udp tcp6\n", 'enable_network adds nothing to it', enable_network => JSON::PP::true);

# --- nothing outside ------------------------------------------------------------------------------------------------------------

prints(python3 => <<'PYTHON', "none\n", 'no address, no port and no other protocol leads out');
import errno, socket
for address in ("9.9.9.9", "10.0.0.1", "169.254.169.254", "192.168.0.1", "172.17.0.1", "224.0.0.1", "255.255.255.255"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind); s.settimeout(1)
        try: s.connect((address, 80)); print("escaped:", address, kind)
        except OSError as e:
            if e.errno != errno.ENETUNREACH: print("slow or strange:", address, e)
for address in ("2620:fe::fe", "fd00::1", "::ffff:9.9.9.9", "fe80::1%lo"):
    s = socket.socket(socket.AF_INET6); s.settimeout(1)
    try: s.connect((address, 80)); print("escaped:", address)
    except OSError: pass
for port in range(1, 65536):
    s = socket.socket()
    if s.connect_ex(("127.0.0.1", port)) == 0 and s.getsockname() != s.getpeername(): print("escaped: port", port)
    s.close()
for kind in ((2, 3, 1), (2, 3, 255), (10, 3, 58), (2, 2, 136), (2, 1, 132), (2, 1, 262), (16, 3, 12), (17, 3, 768), (38, 5, 0), (40, 1, 0), (44, 3, 0)):
    try: socket.socket(*kind); print("escaped:", kind)
    except OSError as e:
        if e.errno != errno.EAFNOSUPPORT: print("strange:", kind, e)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for level, option in ((1, 26), (1, 50), (1, 61), (0, 32), (0, 35), (0, 64), (17, 1), (17, 100), (17, 103), (41, 20)):
    try: s.setsockopt(level, option, b"\1\0\0\0" * 4); print("escaped: option", level, option)
    except OSError as e:
        if e.errno != errno.ENOPROTOOPT: print("strange:", level, option, e)
print("none")
PYTHON
my %bound;
my @codes = map {"import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(0.5); c = socket.create_connection(('127.0.0.1', 8080)); a, _ = s.accept(); a.send(b'$_'); print(c.recv(9).decode())"} 1 .. 6;
$cb->many(3, sub { @codes ? { code => shift @codes, @loopback } : undef }, sub { $bound{ $_[1]{data}{stdout} // $_[1]{body} }++ });
is_deeply \%bound, { map { ("$_\n" => 1) } 1 .. 6 }, 'simultaneous runs can use the same port and do not meet';
my $again = 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen(); c = socket.create_connection(("127.0.0.1", 8080)); p, _ = s.accept(); p.close(); c.close(); print("free")';
prints(python3 => $again, "free\n", 'a port is free when a run begins: nothing is left of the last one') for 1 .. 3;
$r = $cb->run(code => 'import socket; socket.socket()');
like $r->{data}{error}, qr/\(socket\); no network is configured on this server; network: loopback /, 'a run that did not ask has no sockets, and a hint';

# --- who may ask ------------------------------------------------------------------------------------------------------------------

for (['"lo"'], ['""'], ['true'], ['["loopback"]'], ['"Loopback"'], ['"loopback\u0000"']) {
    my $answer = $cb->post('{"language":"python3","code":"print(1)","network":' . $_->[0] . '}');
    is "$answer->{status} $answer->{json}{message}", '400 network: must be "loopback" or null', "network: $_->[0] is refused";
}
is $cb->post('{"language":"python3","code":"print(1)","network":null}')->{data}{network}, 'none', 'network: null is none';
my $refused = $cb->post(json->encode({ language => 'python3', code => 'print(1)', @loopback }), key => $no);
is "$refused->{status} $refused->{json}{message}", '400 network: the key of this request has no "loopback"', 'a key whose file forbids it';
$r = $cb->post(json->encode({ language => 'python3', code => 'import socket; socket.socket()' }), key => $no);
is $r->{data}{denied}[0]{hint}, 'no network is configured on this server', 'a key whose file forbids it is not sent there by a hint';
ok $cb->get('/v1/sandbox/capabilities')->{data}{loopback}, 'the capabilities say that there is a loopback';
$cb->finish;

my $without = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/loopback = true;/, 'loopback = false;']]);
$refused = $without->run(code => 'print(1)', @loopback);
is "$refused->{status} $refused->{json}{message}", '400 network: this server offers no "loopback"', 'a server that forbids it';
ok !$without->get('/v1/sandbox/capabilities')->{data}{loopback}, 'its capabilities say so';
$without->finish;
done_testing;
