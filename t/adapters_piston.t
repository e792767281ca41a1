# Piston's protocol: runtimes, execute and packages, with every field and every error.
use strict;
use warnings;
use Cellblock qw(command eventually json root slurp spew);
use Test::More;

my $cb = Cellblock->start(
    own  => 1,
    conf => [['cellblock.conf', qr/protocols = \[\]/, 'protocols = ["piston"]']],
    keys => {
        small => { key => 'small-key-1', settings => 'limits = { memory_bytes = 67108864; wall_ms = 2000; };' },
        gone  => { key => 'gone-key-12', settings => 'expires = "2001-01-01";' },
    },
);

sub call {
    my ($method, $path, $body, %option) = @_;
    $body = json->encode($body) if ref $body;
    return $cb->request($method, "/api/v2/$path", headers => { 'Content-Type' => 'application/json' }, (defined $body ? (content => $body) : ()), %option);
}

sub execute {
    my (%field) = @_;
    return call('POST', 'execute', { language => 'python', version => '*', %field });
}

sub program { return [{ content => $_[0] }] }

# A request is refused with this status and message.
sub refused {
    my ($reply, $status, $message, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [$reply->{status}, $reply->{json}], [$status, { message => $message }], $name;
    return;
}

my $version;

subtest 'runtimes' => sub {
    my $r = call('GET', 'runtimes');
    is $r->{status}, 200, 'the list is there';
    my ($python) = grep { $_->{language} eq 'python' } @{ $r->{json} };
    $version = $python->{version};
    like $version, qr/\A3\.\d+\.\d+\z/, 'Python has a version of three numbers';
    is_deeply $python->{aliases}, [qw(py py3 python3)], 'its other names are there';
    is_deeply call('GET', 'runtimes/')->{json}, $r->{json}, 'a slash at the end changes nothing';
    is_deeply call('GET', 'piston/runtimes')->{json}, $r->{json}, 'the prefix of the public server leads to the same';
    is call('HEAD', 'runtimes')->{status}, 200, 'HEAD has an answer';
    is $r->{headers}{'content-type'}, 'application/json; charset=utf-8', 'the type is JSON';
};

subtest 'a run' => sub {
    my $r = execute(files => program('print(6 * 7)'));
    is $r->{status}, 200, 'it is carried out';
    my $run = $r->{json}{run};
    is $r->{json}{language}, 'python', 'the language has its name here';
    is $r->{json}{version}, $version, 'the version is that of the list';
    is "$run->{stdout}|$run->{stderr}|$run->{output}", "42\n||42\n", 'the output is there';
    is_deeply [@$run{qw(code signal message status)}], [0, undef, undef, undef], 'it ended well';
    ok $run->{memory} > 0 && defined $run->{cpu_time} && defined $run->{wall_time}, 'time and memory are told';
    ok !exists $r->{json}{compile}, 'nothing was compiled';
    is $r->{json}{cellblock}{status}, 'ok', 'our own facts are there';
    is execute(language => $_, files => program('print(1)'))->{json}{run}{stdout}, "1\n", "$_ is Python" for qw(py python3);
    is call('POST', 'piston/execute', { language => 'py', version => '3', files => program('print(2)') })->{json}{run}{stdout}, "2\n",
        'the prefix of the public server leads to the same';
};

subtest 'stdin and arguments' => sub {
    my $echo = program('import sys; print(repr(sys.stdin.read()), sys.argv[1:])');
    is execute(files => $echo)->{json}{run}{stdout}, "'\\n' []\n", 'an empty stdin has a line feed';
    is execute(files => $echo, stdin => 'a')->{json}{run}{stdout}, "'a\\n' []\n", 'a line feed is added';
    is execute(files => $echo, stdin => "a\n", args => ['x', '']) ->{json}{run}{stdout}, "'a\\n' ['x', '']\n", 'none is added to one';
    is execute(files => $echo, stdin => undef, args => undef)->{json}{run}{stdout}, "'\\n' []\n", 'null is as if it were missing';
    refused(execute(files => $echo, stdin => 1), 400, 'stdin must be a string', 'stdin has to be a text');
    refused(execute(files => $echo, args => [1]), 400, 'args[0]: must be a string', 'so has an argument');
};

subtest 'files' => sub {
    my $list = { content => 'import os; print({n: open(n, "rb").read() for n in sorted(os.listdir(".")) if n != "a.py"})', name => 'a.py' };
    is execute(files => [$list, { name => 'b', content => "\x{e9}" }])->{json}{run}{stdout}, "{'b': b'\\xc3\\xa9'}\n", 'text is UTF-8';
    is execute(files => [{ name => 'x', content => 'AP-_', encoding => 'base64' }, $list])->{json}{run}{stdout}, "{'x': b'\\x00\\xff\\xbf'}\n",
        'base64 may use either alphabet, and the first text is the program';
    is execute(files => [$list, { name => 'x', content => '00fFzz', encoding => 'hex' }])->{json}{run}{stdout}, "{'x': b'\\x00\\xff'}\n",
        'hexadecimal digits end where they are none';
    is execute(files => [$list, { name => './d', content => 'x', encoding => 'other' }])->{json}{run}{stdout}, "{'d': b'x'}\n",
        'an unknown encoding is text';
    is execute(files => [$list, { content => 'x' }])->{json}{run}{stdout}, "{'file1.code': b'x'}\n", 'a file without a name has one';
    is execute(files => [{ name => 'p.py', content => 'import main; print(main.x)' }, { name => 'main.py', content => 'x = 5' }])->{json}{run}{stdout}, "5\n",
        'another file may have the name of our main file';
    like execute(files => [{ name => 'prog.py', content => '1/0' }])->{json}{run}{stderr}, qr/File "[^"]*prog\.py", line 1/,
        'a traceback has the name of the file';
    is execute(files => program(''))->{json}{run}{code}, 0, 'an empty program ends well';
    refused(execute(), 400, 'files is required as an array', 'files have to be there');
    refused(execute(files => {}), 400, 'files is required as an array', 'they are a list');
    refused(execute(files => [{}]), 400, 'files[0].content is required as a string', 'each has a content');
    refused(execute(files => [$list, 1]), 400, 'files[1].content is required as a string', 'each is an object');
    refused(execute(files => [{ content => 'AA==', encoding => 'base64' }]), 400, 'files must include at least one utf8 encoded file', 'one is text');
    refused(execute(files => []), 400, 'files must include at least one utf8 encoded file', 'there is at least one');
    like execute(files => [$list, { name => '../x', content => '' }])->{json}{message}, qr/\Afiles\[1\]\.name: /, 'none leaves its directory';
    like execute(files => [$list, { name => "a\0b", content => '' }])->{json}{message}, qr/\Afiles\[1\]\.name /, 'a name has no NUL';
};

