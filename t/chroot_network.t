# A network by a proxy at level chroot: clients in a plain container reach the internet through the
# Squid of etc/squid.conf, by sockets that the runner makes; and the attacks on these.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network", "$FindBin::RealBin/attacks";
use Attacks;
use Cellblock qw(eventually missing);
use Container;
use Test::More;
use World;

World::enter();
my $world = World->new;
my $container = Container->new;
my $cb = $container->service($world->configuration);
my $true = JSON::PP::true;
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

sub prints {
    my ($language, $code, $expected, $name, %more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP: {
        skip $_, 1 for grep {defined} missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        my $r = $cb->run(language => $language, code => $code, enable_network => $true, %more);
        my $out = $r->{data} ? $r->{data}{stdout} : undef;
        (ref $expected ? like($out, $expected, $name) : is($out, $expected, $name)) || diag join "\n", substr($r->{body}, 0, 1500),
            grep {/runner|warning|fatal/} split /\n/, $cb->log_text;
    }
    return;
}

my $caps = $cb->get('/v1/sandbox/capabilities')->{data};
is $caps->{network}, 'proxy', 'the capabilities report the mode';
ok $caps->{layers}{handed_sockets}{in_force}, 'the layer of the sockets is in force';
my $r = $cb->run(code => 'print(1)', enable_network => $true);
is $r->{data}{network}, 'proxy', 'the reply reports the network' or diag $r->{body};
$r = $cb->run(code => 'import socket; socket.socket()');
is $r->{data}{network}, 'none', 'a run that did not ask: none';
like $r->{data}{error}, qr/\(socket\); enable_network /, 'a run that did not ask has no sockets';

# --- clients ---------------------------------------------------------------------------------------------------------------

prints(python3 => 'import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', "public\n", 'urllib fetches by HTTP');
prints(python3 => 'import urllib.request as u; print(u.urlopen("https://origin.test/").read().decode())', "public\n", 'urllib fetches by HTTPS');
prints(python3 => 'import urllib.request as u; print(len(u.urlopen("https://origin.test/?megabytes=20").read()))', "20000000\n", '20 MB arrive complete');
for my $module (qw(requests httpx)) {
  SKIP: {
        my $there = ($cb->run(code => "import $module", enable_network => $true)->{data}{status} // '') eq 'ok';
        skip $_, 1 for grep {defined} missing("no $module", $there);
        prints(python3 => "import $module as c; print(c.get('http://origin.test/').text, c.get('https://origin.test/').text)", "public public\n", "$module fetches by HTTP and HTTPS");
    }
}
prints(python3 => <<'PYTHON', "64 public\n", '64 requests of 16 threads', limits => { threads => 32 });
import concurrent.futures as f, urllib.request as u
with f.ThreadPoolExecutor(16) as pool:
    got = list(pool.map(lambda i: u.urlopen("http://origin.test/%d" % i).read().decode(), range(64)))
print(len(got), *set(got))
PYTHON
prints(python3 => <<'PYTHON', "40 public\n", '40 simultaneous requests by asyncio, which does not block');
import asyncio
async def get(i):
    r, w = await asyncio.open_connection("127.0.0.1", 3128)
    w.write(b"GET http://origin.test/%d HTTP/1.0\r\n\r\n" % i)
    body = (await r.read()).rpartition(b"\r\n\r\n")[2].decode()
    w.close()
    return body
async def main():
    got = await asyncio.gather(*(get(i) for i in range(40)))
    print(len(got), *set(got))
asyncio.run(main())
PYTHON
prints(nodejs => <<'JAVASCRIPT', "public public public 64\n", 'Node.js: fetch by HTTP and HTTPS, http.get, 64 at the same time');
(async () => {
	const got = [];
	for (const url of ['http://origin.test/', 'https://origin.test/'])
		got.push(await (await fetch(url)).text());
	got.push(await new Promise((resolve, reject) => require('http').get('http://origin.test/', (r) => r.on('data', (d) => resolve(String(d)))).on('error', reject)));
	got.push((await Promise.all([...Array(64).keys()].map(async (i) => (await fetch(`http://origin.test/${i}`)).text()))).filter((t) => t === 'public').length);
	console.log(...got);
})();
JAVASCRIPT
prints(bash => 'exec 3<>/dev/tcp/127.0.0.1/3128; printf "GET http://origin.test/ HTTP/1.0\r\n\r\n" >&3; while read -r line <&3; do :; done; echo "$HTTP_PROXY $line"',
    "http://127.0.0.1:3128 public\n", 'bash reaches the proxy');
prints(perl => 'use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:3128", Timeout => 5) or die $@; print $s "GET http://origin.test/ HTTP/1.0\r\n\r\n"; my @l = <$s>; print "$l[-1]\n"',
    "public\n", 'perl reaches the proxy, with a timeout');
prints(c => <<'C', "public epoll 0 4 dup nonblock cloexec again emfile\n", 'C: epoll before connect, SO_ERROR, getpeername, dup before connect, flags, connect twice, no descriptor left');
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	static char text[65536];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(3128), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, peer;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP), d = dup(s), e = epoll_create1(0), error = -1, one = 1, size = 0, n;
	struct epoll_event event = { .events = EPOLLOUT };
	socklen_t length = sizeof error, peers = sizeof peer;
	char *end;
	epoll_ctl(e, EPOLL_CTL_ADD, s, &event);
	if (connect(d, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) perror("connect");
	if (epoll_wait(e, &event, 1, 5000) != 1) perror("epoll_wait");
	getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length);
	if (getpeername(s, (struct sockaddr *)&peer, &peers) != 0) perror("getpeername");
	if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) perror("TCP_NODELAY");
	dprintf(s, "GET http://origin.test/ HTTP/1.0\r\n\r\n");
	event.events = EPOLLIN;
	epoll_ctl(e, EPOLL_CTL_MOD, s, &event);
	while (epoll_wait(e, &event, 1, 5000) == 1 && (n = (int)read(d, text + size, sizeof text - 1 - size)) != 0)
		size += n > 0 ? n : 0;
	end = strstr(text, "\r\n\r\n");
	printf("%s epoll %d %d dup", end ? end + 4 : text, error, (int)sizeof peer.sin_addr);
	printf(fcntl(s, F_GETFL) & O_NONBLOCK ? " nonblock" : " block");
	printf(fcntl(s, F_GETFD) & FD_CLOEXEC ? " cloexec" : " kept");
	if (connect(s, (struct sockaddr *)&to, sizeof to) == 0 || errno == EISCONN) printf(" again");
	for (n = 0; n < 4096 && (s = dup(0)) >= 0; n++) ;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EMFILE) printf(" emfile");
	puts("");
	return 0;
}
C
prints(c => <<'C', "block kept 1\n", 'C: a socket without flags blocks and is inherited; one of IPv6 reaches the proxy');
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	char text[16] = "";
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(3128) };
	int s = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0), no = 0;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
	printf(fcntl(s, F_GETFL) & O_NONBLOCK ? "nonblock" : "block");
	printf(fcntl(s, F_GETFD) & FD_CLOEXEC ? " cloexec" : " kept");
	if (six < 0 && errno == EAFNOSUPPORT) { puts(" 1"); return 0; }
	if (setsockopt(six, 41, 26, &no, sizeof no) != 0) perror("IPV6_V6ONLY");
	if (connect(six, (struct sockaddr *)&to, sizeof to) != 0) perror("connect");
	dprintf(six, "GET http://origin.test/ HTTP/1.0\r\n\r\n");
	printf(" %d\n", recv(six, text, 5, MSG_WAITALL) == 5 && memcmp(text, "HTTP/", 5) == 0);
	return 0;
}
C
prints(python3 => <<'PYTHON', "HTTP/1.1 403 Forbidden\n", 'the proxy denies what it denies');
import socket
s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"GET http://10.1.2.3/ HTTP/1.0\r\n\r\n")
print(s.makefile().readline().strip())
PYTHON

