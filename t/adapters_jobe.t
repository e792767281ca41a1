# Jobe's protocol: languages, runs and files, with every field and every error.
use strict;
use warnings;
use Cellblock qw(eventually json);
use Digest::SHA ();
use MIME::Base64 ();
use Test::More;

my $cb = Cellblock->start(
    own   => 1,
    allow => [qr/store/],
    conf  => [['cellblock.conf', qr/protocols = \[\]/, 'protocols = ["jobe"]']],
    keys => {
        slow => { key => 'slow-key-12', settings => "rate = 1;\nburst = 0;" },
        few  => { key => 'few-key-123', settings => "running = 1;\nwaiting = 0;" },
    },
);
my $base = '/jobe/index.php/restapi';

sub call {
    my ($method, $path, $body, %option) = @_;
    $body = json->encode($body) if ref $body;
    return $cb->request($method, "$base/$path", headers => { 'Content-Type' => 'application/json; charset=utf-8' },
        (defined $body ? (content => $body) : ()), %option);
}

sub runs {
    my (%spec) = @_;
    return call('POST', 'runs', { run_spec => { language_id => 'python3', %spec } });
}

# The result of a run.
sub result {
    my (%spec) = @_;
    my $r = runs(%spec);
    is $r->{status}, 200, 'a result' or diag $r->{body};
    return ref $r->{json} eq 'HASH' ? $r->{json} : {};
}

sub refused {
    my ($reply, $status, $text, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [$reply->{status}, $reply->{json}], [$status, $text], $name;
    return;
}

subtest 'languages' => sub {
    my $r = call('GET', 'languages');
    my %version = map { $_->[0] => $_->[1] } @{ $r->{json} };
    like $version{python3}, qr/\A3\.\d+/, 'Python has a version';
    ok !exists $version{bash}, 'a language that Jobe has not is not in the list';
    is_deeply call('GET', 'languages/')->{json}, $r->{json}, 'a slash at the end changes nothing';
};

subtest 'a run' => sub {
    my $r = result(sourcecode => "print(input())\nprint(input())", input => "a\nb\n", sourcefilename => '__tester__.python3');
    is_deeply [@$r{qw(outcome cmpinfo stdout stderr ignored)}], [15, '', "a\nb\n", '', []], 'it succeeded';
    ok length $r->{run_id}, 'it has an id';
    is $r->{cellblock}{status}, 'ok', 'our own facts are there';
    is call('POST', 'runs/', { run_spec => { language_id => 'PYTHON3', sourcecode => 'print(1)' } })->{json}{stdout}, "1\n",
        'a language may be written in any letters';
    is result(sourcecode => 'print(1)', input => undef, sourcefilename => '', file_list => [], parameters => [], debug => 1, other => 1)->{outcome}, 15,
        'what clients send is taken';
    is result(sourcecode => '')->{outcome}, 15, 'an empty program succeeds';
    is result(sourcecode => 'import sys; print(sys.argv[1:])', parameters => { runargs => ['a', 'b c'] })->{stdout}, "['a', 'b c']\n", 'arguments';
    is_deeply result(sourcecode => '1', parameters => { interpreterargs => ['-u'] })->{ignored}, ['interpreterargs'], 'what has no effect is named';
    like result(sourcecode => '1/0', sourcefilename => 'test.py')->{stderr}, qr/File "[^"]*test\.py", line 1/, 'a traceback has the name of the file';
};