subtest 'languages and versions' => sub {
    my $one = program('print(1)');
    refused(call('POST', 'execute', { version => '*', files => $one }), 400, 'language is required as a string', 'a language is required');
    refused(execute(language => '', files => $one), 400, 'language is required as a string', 'it is not empty');
    refused(call('POST', 'execute', { language => 'python', files => $one }), 400, 'version is required as a string', 'so is a version');
    refused(execute(version => 3, files => $one), 400, 'version is required as a string', 'it is a text');
    refused(execute(language => 'nope', files => $one), 400, 'nope-* runtime is unknown', 'an unknown language');
    refused(execute(version => '2.x', files => $one), 400, 'python-2.x runtime is unknown', 'an unknown version');
    refused(execute(version => 'latest', files => $one), 400, 'python-latest runtime is unknown', 'a version that is none');
    my ($major, $minor) = split /\./, $version;
    for my $range ($version, $major, "$major.x", "^$major.0.0", "~$major.$minor", ">=$major.0 <9", "2 || $major.$minor.x", "$major.0 - 9") {
        is execute(version => $range, files => $one)->{json}{version}, $version, "$version is in $range";
    }
};

subtest 'how a program ends' => sub {
    my %end = (
        'import sys; sys.exit(3)'             => [3,     undef,     'Exited with error status 3',       'RE', 'exit'],
        'import os; os.kill(os.getpid(), 11)' => [undef, 'SIGSEGV', 'Caught fatal signal 11',           'SG', 'signal'],
        'x = bytearray(2_000_000_000)'        => undef,
    );
    for my $code (grep { $end{$_} } sort keys %end) {
        my $r = execute(files => program($code));
        is_deeply [@{ $r->{json}{run} }{qw(code signal message status)}, $r->{json}{cellblock}{status}], $end{$code}, $code;
    }
    my $slow = execute(files => program("print(1, flush=True)\nwhile True: pass"), run_timeout => 300)->{json}{run};
    is_deeply [@$slow{qw(stdout code signal status)}], ["1\n", undef, 'SIGKILL', 'TO'], 'a timeout';
    like $slow->{message}, qr/\ATime limit exceeded/, 'its message says so';
    my $busy = execute(files => program('while True: pass'), run_cpu_time => 200)->{json};
    is "$busy->{run}{status} $busy->{cellblock}{status}", 'TO cpu_limit', 'a limit of CPU time';
    my $eats = execute(files => program("x = []\nwhile True: x.append(bytearray(1 << 20))"), run_memory_limit => 40_000_000)->{json}{run};
    is_deeply [@$eats{qw(code signal message status)}], [undef, 'SIGKILL', 'Memory limit exceeded', 'SG'], 'the limit of memory';
    my $socket = execute(files => program("import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\nraise SystemExit(1)"))->{json};
    is ref $socket->{cellblock}{denied}, 'ARRAY', 'denied calls are told';
};

