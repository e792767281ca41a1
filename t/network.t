# Runs with a network by a proxy: what they reach by the example's squid, what they do not, and what they cost others. All of it
# in a network namespace of the test's own, with an internet in it (network/world.py).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network", "$FindBin::RealBin/attacks";
use Attacks;
use Cellblock qw(envelope_ok eventually json missing process_status slurp);
use Test::More;
use Time::HiRes qw(time);
use World;

World::enter();
my $world = World->new;
my ($few, $gone, $no) = ('key-for-few-hosts', 'key-for-a-dead-proxy', 'key-without-network');
my $cb = Cellblock->start(own => 1, keys => { few => $few, gone => $gone, no => $no }, proxies => { few => 'few', gone => 'gone', no => 'none' },
    conf => [$world->configuration, ['cellblock.conf', qr/processes = \{ default = 1; maximum = 1;/, 'processes = { default = 1; maximum = 16;']]);
my $true = JSON::PP::true;

# A run with a network, by the first key or another.
sub run_with {
    my ($code, %more) = @_;
    my $key = delete $more{key};
    return $cb->post(json->encode({ language => 'python3', code => $code, enable_network => $true, %more }), $key ? (key => $key) : ());
}

sub prints {
    my ($code, $expected, $name, %more) = @_;
    my $r = run_with($code, %more);
    my $out = $r->{data} ? $r->{data}{stdout} : undef;
    return (ref $expected ? like $out, $expected, $name : is $out, $expected, $name) || diag substr $r->{body}, 0, 1500;
}

# --- what is there ---------------------------------------------------------------------------------------------------------

my $caps = $cb->get('/v1/sandbox/capabilities')->{data};
is $caps->{network}, 'proxy', 'capabilities: the mode';
like $caps->{layers}{network_namespace}{detail}, qr/each cell.*proxy/, 'and what it means';
my $r = run_with('import os; print(sorted(k for k in os.environ if "PROXY" in k.upper()), os.environ["HTTP_PROXY"] == os.environ["https_proxy"])');
is $r->{data}{stdout}, "['HTTPS_PROXY', 'HTTP_PROXY', 'NODE_USE_ENV_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] True\n", 'the environment says it, in both cases'
    or diag $r->{body};
is $r->{data}{network}, 'proxy', 'the reply says that there was a network';
$r = $cb->run(code => 'import os, socket; print(sorted(os.environ)); socket.socket()');
like $r->{data}{stdout}, qr/\A\['HOME', 'LANG', 'PATH', 'TMPDIR'\]/, 'a run that does not ask for one has none of that';
is $r->{data}{network}, 'none', 'and is told so';
like $r->{data}{error}, qr/\(socket\); enable_network /, 'nor has it sockets';

# --- clients ---------------------------------------------------------------------------------------------------------------

prints('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', "public\n", 'urllib, HTTP');
prints('import urllib.request as u; print(u.urlopen("https://origin.test/").read().decode())', "public\n", 'urllib, HTTPS');
prints('import urllib.request as u; print(u.urlopen("http://six.test/").read().decode())', "public\n", 'over IPv6');
prints('import urllib.request as u; print(u.urlopen("https://9.9.9.9/").read().decode())', "public\n", 'by address');
for my $module (qw(requests httpx)) {
  SKIP: {
        my $there = run_with("import $module")->{data}{status} eq 'ok';
        skip $_, 1 for grep {defined} missing("no $module", $there);
        prints("import $module as c\nprint(c.get('http://origin.test/').text, c.get('https://origin.test/').text, c.post('https://origin.test/echo', content=b'x' * 100000).text.count('x') if c.__name__ == 'httpx' else c.post('https://origin.test/echo', data=b'x' * 100000).text.count('x'))",
            "public public 100000\n", "$module: HTTP, HTTPS, a POST");
    }
}
  SKIP: {
    my ($node) = grep { $_->{name} eq 'nodejs' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    skip $_, 1 for grep {defined} missing("no Node.js: $node->{reason}", $node->{available});
    my @node = (language => 'nodejs');
    prints(<<'JAVASCRIPT', "public public public 100000\n", 'fetch: HTTP, HTTPS, by address, a POST', @node);
(async () => {
	const got = [];
	for (const url of ['http://origin.test/', 'https://origin.test/', 'https://9.9.9.9/'])
		got.push(await (await fetch(url)).text());
	got.push((await (await fetch('https://origin.test/echo', { method: 'POST', body: 'x'.repeat(100000) })).text()).length);
	console.log(...got);
})();
JAVASCRIPT
    prints(<<'JAVASCRIPT', "public public\n", 'http and https', @node);
const get = (url) => new Promise((resolve, reject) => require(url.split(':')[0]).get(url, (reply) => {
	let text = '';
	reply.on('data', (d) => { text += d; }).on('end', () => resolve(text));
}).on('error', reject));
Promise.all(['http://origin.test/', 'https://origin.test/'].map(get)).then((got) => console.log(...got));
JAVASCRIPT
    prints(<<'JAVASCRIPT', "64\n", 'fetch: many at one time', @node);
Promise.all([...Array(64).keys()].map(async (i) => (await fetch(`http://origin.test/${i}`)).text())).then((got) => console.log(got.filter((t) => t === 'public').length));
JAVASCRIPT
    prints(<<'JAVASCRIPT', "here here here\n", 'a server and its client in one run', @node);
const server = require('http').createServer((q, r) => r.end('here')).listen(8000, async () => {
	const got = [];
	for (const host of ['127.0.0.1', 'localhost', '[::1]'])
		got.push(await (await fetch(`http://${host}:8000/`)).text());
	console.log(...got);
	server.close();
	server.closeAllConnections();
});
JAVASCRIPT
    my $failed = run_with(<<'JAVASCRIPT', @node);
const see = async (url) => { try { console.log((await fetch(url)).status); } catch (e) { console.log(e.message, '|', e.cause && e.cause.message); console.error(e.stack, e.cause && e.cause.stack); } };
(async () => { await see('http://private.test/'); await see('https://private.test/'); await see('https://metadata.test/'); })();
JAVASCRIPT
    like $failed->{data}{stdout}, qr/\A403\n(?:fetch failed \|.*\b403\b.*\n){2}\z/, 'what is refused: 403, or a failure that says so' or diag $failed->{body};
    unlike $failed->{data}{stderr}, qr/proxy\.js/, 'with no frame of ours';
    my @urls = ('http://127.0.0.1/', 'http://10.1.2.3/', 'http://2852039166/', 'http://[::ffff:10.1.2.3]/', 'http://origin.test/?to=http://10.1.2.3/');
    prints(<<'JAVASCRIPT', "none\n", 'nor does Node.js reach what no run may', @node, stdin => json->encode(\@urls));
(async () => {
	for (const url of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
		let text = '';
		try { text = await (await fetch(url)).text(); } catch (e) { /* well */ }
		if (text.includes('escaped')) console.log('escaped:', url);
	}
	console.log('none');
})();
JAVASCRIPT
}
prints(<<'PYTHON', "refused\n", 'a certificate of another authority is refused');
import ssl, urllib.request as u
try: print(u.urlopen("https://metadata.test/").read())
except Exception as e: print("refused")
PYTHON
prints('import urllib.request as u; print(len(u.urlopen("https://origin.test/?megabytes=20").read()))', "20000000\n", '20 MB come through whole');
prints(<<'PYTHON', "64 public\n", 'many at one time');
import concurrent.futures as f, urllib.request as u
with f.ThreadPoolExecutor(32) as pool:
    got = list(pool.map(lambda i: u.urlopen("http://origin.test/%d" % i).read().decode(), range(64)))
print(len(got), *set(got))
PYTHON
prints(<<'PYTHON', "gaierror\n", 'a name is the proxy\'s to resolve');
import socket
try: socket.getaddrinfo("origin.test", 80)
except OSError as e: print(type(e).__name__)
PYTHON
prints(<<'PYTHON', "here here here\n", 'a server and its client in one run, past the proxy');
import http.server, threading, urllib.request as u
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("", 8000), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
print(*(u.urlopen("http://%s:8000/" % h).read().decode() for h in ("127.0.0.1", "localhost", "127.0.0.1")))
PYTHON

# Programs of every kind of start are told, and reach the proxy.
my $by_hand = 'exec 3<>/dev/tcp/127.0.0.1/3128; printf "GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n" >&3; while read -r line <&3; do :; done; echo "$HTTP_PROXY $line"';
my @kinds = (
    ['bash', 'cold', $by_hand],
    ['perl', 'a zygote by hook.so', 'use IO::Socket::INET; my $s = IO::Socket::INET->new("127.0.0.1:3128"); print $s "GET http://origin.test/ HTTP/1.0\r\n\r\n"; my @l = <$s>; print "$ENV{HTTP_PROXY} $l[-1]\n"'],
    ['perl', 'cold, with arguments', 'use IO::Socket::INET; my $s = IO::Socket::INET->new("127.0.0.1:3128"); print $s "GET http://origin.test/ HTTP/1.0\r\n\r\n"; my @l = <$s>; print "$ENV{HTTP_PROXY} $l[-1]\n"', args => ['x']],
    ['lua', 'spare', 'print(os.getenv("HTTP_PROXY") .. " public")'],
    ['c', 'compiled', <<'C'],
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(3128), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char text[4096], *end;
	int s = socket(AF_INET, SOCK_STREAM, 0), n, size = 0;
	if (connect(s, (struct sockaddr *)&a, sizeof a) != 0) perror("connect");
	dprintf(s, "GET http://origin.test/ HTTP/1.0\r\n\r\n");
	while ((n = read(s, text + size, sizeof text - 1 - size)) > 0) size += n;
	text[size] = 0;
	end = strstr(text, "\r\n\r\n");
	printf("%s %s\n", getenv("HTTP_PROXY"), end ? end + 4 : text);
}
C
);
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
for (@kinds) {
    my ($language, $how, $code, %more) = @$_;
  SKIP: {
        skip $_, 1 for grep {defined} missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        prints($code, "http://127.0.0.1:3128 public\n", "$language, $how", language => $language, %more);
    }
}

# Two runs at one time that both have a port: each finds its own.
my %bound;
my @codes = map { "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(0.5); c = socket.create_connection(('127.0.0.1', 8080)); a, _ = s.accept(); a.send(b'$_'); print(c.recv(9).decode())" } 1 .. 6;
$cb->many(3, sub { @codes ? { code => shift @codes, enable_network => $true } : undef }, sub { $bound{ $_[1]{data}{stdout} // $_[1]{body} }++ });
is_deeply \%bound, { map { ("$_\n" => 1) } 1 .. 6 }, 'runs at one time may have the same port, and meet nobody there';

# --- what no run may reach ---------------------------------------------------------------------------------------------------

my @forbidden = (
    ['the host',                     'http://127.0.0.1:%PORT%/health', 'http://localhost:%PORT%/health', 'http://127.0.0.1/', 'http://localhost/', 'http://loopback.test/', 'http://0.0.0.0/', 'http://unspecified.test/', 'http://0/'],
    ['in other notations',           'http://2130706433/', 'http://0x7f000001/', 'http://0177.0.0.1/', 'http://127.1/', 'http://0x7f.1/', 'http://017700000001/', 'http://127.0.0.1./', 'http://localhost./', 'http://%31%32%37.0.0.1/'],
    ['private networks',             'http://10.1.2.3/', 'http://172.16.5.5/', 'http://192.168.1.1/', 'http://100.64.0.1/', 'http://private.test/', 'http://167838211/', 'http://0x0a010203/', 'http://012.1.2.3/', 'http://10.66051/'],
    ['metadata',                     'http://169.254.169.254/latest/meta-data/', 'http://metadata.test/', 'http://2852039166/', 'http://0xa9fea9fe/', 'http://0251.0376.0251.0376/', 'http://169.254.43518/'],
    ['in IPv6',                      'http://[::1]/', 'http://[::]/', 'http://[fd00::1]/', 'http://loopback6.test/', 'http://local6.test/', 'http://[::ffff:10.1.2.3]/', 'http://[::ffff:7f00:1]/', 'http://[0:0:0:0:0:ffff:a9fe:a9fe]/', 'http://[::10.1.2.3]/', 'http://[64:ff9b::10.1.2.3]/', 'http://[2002:0a01:0203::1]/', 'http://mapped.test/', 'http://[fe80::1]/'],
    ['by redirect',                  map {"http://origin.test/?to=$_"} 'http://10.1.2.3/', 'http://metadata.test/', 'http://[::1]/', 'http://2130706433/'],
    ['by a name with two addresses', 'http://mixed.test/', 'http://mixed.test/'],
    ['other ports of anybody',       'http://origin.test:8080/', 'http://origin.test:22/', 'http://origin.test:25/', 'https://origin.test:8080/'],
    ['as the user of a name',        'http://origin.test@10.1.2.3/', 'http://origin.test%2f@10.1.2.3/', 'http://origin.test#@10.1.2.3/x', 'http://10.1.2.3\\@origin.test/'],
);
my $fetch_all = <<'PYTHON';
import json, os, socket, sys
proxy = ("127.0.0.1", 3128)
def ask(request):
    s = socket.create_connection(proxy, 10); s.settimeout(15); s.sendall(request)
    got = b""
    while True:
        try: d = s.recv(65536)
        except OSError: break
        if not d: break
        got += d
    return got
for url in json.loads(sys.stdin.read()):
    # As the client says it, without a library that would think better of it; in both ways; and by libraries, which follow redirects.
    scheme, _, rest = url.partition("://")
    host = rest.split("/")[0]
    target = host if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host + (":443" if scheme == "https" else ":80")
    tries = {
        "GET": lambda: ask(b"GET %s HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n" % url.encode()),
        "CONNECT": lambda: ask(b"CONNECT %s HTTP/1.1\r\nHost: origin.test:443\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target.encode()),
        "urllib": lambda: __import__("urllib.request").request.urlopen(url, timeout=15).read(),
    }
    for how, attempt in tries.items():
        try: got = attempt()
        except Exception as e: got = repr(e).encode()
        if b"escaped" in got or b"ok" == got.strip()[-2:]: print("escaped:", how, url, got[-80:])
print("none")
PYTHON
for (@forbidden) {
    my ($what, @urls) = @$_;
    s/%PORT%/$cb->{port}/ for @urls;
    prints($fetch_all, "none\n", "not reached: $what (" . @urls . ')', stdin => json->encode(\@urls), limits => { wall_ms => 110_000 });
}
prints(<<'PYTHON', qr/\Apublic\n(?:public|HTTP Error 403.*|HTTP Error 50.*)\n(?:public|HTTP Error.*)\n\z/, 'a name that means another address a moment later leads nowhere else');
import time, urllib.request as u
for i in range(3):
    try: print(u.urlopen("http://rebind.test/").read().decode())
    except Exception as e: print(e)
    time.sleep(1.2)
PYTHON
prints(<<'PYTHON', "none\n", 'without the proxy there is nothing: no address, no interface, no other protocol');
import socket
got = []
for address in ("9.9.9.9", "10.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255"):
    for port in (53, 80, 443, 3128):
        s = socket.socket(); s.settimeout(1)
        try: s.connect((address, port)); got.append((address, port))
        except OSError: pass
        s.close()
for port in range(1, 65536):
    s = socket.socket()
    try: s.connect(("127.0.0.1", port)); got.append(port) if port != 3128 and s.getsockname() != s.getpeername() else None
    except OSError: pass
    s.close()
for address in ("2620:fe::fe", "fd00::1", "fe80::1%lo", "::ffff:10.1.2.3", "::ffff:9.9.9.9"):
    s = socket.socket(socket.AF_INET6); s.settimeout(1)
    try: s.connect((address, 80)); got.append(address)
    except OSError: pass
for kind in ((socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_UNIX, socket.SOCK_STREAM, 0),
             (socket.AF_NETLINK, socket.SOCK_RAW, 0), (socket.AF_PACKET, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_STREAM, 132),
             (socket.AF_INET6, socket.SOCK_STREAM, 262), (40, socket.SOCK_STREAM, 0), (socket.AF_INET, socket.SOCK_SEQPACKET, 0)):
    try: socket.socket(*kind); got.append(kind)
    except OSError: pass
print("escaped: %s" % got if got else "none")
PYTHON

# --- keys --------------------------------------------------------------------------------------------------------------------

prints('import urllib.request as u; print(u.urlopen("https://pypi.org/").read().decode(), u.urlopen("http://files.pythonhosted.org/").read().decode())', "public public\n", 'a key with few hosts reaches them', key => $few);
prints(<<'PYTHON', "403 403\n", 'and no others', key => $few);
import urllib.request as u
def code(url):
    try: return u.urlopen(url).read()
    except Exception as e: return 403 if "403" in str(e) else e
print(code("http://origin.test/"), code("https://origin.test/"))
PYTHON
prints($fetch_all, "none\n", 'nor by a name that it has given to an address, nor what is private', key => $few,
    stdin => json->encode(['http://9.9.9.9/', 'http://private.test/', 'http://origin.test/?to=http://10.1.2.3/', 'http://pypi.org/?to=http://10.1.2.3/']));
prints(<<'PYTHON', "403\n", 'whatever proxy it asks for itself', key => $few, env => { HTTP_PROXY => 'http://127.0.0.1:3128/all', http_proxy => 'http://all@127.0.0.1:3128' });
import urllib.request as u
try: print(u.urlopen("http://origin.test/").read())
except Exception as e: print(403 if "403" in str(e) else e)
PYTHON
$r = run_with('print(1)', key => $no);
is $r->{data}{network}, 'none', 'a key without network has none';
is $r->{data}{stdout}, "1\n", 'and its runs go on without';
my $forged = $cb->post(json->encode({ language => 'python3', code => 'import urllib.request as u; print(u.urlopen("http://origin.test/").read())', enable_network => $true }),
    key => $few, headers => { 'X-Cellblock-Proxy' => 'all', 'Cellblock-Proxy' => 'all', CELLBLOCK_PROXY => 'all' });
unlike $forged->{data}{stdout}, qr/public/, 'a client has no say in it';

# --- what goes wrong ---------------------------------------------------------------------------------------------------------

prints(<<'PYTHON', qr/\A(?:HTTP Error 502: Bad Gateway\nTunnel connection failed: 502 Bad Gateway\n){3}\z/, 'a proxy that is not there: a clear failure', key => $gone);
import urllib.request as u
for i in range(3):
    for url in ("http://origin.test/", "https://origin.test/"):
        try: print(u.urlopen(url).read())
        except Exception as e: print(getattr(e, "reason", e) if "Tunnel" in str(e) else e)
PYTHON
my $lines = () = $cb->log_text =~ /proxy gone \(127\.0\.0\.1:3130\) cannot be reached: Connection refused/g;
is $lines, 1, 'the log has one line of it';
$world->stop_squid;
prints('import urllib.request as u; u.urlopen("http://origin.test/")', '', 'a proxy that has died');
$world->start_squid;
prints('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', "public\n", 'and comes back');
ok eventually(5, sub { $cb->log_text =~ /proxy all .* can be reached again/ }), 'which the log says';

# --- the attacks -------------------------------------------------------------------------------------------------------------

my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key});
my $skipped = 0;
for my $case ($attacks->cases(qr/\Anetwork: /)) {
    my $result = $attacks->carry_out($case);
    Attacks::show($result);
    $skipped++ if $result->{skip} && !$attacks->{missing}{ $case->{language} };
}
is $skipped, 0, 'none of them is skipped here';

# --- the relay ---------------------------------------------------------------------------------------------------------------

my $relay = $cb->relay;
ok $relay, 'the relay is there' or diag json->encode({ $cb->roles });
my $status = process_status($relay);
like $status->{Uid}, qr/\A(\d{5,})\s+\1\s+\1/, 'it is not root';
is hex $status->{$_}, 0, "$_: nothing" for qw(CapPrm CapEff CapBnd CapAmb);
is $status->{NoNewPrivs}, 1, 'no_new_privs';
is $status->{Seccomp}, 2, 'a policy of its own' if !$cb->sanitized;
my @files = grep { !/^(?:socket:|anon_inode:)/ } map { readlink $_ // () } glob "/proc/$relay/fd/*";
cmp_ok scalar(grep { !m{\Q$cb->{dir}\E/log|/dev/null|pipe:} } @files), '==', 0, 'it has no file but the log' or diag "@files";

sub relay_fds { my @all = glob "/proc/$relay/fd/*"; return scalar @all }
my $fds_at_rest;
eventually(10, sub { my $now = relay_fds(); my $same = defined $fds_at_rest && $now == $fds_at_rest; $fds_at_rest = $now; select undef, undef, undef, 0.3; $same });

# A run that does all it can to be in the way, while another works.
my %hostile = (
    'thousands of connections' => 'import socket
while True:
    s = socket.socket(); s.setblocking(False)
    try: s.connect(("127.0.0.1", 3128))
    except OSError: pass
    s.close()',
    'half-open ones that say nothing' => 'import socket, time
l = []
while True:
    try: s = socket.socket(); s.setblocking(False); s.connect_ex(("127.0.0.1", 3128)); l.append(s)
    except OSError: time.sleep(.01)',
    'one that never reads' => 'import socket, time
l = []
for i in range(20):
    s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"GET http://origin.test/?megabytes=100 HTTP/1.1\r\nHost: x\r\n\r\n"); l.append(s)
time.sleep(60)',
    'one that writes without end' => 'import socket
s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"POST http://origin.test/none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
while True: s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")',
    'resets' => 'import socket, struct
while True:
    s = socket.create_connection(("127.0.0.1", 3128)); s.send(b"x"); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()',
    'one direction closed' => 'import socket, time
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
    is $bad, 0, "beside $name: others are served";
    cmp_ok $worst, '<', 3, 'and soon enough';
    my $reply = $cb->read_reply($socket);
    ok $reply->{status} == 200 && $reply->{data}{status} ne 'ok', 'and it ends by its limits' or diag $reply->{body};
    ok eventually(10, sub { relay_fds() <= $fds_at_rest + 4 }), 'nothing of it is left in the relay' or diag relay_fds() . " and not $fds_at_rest";
}
is($cb->relay, $relay, 'it is the same relay all the time');

# It is killed under a run: that fails, and the next has another.
kill 'KILL', $relay;
my $second;
ok eventually(10, sub { $second = $cb->relay; $second && $second != $relay }), 'a relay that dies is started again';
kill 'KILL', $second;
my $health;
ok eventually(5, sub { $health = $cb->get('/health', key => undef); $health->{status} == 503 }), 'not at once every time: until then there is no health';
like $health->{body}, qr/relay/, 'for this reason';
ok eventually(10, sub { (run_with('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())')->{data}{stdout} // '') eq "public\n" }),
    'and then there is a network again';
like $cb->log_text, qr/the relay died/, 'the log says so';

$cb->finish;
$world->stop;
done_testing;
