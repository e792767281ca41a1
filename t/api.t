# The API: every route, status and error, as a client sees them through nginx.
use strict;
use warnings;
use Cellblock qw(envelope_ok json);
use Test::More;

my $cb = Cellblock->start;
my $true = JSON::PP::true;
my $run = '/v1/sandbox/run';

# --- a run that works --------------------------------------------------------------------------------------------------

subtest 'the reply of a run' => sub {
    my $r = $cb->run(code => 'import sys; print("out"); print("err", file=sys.stderr)');
    envelope_ok($r, 200, 0, 'envelope');
    my $d = $r->{data};
    is $d->{stdout}, "out\n", 'stdout';
    is $d->{stderr}, "err\n", 'stderr';
    is $d->{error}, '', 'output on stderr alone is no error';
    is $d->{exit_code}, 0, 'exit_code';
    is $d->{signal}, undef, 'signal';
    is $d->{status}, 'ok', 'status';
    is_deeply $d->{denied}, [], 'denied';
    ok !$d->{truncated}, 'truncated';
    is $d->{network}, 'none', 'network';
    like $d->{isolation} // '', qr/\A(?:namespaces|chroot)\z/, 'isolation';
    my $usage = $d->{usage};
    is $usage->{stdout_bytes}, 4, 'usage.stdout_bytes';
    is $usage->{stderr_bytes}, 4, 'usage.stderr_bytes';
    like $usage->{processes_peak} // 'null', qr/\A(?:1|null)\z/, 'usage.processes_peak';
    for (qw(wall_ms cpu_ms memory_peak_bytes queue_ms spawn_ms)) {
        like $usage->{$_} // 'none', qr/\A\d+(?:\.\d+)?\z/, "usage.$_";
    }
};

subtest 'usage is measured' => sub {
    my $usage = $cb->run(code => "import time\nb = bytearray(60 << 20)\nt = time.process_time()\n"
            . "while time.process_time() < t + .3: pass\ntime.sleep(.2)")->{data}{usage};
    cmp_ok $usage->{wall_ms}, '>=', 500, 'wall_ms';
    cmp_ok $usage->{wall_ms}, '<', 10_000, 'wall_ms, in its unit';
    cmp_ok $usage->{cpu_ms}, '>=', 300, 'cpu_ms';
    cmp_ok $usage->{cpu_ms}, '<', 5_000, 'cpu_ms, in its unit';
    cmp_ok $usage->{memory_peak_bytes}, '>=', 60 << 20, 'memory_peak_bytes';
    cmp_ok $usage->{memory_peak_bytes}, '<', 200 << 20, 'memory_peak_bytes, in its unit';
};

