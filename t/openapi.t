# openapi.yaml describes what the service does: all routes, the examples in it and in the documents,
# and the answers to them.
use strict;
use warnings;
use Cellblock qw(command json prefix root skip_all slurp spew);
use Digest::SHA qw(sha256_hex);
use Events;
use File::Temp qw(tempdir);
use HTTP::Tiny;
use Test::More;

my $root = root();
my $dir = tempdir(CLEANUP => 1);
my ($missing) = command(['/usr/bin/python3', '-c', 'import jsonschema; jsonschema.Draft202012Validator']);
skip_all('no jsonschema for /usr/bin/python3 (Debian: python3-jsonschema)') if $missing;

my $operator = 'the-key-of-an-operator';
my $cb = Cellblock->start(own => 1, keys => { operator => { key => $operator, settings => "operator = true;\n" } });
my $route = '/v1/sandbox/openapi.json';

# --- the file that is served ---------------------------------------------------------------------------------------------

my $served = $cb->get($route, key => undef);
is $served->{status}, 200, 'it is served without a key';
is $served->{headers}{'content-type'}, 'application/json; charset=utf-8', '... as JSON';
my $api = $served->{json};
like $api->{openapi}, qr/\A3\.1\./, '... of OpenAPI 3.1';
my (undef, $from_yaml) = command(['/usr/bin/python3', '-c', 'import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1], encoding="utf-8")), sys.stdout)', "$root/openapi.yaml"]);
is_deeply $api, json->decode($from_yaml), '... and is openapi.yaml';
is $cb->request('HEAD', $route, key => undef)->{status}, 200, 'HEAD works';
for my $method (qw(POST PUT DELETE OPTIONS)) {
    my $r = $cb->request($method, $route, key => undef, content => 'x');
    is "$r->{status} " . ($r->{headers}{allow} // '-'), '405 GET, HEAD', "$method: 405, with the methods";
    is $r->{json}{code}, -405, '... in the envelope';
}
is $cb->request('TRACE', '/v1/sandbox/run')->{headers}{allow}, 'GET, POST', 'TRACE of another path has the methods as before';
my $moved = HTTP::Tiny->new(max_redirect => 0)->get("$cb->{url}$route/");
is "$moved->{status} $moved->{headers}{location}", "307 $route", 'with a slash it leads to the one without';

# --- all routes ----------------------------------------------------------------------------------------------------------

my %in_code = ($route => 'get');
for my $source ('fcgi/route.c', 'fcgi/status_server.c', 'deps/server.c') {
    my ($table) = slurp("$root/$source") =~ /\} routes\[\] = \{\n(.*?)^\};/ms or die "no table in $source";
    while ($table =~ m{\{ "(/[^".]*)", (?:"(GET|POST|PUT|DELETE)")?}g) { $in_code{$1} = lc($2 // 'GET') }
}
my $store = slurp("$root/store/http.c");
my ($files) = $store =~ /^#define ROUTE "(.*)"/m or die 'no route in store/http.c';
my %allow = map { $_ => lc } $store =~ /"Allow: ([A-Z, ]+)\\r\\n"/g;
for (values %allow) { $in_code{ $_ eq 'put' ? $files : "$files/{id}" } = join ' ', sort split /, / }
is_deeply { map { my $path = $_; $path => join ' ', grep { /\A(?:get|put|post|delete|head|options)\z/ } sort keys %{ $api->{paths}{$path} } } keys %{ $api->{paths} } },
    \%in_code, 'it has the routes and methods of the programs, and no others';

# --- values to check, which check.py does at the end --------------------------------------------------------------------------

my @checks;
sub conforms { my ($label, $where, $value) = @_; push @checks, json->encode([$label, $where, $value]) . "\n"; return }

sub send_run {
    my ($label, $request) = @_;
    my $r = $cb->post(json->encode($request));
    is "$r->{status} $r->{json}{code}", '200 0', "$label is carried out" or diag $r->{body};
    conforms("request of $label", 'RunRequest', $request);
    conforms("answer to $label", 'RunAnswer', $r->{json});
    return $r;
}

# Each example of openapi.yaml.
my $run = $api->{paths}{'/v1/sandbox/run'}{post};
my $examples = $run->{requestBody}{content}{'application/json'}{examples};
cmp_ok scalar keys %$examples, '>=', 5, 'a run has examples';
send_run("the example $_", $examples->{$_}{value}) for sort keys %$examples;
conforms("the answer $_", 'RunAnswer', $run->{responses}{200}{content}{'application/json'}{examples}{$_}{value}) for keys %{ $run->{responses}{200}{content}{'application/json'}{examples} };
for (sort keys %{ $api->{components}{responses} }) {
    my $content = $api->{components}{responses}{$_}{content}{'application/json'} or next;
    conforms("the example of $_", $content->{schema}{'$ref'} =~ s{.*/}{}r, $content->{example}) if $content->{example} && $content->{schema}{'$ref'};
}

# The answers of each route.
for my $path (grep { !/metrics|refresh|openapi|files/ && $api->{paths}{$_}{get} } sort keys %{ $api->{paths} }) {
    my $r = $cb->get($path);
    is $r->{status}, 200, "GET $path";
    conforms("GET $path", { answer => [$path, 'get', 200] }, $r->{json});
    my $wrong = $cb->request('DELETE', $path);
    is "$wrong->{status} $wrong->{headers}{allow}", '405 GET, HEAD', "DELETE $path";
    conforms("DELETE $path", { answer => [$path, 'get', 405] }, $wrong->{json});
    next if !exists $api->{paths}{$path}{get}{responses}{401};
    my $locked = $cb->get($path, key => undef);
    is $locked->{status}, 401, "GET $path without a key";
    conforms("GET $path without a key", { answer => [$path, 'get', 401] }, $locked->{json});
}
for ('/v1/sandbox/metrics', '/v1/sandbox/metrics/keys') {
    my $r = $cb->get($_, key => undef);
    is $r->{status}, 200, "GET $_";
    like $r->{headers}{'content-type'}, qr{\Atext/plain}, '... is text';
}
is ref $cb->get('/v1/sandbox/dependencies?language=n%6Fde%4as')->{data}{dependencies}, 'ARRAY', 'a query may have escapes';
for ('%00python3', 'python3%00', 'python%3', 'python3+', '%', '%%70ython3', '%e4%ff') {
    my $r = $cb->get("/v1/sandbox/dependencies?language=$_");
    is $r->{status}, 400, "language=$_ is no language";
    conforms("language=$_", { answer => ['/v1/sandbox/dependencies', 'get', 400] }, $r->{json});
}
my ($refresh, $update) = map {"/v1/sandbox/dependencies/$_"} qw(refresh update);
for ([get => $refresh, undef], [post => $update, '{"language": "python3"}'], [post => $update, '{"language": 1}']) {
    my ($method, $path, $body) = @$_;
    for my $key ($cb->{key}, $operator) {
        my $r = $cb->request(uc $method, $path, key => $key, content => $body);
        ok exists $api->{paths}{$path}{$method}{responses}{ $r->{status} }, "$method $path: $r->{status} is described";
        conforms("$method $path", { answer => [$path, $method, $r->{status}] }, $r->{json});
    }
}

# The answers to a run.
my %bad = (
    'no JSON' => 'x', 'a list' => '[]', 'no code' => '{"language":"python3"}', 'a wrong type' => '{"language":"python3","code":1}',
    'a bad limit' => '{"language":"python3","code":"1","limits":{"wall_ms":-1}}', 'a bad test' => '{"language":"python3","code":"1","tests":[{"in":1}]}',
);
for (sort keys %bad) {
    my $r = $cb->post($bad{$_});
    is $r->{status}, 400, "$_: 400";
    conforms($_, { answer => ['/v1/sandbox/run', 'post', 400] }, $r->{json});
}

# The store.
my ($stored, $never) = map { 'sha256:' . sha256_hex($_) } 'stored', 'never';
my $put = $cb->request('PUT', $files, content => 'stored');
is "$put->{status} $put->{data}{id}", "200 $stored", "PUT $files";
conforms("PUT $files", { answer => [$files, 'put', 200] }, $put->{json});
is $cb->request('HEAD', "$files/$stored")->{status}, 200, 'HEAD of a file';
is $cb->get("$files/$stored")->{headers}{'content-disposition'}, $api->{components}{headers}{Disposition}{schema}{const}, 'GET of a file';
for (['DELETE', $stored, 200], ['DELETE', $stored, 404], ['GET', $stored, 404], ['GET', 'x', 400], ['DELETE', 'x', 400], ['POST', $stored, 405]) {
    my ($method, $id, $status) = @$_;
    my $r = $cb->request($method, "$files/$id");
    is $r->{status}, $status, "$method of a file: $status";
    conforms("$method of a file", { answer => ["$files/{id}", $method eq 'POST' ? 'get' : lc $method, $status] }, $r->{json});
}
for ([$files, 'put'], ["$files/{id}", 'get'], ["$files/{id}", 'delete']) {
    my ($path, $method) = @$_;
    my $r = $cb->request(uc $method, $path =~ s/\{id\}/$never/r, key => undef);
    is $r->{status}, 401, "$method $path without a key";
    conforms("$method $path without a key", { answer => [$path, $method, 401] }, $r->{json});
}
$cb->request('PUT', $files, content => 'stored');
send_run('files by id', { language => 'python3', code => 'print(open("a").read(), open("b").read())', files => [{ path => 'a', id => $stored }, { path => 'b', content => 'x' }] });
send_run('the short form with an id', { language => 'python3', code => 'print(open("a").read())', files => { a => $stored } });
my $returned = send_run('collect_as', { language => 'python3', code => 'open("a", "w").write("stored")', collect => ['*'], collect_as => 'id' });
is $returned->{data}{files}[0]{id}, $stored, '... has an id';
my $missing_file = $cb->run(code => 'print(1)', files => [{ path => 'a', id => $never }]);
is_deeply $missing_file->{json}{missing}, [$never], 'an unknown id is missing';
conforms('an unknown id', { answer => ['/v1/sandbox/run', 'post', 400] }, $missing_file->{json});

# Events.
sub send_events {
    my ($label, $kinds, $request) = @_;
    for my $form (qw(sse ndjson)) {
        my $stream = Events->start($cb, $form, $request);
        my $events = [grep { $_->{event} ne 'heartbeat' } @{ $stream->rest(60) }];
        is Events::kinds($events), $kinds, "$label, as $form: its events" or diag explain $events;
        ok exists $run->{responses}{200}{content}{ $stream->{headers}{'content-type'} =~ s/;.*//r }, '... have a type that is described';
        conforms("$label, as $form", 'Event', json->decode($_->{line})) for @$events;
    }
    return;
}
send_events('a run with files', 'queued started stdout stderr file result', { code => 'import sys; print(1, flush=True); print(2, file=sys.stderr); open("a", "w")', collect => ['*'] });
send_events('a request with tests', 'queued test result', { code => 'print(input())', tests => [{ stdin => '1', expected => '1' }, { stdin => '1', expected => '2' }] });

# Tests.
my $checker = { language => 'python3', code => 'print("seen")' };
for (
    ['tests that go wrong', { stop_on => 'first_failure', test_output_bytes => 10, tests => [{ id => 7, stdin => '1', expected => { stdout => '1', exit_code => 0 } }, { id => 'x', stdin => '3', expected => '2' }, {}] }],
    ['tests that meet limits', { tests => [{ limits => { memory_bytes => 32 << 20 }, stdin => 'x' x 10, weight => 0.5 }, { stdin => '' }] }],
    ['a checker', { checker => $checker, tests => [{ stdin => 'x' }, { stdin => 'x', checker => { type => 'floats', absolute => 0.1 } }] }],
    ['an interactor', { interactor => { language => 'python3', code => 'print(1)' }, tests => [{}] }],
    ['no tests', { tests => [], checker => undef, interactor => undef, stop_on => undef }],
) {
    my ($label, $request) = @$_;
    my $r = send_run($label, { language => 'python3', code => 'print(input())', %$request });
    is scalar @{ $r->{data}{tests} // [] }, scalar @{ $request->{tests} }, '... has so many verdicts';
}
my $large = $cb->post('x' x 33_600_000);
is $large->{status}, 413, 'a large body: 413';
conforms('a large body', { answer => ['/v1/sandbox/run', 'post', 413] }, $large->{json});
my %ends = (
    exit => { code => 'import sys; print(1, file=sys.stderr); sys.exit(3)' }, signal => { code => 'import os; os.kill(os.getpid(), 11)' },
    timeout => { code => 'while True: pass', limits => { wall_ms => 200 } }, output_limit => { code => 'print("x" * 9999)', limits => { output_bytes => 100 } },
    memory_limit => { code => 'x = bytearray(1 << 30)', limits => { memory_bytes => 67108864 } },
    files => { code => 'import os; open("a", "wb").write(b"\xff"); os.symlink("a", "b"); os.mkfifo("c"); open("d", "w")', collect => ['*'] },
    denied => { code => 'import socket; socket.socket()' },
);
for (sort keys %ends) {
    my $r = send_run($_, { language => 'python3', %{ $ends{$_} } });
    is $r->{data}{status}, $_, "... with the status $_" if $_ !~ /files|denied/;
}
my ($c) = grep { $_->{name} eq 'c' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
SKIP: {
    skip 'no C compiler', 2 if !$c->{available};
    send_run('a compiled program', { language => 'c', code => 'int main(void) { return 0; }' });
    is send_run('one with an error', { language => 'c', code => 'int main(' })->{data}{status}, 'compile_error', '... with the status compile_error';
}

# --- the examples in the documents -------------------------------------------------------------------------------------------

# Find the JSON in the indented blocks of a document: whole objects, and members of one. An ellipsis
# stands for members that are left out, or for the rest of a digest.
sub json_of {
    my ($text) = @_;
    my @found;
    push @found, $1 while $text =~ /--json '(\{.*?\})'/g;
    my @lines = split /\n/, $text;
    while (@lines) {
        my $line = shift @lines;
        next if $line !~ /^    (?=\{"|"[a-z_]+" ?:)/;
        my $piece = $line =~ s/^ +//r;
        my $whole;
        while (1) {
            my $candidate = ($piece =~ /\A\{/ ? $piece : "{$piece}") =~ s/,? *\.\.\.(?=[}\]])//gr;
            $candidate =~ s/\b[0-9a-f]{4}\.\.\.(?=")/'0' x 64/ge;
            $whole = eval { json->decode($candidate); $candidate };
            # Members may go on in the next line.
            my $goes_on = @lines && $lines[0] =~ /^     / || $piece =~ /,\z/ && @lines && $lines[0] =~ /^    "/;
            last if $whole && !$goes_on || !@lines || $lines[0] !~ /^    /;
            $piece .= "\n" . (shift @lines);
        }
        push @found, $whole // "not JSON: $line";
    }
    return @found;
}

my ($requests, $answers) = (0, 0);
for my $document ('README.md', 'API.md', grep { !/adapters/ } glob "$root/docs/*.md") {
    my $path = $document =~ s{\A\Q$root\E/}{}r;
    my $last;
    for my $text (json_of(slurp("$root/$path"))) {
        my $value = eval { json->decode($text) };
        my $label = "$path: " . substr $text =~ s/\s+/ /gr, 0, 70;
        if (!$value) {
            fail $label;
        } elsif (exists $value->{event}) {
            $value->{data} = { %{ $cb->run(code => 'print(1)')->{data} }, %{ $value->{data} } } if $value->{event} eq 'result';
            conforms($label, 'Event', $value);
        } elsif (exists $value->{verdict}) {
            conforms($label, 'TestResult', $value);
        } elsif (exists $value->{code} && $value->{code} =~ /\A-/) {
            conforms($label, 'RunError', $value);
        } elsif (exists $value->{path}) {
            conforms($label, 'CollectedFile', $value);
        } elsif (exists $value->{data}{id}) {
            conforms($label, { answer => [$files, 'put', 200] }, $value);
        } elsif (exists $value->{message}) {
            $answers++;
            conforms($label, %{ $value->{data} } ? 'RunAnswer' : 'Success', $value) if !exists $value->{data}{usage} || exists $value->{data}{usage}{queue_ms};
            conforms($label, 'Success', $value);
        } elsif (exists $value->{status} || exists $value->{files} && ref $value->{files} eq 'ARRAY' && exists $value->{files}[0]{size}) {
            $answers++;
            my $data = $cb->run(code => 'print(1)')->{data};
            conforms($label, 'Result', { %$data, %$value });
            if ($last && exists $value->{status}) {
                is "$last->{status} $last->{exit_code}", "$value->{status} " . ($value->{exit_code} // $last->{exit_code}), "$label: is the answer to the request before it";
                is $last->{error}, $value->{error}, '... with its error' if exists $value->{error};
                is_deeply $last->{denied}, $value->{denied}, '... and what was denied' if exists $value->{denied};
            }
            undef $last;
        } else {
            $requests++;
            $value->{language} //= 'python3';
            $value->{code} = 'int main() { }' if ($value->{code} // '') eq '...';
            $value->{code} //= 'print(1)' if !exists $value->{main};
            $last = send_run($label, $value)->{data};
        }
    }
}
cmp_ok $requests, '>=', 7, 'the documents have requests';
cmp_ok $answers, '>=', 6, '... and answers';

my ($exit, $faults, $err) = command(['/usr/bin/python3', '-W', 'ignore', "$root/t/openapi/check.py", prefix() . '/share/cellblock/openapi.json'],
    stdin => spew("$dir/checks", join '', @checks));
is "$exit $err", '0 ', 'all values can be checked';
cmp_ok scalar @checks, '>=', 60, '... which are many';
is $faults, '', '... and are as openapi.yaml says';

# A check that finds nothing would pass as well.
(undef, $faults) = command(['/usr/bin/python3', '-W', 'ignore', "$root/t/openapi/check.py", prefix() . '/share/cellblock/openapi.json'],
    stdin => spew("$dir/checks", json->encode(['bad', { answer => ['/v1/sandbox/run', 'post', 200] }, { code => 0, message => 'success', data => { stdout => 1 } }])));
like $faults, qr/^bad: /, 'a wrong answer is found';

$cb->finish;
done_testing;
