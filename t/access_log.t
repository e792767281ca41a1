# The log: one line of JSON for each request, with what it took and without its code or key. And the
# headers that a client may send for a log or a browser of its own.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json slurp);
use Digest::SHA qw(sha256_hex);
use Test::More;

my $origin = 'https://app.example';
my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/cors = \[\];/, "cors = [\"$origin\"];"],
    ['cellblock.conf', qr/format = "text";/, 'format = "json";'],
]);
my $run = '/v1/sandbox/run';
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

# The line of the request that was answered with $reply.
sub line_of {
    my ($reply) = @_;
    my $id = $reply->{headers}{'x-request-id'};
    my $line;
    eventually(5, sub { ($line) = grep { /"request":"\Q$id\E"/ && /"route"/ } split /\n/, $cb->log_text; $line });
    return json->decode($line // '{}');
}

my $code = "import sys\nb = bytearray(20 << 20)\nprint('secret-' + 'text')\nsys.exit(3)";
my $body = json->encode({ language => 'python', code => $code });
my $r = $cb->post($body, headers => { traceparent => $trace });
envelope_ok($r, 200, 0, 'a run');
is $r->{headers}{traceparent}, $trace, 'traceparent is passed through';
my $line = line_of($r);
is $line->{language}, 'python3', 'language';
is $line->{code_sha256}, sha256_hex($code), 'code_sha256';
is $line->{key}, 'server', 'key';
is $line->{route}, $run, 'route';
is $line->{http}, 200, 'http';
is $line->{status}, 'exit', 'status';
is $line->{exit_code}, 3, 'exit_code';
is $line->{bytes_in}, length $body, 'bytes_in';
is $line->{bytes_out}, length $r->{body}, 'bytes_out';
is $line->{traceparent}, $trace, 'traceparent';
is $line->{$_}, $r->{data}{usage}{$_}, $_ for qw(queue_ms spawn_ms wall_ms cpu_ms memory_peak_bytes);
cmp_ok $line->{ms}, '>=', $line->{wall_ms}, 'ms is the whole of it';
like $line->{time}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/, 'time';

for my $bad ('00-0-0-01', "$trace-1", '00-00000000000000000000000000000000-b7ad6b7169203331-01', 'x' x 55) {
    my $other = $cb->post($body, headers => { traceparent => $bad });
    is $other->{headers}{traceparent}, undef, "traceparent \"$bad\" is not passed through";
    is line_of($other)->{traceparent}, undef, "traceparent \"$bad\" is not logged";
}
my $refused = line_of($cb->post('{"language":"python3","code":"1","limits":{"x":1}}'));
is $refused->{http}, 400, 'a request that is refused has its line, too';
is $refused->{status}, undef, 'a request that is refused has no verdict';

SKIP: {
    my $c = $cb->run(language => 'c', code => "int main(void) { return 0; } // $$");
    skip 'no C compiler here', 2 if $c->{status} == 400;
    my $compiled = line_of($c);
    is $compiled->{compile_wall_ms}, $c->{data}{compile}{wall_ms}, 'compile_wall_ms';
    ok !$compiled->{compile_cached}, 'compile_cached';
}

my $log = join '', map { slurp($_) } grep { m{/(?:worker|runner)\.log\z} } $cb->logs;
unlike $log, qr/secret-/, 'no code is in the log';
unlike $log, qr/\Q$cb->{key}\E/, 'no key is in the log';
my @lines = grep { !/\A(?:zygote|Warning|\s)/ } split /\n/, $log;
my @no_json = grep { !eval { json->decode($_); 1 } } @lines;
is join("\n", @no_json), '', 'every line is an object';
my ($message) = grep { ($_->{message} // '') =~ /serving/ } map { json->decode($_) } @lines;
is $message->{level}, 'info', 'a message has its level';
is $message->{program}, 'cellblock-runner', 'a message has its program';

# --- pages in a browser ---------------------------------------------------------------------------------------------------

my $preflight = $cb->request('OPTIONS', $run, key => undef, headers => { Origin => $origin, 'Access-Control-Request-Method' => 'POST' });
is $preflight->{status}, 204, 'OPTIONS without a key: 204';
is $preflight->{headers}{'access-control-allow-origin'}, $origin, 'OPTIONS: the origin is allowed';
is $preflight->{headers}{'access-control-allow-methods'}, 'POST', 'OPTIONS: the method of the route';
like $preflight->{headers}{'access-control-allow-headers'}, qr/X-Api-Key/, 'OPTIONS: the key may be sent';
my $page = $cb->post($body, headers => { Origin => $origin });
is $page->{headers}{'access-control-allow-origin'}, $origin, 'a reply to the page';
like $page->{headers}{vary}, qr/Origin/, 'a reply to the page: caches tell pages apart';
for my $other ('https://evil.example', "$origin.evil", 'null') {
    my $reply = $cb->post($body, headers => { Origin => $other });
    is $reply->{headers}{'access-control-allow-origin'}, undef, "a page of $other may not read the reply";
    isnt $cb->request('OPTIONS', $run, key => undef, headers => { Origin => $other })->{status}, 204, "OPTIONS of $other";
}

$cb->finish;
done_testing;
