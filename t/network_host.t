# network.mode = "host": runs that ask for a network have the host's, and the others have none. In a
# network namespace of the test's own, which stands for the host.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network";
use Cellblock qw(eventually json slurp);
use Test::More;
use World;

World::enter();
my $world = World->new;
my $abstract = World::listen_by_name();
my $no = 'key-without-network';
my $cb = Cellblock->start(own => 1, keys => { no => { key => $no, settings => 'network = "none";' } },
    conf => [$world->certificates, ['cellblock.conf', qr/mode = "none"/, 'mode = "host"']]);
my $true = JSON::PP::true;

like $cb->log_text, qr/warning: network\.mode is "host": .* reaches all that this host reaches/, 'the log has a warning';
my $caps = $cb->get('/v1/sandbox/capabilities')->{data};
is $caps->{network}, 'host', 'the capabilities report the mode';
ok !$caps->{layers}{network_namespace}{in_force}, 'the capabilities report that the layer is not in force';
like $caps->{layers}{network_namespace}{detail}, qr/NONE for runs that asked/, 'the capabilities say for which runs';

sub run_with {
    my ($code, %more) = @_;
    return $cb->run(code => $code, enable_network => $true, %more);
}
my $fetch = 'import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode(), u.urlopen("https://origin.test/").read().decode())';
my $r = run_with($fetch);
is $r->{data}{stdout}, "public public\n", 'Python resolves names over TCP and fetches by HTTP and HTTPS' or diag $r->{body};
is $r->{data}{network}, 'host', 'the reply reports the network';
$r = run_with('fetch("https://origin.test/").then((r) => r.text()).then(console.log)', language => 'nodejs');
is $r->{data}{stdout}, "public\n", 'Node.js fetches by HTTPS' or diag $r->{body};
$r = run_with('exec 3<>/dev/tcp/9.9.9.9/80; printf "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3; tail -n 1 <&3', language => 'bash', limits => { processes => 1 });
like $r->{data}{stdout} . $r->{data}{stderr}, qr/public|fork/, 'a language with a cold start has the network' or diag $r->{body};
$r = run_with(<<'PYTHON');
import socket
for kind in ((socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_UNIX, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_NETLINK, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_STREAM, 132)):
    try: socket.socket(*kind); print("escaped", kind)
    except OSError: pass
try: s = socket.socket(socket.AF_UNIX); s.connect("\0world"); print("escaped to a name of the host")
except OSError: pass
print("TCP alone")
PYTHON
is $r->{data}{stdout}, "TCP alone\n", 'a run has TCP sockets, no others, and no abstract name of the host';

# --- runs that did not ask, and keys without a network --------------------------------------------------------------------------

my $try = 'import socket
try: socket.create_connection(("9.9.9.9", 80)); print("escaped")
except OSError as e: print(e.strerror)';
$r = $cb->run(code => $try);
is $r->{data}{stdout}, "Address family not supported by protocol\n", 'a run that did not ask for a network has no sockets';
is $r->{data}{network}, 'none', 'a run that did not ask for a network: the reply says so';
$r = $cb->post(json->encode({ language => 'python3', code => $try, enable_network => $true }), key => $no);
is $r->{data}{stdout}, "Address family not supported by protocol\n", 'a run whose key has no network has no sockets';

# Only processes with the grant may be in the host's namespace: they have RES_OPTIONS in their
# environment. A launcher and its waiting children show the runner's environment.
$cb->run(language => $_, code => '1') for qw(nodejs bash perl);
$cb->healthy_within(10);
my (%count, @wrong);
my $host = readlink '/proc/self/ns/net';
for my $role (qw(zygote guest)) {
    for my $pid ($cb->pids($role)) {
        my $namespace = readlink "/proc/$pid/ns/net" // next;
        my $environment = slurp("/proc/$pid/environ") // next;
        next if (readlink("/proc/$pid/exe") // '') =~ m{/cellblock-runner\z};
        my $is_granted = $environment =~ /RES_OPTIONS=use-vc/ ? 1 : 0;
        my $is_in = $namespace eq $host ? 1 : 0;
        $count{"$role $is_granted"}++;
        push @wrong, "$role $pid" if $is_in && !$is_granted || $is_granted && !$is_in;
    }
}
is "@wrong", '', 'exactly the zygotes and guests with the grant are in the namespace of the host';
cmp_ok $count{$_} // 0, '>', 0, "a process of this kind exists: $_ (1: with the grant)" for 'zygote 0', 'zygote 1', 'guest 0', 'guest 1';
my @elsewhere = grep { (readlink "/proc/$_/ns/net" // $host) eq $host } $cb->pids('broker');
is scalar(@elsewhere), 1, 'the broker is in the namespace of the host';

$cb->finish;
$world->stop;
done_testing;
