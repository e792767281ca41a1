# Runs with a network through a proxy: what the environment says, and clients of all languages that
# reach the internet through the Squid of etc/squid.conf. In a network namespace of the test's own,
# with an internet in it (network/world.py).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network";
use Cellblock qw(json missing);
use Test::More;
use World qw(prints run_with);

World::enter();
my $world = World->new;
my $cb = $world->service;
my $true = JSON::PP::true;

# --- what a run sees of its network ---------------------------------------------------------------------------------------------------------

my $caps = $cb->get('/v1/sandbox/capabilities')->{data};
is $caps->{network}, 'proxy', 'the capabilities report the mode';
like $caps->{layers}{network_namespace}{detail}, qr/each cell.*proxy/, 'the capabilities explain the mode';
my $r = run_with('import os; print(sorted(k for k in os.environ if "PROXY" in k.upper()), os.environ["HTTP_PROXY"] == os.environ["https_proxy"], os.environ["NO_PROXY"])');
is $r->{data}{stdout}, "['HTTPS_PROXY', 'HTTP_PROXY', 'NODE_USE_ENV_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] True localhost,127.0.0.1,::1\n", 'the environment names the proxy, in upper and lower case'
    or diag $r->{body};
is $r->{data}{network}, 'proxy', 'the reply reports the network';
$r = $cb->run(code => 'import os, socket; print(sorted(os.environ)); socket.socket()');
like $r->{data}{stdout}, qr/\A\['HOME', 'LANG', 'LOGNAME', 'LSAN_OPTIONS', (?:'OMP_NUM_THREADS', )?'PATH', 'SHELL', 'TMPDIR', 'USER'\]/, 'a run without a network has no proxy variables';
is $r->{data}{network}, 'none', 'a run without a network: the reply says so';
like $r->{data}{error}, qr/\(socket\); enable_network /, 'a run without a network has no sockets';

# --- clients ---------------------------------------------------------------------------------------------------------------

prints('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', "public\n", 'urllib fetches by HTTP');
prints('import urllib.request as u; print(u.urlopen("https://origin.test/").read().decode())', "public\n", 'urllib fetches by HTTPS');
prints('import urllib.request as u; print(u.urlopen("http://six.test/").read().decode())', "public\n", 'urllib fetches over IPv6');
prints('import urllib.request as u; print(u.urlopen("https://9.9.9.9/").read().decode())', "public\n", 'urllib fetches from an address');
for my $module (qw(requests httpx)) {
  SKIP: {
        my $there = run_with("import $module")->{data}{status} eq 'ok';
        skip $_, 1 for grep {defined} missing("no $module", $there);
        prints("import $module as c\nprint(c.get('http://origin.test/').text, c.get('https://origin.test/').text, c.post('https://origin.test/echo', content=b'x' * 100000).text.count('x') if c.__name__ == 'httpx' else c.post('https://origin.test/echo', data=b'x' * 100000).text.count('x'))",
            "public public 100000\n", "$module fetches by HTTP and HTTPS, and posts");
    }
}
  SKIP: {
    my ($node) = grep { $_->{name} eq 'nodejs' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    skip $_, 1 for grep {defined} missing("no Node.js: $node->{reason}", $node->{available});
    my @node = (language => 'nodejs');
    prints(<<'JAVASCRIPT', "public public public 100000\n", 'fetch: HTTP, HTTPS, an address and a POST work', @node);
(async () => {
	const got = [];
	for (const url of ['http://origin.test/', 'https://origin.test/', 'https://9.9.9.9/'])
		got.push(await (await fetch(url)).text());
	got.push((await (await fetch('https://origin.test/echo', { method: 'POST', body: 'x'.repeat(100000) })).text()).length);
	console.log(...got);
})();
JAVASCRIPT
    prints(<<'JAVASCRIPT', "public public\n", 'Node.js: http and https work', @node);
const get = (url) => new Promise((resolve, reject) => require(url.split(':')[0]).get(url, (reply) => {
	let text = '';
	reply.on('data', (d) => { text += d; }).on('end', () => resolve(text));
}).on('error', reject));
Promise.all(['http://origin.test/', 'https://origin.test/'].map(get)).then((got) => console.log(...got));
JAVASCRIPT
    prints(<<'JAVASCRIPT', "64\n", 'fetch: 64 simultaneous requests work', @node);
Promise.all([...Array(64).keys()].map(async (i) => (await fetch(`http://origin.test/${i}`)).text())).then((got) => console.log(got.filter((t) => t === 'public').length));
JAVASCRIPT
    prints(<<'JAVASCRIPT', "here here here\n", 'Node.js: a server and its client work in one run', @node);
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
    like $failed->{data}{stdout}, qr/\A403\n(?:fetch failed \|.*\b403\b.*\n){2}\z/, 'fetch: a denied URL is answered with 403 or an error that says 403' or diag $failed->{body};
    unlike $failed->{data}{stderr}, qr/proxy\.js/, 'fetch: the stack of the error has no frame of ours';
    my @urls = ('http://127.0.0.1/', 'http://10.1.2.3/', 'http://2852039166/', 'http://[::ffff:10.1.2.3]/', 'http://origin.test/?to=http://10.1.2.3/');
    prints(<<'JAVASCRIPT', "none\n", 'fetch reaches no forbidden address', @node, stdin => json->encode(\@urls));
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
prints(<<'PYTHON', "refused\n", 'a certificate of another authority is rejected');
import ssl, urllib.request as u
try: print(u.urlopen("https://metadata.test/").read())
except Exception as e: print("refused")
PYTHON
prints('import urllib.request as u; print(len(u.urlopen("https://origin.test/?megabytes=20").read()))', "20000000\n", '20 MB arrive complete');
prints(<<'PYTHON', "64 public\n", '64 simultaneous requests work');
import concurrent.futures as f, urllib.request as u
with f.ThreadPoolExecutor(32) as pool:
    got = list(pool.map(lambda i: u.urlopen("http://origin.test/%d" % i).read().decode(), range(64)))
print(len(got), *set(got))
PYTHON
prints(<<'PYTHON', "gaierror\n", 'only the proxy resolves names');
import socket
try: socket.getaddrinfo("origin.test", 80)
except OSError as e: print(type(e).__name__)
PYTHON
prints(<<'PYTHON', "here here here\n", 'a server and its client work in one run, without the proxy');
import http.server, threading, urllib.request as u
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("", 8000), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
print(*(u.urlopen("http://%s:8000/" % h).read().decode() for h in ("127.0.0.1", "localhost", "127.0.0.1")))
PYTHON

# Programs of every kind of start know the proxy and reach it.
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
        prints($code, "http://127.0.0.1:3128 public\n", "$language ($how) reaches the proxy", language => $language, %more);
    }
}

# Simultaneous runs that listen on the same port: each finds its own server.
my %bound;
my @codes = map { "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(0.5); c = socket.create_connection(('127.0.0.1', 8080)); a, _ = s.accept(); a.send(b'$_'); print(c.recv(9).decode())" } 1 .. 6;
$cb->many(3, sub { @codes ? { code => shift @codes, enable_network => $true } : undef }, sub { $bound{ $_[1]{data}{stdout} // $_[1]{body} }++ });
is_deeply \%bound, { map { ("$_\n" => 1) } 1 .. 6 }, 'simultaneous runs can use the same port and do not meet';

$cb->finish;
$world->stop;
done_testing;
