# Keys, requests at the same time, sizes, TLS, and nginx's own errors, each in the envelope. What a
# client can use up is in nginx_limits.t.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json slurp);
use IO::Select;
use IO::Socket::SSL;
use Test::More;
use Time::HiRes qw(time);

my $second = 'second-key-0123456789';
my $cb = Cellblock->start(own => 1, args => ['--connections', 4], keys => { second => $second });
my $languages = '/v1/sandbox/languages';

# --- keys ---------------------------------------------------------------------------------------------------------------

is $cb->get($languages)->{status}, 200, 'the first key is accepted';
is $cb->get($languages, key => $second)->{status}, 200, 'the second key is accepted';
envelope_ok($cb->get($languages, key => $_), 401, -401, "not a key: $_")
    for 'second', ucfirst $second, 'x' . $second, substr($second, 1), '.*', '~^', "$second\t$second";

is $cb->run(code => 'print("by the second")')->{status}, 200, 'a run with the first key succeeds';
is $cb->post(json->encode({ language => 'python3', code => 'print("by the second")' }), key => $second)->{status}, 200, 'a run with the second key succeeds';
ok eventually(5, sub { $cb->log_text =~ m{"cellblock-fcgi".*"key":"second","route":"/v1/sandbox/run"} }), 'the worker logs the name of the second key';
ok eventually(5, sub { $cb->log_text =~ m{"cellblock-fcgi".*"key":"server","route":"/v1/sandbox/run"} }), 'the worker logs the name of the first key';
my $id = $cb->run(code => 'print(1)')->{headers}{'x-request-id'} // '';
like $id, qr/\A[0-9a-f]{32}\z/, 'a reply has a request id';
ok eventually(5, sub { my $log = $cb->log_text; 2 <= (() = $log =~ /\Q$id\E/g) }), 'both logs have the request id';
ok index($cb->log_text, $_) < 0, 'no log contains a key' for $second, $cb->{key};
is index($cb->log_text, 'by the second'), -1, 'no log contains a program';

# --- simultaneous requests -----------------------------------------------------------------------------------------------------

# nginx may still count the request before these. Then it rejects one of them, which is sent again.
my $waiting = IO::Select->new;
my $over;
ok eventually(10, sub {
    $waiting->remove($waiting->can_read(0));
    $waiting->add($cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)'))) while $waiting->count < 4;
    $over = $cb->get($languages);
    $over->{status} == 429;
}), 'a fifth simultaneous request is rejected' or diag substr $cb->log_text, -3000;
envelope_ok($over, 429, -429, 'a fifth simultaneous request: the answer is 429');
like $over->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, '429 comes with Retry-After';
is $cb->get($languages, key => $second)->{status}, 200, 'another key is not affected';
is $cb->get('/health', key => undef)->{status}, 200, 'the health check is not affected';
close $_ for $waiting->handles;
ok eventually(10, sub { $cb->get($languages)->{status} == 200 }), 'a request is served when the others have ended';

# --- guesses of keys --------------------------------------------------------------------------------------------------------

{
    my (%guessed, %good);
    my $begin = time;
    for (1 .. 40) {
        $guessed{ $cb->get($languages, key => "guess-$_-of-40")->{status} }++;
        # Good requests between them, from the same address.
        $good{ $cb->get($languages, key => $second)->{status} }++ if $_ % 10 == 0;
        $good{ $cb->get('/health', key => undef)->{status} }++ if $_ % 10 == 5;
    }
    cmp_ok time - $begin, '>=', 3, 'guesses are answered slowly';
    is_deeply \%guessed, { 401 => 40 }, 'guesses are answered 401';
    is_deeply \%good, { 200 => 8 }, 'a good key and the health check are not affected by guesses from their address';
    envelope_ok($cb->get($languages, key => undef), 401, -401, 'no key at all counts as a guess');
    envelope_ok($cb->get($_, key => $second), 404, -404, "$_ is not a route") for '/.unauthorized', '/.key', '/.error/401', '/.refused/401', '/.failed/503';
    envelope_ok($cb->post('x' x ((32 << 20) + 1), key => 'wrong'), 413, -413, 'a body too large, with a wrong key');
}

# --- the id of a request ----------------------------------------------------------------------------------------------------

is $cb->get($languages, headers => { 'X-Request-Id' => 'mine-0123.4_5' })->{headers}{'x-request-id'}, 'mine-0123.4_5', 'a client may give a request its id';
ok eventually(5, sub { 1 <= (() = $cb->log_text =~ /id=mine-0123\.4_5 /g) }), 'the log has it';
for ('short', 'with space 0123', 'with"quote0123', 'x' x 65) {
    my $got = $cb->get('/health', headers => { 'X-Request-Id' => $_ })->{headers}{'x-request-id'};
    like $got, qr/\A[0-9a-f]{32}\z/, 'an id that is not well-formed is replaced';
}

# --- sizes --------------------------------------------------------------------------------------------------------------