# --- the end of a run, many runs ---------------------------------------------------------------------------------------------

my $relay = $cb->relay;
sub relay_fds { my @all = glob "/proc/$relay/fd/*"; return scalar @all }
$cb->processes_at_rest;
my $at_rest = relay_fds();
$r = $cb->run(code => 'import socket
l = [socket.create_connection(("127.0.0.1", 3128)) for i in range(20)]
print(len(l))', enable_network => $true);
is $r->{data}{stdout}, "20\n", 'twenty connections';
ok eventually(10, sub { relay_fds() <= $at_rest }), 'they are closed with the run' or diag relay_fds() . " and not $at_rest";
my %got;
my @left = (1 .. 60);
$cb->many(4, sub { @left ? { code => 'import urllib.request as u; print(u.urlopen("http://origin.test/' . shift(@left) . '").read().decode())', enable_network => $true } : undef },
    sub { $got{ $_[1]{data}{stdout} // $_[1]{body} }++ }, 60);
is_deeply \%got, { "public\n" => 60 }, 'sixty runs, four at a time';

# --- the attacks -------------------------------------------------------------------------------------------------------------

my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key});
for my $case ($attacks->cases(qr/\Ahanded: /)) {
    my $result = $attacks->carry_out($case);
    Attacks::show($result);
    ok !$result->{skip} || $attacks->{missing}{ $case->{language} }, "$result->{name}: not skipped" or diag $result->{skip};
}

# A relay that dies.
kill 'KILL', $relay;
ok eventually(20, sub { ($cb->run(code => 'import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', enable_network => $true)->{data}{stdout} // '') eq "public\n" }),
    'after the death of a relay runs have a network again';

$cb->finish;
$world->stop;
done_testing;
