# SandboxFusion's protocol: run_code and ping, with every field and every error.
use strict;
use warnings;
use Cellblock qw(eventually json);
use MIME::Base64;
use Test::More;

my $cb = Cellblock->start(
    own  => 1,
    args => ['--connections', 6],
    conf => [
        ['cellblock.conf', qr/protocols = \[\]/,      'protocols = ["sandboxfusion"]'],
        ['cellblock.conf', qr/#local_key = "trainer"/, 'local_key = "trainer"'],
        ['cellblock.conf', qr/queue_ms = 10000/,      'queue_ms = 2000'],
    ],
    keys => {
        trainer => { key => 'trainer-key-1', settings => 'running = 2;' },
        idle    => { key => 'idle-key-123', settings => "running = 1;\nwaiting = 0;" },
    },
);

sub run_code {
    my (%field) = @_;
    # As its clients do: a language that wakes on a busy machine may take too long.
    my $reply;
    eventually(30, sub { $reply = send_code(%field); return $reply->{status} != 504 });
    return $reply;
}

sub send_code {
    my (%field) = @_;
    return $cb->request('POST', '/run_code', content => json->encode({ language => 'python', %field }), key => undef,
        headers => { 'Content-Type' => 'application/json' });
}

# A request is not valid: 422, with this type and place.
sub invalid {
    my ($reply, $type, $place, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $first = ref $reply->{json} eq 'HASH' && ref $reply->{json}{detail} eq 'ARRAY' ? $reply->{json}{detail}[0] : {};
    is_deeply [$reply->{status}, $first->{type}, $first->{loc}], [422, $type, $place], $name or diag $reply->{body};
    ok length $first->{msg}, "$name: there is a message";
    return;
}

subtest 'ping' => sub {
    my $r = $cb->get('/v1/ping', key => undef);
    is "$r->{status} $r->{body}", '200 "pong"', 'a ping';
    is $cb->request('POST', '/v1/ping', content => '{}')->{status}, 405, 'another method';
    is_deeply $cb->get('/run_code')->{json}, { detail => 'Method Not Allowed' }, 'its body is as the original has it';
};

subtest 'a run' => sub {
    my $r = run_code(code => 'print(input())', stdin => "a\n");
    is $r->{status}, 200, 'it is carried out';
    my $json = $r->{json};
    is_deeply [@$json{qw(status message compile_result executor_pod_name files)}], ['Success', '', undef, undef, {}], 'it succeeded';
    my $run = $json->{run_result};
    is_deeply [@$run{qw(status return_code stdout stderr)}], ['Finished', 0, "a\n", ''], 'its result';
    like $run->{execution_time}, qr/\A\d+\.?\d*\z/, 'its time in seconds';
    is $json->{cellblock}{status}, 'ok', 'our own facts are there';
    is run_code(code => 'print(1)', compile_timeout => 10, run_timeout => '5', memory_limit_MB => -1, stdin => undef, files => {}, fetch_files => [], other => 1)
        ->{json}{status}, 'Success', 'all that clients send is taken';
    is run_code(code => '')->{json}{run_result}{return_code}, 0, 'an empty program ends well';
};

subtest 'how a program ends' => sub {
    my $exit = run_code(code => "import sys; print('x'); sys.exit(3)")->{json};
    is "$exit->{status} $exit->{run_result}{status} $exit->{run_result}{return_code}", 'Failed Finished 3', 'an exit code';
    my $killed = run_code(code => 'import os; os.kill(os.getpid(), 11)')->{json}{run_result};
    is "$killed->{status} $killed->{return_code}", 'Finished -11', 'a signal';
    my $slow = run_code(code => "print(1, flush=True)\nwhile True: pass", run_timeout => 0.3)->{json};
    is_deeply [$slow->{status}, @{ $slow->{run_result} }{qw(status return_code stdout)}], ['Failed', 'TimeLimitExceeded', undef, "1\n"], 'a timeout';
    my $eats = run_code(code => "x = []\nwhile True: x.append(bytearray(1 << 20))", memory_limit_MB => 40)->{json};
    is_deeply [$eats->{status}, @{ $eats->{run_result} }{qw(status return_code)}], ['Failed', 'Finished', 137], 'the limit of memory';
    like $eats->{run_result}{stderr}, qr/memory limit exceeded\n\z/, 'stderr says so';
    is run_code(code => 'print(1)', run_timeout => 1e6, memory_limit_MB => 1e9)->{json}{status}, 'Success', 'what is above the maximum is the maximum';
    is run_code(code => 'import time; time.sleep(1)', run_timeout => 0)->{json}{run_result}{status}, 'TimeLimitExceeded', 'no time is too little';
};

subtest 'compiled languages' => sub {
    plan skip_all => 'no g++' if !-x '/usr/bin/g++';
    my $r = run_code(language => 'cpp', code => "#include <cstdio>\nint main() { puts(\"x\"); }")->{json};
    is_deeply [@{ $r->{compile_result} }{qw(status return_code)}], ['Finished', 0], 'the compiler ended well';
    is "$r->{status} $r->{run_result}{stdout}", "Success x\n", 'the program ran';
    my $bad = run_code(language => 'cpp', code => 'int main() { return x; }')->{json};
    is_deeply [$bad->{status}, $bad->{run_result}, @{ $bad->{compile_result} }{qw(status return_code)}], ['Failed', undef, 'Finished', 1], 'a compiler that failed';
    like $bad->{compile_result}{stderr}, qr/error/, 'its messages';
    my $slow = run_code(language => 'cpp', code => "#include <iostream>\nint main() { }", compile_timeout => 0.01)->{json};
    is_deeply [$slow->{status}, $slow->{run_result}, @{ $slow->{compile_result} }{qw(status return_code)}], ['Failed', undef, 'TimeLimitExceeded', undef],
        'a compiler has its own timeout';
};

subtest 'files' => sub {
    my $r = run_code(code => 'open("out/y", "wb").write(open("in/x", "rb").read() * 2); print(1)',
        files => { 'in/x' => encode_base64("\0\xff", ''), 'out/z' => 'YQ', gone => undef }, fetch_files => ['out/y', 'out/z', 'nope'])->{json};
    is $r->{status}, 'Success', 'a program has files';
    is_deeply { map { $_ => decode_base64($r->{files}{$_}) } keys %{ $r->{files} } }, { 'out/y' => "\0\xff\0\xff", 'out/z' => 'a' }, 'those that are asked for come back';
    is run_code(code => 'import os; print(os.path.exists("gone"))', files => { gone => undef })->{json}{run_result}{stdout}, "False\n", 'one without content is left out';
    my $bad = run_code(code => '1', files => { '../x' => 'YQ==' });
    is "$bad->{status} $bad->{json}{status}", '200 SandboxError', 'none leaves its directory';
    like $bad->{json}{message}, qr/path/, 'the message says so';
};

subtest 'requests that are not valid' => sub {
    invalid(run_code(), 'missing', [qw(body code)], 'no code');
    invalid(run_code(code => 1), 'string_type', [qw(body code)], 'code that is no text');
    invalid($cb->request('POST', '/run_code', content => json->encode({ code => '1' }), key => undef), 'missing', [qw(body language)], 'no language');
    invalid(run_code(code => '1', language => 'klingon'), 'literal_error', [qw(body language)], 'a language that the protocol does not know');
    invalid(run_code(code => '1', run_timeout => 'x'), 'float_type', [qw(body run_timeout)], 'a timeout that is no number');
    invalid(run_code(code => '1', run_timeout => undef), 'float_type', [qw(body run_timeout)], 'a timeout that is null');
    invalid(run_code(code => '1', memory_limit_MB => 1.5), 'int_type', [qw(body memory_limit_MB)], 'a limit of memory with a fraction');
    invalid(run_code(code => '1', stdin => 1), 'string_type', [qw(body stdin)], 'stdin that is no text');
    invalid(run_code(code => '1', files => []), 'dict_type', [qw(body files)], 'files that are no object');
    invalid(run_code(code => '1', files => { x => 1 }), 'string_type', [qw(body files x)], 'a file that is no text');
    invalid(run_code(code => '1', fetch_files => 'x'), 'list_type', [qw(body fetch_files)], 'a list that is none');
    invalid(run_code(code => '1', fetch_files => [1]), 'string_type', [qw(body fetch_files 0)], 'a name that is no text');
    invalid($cb->request('POST', '/run_code', content => '{', key => undef), 'json_invalid', ['body'], 'no JSON');
    is scalar @{ run_code(run_timeout => 'x', files => 1)->{json}{detail} }, 3, 'all faults are listed';
    my $missing = run_code(code => '1', language => 'cuda');
    is "$missing->{status} $missing->{json}{status}", '200 SandboxError', 'a language that is not here is a fault of the sandbox';
    is $missing->{json}{message}, 'cuda is not available on this server', 'its message';
};

subtest 'keys' => sub {
    my $code = json->encode({ language => 'python', code => 'print(1)' });
    is $cb->request('POST', '/run_code', content => $code, key => $_->[1])->{status}, $_->[2], $_->[0]
        for ['a key in the header', $cb->{key}, 200], ['a wrong one', 'wrong-key-1', 401];
    is $cb->request('POST', $_->[0], content => $code, key => undef)->{status}, $_->[1], $_->[0] =~ s/\Q$cb->{key}\E/KEY/r
        for ["/k/$cb->{key}/run_code", 200], ['/k/wrong-key-1/run_code', 401], ["/k/$cb->{key}/v1/sandbox/run", 404], ["/k/$cb->{key}/x/run_code", 404];
    is $cb->get("/k/$cb->{key}/v1/ping", key => undef)->{body}, '"pong"', 'a ping with a key in the path';
    is $cb->run(code => '1')->{status}, 200, 'our own route works';
    is $cb->request('POST', '/v1/sandbox/run', content => $code, key => undef)->{status}, 401, 'without a key it does not, even here';
    my $large = json->encode({ language => 'python', code => '#' . 'x' x 200_000 });
    is $cb->request('POST', "/k/$cb->{key}/run_code", content => $large, key => undef)->{status}, 200, 'a large body with a key in the path';
    is $cb->request('POST', '/run_code', content => $large, key => undef)->{status}, 200, 'one from this host';
    is $cb->request('POST', '/k/wrong-key-1/run_code', content => $large, key => undef)->{status}, 401, 'one with a wrong key';
    like $cb->log_text, qr{path=/k/- }, 'the access log has a dash for the key';
    ok index($cb->log_text, $cb->{key}) < 0, 'no log has the key';
    like $cb->log_text, qr/"key":"trainer"/, 'requests from this host have the key that is configured for them';
};

subtest 'more than there is room for' => sub {
    my $raw = sub {
        my ($key, $code) = @_;
        my $body = json->encode({ language => 'python', code => $code });
        return $cb->connect_raw("POST /k/$key/run_code HTTP/1.1\r\nHost: x\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
    };
    my $wait = 'import time; time.sleep(0.4); print(1)';
    my @open = map { $raw->('trainer-key-1', $wait) } 1 .. 4;
    is join(' ', map { $cb->read_reply($_)->{status} } @open), '200 200 200 200', 'requests wait for their turn';
    my $long = 'import time; time.sleep(6)';
    my @long = map { $raw->('trainer-key-1', $long) } 1 .. 2;
    ok eventually(5, sub { $cb->pids('guest') >= 2 }), 'two long runs';
    my $late = $cb->read_reply($raw->('trainer-key-1', 'print(1)'));
    is $late->{status}, 504, 'one that has waited for too long: 504';
    like $late->{json}{detail}, qr/busy/, 'the reason';
    $cb->read_reply($_) for @long;
    my $busy = $raw->('idle-key-123', $long);
    ok eventually(10, sub { $cb->pids('guest') }), 'a long run';
    ok eventually(5, sub { $cb->read_reply($raw->('idle-key-123', 'print(1)'))->{status} == 504 }), 'a key that may not wait: 504';
    $cb->read_reply($busy);
    my @reply = map { $cb->read_reply($_) } map { $raw->('trainer-key-1', $wait) } 1 .. 12;
    is join(' ', grep { $_ != 200 && $_ != 504 } map { $_->{status} } @reply), '', 'more than nginx takes of a key: no other status';
    ok scalar(grep { $_->{status} == 504 && $_->{json}{detail} eq 'busy: try again' } @reply), 'some are answered by nginx';
};

$cb->finish;
done_testing;
