# Where plain HTTP is listened to: loopback by default, or the addresses of --listen; and paths with
# a slash at their end.
use strict;
use warnings;
use Cellblock qw(command envelope_ok root slurp);
use File::Temp;
use HTTP::Tiny;
use IO::Socket::IP;
use Test::More;

my $server = root() . '/script/server';

my $dir = File::Temp->newdir;

sub listens { my ($host, $port) = @_; return !!IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Timeout => 5) }

for my $address ('localhost', '1.2.3', '', '127.0.0.1:80', 'x::1', '127.0.0.1;') {
    my ($exit, undef, $err) = command([$server, '--dir', "$dir/none", '--listen', $address], seconds => 20);
    is $exit, 2, "--listen '$address' is refused";
    like $err, qr/--listen/, '... and named';
}

for my $network ('monitor', '', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.1; allow all', '10.0.0.0/8/8') {
    my ($exit, undef, $err) = command([$server, '--dir', "$dir/none", '--metrics-from', $network], seconds => 20);
    is $exit, 2, "--metrics-from '$network' is refused";
    like $err, qr/--metrics-from/, '... and named';
}

my $has_ipv6 = listens('::1', 1) || $! != POSIX::EADDRNOTAVAIL() && -e '/proc/net/if_inet6';
my $cb = Cellblock->start(own => 1, args => ['--listen', '127.0.0.1', '--listen', '127.0.0.3', ($has_ipv6 ? ('--listen', '[::1]') : ()), '--tls-port', 'none', '--metrics-from', '127.0.7.0/24', '--metrics-from', 'fd00::/8']);
my $http = HTTP::Tiny->new(timeout => 20, max_redirect => 0);
for my $host ('127.0.0.1', '127.0.0.3', $has_ipv6 ? '[::1]' : ()) {
    is $http->get("http://$host:$cb->{port}/health")->{content}, '"ok"', "$host answers";
}
for (['127.0.0.1' => 200], ['127.0.7.9' => 200], ['127.0.8.9' => 404]) {
    my ($from, $status) = @$_;
    my $client = HTTP::Tiny->new(timeout => 20, local_address => $from);
    is $client->get("$cb->{url}$_")->{status}, $status, "$_ for $from: $status" for '/v1/sandbox/metrics', '/v1/sandbox/metrics/keys';
}
ok !listens('127.0.0.2', $cb->{port}), 'no other address does';
ok !listens('127.0.0.1', $cb->{tls_port}), '--tls-port none: nothing listens there';
like $cb->{said}, qr{http://127\.0\.0\.3:$cb->{port} +for this host only}, 'it says where it listens';
unlike $cb->{said}, qr/https/, '... and nothing of TLS';
is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'a run';

# --- a slash at the end of a path ------------------------------------------------------------------------------------

sub location {
    my ($path, %option) = @_;
    my $r = $http->request($option{method} // 'GET', "$cb->{url}$path", { headers => { 'X-Api-Key' => $cb->{key} }, content => $option{body} // '' });
    return "$r->{status} " . ($r->{headers}{location} // '-');
}
for ('/health', '/v1/sandbox/run', '/v1/sandbox/languages', '/v1/sandbox/dependencies', '/v1/sandbox/dependencies/refresh') {
    is location("$_/"), "307 $_", "$_/ leads to $_";
}
is location('/v1/sandbox/run/', method => 'POST', body => '{"language":"python3","code":"' . '#' x 300_000 . '"}'), '307 /v1/sandbox/run', 'a large body is not in the way';
is location('/v1/sandbox/run/?a=b'), '307 /v1/sandbox/run', 'a query is left out';
for ('//v1/sandbox/run/', '//evil.example/health/', '/v1//sandbox/run/', '/%76%31/sandbox/run/', '/v1/sandbox/./run/', '/health//', '/v1/sandbox/../../health/') {
    unlike location($_), qr{ //| https?:|evil}, "$_ leads to no other host";
}
is location('/nowhere/'), '404 -', 'a path that is no route is none with a slash either';
envelope_ok({ status => 404, %{ $cb->get('/.refused/307') } }, 404, -404, 'the place that redirects cannot be asked for');

$cb->finish;
done_testing;
