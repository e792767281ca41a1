# Runs whose network is the host's, because the operator says so; and those beside them, which have none all the same. In a network
# namespace of the test's own, which is "the host" here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network";
use Cellblock qw(eventually json slurp);
use Test::More;
use World;

World::enter();
my $world = World->new;
my $no = 'key-without-network';
my $cb = Cellblock->start(own => 1, keys => { no => $no }, proxies => { no => 'none' },
    conf => [$world->certificates, ['cellblock.conf', qr/mode = "none"/, 'mode = "host"']]);
my $true = JSON::PP::true;

like $cb->log_text, qr/warning: network\.mode is "host": .* reaches all that this host reaches/, 'the log says it loudly';
my $caps = $cb->get('/v1/sandbox/capabilities')->{data};
is $caps->{network}, 'host', 'and so do the capabilities';
ok !$caps->{layers}{network_namespace}{in_force}, 'the layer is not in force';
like $caps->{layers}{network_namespace}{detail}, qr/NONE for runs that asked/, 'and it says for whom';

sub run_with {
    my ($code, %more) = @_;
    return $cb->run(code => $code, enable_network => $true, %more);
}
my $fetch = 'import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode(), u.urlopen("https://origin.test/").read().decode())';
my $r = run_with($fetch);
is $r->{data}{stdout}, "public public\n", 'Python: names by TCP, HTTP, HTTPS' or diag $r->{body};
is $r->{data}{network}, 'host', 'the reply says which network it was';
$r = run_with('fetch("https://origin.test/").then((r) => r.text()).then(console.log)', language => 'nodejs');
is $r->{data}{stdout}, "public\n", 'Node.js' or diag $r->{body};
$r = run_with('exec 3<>/dev/tcp/9.9.9.9/80; printf "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3; tail -n 1 <&3', language => 'bash', limits => { processes => 1 });
like $r->{data}{stdout} . $r->{data}{stderr}, qr/public|fork/, 'a language that is started for the run' or diag $r->{body};
$r = run_with(<<'PYTHON');
import socket
for kind in ((socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_UNIX, socket.SOCK_STREAM, 0), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_NETLINK, socket.SOCK_RAW, 0), (socket.AF_INET, socket.SOCK_STREAM, 132)):
    try: socket.socket(*kind); print("escaped", kind)
    except OSError: pass
print("TCP alone")
PYTHON
is $r->{data}{stdout}, "TCP alone\n", 'TCP, and no other socket';

# --- those that did not ask, and keys that have none --------------------------------------------------------------------------

my $try = 'import socket
try: socket.create_connection(("9.9.9.9", 80)); print("escaped")
except OSError as e: print(e.strerror)';
$r = $cb->run(code => $try);
is $r->{data}{stdout}, "Operation not permitted\n", 'a run that did not ask has no sockets';
is $r->{data}{network}, 'none', 'and is told so';
$r = $cb->post(json->encode({ language => 'python3', code => $try, enable_network => $true }), key => $no);
is $r->{data}{stdout}, "Operation not permitted\n", 'nor has one whose key has no network';

# Whoever is in the host's namespace must be one of those that were granted it: these have RES_OPTIONS in their environment. A
# launcher, and what waits in it for its program, shows the runner's own.
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
is "@wrong", '', 'only zygotes and guests with the grant are in the host\'s namespace';
cmp_ok $count{$_} // 0, '>', 0, "$_: there are some" for 'zygote 0', 'zygote 1', 'guest 0', 'guest 1';
my @elsewhere = grep { (readlink "/proc/$_/ns/net" // $host) eq $host } $cb->pids('broker');
is scalar(@elsewhere), 1, 'the broker stays, for those who are granted it';

$cb->finish;
$world->stop;
done_testing;