subtest 'how a program ends' => sub {
    is result(sourcecode => 'import sys; sys.stderr.write("x")')->{outcome}, 12, 'a text on stderr is a run-time error';
    is result(sourcecode => 'raise SystemExit(3)')->{outcome}, 15, 'an exit code is none';
    my $syntax = result(sourcecode => "print(1)\nprint('x'");
    is_deeply [@$syntax{qw(outcome stdout stderr)}], [11, '', ''], 'a fault of the syntax is an error of the compiler';
    like $syntax->{cmpinfo}, qr/SyntaxError/, 'its message is where the compiler has its own';
    is result(sourcecode => "print(1)\nraise SyntaxError('x')")->{outcome}, 12, 'one that a program raises is not';
    my $signal = result(sourcecode => 'import os; os.kill(os.getpid(), 11)');
    is_deeply [@$signal{qw(outcome stderr)}], [12, "terminated with signal 11 (Segmentation fault)\n"], 'a signal';
    is result(sourcecode => 'while True: pass', parameters => { cputime => 1 })->{outcome}, 13, 'the limit of CPU time';
    is result(sourcecode => 'import time; time.sleep(30)', parameters => { cputime => '1' })->{outcome}, 13, 'twice that is the limit of time';
    my $output = result(sourcecode => "while True: print('x' * 9999)", parameters => { streamsize => 0.1 });
    is $output->{outcome}, 13, 'the limit of output';
    is length $output->{stdout}, 102_400, 'the output up to it is there';
    is result(sourcecode => "x = []\nwhile True: x.append(bytearray(1 << 20))", parameters => { memorylimit => 40 })->{outcome}, 17, 'the limit of memory';
    is result(sourcecode => 'print(1)', parameters => { memorylimit => 200_000, numprocs => 'x', disklimit => -1, streamsize => 1e30 })->{outcome}, 15,
        'what is above the maximum is the maximum, and what is no number is as if it were missing';
    is result(sourcecode => "import os\ntry:\n    os.fork()\nexcept OSError:\n    print('no')", parameters => { numprocs => 1 })->{stdout}, "no\n", 'the limit of processes';
    is result(sourcecode => 'open("x", "w").write("y" * 3_000_000)', parameters => { disklimit => 1 })->{outcome}, 12, 'the limit of disk space';
    is result(sourcecode => 'import sys; sys.stdout.buffer.write(b"\n\x01\xc3\xa4~\x7f\xff")')->{stdout}, "\n\\x01\\xc3\\xa4~\\x7f\\xff",
        'bytes that are no UTF-8 are hexadecimal';
    is result(sourcecode => 'print("\u00e4\1", end="")')->{stdout}, "\x{e4}\1", 'UTF-8 is as it is';
    is result(sourcecode => '!** TESTING OVERLOAD EXCEPTION **!')->{outcome}, 21, 'the overload that a test asks for';
};

subtest 'compiled languages' => sub {
    plan skip_all => 'no gcc' if !-x '/usr/bin/gcc';
    my @c = (language_id => 'c', sourcefilename => 'prog.c');
    is result(@c, sourcecode => "#include <stdio.h>\nint main(void) { printf(\"x\"); return 1; }")->{stdout}, 'x', 'a program in C';
    my $bad = result(@c, sourcecode => 'int main(void) { return x; }');
    is_deeply [@$bad{qw(outcome stdout stderr)}], [11, '', ''], 'an error of the compiler';
    like $bad->{cmpinfo}, qr/prog\.c:1:/, 'its messages name the file';
    is result(@c, sourcecode => 'int main(void) { int x; return 0; }')->{outcome}, 11, 'a warning is an error, unless the options say otherwise';
    is result(@c, sourcecode => 'int main(void) { int x; return 0; }', parameters => { compileargs => ['-std=c99 -Wall'], linkargs => ['-lm'] })->{outcome}, 15,
        'these do';
    my $odd = result(@c, sourcecode => 'int main(void) { return 0; }', parameters => { compileargs => ['-fplugin=x'] });
    is_deeply [@$odd{qw(outcome cmpinfo)}], [11, "the option -fplugin=x of the compiler is not allowed on this server\n"], 'an option that is not allowed';
    is result(@c, sourcecode => "static int f(int i) { return i == 0 ? 0 : f(i + 1) + 1; }\nint main(void) { return f(1); }")->{outcome}, 12,
        'an endless recursion meets the end of the stack';
};

subtest 'PHP and Node' => sub {
    my %has = map { $_->[0] => 1 } @{ call('GET', 'languages')->{json} };
    SKIP: {
        skip 'no PHP', 2 if !$has{php};
        is result(language_id => 'php', sourcecode => 'a<?php echo 1; ?>b', sourcefilename => 'test.php')->{stdout}, 'a1b', 'a program in PHP';
        is result(language_id => 'php', sourcecode => '<?php echo "')->{outcome}, 11, 'a fault of its syntax is an error of the compiler';
    }
    SKIP: {
        skip 'no Node', 2 if !$has{nodejs};
        is result(language_id => 'nodejs', sourcecode => 'console.log(1)')->{stdout}, "1\n", 'a program in JavaScript';
        is result(language_id => 'nodejs', sourcecode => 'x = (')->{outcome}, 12, 'a fault of its syntax is a run-time error';
    }
};