my $print_argv = 'import sys; print(sys.argv[1:], sys.stdin.read())';
my @works = (
    # name                        fields
    # stdout
    ['stdin',                     { code => $print_argv, stdin => "a\nb\x{e9}" },                          "[] a\nb\x{e9}\n"],
    ['args',                      { code => $print_argv, args => ['x', '', "\x{20ac} y", '--z'] },         "['x', '', '\x{20ac} y', '--z'] \n"],
    ['env',                       { code => 'import os; print(os.environ["FOO"], os.environ["A_1"])', env => { FOO => "b\x{e4}r", A_1 => '' } }, "b\x{e4}r \n"],
    ['stdin with a NUL',          { code => 'print(len(input()))', stdin => "a\0b\n" },                    "3\n"],
    ['null for every optional field', { code => 'print(1)', map { $_ => undef } qw(preload enable_network stdin args env limits files collect tests) }, "1\n"],
    ['an empty value for every optional field', { code => 'print(1)', preload => '', stdin => '', args => [], env => {}, limits => {}, files => [], collect => [] }, "1\n"],
    ['a null limit',              { code => 'print(1)', limits => { wall_ms => undef } },                  "1\n"],
    ['unknown fields',            { code => 'print(1)', dependencies => [{ name => 'x' }], colour => 1 },  "1\n"],
    ['unknown fields of any type', { code => 'print(1)', dependencies => 'x', options => { a => [1, undef] } }, "1\n"],
    ['the alias "python"',        { code => 'print(1)', language => 'python' },                            "1\n"],
    ['code that is only white space',       { code => "\n" },                                                        ''],
    ['a preload runs first',      { preload => 'print("first")', code => 'print("second")' },              "first\nsecond\n"],
    ['a preload may import for the code', { preload => 'import json as j', code => 'print(j.dumps(1))' },  "1\n"],
    ['a preload of several lines leaves line numbers alone', { preload => "x = 1\ny = 2\n",
        code => "import sys\nprint(sys._getframe().f_lineno)" },                                           "2\n"],
    ['unicode code',              { code => "print('\x{1f600}\x{e4}')" },                                  "\x{1f600}\x{e4}\n"],
    ['quotes and control characters', { code => 'print("\"\\\\\t\x01\x7f</script>")' },                    qq("\\\t\x01\x7f</script>\n)],
    ['a NUL in the output',       { code => 'print("a\0b")' =~ s/\0/\\0/r },                               "a\0b\n"],
    ['invalid UTF-8 in the output', { code => 'import os; os.write(1, b"a\xff\xfeb")' =~ s/([\xfe\xff])/sprintf '\\x%02x', ord $1/ger }, qr/\Aa\x{fffd}{1,2}b\z/],
    ['enable_network false',      { code => 'print(1)', enable_network => JSON::PP::false },               "1\n"],
);
for (@works) {
    my ($name, $fields, $stdout) = @$_;
    my $r = $cb->run(%$fields);
    envelope_ok($r, 200, 0, $name) or next;
    ref $stdout ? like $r->{data}{stdout}, $stdout, "$name: stdout" : is $r->{data}{stdout}, $stdout, "$name: stdout";
    is $r->{data}{error}, '', "$name: no error";
}

my $network = $cb->run(code => 'print(1)', enable_network => $true);
is $network->{data}{network}, 'none', 'enable_network on a server without a network: the run has none';
is $network->{data}{error}, '', 'enable_network on a server without a network: no error is reported';

# --- how the end of a program is reported -----------------------------------------------------------------------------------------

my @ends = (
    # code                                        status     exit  signal     error
    ['pass',                                      'ok',      0,    undef,     qr/\A\z/],
    ['import sys; sys.stderr.write("x"); sys.exit(0)', 'ok', 0,    undef,     qr/\A\z/],
    ['import sys; sys.exit(3)',                   'exit',    3,    undef,     qr/\Aprocess exited with code 3\n/],
    ['import sys; sys.exit("why")',               'exit',    1,    undef,     qr/\Aprocess exited with code 1\n.*why/s],
    ['1/0',                                       'exit',    1,    undef,     qr/\Aprocess exited with code 1\n.*Traceback.*"[^"]*main\.py", line 1.*ZeroDivisionError/s],
    ['import os; os._exit(255)',                  'exit',    255,  undef,     qr/\Aprocess exited with code 255\n/],
    ['import os; os.kill(os.getpid(), 15)',       'signal',  -1,   'SIGTERM', qr/\Aprocess exited with code -1\n.*signal/s],
    ['import ctypes; ctypes.string_at(0)',        'signal',  -1,   'SIGSEGV', qr/\Aprocess exited with code -1\nerror: signal: segmentation fault/],
    ['x =',                                       'exit',    1,    undef,     qr/SyntaxError/],
);
for (@ends) {
    my ($code, $status, $exit, $signal, $error) = @$_;
    my $r = $cb->run(code => $code);
    envelope_ok($r, 200, 0, "end: $code") or next;
    my $d = $r->{data};
    is_deeply [@$d{qw(status exit_code signal)}], [$status, $exit, $signal], "end: $code: status, exit code, signal"
        or diag json->encode($d);
    like $d->{error}, $error, "end: $code: error";
}
like $cb->run(code => 'print(1)', preload => 'raise ValueError("early")')->{data}{error}, qr/ValueError: early/, 'the error of a failing preload is reported';

# --- bad requests --------------------------------------------------------------------------------------------------------

my $maximum = $cb->get('/v1/sandbox/capabilities')->{data}{limits};
my %good = (language => 'python3', code => 'print(1)');
my @limits = qw(wall_ms cpu_ms memory_bytes processes threads open_files inodes stack_bytes output_bytes disk_bytes);

# Fields that change a good request (undef removes a field), and a pattern of the message.
my @bad = (
    [{ language => undef },                 qr/language/],
    [{ code => undef },                     qr/code/],
    [{ language => '' },                    qr/language/],
    [{ code => '' },                        qr/code/],
    [{ language => 3 },                     qr/language.*string/],
    [{ language => ['python3'] },           qr/language.*string/],
    [{ code => 3 },                         qr/code.*string/],
    [{ code => { a => 1 } },                qr/code.*string/],
    [{ language => 'cobol' },               qr/\Aunsupported language/],
    [{ language => 'python3 ' },            qr/\Aunsupported language/],
    [{ language => '../python3' },          qr/\Aunsupported language/],
    [{ language => "python3\0" },           qr/\Aunsupported language/],
    [{ language => 'x' x 5000 },            qr/\Aunsupported language/],
    [{ preload => 3 },                      qr/preload.*string/],
    [{ enable_network => 'yes' },           qr/enable_network/],
    [{ enable_network => 1 },               qr/enable_network/],
    [{ stdin => 5 },                        qr/stdin.*string/],
    [{ stdin => ['x'] },                    qr/stdin.*string/],
    [{ args => 'x' },                       qr/args/],
    [{ args => [1] },                       qr/args/],
    [{ args => [undef] },                   qr/args/],
    [{ args => ["a\0b"] },                  qr/args/],
    [{ env => ['A=1'] },                    qr/env/],
    [{ env => 'A=1' },                      qr/env/],
    [{ env => { A => 1 } },                 qr/env/],
    [{ env => { A => undef } },             qr/env/],
    [{ env => { '' => 'x' } },              qr/env/],
    [{ env => { 'A=B' => 'x' } },           qr/env/],
    [{ env => { 'A B' => 'x' } },           qr/env/],
    [{ env => { '1A' => 'x' } },            qr/env/],
    [{ env => { "A\0" => 'x' } },           qr/env/],
    [{ env => { A => "x\0y" } },            qr/env/],
    (map { [{ env => { $_ => 'x' } }, qr/env.*\Q$_\E/] } qw(LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG PYTHONPATH PYTHONHOME
        PYTHONSTARTUP PYTHONHASHSEED PYTHONINSPECT NODE_OPTIONS GLIBC_TUNABLES)),
    [{ limits => { memory_mb => 64 } },     qr/\Alimits\.memory_mb: there is no such limit; do you mean memory_bytes\?/],
    [{ limits => { wall_time => undef } },  qr/\Alimits\.wall_time: there is no such limit; do you mean wall_ms\?/],
    [{ limits => [] },                      qr/limits/],
    [{ limits => 5 },                       qr/limits/],
    (map { my $limit = $_; (
        [{ limits => { $limit => 0 } },     qr/limits\.$limit/],
        [{ limits => { $limit => -1 } },    qr/limits\.$limit/],
        [{ limits => { $limit => '10' } },  qr/limits\.$limit/],
        [{ limits => { $limit => $true } }, qr/limits\.$limit/],
        [{ limits => { $limit => {} } },    qr/limits\.$limit/],
        [{ limits => { $limit => 1.5 } },   qr/limits\.$limit/],
        [{ limits => { $limit => $maximum->{$limit}{maximum} + 1 } }, qr/limits\.$limit.*\Q$maximum->{$limit}{maximum}\E/],
    ) } @limits),
    [{ files => 'x' },                      qr/files/],
    [{ collect => 'x' },                    qr/collect/],
    [{ tests => 'x' },                      qr/tests/],
);
for (@bad) {
    my ($fields, $says) = @$_;
    my %request = (%good, %$fields);
    delete @request{ grep { exists $fields->{$_} && !defined $fields->{$_} } qw(language code) };
    my $body = json->encode(\%request);
    my $name = '400: ' . substr json->encode($fields), 0, 80;
    my $r = $cb->post($body);
    envelope_ok($r, 400, -400, $name) and like $r->{json}{message}, $says, "$name: the message";
}

# Bodies that JSON::PP does not produce.
my @bad_bytes = (
    ['',                                                           qr/./,             'empty'],
    ['{',                                                          qr/JSON/,          'cut'],
    ['null',                                                       qr/object/,        'null'],
    ['[]',                                                         qr/object/,        'an array'],
    ['"x"',                                                        qr/object/,        'a string'],
    ["{'language':'python3','code':'1'}",                          qr/JSON/,          'single quotes'],
    ['{"language":null,"code":"1"}',                               qr/language/,      'language null'],
    ['{"language":"python3","code":null}',                         qr/code/,          'code null'],
    ['[' x 100_000,                                                qr/JSON|deep|nest|values/i, 'nested deeply'],
    ['{"a":' x 5000,                                               qr/JSON|deep|nest|values/i, 'objects nested deeply'],
    (map { [qq({"language":"python3","code":"1","limits":{"wall_ms":$_}}), qr/limits\.wall_ms|JSON/, "limit $_"] }
        qw(NaN nan Infinity -Infinity 1e400 -0 0.0 1e3x 18446744073709551617 99999999999999999999999999 -9223372036854775809)),
);
for (@bad_bytes) {
    my ($body, $says, $name) = @$_;
    my $r = $cb->post($body);
    envelope_ok($r, 400, -400, "400: $name") and like $r->{json}{message}, $says, "400: $name: the message";
}
my $cobol = $cb->run(code => 'x', language => 'cobol')->{json}{message};
my @installed = map { $_->{name} } grep { $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
is $cobol, 'unsupported language "cobol"; supported are: ' . join(', ', @installed), 'an unknown language: the message lists what is installed';
is $cb->run(code => 'print(1)', language => 'PYTHON')->{data}{stdout}, "1\n", 'the name of a language may be in any case';
# Bodies that dify-sandbox's server takes.
for (
    ['language=python3&code=print%287*6%29&enable_network=true',     'a form'],
    [qq(--b\r\nContent-Disposition: form-data; name="language"\r\n\r\npython3\r\n--b\r\nContent-Disposition: form-data; name="code"\r\n\r\nprint(42)\r\n--b--\r\n), 'a multipart form'],
    ['{"Language":"python3","CODE":"print(42)"}',                    'names in other letters'],
    ['{"language":"python3","code":"print(42)"} trailing',           'bytes after the object'],
    [qq({"language":"python3","code":"print(42) # \xff"}),           'a byte that is not UTF-8'],
) {
    my ($body, $name) = @$_;
    is eval { $cb->post($body)->{data}{stdout} }, "42\n", "$name is taken";
}
unlike $cb->run(code => 'x', language => "no\x{1f600}<script>")->{body}, qr/[\x00-\x1f]/, 'a language name in a message is escaped';

# --- keys ----------------------------------------------------------------------------------------------------------------

subtest 'keys' => sub {
    my $good = json->encode(\%good);
    my %body;
    for my $key (undef, '', 'wrong', $cb->{key} . 'x', substr($cb->{key}, 0, -1), uc "$cb->{key}Q", "wrong, $cb->{key}") {
        my $name = defined $key ? "key '$key'" : 'no key';
        my $r = $cb->post($good, key => $key);
        envelope_ok($r, 401, -401, $name);
        $body{ $r->{body} }++;
    }
    is scalar keys %body, 1, 'the reply is the same without a key and with a wrong one';
    envelope_ok($cb->post('{', key => 'wrong'), 401, -401, 'the key is verified before the body is parsed');
    for my $path (qw(/v1/sandbox/languages /v1/sandbox/capabilities /v1/sandbox/dependencies?language=python3)) {
        envelope_ok($cb->get($path, key => undef), 401, -401, "$path needs a key");
    }
    is $cb->get('/v1/sandbox/languages', key => undef, headers => { 'X-API-KEY' => $cb->{key} })->{status}, 200, 'the header name is not case-sensitive';
};

# --- routes --------------------------------------------------------------------------------------------------------------

for my $path (qw(/ /v1 /v1/sandbox /v1/sandbox/nothing /v1/sandbox/run/x /v2/sandbox/run /index.html /v1/sandbox/../../etc/passwd)) {
    envelope_ok($cb->get($path), 404, -404, "404: $path");
}
my @methods = (
    ['GET',     $run,                       'POST'],
    ['PUT',     $run,                       'POST'],
    ['DELETE',  $run,                       'POST'],
    ['POST',    '/v1/sandbox/languages',    'GET'],
    ['PUT',     '/v1/sandbox/capabilities', 'GET'],
    ['POST',    '/health',                  'GET'],
    ['BREW',    $run,                       'POST'],
);
for (@methods) {
    my ($method, $path, $allow) = @$_;
    my $r = $cb->request($method, $path, content => '');
    envelope_ok($r, 405, -405, "405: $method $path");
    like $r->{headers}{allow} // '', qr/\b$allow\b/, "405: $method $path: Allow";
}
my $huge = $cb->read_reply($cb->connect_raw("POST $run HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nContent-Length: 99999999999\r\n\r\n{"));
envelope_ok($huge, 413, -413, '413: a body above the limit is rejected before it is read');

my @health = $cb->get('/health', key => undef);
is $health[0]{status}, 200, '/health needs no key';
is $health[0]{body}, '"ok"', '/health answers "ok"';
is $cb->get('/health?x=1', key => undef)->{status}, 200, '/health ignores a query string';

# --- content types and transfer -----------------------------------------------------------------------------------------

for my $type ('application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'APPLICATION/JSON', 'text/plain', 'application/octet-stream') {
    my $r = $cb->post(json->encode(\%good), headers => { 'Content-Type' => $type });
    is $r->{data}{stdout}, "1\n", "Content-Type: $type";
}
my $body = json->encode(\%good);
my $untyped = $cb->read_reply($cb->connect_raw(
    "POST $run HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nContent-Length: " . length($body) . "\r\n\r\n$body"));
is $untyped->{data}{stdout}, "1\n", 'a request without Content-Type is served';
my $chunked = $cb->read_reply($cb->connect_raw("POST $run HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    . join '', map({ sprintf "%x\r\n%s\r\n", length, $_ } unpack '(a7)*', $body), "0\r\n\r\n"));
is $chunked->{data}{stdout}, "1\n", 'a chunked body is accepted';
my $expects = $cb->connect_raw("POST $run HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nExpect: 100-continue\r\nContent-Length: " . length($body) . "\r\n\r\n");
sysread $expects, my $continue, 1000;
like $continue, qr{\AHTTP/1.1 100 Continue\r\n}, 'Expect: 100-continue is answered with 100';
print {$expects} $body;
$expects->flush;
is $cb->read_reply($expects)->{data}{stdout}, "1\n", 'Expect: 100-continue: the reply follows';

my $big = 'x' x 1_000_000;
is $cb->run(code => "s = '''$big'''\nprint(len(s))")->{data}{stdout}, "1000000\n", 'a megabyte of code runs';
is $cb->run(code => 'print(len(input()))', stdin => $big)->{data}{stdout}, "1000000\n", 'a megabyte of stdin is read';

SKIP: {
    skip 'no TLS address', 1 if !$cb->{tls_port};
    my $plain = $cb->read_reply($cb->connect_raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", $cb->{tls_port}));
    envelope_ok($plain, 400, -400, 'plain HTTP on the TLS port');
    like $plain->{json}{message}, qr/speaks TLS/, 'plain HTTP on the TLS port: the message says so';
}

SKIP: {
    skip 'no TLS address', 4 if !$cb->{tls_url};
    my $r = $cb->post($body, tls => 1);
    envelope_ok($r, 200, 0, 'TLS: a run succeeds');
    is $r->{data}{stdout}, "1\n", 'TLS: the run\'s output is returned';
    envelope_ok($cb->post($body, tls => 1, key => 'wrong'), 401, -401, 'TLS: a wrong key is rejected');
    is $cb->get('/health', tls => 1, key => undef)->{body}, '"ok"', 'TLS: /health answers';
}

# --- the other routes ----------------------------------------------------------------------------------------------------

subtest 'languages' => sub {
    my $r = $cb->get('/v1/sandbox/languages');
    envelope_ok($r, 200, 0, 'envelope');
    my ($python) = grep { $_->{name} eq 'python3' } @{ $r->{data}{languages} };
    ok $python, 'python3 is listed' or return;
    ok JSON::PP::is_bool($python->{available}) && $python->{available}, 'available: true';
    is_deeply $python->{aliases}, [grep { $_ ne 'python3' } @{ $python->{aliases} }], 'aliases';
    ok grep({ $_ eq 'python' } @{ $python->{aliases} }), '"python" is an alias of python3';
    my $version = $cb->run(code => 'import platform; print(platform.python_version(), end="")')->{data}{stdout};
    like $python->{version}, qr/\Q$version\E/, 'version';
    is_deeply [@{$python}{qw(family default)}], ['python3', JSON::PP::true], 'it is the default of a family of its own';
    like $python->{start}, qr/\A(?:zygote|spare|cold)\z/, 'start';
    for my $language (@{ $r->{data}{languages} }) {
        is_deeply [grep { !exists $language->{$_} } qw(name aliases family default version start available reason)], [], "$language->{name}: every key is there";
    }
};

subtest 'capabilities' => sub {
    my $r = $cb->get('/v1/sandbox/capabilities');
    envelope_ok($r, 200, 0, 'envelope');
    my $d = $r->{data};
    like $d->{version}, qr/\A\d+\.\d+/, 'version';
    is $d->{level}, $cb->run(code => '1')->{data}{isolation}, 'the level equals the isolation that a run reports';
    is $d->{network}, 'none', 'network';
    is $d->{languages}{python3}, 'zygote', 'the start of python3 is reported';
    for my $limit (@limits) {
        my ($default, $most) = @{ $d->{limits}{$limit} || {} }{qw(default maximum)};
        ok $default && $most && $default > 0 && $default <= $most, "limits.$limit";
    }
    ok keys %{ $d->{layers} } >= 5, 'layers';
    for my $name (sort keys %{ $d->{layers} }) {
        my $layer = $d->{layers}{$name};
        ok JSON::PP::is_bool($layer->{$_}), "layer $name: $_" for qw(required in_force);
        ok defined $layer->{detail}, "layer $name: detail";
        ok $layer->{in_force} || !$layer->{required}, "layer $name: in force if required";
    }
};

$cb->finish;
done_testing;
