# World.pm - a network namespace with an internet and with the Squid of etc/squid.conf, for tests of
# networks.
#
#   World::enter();                     # start the test again in a namespace of its own, or skip it
#   my $world = World->new;             # names, servers, squid
#   $world->configuration               # changes for Cellblock->start
#   $world->stop
package World;
use strict;
use warnings;

use Cwd qw(abs_path);
use Cellblock qw(command eventually json skip_all slurp spew);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET;
use Test::More ();

our @EXPORT_OK = qw(prints run_with);

my $here = dirname(__FILE__);

# Enter a network namespace, by exec of the test in it, or skip the test.
sub enter {
    skip_all('this test needs an instance of its own') if $ENV{CELLBLOCK_TEST_URL};
    skip_all('not root') if $> != 0;
    for (['squid', '-v'], ['ip', '-V'], ['unshare', '--net', '--mount', 'true']) {
        my ($exit, $out, $err) = command($_);
        skip_all("$_->[0]: " . ($err =~ /(.+)/ ? $1 : "exit $exit")) if $exit != 0;
    }
    return if $ENV{CELLBLOCK_TEST_WORLD};
    $ENV{CELLBLOCK_TEST_WORLD} = 1;
    exec 'unshare', '--net', '--mount', $^X, (map {"-I$_"} @INC), $0 or die "unshare: $!";
}

sub new {
    my ($class, %option) = @_;
    my $self = bless { dir => File::Temp::tempdir('cellblock-world-XXXXXX', TMPDIR => 1, CLEANUP => 1), pids => [] }, $class;
    my $dir = $self->{dir};
    chmod 0755, $dir;
    $self->make_certificates;

    pipe my $theirs, $self->{life} or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<&', $theirs or POSIX::_exit(126);
        exec '/usr/bin/python3', "$here/world.py", $dir or POSIX::_exit(127);
    }
    push @{ $self->{pids} }, $pid;
    eventually(20, sub { -e "$dir/ready" }) or die "world.py does not serve\n";
    # Squid uses the resolver of the host.
    spew("$dir/resolv.conf", "nameserver 127.0.0.1\n");
    my ($exit, undef, $err) = command(['mount', '--bind', "$dir/resolv.conf", abs_path('/etc/resolv.conf')]);
    die "/etc/resolv.conf: $err\n" if $exit;
    $self->start_squid;
    return $self;
}

# An authority of the test's own, and its certificate for all names.
sub make_certificates {
    my ($self) = @_;
    my $dir = $self->{dir};
    spew("$dir/names", 'subjectAltName=' . join ',', (map {"DNS:$_"} qw(origin.test six.test pypi.org files.pythonhosted.org private.test)), 'IP:9.9.9.9');
    my @key = qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes);
    for ([qw(req -x509 -days 2), @key, '-subj', '/CN=Test authority', '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem"],
        [qw(req), @key, '-subj', '/CN=origin.test', '-keyout', "$dir/key.pem", '-out', "$dir/request.pem"],
        [qw(x509 -req -days 2 -CAcreateserial), '-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key", '-in', "$dir/request.pem",
            '-extfile', "$dir/names", '-out', "$dir/cert.pem"]) {
        my ($exit, undef, $err) = command(['openssl', @$_]);
        die "openssl @$_: $err\n" if $exit;
    }
    return;
}

# Squid with the shipped example, in other directories.
sub start_squid {
    my ($self) = @_;
    my $text = slurp(Cellblock::root() . '/etc/squid.conf') // die 'no etc/squid.conf';
    my $log = "$self->{dir}/squid";
    mkdir $log or $!{EEXIST} or die "$log: $!";
    my ($uid, $gid) = (getpwnam 'proxy')[2, 3];
    chown $uid, $gid, $log;
    $text =~ s{/var/log/squid}{$log}g;
    $text =~ s{/run/squid\.pid}{$log/pid};
    my $file = spew("$self->{dir}/squid.conf", $text);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', "$self->{dir}/squid.err" or POSIX::_exit(126);
        exec 'squid', '-N', '-f', $file or POSIX::_exit(127);
    }
    $self->{squid} = $pid;
    eventually(30, sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 3128) })
        or die "squid does not serve: " . (slurp("$self->{dir}/squid.err") // '');
    return;
}

sub stop_squid {
    my ($self) = @_;
    my $pid = delete $self->{squid} or return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    unlink "$self->{dir}/squid/pid";
    return;
}

sub certificates {
    my ($self) = @_;
    # The installer of packages has a setting of this name too.
    return ['cellblock.conf', qr/(?<=they find none\.\n\t)certificates = "[^"]*"/, qq(certificates = "$self->{dir}/ca.pem")];
}

sub configuration {
    my ($self) = @_;
    return ($self->certificates, ['cellblock.conf', qr/mode = "none";/, <<"CONF"]);
mode = "proxy";
	proxies = ( { name = "all"; address = "127.0.0.1:3128"; }, { name = "few"; address = "localhost:3129"; },
		{ name = "gone"; address = "127.0.0.1:3130"; }, { name = "silent"; address = "10.1.2.3:8080"; } );
CONF
}

# --- a service in this world -------------------------------------------------------------------------------------------------

# API keys beside the first one, by name: one that reaches few hosts, one whose proxy is down, one
# without a network.
our %KEYS = (few => 'key-for-few-hosts', gone => 'key-for-a-dead-proxy', no => 'key-without-network');

my $cb; # what service() has started

sub service {
    my ($self) = @_;
    my %network = (few => 'few', gone => 'gone', no => 'none');
    return $cb = Cellblock->start(own => 1, keys => { map { $_ => { key => $KEYS{$_}, settings => qq(network = "$network{$_}";) } } keys %KEYS },
        conf => [$self->configuration, ['cellblock.conf', qr/processes = \{ default = 1; maximum = \d+;/, 'processes = { default = 1; maximum = 16;']]);
}

# A run with a network. Option: key (another API key); the others are fields of the request.
sub run_with {
    my ($code, %more) = @_;
    my $key = delete $more{key};
    return $cb->post(json->encode({ language => 'python3', code => $code, enable_network => JSON::PP::true, %more }), $key ? (key => $key) : ());
}

# A run with a network prints this: a string, or a pattern.
sub prints {
    my ($code, $expected, $name, %more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = run_with($code, %more);
    my $out = $r->{data} ? $r->{data}{stdout} : undef;
    return (ref $expected ? Test::More::like($out, $expected, $name) : Test::More::is($out, $expected, $name))
        || Test::More::diag(substr $r->{body}, 0, 1500);
}

# A Python program that tries every URL of its stdin (JSON) in several ways, and prints "none" if it
# got through nowhere.
sub fetch_all {
    return <<'PYTHON';
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
    # Send the request as it is written, by both methods: a library would correct it. Then use a
    # library, which follows redirects.
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
}

sub stop {
    my ($self) = @_;
    $self->stop_squid;
    close delete $self->{life} if $self->{life};
    waitpid $_, 0 for splice @{ $self->{pids} };
    return;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop;
    return;
}

1;