subtest 'requests that are not valid' => sub {
    refused(call('POST', 'runs', '{'), 400, 'Non-JSON post data received', 'no JSON');
    refused(call('POST', 'runs', {}), 400, 'No run_spec attribute found in post data', 'no description of a run');
    refused(call('POST', 'runs', { run_spec => 1 }), 400, 'No run_spec attribute found in post data', 'one that is no object');
    refused(runs(), 400, "run_spec is missing the required attribute 'sourcecode'", 'no program');
    refused(call('POST', 'runs', { run_spec => { sourcecode => '1' } }), 400, "run_spec is missing the required attribute 'language_id'", 'no language');
    refused(runs(sourcecode => 1), 400, "The attribute 'sourcecode' of the run_spec must be a string", 'a program that is no text');
    refused(runs(sourcecode => '1', language_id => 'nope'), 400, "Language 'nope' is not known", 'an unknown language');
    refused(runs(sourcecode => '1', input => 1), 400, "The attribute 'input' of the run_spec must be a string", 'input that is no text');
    refused(runs(sourcecode => '1', sourcefilename => $_), 400, 'The sourcefilename for the run_spec is illegal', "the name $_") for qw(../x .x -x a/b a$b);
    refused(runs(sourcecode => '1', parameters => { cputime => 121 }), 400, 'cputime exceeds maximum allowed on this Jobe server (120 secs)', 'too much time');
    refused(runs(sourcecode => '1', parameters => { runargs => [1] }), 400, 'args[0]: must be a string', 'an argument that is no text');
    refused(runs(sourcecode => '1', file_list => [$_->[1]]), 400, 'Invalid file specifier: file_list[0]', $_->[0])
        for ['a short id', ['abc', 'x']], ['an odd id', ['abcdefgh/', 'x']], ['an odd name', ['abcdefgh', '../x']], ['no name', ['abcdefgh', '']],
        ['the name of a directory', ['abcdefgh', '..']], ['no list', 'x'], ['too much', [1, 2, 3, 4]];
};