subtest 'limits' => sub {
    my $one = program('print(1)');
    refused(execute(files => $one, run_timeout => 120_001), 400, 'run_timeout cannot exceed the configured limit of 120000', 'a timeout has a maximum');
    refused(execute(files => $one, run_timeout => -1), 400, 'run_timeout must be non-negative', 'it is not below 0');
    refused(execute(files => $one, run_timeout => '1'), 400, 'If specified, run_timeout must be a number', 'it is a number');
    refused(execute(files => $one, run_memory_limit => -2), 400, 'run_memory_limit must be non-negative', 'so is one of memory');
    refused(execute(files => $one, run_memory_limit => 1e12), 400, 'run_memory_limit cannot exceed the configured limit of 1073741824', 'it has a maximum');
    is execute(files => $one, run_memory_limit => -1, compile_memory_limit => -1, compile_timeout => 10000, run_timeout => 3000, run_cpu_time => 0)->{json}{run}{stdout}, "1\n",
        'what clients send is taken';
    is execute(files => $one, other => 1)->{status}, 200, 'an unknown field is ignored';
    refused(call('POST', 'execute', { language => 'py', version => '*', files => $one, run_timeout => 2001 }, key => 'small-key-1'), 400,
        'run_timeout cannot exceed the configured limit of 2000', 'a key may have less');
    is call('POST', 'execute', { language => 'py', version => '*', files => $one }, key => 'small-key-1')->{json}{run}{stdout}, "1\n", 'its defaults are lower then';
};

subtest 'compiled languages' => sub {
    plan skip_all => 'no gcc' if !-x '/usr/bin/gcc';
    my $r = call('POST', 'execute', { language => 'c', version => '*', files => [{ name => 'a.c', content => "#include <stdio.h>\nint main(void) { puts(\"x\"); return 2; }" }] });
    is_deeply [@{ $r->{json}{compile} }{qw(code status)}], [0, undef], 'the compiler ended well';
    is_deeply [@{ $r->{json}{run} }{qw(stdout code status)}], ["x\n", 2, 'RE'], 'the program ran';
    my $bad = call('POST', 'execute', { language => 'c', version => '*', files => [{ name => 'a.c', content => 'int main(void) { return x; }' }] })->{json};
    is_deeply [@{ $bad->{compile} }{qw(code status message)}], [1, 'RE', 'Exited with error status 1'], 'a compiler that failed';
    like $bad->{compile}{stderr}, qr/a\.c:1:.*error/, 'its messages name the file';
    is_deeply $bad->{run}, $bad->{compile}, 'a program that was not run has the result of the compiler';
    my $slow = call('POST', 'execute', { language => 'c', version => '*', files => program('int main(void) { return 0; }//' . rand), compile_timeout => 1 })->{json};
    is "$slow->{compile}{status} $slow->{run}{signal}", 'TO SIGKILL', 'a compiler has its own timeout';
    refused(call('POST', 'execute', { language => 'c', version => '*', files => program('x'), compile_timeout => 1e9 }), 400,
        'compile_timeout cannot exceed the configured limit of 30000', 'that has a maximum');
};

subtest 'packages' => sub {
    my $r = call('GET', 'packages');
    my ($python) = grep { $_->{language} eq 'python' } @{ $r->{json} };
    is_deeply $python, { language => 'python', language_version => $version, installed => JSON::PP::true }, 'the list has what is installed';
    my $has = call('POST', 'packages', { language => 'python', version => $version });
    is_deeply [$has->{status}, $has->{json}], [200, { language => 'python', version => $version }], 'to install what is there is done at once';
    refused(call('POST', 'packages', { language => 'python', version => '2.7.18' }), 404, 'Requested package python-2.7.18 does not exist', 'nothing else is installed');
    refused(call('DELETE', 'packages', { language => 'nope', version => '1' }), 404, 'Requested package nope-1 does not exist', 'nor removed');
    refused(call('DELETE', 'packages', { language => 'python', version => '*' }), 500, 'only the operator of this server removes a language', 'not even what is there');
};

