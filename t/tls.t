# TLS as a scanner sees it: protocols, ciphers, groups, renegotiation, certificate.
use strict;
use warnings;
use Cellblock qw(command eventually skip_all slurp);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my ($there) = command(['sslscan', '--version']);
skip_all('sslscan is not installed') if $there;
my $cb = Cellblock->start(own => 1);
my $port = $cb->{tls_port};

my ($exit, $scan, $err) = command(['sslscan', '--no-colour', '--show-certificate', "127.0.0.1:$port"], seconds => 120);
is $exit, 0, 'the scan is complete' or diag "$scan$err";
is_deeply { $scan =~ /^((?:SSL|TLS)v[\d.]+)\s+(enabled|disabled)$/mg },
    { 'SSLv2' => 'disabled', 'SSLv3' => 'disabled', 'TLSv1.0' => 'disabled', 'TLSv1.1' => 'disabled', 'TLSv1.2' => 'enabled', 'TLSv1.3' => 'enabled' },
    'TLS 1.2 and 1.3 are spoken, and nothing older';
my @ciphers = $scan =~ /^(?:Preferred|Accepted)\s+TLSv1\.[23]\s+\d+ bits\s+(\S+)/mg;
cmp_ok scalar @ciphers, '>=', 5, 'the scan has found ciphers' or diag $scan;
is join(' ', grep { !/\ATLS_(?:AES_\d+_GCM|CHACHA20)|\AECDHE-.*(?:GCM|CHACHA20)/ } @ciphers), '', 'each cipher has forward secrecy and authenticates';
my ($groups) = $scan =~ /Server Key Exchange Group\(s\):\n(.*?)\n\n/s;
my @groups = ($groups // '') =~ /bits\s+(\S+)/g;
is_deeply { map { $_ => 1 } @groups }, { map { $_ => 1 } 'x25519', 'secp256r1', 'secp384r1' }, 'the groups are the three fast ones'
    or diag $groups // $scan;
like $scan, qr/renegotiation not supported/i, 'there is no renegotiation' or diag $scan;
like $scan, qr/Server supports TLS Fallback SCSV/, 'a downgrade is noticed';
unlike $scan, qr/^\S+ vulnerable to heartbleed/m, 'there is no heartbleed';
like $scan, qr/Subject:\s+localhost/, 'the certificate is for localhost';
like $scan, qr/Signature Algorithm:\s*ecdsa-with-SHA256/, 'the certificate has a good signature';

# --- a recorded ClientHello -------------------------------------------------------------------------------------------------------

# What openssl sends to a server that only listens.
sub client_hello {
    my (@options) = @_;
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'openssl', 's_client', '-connect', '127.0.0.1:' . $listener->sockport, @options or POSIX::_exit(127);
    }
    my $client = $listener->accept;
    my $hello = '';
    eventually(20, sub {
        sysread $client, $hello, 16384, length $hello;
        return length $hello >= 5 && length $hello >= 5 + unpack 'n', substr $hello, 3, 2;
    });
    close $client;
    waitpid $pid, 0;
    return $hello;
}

# The first record of nginx's answer: its type (21: an alert, 22: a handshake), and the alert's two
# bytes.
sub replay {
    my ($hello) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 20) or die "connect: $!";
    syswrite $socket, $hello;
    IO::Select->new($socket)->can_read(20) or return;
    sysread $socket, my $answer, 16384;
    return unpack 'C x4 C2', $answer // '';
}

my $slow = client_hello('-tls1_3', '-groups', 'ffdhe8192');
cmp_ok length $slow, '>', 1000, 'a ClientHello with ffdhe8192 is recorded';
is_deeply [replay($slow)], [21, 2, 40], 'ffdhe8192: the handshake is refused';
my $fast = client_hello('-tls1_3', '-groups', 'X25519');
is((replay($fast))[0], 22, 'X25519: the handshake is answered');

my $before = nginx_seconds();
replay($slow) for 1 .. 200;
cmp_ok nginx_seconds() - $before, '<', 2, '200 of them cost nginx less than 10 ms each';

# User and system time of nginx's workers.
sub nginx_seconds {
    my $ticks = 0;
    for my $pid ($cb->pids('nginx')) {
        my ($user, $system) = (split ' ', slurp("/proc/$pid/stat") =~ s/\A.*\) //sr)[11, 12];
        $ticks += $user + $system;
    }
    return $ticks / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

# --- plain HTTP on this port ---------------------------------------------------------------------------------------------------------

{
    local $cb->{url} = "http://127.0.0.1:$port";
    my $r = $cb->read_reply($cb->connect_raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
    is $r->{status}, 400, 'plain HTTP on this port: 400';
    is $r->{json}{message}, 'bad request: this port speaks TLS; use https://', 'plain HTTP on this port: the answer says what to do';
}

$cb->finish;
done_testing;