subtest 'files' => sub {
    my $missing = 'One or more of the specified files is missing/unavailable';
    refused(runs(sourcecode => '1', file_list => [['abcdefgh', 'x'], ['abcdefgi', 'y', JSON::PP::true]]), 404, $missing, 'a file that is not here');
    is call('HEAD', 'files/abcdefgh')->{status}, 404, 'it is not there';
    my $put = call('PUT', 'files/abcdefgh', { file_contents => 'YQ==' });
    is_deeply [$put->{status}, $put->{body} // ''], [204, ''], 'it is stored' or diag $put->{body};
    is call('HEAD', 'files/abcdefgh')->{status}, 204, 'now it is there';
    is call('HEAD', 'files/ABCDEFGH')->{status}, 404, 'the letters of an id matter';
    my $all = 'import os; print(sorted((n, open(n).read()) for n in os.listdir(".") if n.startswith("f")))';
    is result(sourcecode => $all, file_list => [['abcdefgh', 'f1.txt'], ['abcdefgh', 'f2.txt', JSON::PP::true]])->{stdout}, "[('f1.txt', 'a'), ('f2.txt', 'a')]\n",
        'a run has it, under as many names as it likes';
    is call('PUT', 'files/abcdefgh', { file_contents => "Y m\nI" })->{status}, 204, 'another content under the same id, in loose base64';
    is call('PUT', 'files/x1234567', { file_contents => '' })->{status}, 204, 'an empty one';
    is result(sourcecode => $all, file_list => [['x1234567', 'f1'], ['abcdefgh', 'f1'], ['x1234567', 'f2']])->{stdout}, "[('f1', 'bb'), ('f2', '')]\n",
        'a name that is there twice has the later file';
    refused(runs(sourcecode => $all, file_list => [['abcdefgh', 'f1'], ['abcdefgi', 'f2']]), 404, $missing, 'one of two is not here');
    is call('HEAD', 'files/abcdefgh', undef, key => 'few-key-123')->{status}, 404, 'another key has none of it';
    is call('PUT', 'files/abcdefgh', { file_contents => 'eA==' }, key => 'few-key-123')->{status}, 204, 'and may have its own';
    is result(sourcecode => 'print(open("f").read())', file_list => [['abcdefgh', 'f']])->{stdout}, "bb\n", 'which is not that of the first key';
    refused(call('PUT', 'files/abcdefgh', {}), 400, 'put: missing file_contents parameter', 'a file without contents');
    refused(call('PUT', 'files/abcdefgh', '{'), 400, 'put: missing file_contents parameter', 'a body that is no JSON');
    refused(call('PUT', 'files/abcdefgh', { file_contents => $_ }), 400, 'put: contents of file abcdefgh are not valid base-64', "no base64: $_")
        for 'Y', 'YQ=', 'YQ===', 'Y=Q=', 'Y-_=', "\x{e4}bcd", 'YQ==YQ==';
    is call($_, 'files/ab-cd', {})->{status}, 404, "$_ of an id that is none" for 'PUT', 'HEAD';
    is call('POST', 'files/abcdefgh', {})->{status}, 404, 'POST is no method for files';
    is result(sourcecode => 'print(open("f").read())', file_list => [['abcdefgh', 'f']])->{stdout}, "bb\n", 'what was refused has changed nothing';

    # The store does not know them by any id of its own.
    my $ids = qr/\A[0-9a-f]{64}/;
    is scalar(grep { !/$ids(?:\.name)?\z/ } map { (split m{/})[-1] } glob "$cb->{dir}/store/keys/*/*"), 0, 'in the store they are files like others';
    SKIP: {
        my ($name) = glob "$cb->{dir}/store/keys/*/*.name";
        skip 'the directory of the store is elsewhere', 4 if !defined $name;
        my ($hex) = $name =~ m{([0-9a-f]{64})\.name\z};
        is $cb->request($_, "/v1/sandbox/files/sha256:$hex")->{status}, 404, "a name is no file of the store: $_" for 'GET', 'HEAD', 'DELETE';
        is $cb->run(code => '1', files => { a => "sha256:$hex" })->{status}, 400, 'nor for a run';
    }
    # A content that went before its name.
    my $content = 'sha256:' . Digest::SHA::sha256_hex('bb');
    is $cb->request('DELETE', "/v1/sandbox/files/$content")->{status}, 200, 'the content goes';
    is call('HEAD', 'files/abcdefgh')->{status}, 404, 'so the file is not there';
    refused(runs(sourcecode => '1', file_list => [['abcdefgh', 'f']]), 404, $missing, 'nor for a run');
    is call('PUT', 'files/abcdefgh', { file_contents => 'YmI=' })->{status}, 204, 'and can be stored again';

    my %mine = $cb->processes;
    kill KILL => grep { $mine{$_}{comm} eq 'store' } keys %mine;
    ok eventually(60, sub { call('HEAD', 'files/abcdefgh')->{status} == 204 }), 'a crash of the store keeps the files';
    is result(sourcecode => 'print(open("f").read())', file_list => [['abcdefgh', 'f']])->{stdout}, "bb\n", 'and what they are';
};

subtest 'files of compiled programs' => sub {
    plan skip_all => 'no gcc' if !-x '/usr/bin/gcc';
    my %c = (language_id => 'c', sourcefilename => 'prog.c', sourcecode => "#include <stdio.h>\n#include \"x.h\"\nint main(void) { printf(\"%d\", X); return 0; }", file_list => [['headerxh', 'x.h']]);
    for my $x (1, 2) {
        call('PUT', 'files/headerxh', { file_contents => MIME::Base64::encode_base64("#define X $x\n", '') });
        is result(%c)->{stdout}, $x, "a header, number $x: a new content makes another program";
    }
};

subtest 'keys and limits' => sub {
    for my $key (undef, 'wrong-key-1') {
        my $r = call('GET', 'languages', undef, key => $key);
        is_deeply [$r->{status}, $r->{json}], [403, 'Unknown API key'], 'without a right key: 403';
    }
    is $cb->request('GET', "/k/$cb->{key}$base/languages", key => undef)->{status}, 200, 'a key in the path';
    refused(call('GET', 'runs'), 404, 'Not Found', 'another method');
    is call('POST', 'nope', {})->{status}, 404, 'another path';
    my $body = { run_spec => { language_id => 'python3', sourcecode => 'print(1)' } };
    my @reply = map { call('POST', 'runs', $body, key => 'slow-key-12') } 1 .. 4;
    my ($over) = grep { $_->{status} != 200 } @reply;
    refused($over, 429, 'Max RUN rate for this server exceeded', 'a key above its rate') if ok $over, 'one is above the rate';
    my $text = json->encode({ run_spec => { language_id => 'python3', sourcecode => 'import time; time.sleep(6)' } });
    my $busy = $cb->connect_raw("POST $base/runs HTTP/1.1\r\nHost: x\r\nX-Api-Key: few-key-123\r\nContent-Length: " . length($text) . "\r\n\r\n$text");
    ok eventually(10, sub { $cb->pids('guest') }), 'a long run';
    ok eventually(4, sub { (call('POST', 'runs', $body, key => 'few-key-123')->{json}{outcome} // 0) == 21 }), 'one that may not wait: an overload';
    $cb->read_reply($busy);
};

$cb->finish;
done_testing;