my $limit = 32 << 20;
my $frame = '{"language":"python3","code":"import sys; print(len(sys.stdin.buffer.read()))","stdin":""}';
for my $size ($limit, $limit + 1, 2 * $limit) {
    my $body = $frame =~ s/""\}\z/'"' . 'x' x ($size - length $frame) . '"}'/er;
    is length $body, $size, "a body of $size bytes";
    my $r = $cb->post($body, key => $second);
    if ($size > $limit) { envelope_ok($r, 413, -413, 'a body above the limit is rejected') }
    else { is $r->{data}{stdout}, $size - length($frame) . "\n", 'a body at the limit is accepted' or diag substr $r->{body}, 0, 300 }
}

# --- requests that nginx rejects -----------------------------------------------------------------------------

my $head = "Host: x\r\nX-Api-Key: $second\r\n";
my @refused = (
    ['not HTTP',          "hello\r\n\r\n",                                                   400],
    ['a bad header',            "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",                       400],
    ['no Host',                 "GET /health HTTP/1.1\r\n\r\n",                                    400],
    ['two values of Content-Length',             "POST /v1/sandbox/run HTTP/1.1\r\n${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400],
    ['Content-Length together with chunks',       "POST /v1/sandbox/run HTTP/1.1\r\n${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
    ['an invalid Content-Length',            "POST /v1/sandbox/run HTTP/1.1\r\n${head}Content-Length: -5\r\n\r\n", 400],
    ['an invalid chunk',             "POST /v1/sandbox/run HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
    ['a path above the root',  "GET /../../etc/passwd HTTP/1.1\r\n$head\r\n",                     400],
    ['a NUL in the path',       "GET /health%00x HTTP/1.1\r\n$head\r\n",                           400],
    ['a URI too long',          'GET /' . 'x' x 40_000 . " HTTP/1.1\r\n$head\r\n",                 414],
    ['a header too large',      "GET /health HTTP/1.1\r\n${head}X-Long: " . 'x' x 40_000 . "\r\n\r\n", 431],
    ['an unknown HTTP version',         "GET /health HTTP/3.0\r\n$head\r\n",                               501],
    ['an unknown transfer coding',       "POST /v1/sandbox/run HTTP/1.1\r\n${head}Transfer-Encoding: gzip\r\n\r\n", 501],
);
for (@refused) {
    my ($name, $bytes, $status) = @$_;
    my $r = $cb->read_reply($cb->connect_raw($bytes));
    like $r->{status}, qr/\A[45]\d\d\z/, "$name: it is rejected";
    is $r->{json}{code}, -$status, "$name: the answer is an envelope" or diag "$r->{status} $r->{body}";
    is $r->{headers}{'content-type'}, 'application/json; charset=utf-8', "$name: the answer is JSON";
}
my $plain = $cb->{url};
{
    local $cb->{url} = "http://127.0.0.1:$cb->{tls_port}";
    my $r = $cb->read_reply($cb->connect_raw("GET /health HTTP/1.1\r\n$head\r\n"));
    is $r->{json}{code}, -400, 'plain HTTP on the TLS port is answered with 400';
}
unlike $cb->get('/health')->{headers}{server} // '', qr/\d/, 'the Server header has no version';

# Two requests in one write on one connection get two answers, in order.
my $both = $cb->connect_raw(("GET /health HTTP/1.1\r\n$head\r\n" . "GET /nothing HTTP/1.1\r\n$head\r\n"));
local $/ = undef;
my $two = '';
eventually(5, sub { sysread $both, $two, 65536, length $two; (() = $two =~ /HTTP\/1\.1 /g) >= 2 && $two =~ /-404/ });
like $two, qr{\AHTTP/1\.1 200 .*"ok".*HTTP/1\.1 404 }s, 'pipelined requests are answered in order';

# --- TLS, addresses -----------------------------------------------------------------------------------------------------------

for (['SSLv3', 0], ['TLSv1', 0], ['TLSv1_1', 0], ['TLSv1_2', 1], ['TLSv1_3', 1]) {
    my ($version, $works) = @$_;
    my $tls = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $cb->{tls_port}, SSL_version => $version,
        SSL_verify_mode => SSL_VERIFY_NONE, SSL_cipher_list => 'DEFAULT:@SECLEVEL=0', Timeout => 10);
    is !!$tls, !!$works, "$version: " . ($works ? 'accepted' : 'refused') or diag $SSL_ERROR;
    like $tls->get_sslversion, qr/\A\Q$version\E\z/, "$version: the connection uses it" if $tls && $works;
}
my $verified = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $cb->{tls_port}, SSL_ca_file => "$cb->{dir}/tls/cert.pem",
    SSL_verifycn_name => 'localhost', SSL_verifycn_scheme => 'http', SSL_hostname => 'localhost');
ok $verified, 'the certificate is valid for localhost' or diag $SSL_ERROR;
my $elsewhere = IO::Socket::INET->new(PeerAddr => '127.0.0.2', PeerPort => $cb->{port}, Timeout => 5);
ok !$elsewhere, 'plain HTTP is served on 127.0.0.1 only';
my $tls_elsewhere = IO::Socket::INET->new(PeerAddr => '127.0.0.2', PeerPort => $cb->{tls_port}, Timeout => 5);
ok $tls_elsewhere, 'TLS is served on every address';

$cb->finish;
done_testing;