subtest 'connect' => sub {
    my %upgrade = (headers => { Connection => 'Upgrade', Upgrade => 'websocket', 'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==' });
    my $text = 'connect (WebSocket) is not available on this server; use POST execute';
    refused(call('GET', $_->[0], undef, %{ $_->[1] }), 501, $text, $_->[2]) for ['connect', \%upgrade, 'a client that asks for a WebSocket'], ['connect', {}, 'one that does not'];
    is $cb->get('/api/v2/piston/connect', %upgrade)->{json}{message}, $text, 'at the other path, too';
    is $cb->get('/api/v2/connect', key => 'wrong-key-1', %upgrade)->{status}, 401, 'without a key, nothing is said';
};

subtest 'requests' => sub {
    refused(call('GET', 'execute'), 404, 'Not Found', 'another method');
    is call('GET', 'nope')->{status}, 404, 'another path';
    refused($cb->request('POST', '/api/v2/execute', headers => { 'Content-Type' => 'application/xml' }, content => '{}'), 415,
        'requests must be of type application/json', 'another type');
    is $cb->request('POST', '/api/v2/execute', headers => { 'Content-Type' => 'text/plain;charset=UTF-8' },
        content => json->encode({ language => 'py', version => '*', files => program('print(1)') }))->{json}{run}{stdout}, "1\n", 'plain text is JSON here';
    my $broken = call('POST', 'execute', '{"language": ');
    is $broken->{status}, 400, 'a body that is no JSON';
    like $broken->{json}{message}, qr/\Abody: /, 'the message says so';
    for my $key (undef, 'wrong-key-1', 'gone-key-12') {
        my $r = call('GET', 'runtimes', undef, key => $key);
        is $r->{status}, 401, 'without a right key: 401';
        like $r->{json}{message}, qr/\Aunauthorized/, 'the message is where clients look for it';
    }
    my $large = execute(files => program('print(len(open("b").read()))'), run_timeout => 1000);
    $large = execute(files => [@{ program('print(len(open("b").read()))') }, { name => 'b', content => 'x' x 300_000 }]);
    is $large->{json}{run}{stdout}, "300000\n", 'a large body';
    is call('POST', 'execute', json->encode({ language => 'py', version => '*', files => program('#' . 'x' x 300_000) }), key => 'wrong-key-1')->{status}, 401,
        'a large body needs a right key, too';
};

subtest 'a key in the path' => sub {
    my $r = $cb->get("/k/$cb->{key}/api/v2/runtimes", key => undef);
    is $r->{status}, 200, 'it is taken';
    is $cb->get('/k/wrong-key-1/api/v2/runtimes', key => undef)->{status}, 401, 'a wrong one is not';
    is $cb->get("/k/$cb->{key}/v1/sandbox/languages", key => undef)->{status}, 404, 'other routes know no such key';
    $cb->get("/%6b/$cb->{key}/api/v2/runtimes", key => undef);
    $cb->get("//k/$cb->{key}/api/v2/runtimes", key => undef);
    $cb->get("/x/../k/$cb->{key}/nope", key => undef);
    ok index($cb->log_text, $cb->{key}) < 0, 'no log has it';
};

is $cb->get('/run_code')->{status}, 404, 'a protocol that is not served has no routes';
is $cb->get('/jobe/index.php/restapi/languages')->{status}, 404, 'nor has another';
subtest 'a reload' => sub {
    my $conf = "$cb->{dir}/conf/cellblock.conf";
    spew($conf, slurp($conf) =~ s/protocols = \["piston"\]/protocols = ["jobe", "sandboxfusion"]/r);
    my ($exit, undef, $err) = command([root() . '/script/server', '--reload', '--dir', $cb->{dir}], seconds => 120);
    is $exit, 0, 'it succeeds' or diag $err;
    ok eventually(30, sub { $cb->get('/jobe/index.php/restapi/languages')->{status} == 200 }), 'a protocol that is new is served';
    is $cb->get('/v1/ping')->{status}, 200, 'so is another';
    ok eventually(30, sub { call('GET', 'runtimes')->{status} == 404 }), 'one that is gone is not';
};

like $cb->log_text, qr{"route":"/api/v2/execute"}, 'the log has the routes';
$cb->finish;
done_testing;
