# Runs with a network through a proxy: the addresses that no run may reach, in every notation, and
# the attacks on the network.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network", "$FindBin::RealBin/attacks";
use Attacks;
use Cellblock qw(json);
use Test::More;
use World qw(prints run_with);

World::enter();
my $world = World->new;
my $cb = $world->service;
my $fetch_all = World::fetch_all();
my $abstract = World::listen_by_name();

# --- forbidden addresses ---------------------------------------------------------------------------------------------------

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
for (@forbidden) {
    my ($what, @urls) = @$_;
    s/%PORT%/$cb->{port}/ for @urls;
    prints($fetch_all, "none\n", "not reached: $what (" . @urls . ')', stdin => json->encode(\@urls), limits => { wall_ms => 110_000 });
}
prints(<<'PYTHON', qr/\Apublic\n(?:public|HTTP Error 403.*|HTTP Error 50.*)\n(?:public|HTTP Error.*)\n\z/, 'a name that changes its address leads to no private address');
import time, urllib.request as u
for i in range(3):
    try: print(u.urlopen("http://rebind.test/").read().decode())
    except Exception as e: print(e)
    time.sleep(1.2)
PYTHON
prints(<<'PYTHON', "none\n", 'nothing is reachable without the proxy: no address, no port, no other protocol');
import socket
got = []
for address in ("9.9.9.9", "10.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255"):
    for port in (53, 80, 443, 3128):
        s = socket.socket(); s.settimeout(1)
        try: s.connect((address, port)); got.append((address, port))
        except OSError: pass
        s.close()
s = socket.socket()
for port in range(1, 65536): # a socket that was refused can be used again
    try: s.connect(("127.0.0.1", port)); got.append(port) if port != 3128 and s.getsockname() != s.getpeername() else None
    except ConnectionRefusedError: continue
    except OSError: pass
    s.close(); s = socket.socket()
for address in ("2620:fe::fe", "fd00::1", "fe80::1%lo", "::ffff:10.1.2.3", "::ffff:9.9.9.9"):
    s = socket.socket(socket.AF_INET6); s.settimeout(1)
    try: s.connect((address, 80)); got.append(address)
    except OSError: pass
for kind in ((socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_UNIX, socket.SOCK_RAW, 0),
             (socket.AF_NETLINK, socket.SOCK_RAW, 12), (socket.AF_PACKET, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_STREAM, 132),
             (socket.AF_INET6, socket.SOCK_STREAM, 262), (40, socket.SOCK_STREAM, 0), (socket.AF_INET, socket.SOCK_SEQPACKET, 0)):
    try: socket.socket(*kind); got.append(kind)
    except OSError: pass
try: s = socket.socket(socket.AF_UNIX); s.connect("\0world"); got.append("an abstract name of the host")
except OSError: pass
print("escaped: %s" % got if got else "none")
PYTHON

# --- the attacks -------------------------------------------------------------------------------------------------------------

my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key});
my $skipped = 0;
for my $case ($attacks->cases(qr/\Anetwork: /)) {
    my $result = $attacks->carry_out($case);
    Attacks::show($result);
    $skipped++ if $result->{skip} && !$attacks->{missing}{ $case->{language} };
}
is $skipped, 0, 'no attack is skipped here';

$cb->finish;
$world->stop;
done_testing;
