# cellblock: runs programs from a shell, ends as they do, and takes files to them and back.
use strict;
use warnings;
use Cellblock qw(command eventually json prefix skip_all slurp spew);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

my $cellblock = prefix() . '/bin/cellblock';
my $cb = Cellblock->start(own => 1);
my $dir = tempdir(CLEANUP => 1);
my %env = (CELLBLOCK_URL => $cb->{url}, CELLBLOCK_API_KEY => $cb->{key}, HOME => $dir, XDG_CONFIG_HOME => '', NO_COLOR => '');

# Run the command in $dir. Returns its exit code, stdout and stderr.
sub cellblock {
    my ($arguments, %option) = @_;
    my ($exit, $out, $err) = command([$cellblock, @$arguments], dir => $dir, seconds => 60, %option, env => { %env, %{ $option{env} || {} } });
    return ($exit, $out, $err);
}

sub write_in { my ($name, $text) = @_; return spew("$dir/$name", $text) }

# --- a program's output and end -----------------------------------------------------------------------------------------

write_in('hello.py', "import sys\nprint('out', sys.argv[1:])\nprint('err', file=sys.stderr)\nprint(sys.stdin.read(), end='')\n");
my ($exit, $out, $err) = cellblock(['run', 'hello.py', '--', '-x', 'a b'], piped => "input\n");
is $exit, 0, 'a program that ends well: exit code 0';
is $out, "out ['-x', 'a b']\ninput\n", 'stdout has the program\'s stdout, which has its arguments and its input';
is $err, "err\n", 'stderr has the program\'s stderr, and nothing else';
(undef, $out) = cellblock(['run', 'hello.py', '-l', 'word']);
like $out, qr/\['-l', 'word'\]/, 'everything behind FILE is the program\'s, also without --';

my %ends = (
    'exit(3)'                                                    => [3, qr/\A\z/],
    'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'    => [139, qr/segmentation fault/],
    'import os, signal; os.kill(os.getpid(), signal.SIGTERM)'    => [143, qr/^cellblock: signal: terminated/m],
    'while True: pass'                                           => [137, qr/^cellblock: timeout \(300 ms\)/m],
    'import socket; socket.socket()'                             => [1, qr/^cellblock: denied: socket: no network is configured/m],
);
for my $code (sort keys %ends) {
    write_in('end.py', $code);
    ($exit, $out, $err) = cellblock(['run', '--limit', 'wall_ms=300', 'end.py']);
    is $exit, $ends{$code}[0], "$code: exit code $ends{$code}[0]" or diag $err;
    like $err, $ends{$code}[1], '... and stderr says why';
}
write_in('long.py', 'print("x" * 100_000)');
($exit, $out, $err) = cellblock(['run', '-L', 'output_bytes=1K', 'long.py']);
is length $out, 1024, 'the output up to its limit is printed';
like $err, qr/^cellblock: output limit exceeded \(1024 bytes\)/m, '... and what has happened';
like $err, qr/^cellblock: the output is cut at its limit/m, '... and that it is cut';
isnt $exit, 0, '... with an exit code that is not 0';

# --- the language ---------------------------------------------------------------------------------------------------------

write_in('script', "#!/usr/bin/env -S python3.11 -u\nprint('by its first line')\n");
is +(cellblock(['run', 'script']))[1], "by its first line\n", 'the first line says the language';
write_in('script', "#!/usr/bin/perl -w\nprint 'by ', \"Perl\\n\";\n");
is +(cellblock(['run', 'script']))[1], "by Perl\n", '... also without env';
is +(cellblock(['run', '-l', 'bash', 'script']))[0], 127, '--language comes before it';
is +(cellblock(['run', '--language', 'nodejs', '-'], piped => 'console.log(6 * 7)'))[1], "42\n", 'a program on standard input';
write_in('unknown', 'print(1)');
($exit, $out, $err) = cellblock(['run', 'unknown']);
is "$exit $out", '125 ', 'an unknown language: exit code 125';
like $err, qr/unknown: .*use --language/, '... and the option';
($exit, $out, $err) = cellblock(['run', '-l', 'klingon', 'unknown']);
is "$exit $out", '123 ', 'a language that the service has not: exit code 123';
like $err, qr/^cellblock: unsupported language "klingon"; supported are:.*python3.*\(HTTP 400\)$/m, '... and the service\'s message';

# --- options ----------------------------------------------------------------------------------------------------------------

write_in('env.py', 'import os; print(os.environ["A"], os.environ["B"], os.environ["C"] == "")');
is +(cellblock(['run', '-e', 'A=1', '--env', 'B', '-e', 'C=', 'env.py'], env => { B => 'from here' }))[1], "1 from here True\n", '--env, with and without a value';
($exit, undef, $err) = cellblock(['run', '-e', 'NOT_SET_HERE', 'env.py']);
is $exit, 125, '--env without a value that is there: exit code 125';
like $err, qr/--env NOT_SET_HERE: /, '... and a message that names it';
for ('wall_ms', '=1', 'wall_ms=', 'wall_ms=-1', 'wall_ms=1x', 'wall_ms=1KK', 'wall_ms=9999999999999999999', 'memory_bytes=9000000000G') {
    ($exit, undef, $err) = cellblock(['run', '-L', $_, 'env.py']);
    is $exit, 125, "--limit $_: exit code 125";
    like $err, qr/^cellblock: --limit \Q$_\E: /m, '... and a message that names it';
}
is +(cellblock(['run', '-L', 'wall=1', 'env.py']))[0], 123, 'an unknown limit is refused by the service';
write_in('memory.py', 'import resource; print(open("/sys/fs/cgroup/none").read() if False else "ok")');
($exit, $out) = cellblock(['run', '-L', 'memory_bytes=64M', '--json', 'memory.py']);
my $answer = json->decode($out);
is $answer->{code}, 0, '--json prints the envelope';
is $answer->{data}{stdout}, "ok\n", '... with the result';
($exit, $out) = cellblock(['run', '--json', '-l', 'klingon', 'unknown']);
is json->decode($out)->{code}, -400, '--json prints an error\'s envelope, too';
is $exit, 123, '... with the same exit code';
write_in('network.py', "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\nprint('bound')\n");
is +(cellblock(['run', '--network=loopback', 'network.py']))[1], "bound\n", '--network=loopback';
is json->decode((cellblock(['run', '-n', '--json', 'hello.py']))[1])->{data}{network}, 'none', '--network where there is none goes on without';
is +(cellblock(['run', '--network=moon', 'network.py']))[0], 125, 'another network: exit code 125';
for (['run'], ['run', '--nothing', 'x.py'], ['run', 'missing.py'], ['run', '.'], ['nothing'], [], ['--retry', 'x', 'health'], ['health', 'x'], ['languages', '--x'],
    ['files'], ['files', 'put'], ['files', 'find', 'x'], ['files', 'get', 'x'], ['files', 'get', 'sha256:' . 'g' x 64], ['test'], ['test', '-j', '0', '.'], ['--config', '/nowhere', 'health']) {
    ($exit, $out, $err) = cellblock($_);
    is "$exit $out", '125 ', "cellblock @$_: exit code 125" or diag $err;
    isnt $err, '', '... with a message';
}
write_in('latin.py', "print('\xe9')");
($exit, undef, $err) = cellblock(['run', 'latin.py']);
like $err, qr/latin\.py: is not a text in UTF-8/, 'a source that is not UTF-8 is refused';
for my $part ([], map { [$_] } qw(run test languages health files)) {
    ($exit, $out, $err) = cellblock([@$part, '--help']);
    is $exit, 0, "cellblock @$part --help: exit code 0";
    like $out, qr/\Ausage: cellblock/, '... and the usage';
}
like +(cellblock(['--version']))[1], qr/\Acellblock \d+\.\d+/, '--version';

# --- files to a program and from it -------------------------------------------------------------------------------------------

mkdir "$dir/data" or die;
write_in('data/in.csv', "a,b\n1,2\n");
write_in('binary', "\0\xff\xfe");
chmod 0755, write_in('tool', "#!/bin/sh\necho from the tool\n");
write_in('files.py', <<'END');
import os, subprocess
print(open("data/in.csv").read(), open("other/name", "rb").read(), os.access("binary", os.X_OK))
print(subprocess.run(["./tool"], capture_output=True, text=True).stdout)
os.makedirs("out/deep")
open("out/deep/bytes", "wb").write(b"\0\xff")
open("out/text", "w").write("text\n")
os.symlink("text", "out/link")
END
($exit, $out, $err) = cellblock(['run', '-f', 'data/in.csv', '--file', 'binary', '-f', 'binary=other/name', '-f', "$dir/tool=tool", '--collect', 'out/**', '-d', 'back', 'files.py']);
is $out, "a,b\n1,2\n b'\\x00\\xff\\xfe' False\nfrom the tool\n\n", 'files have their contents, their names, and may be executed' or diag $err;
is slurp("$dir/back/out/deep/bytes"), "\0\xff", 'a binary file comes back';
is slurp("$dir/back/out/text"), "text\n", '... and a text';
ok !-l "$dir/back/out/link" && !-e "$dir/back/out/link", 'a link does not';
like $err, qr{^cellblock: out/link: is not returned: symlink$}m, '... and stderr says so';
is $exit, 125, '... and the exit code';
write_in('files.py', 'import os; os.mkdir("out"); open("out/text", "w").write("new")');
is +(cellblock(['run', '-c', 'out/*', '-d', 'back', 'files.py']))[0], 0, 'a second run';
is slurp("$dir/back/out/text"), 'new', '... replaces what it returns';
is slurp("$dir/back/out/deep/bytes"), "\0\xff", '... and nothing else';
is_deeply [grep { /cellblock-new/ } glob "$dir/back/.* $dir/back/out/.*"], [], '... and leaves nothing of its own';
for ("$dir/binary", '../binary', 'data/../../binary', 'missing', 'data', 'binary=', 'binary=/x') {
    ($exit, undef, $err) = cellblock(['run', '-f', $_, 'hello.py']);
    is $exit, 125, "--file $_: exit code 125";
    like $err, qr/^cellblock: --file /m, '... and a message';
}

# A directory in which somebody else has put links.
mkdir "$dir/trap" or die;
mkdir "$dir/outside" or die;
symlink "$dir/outside", "$dir/trap/out" or die;
($exit, undef, $err) = cellblock(['run', '-c', 'out/*', '-d', 'trap', 'files.py']);
like $err, qr{^cellblock: out/text: is not written: }m, 'no file is written through a link';
is_deeply [glob "$dir/outside/*"], [], '... and nothing is outside';
isnt $exit, 0, '... and the exit code says so';

# --- settings -----------------------------------------------------------------------------------------------------------------

mkdir "$dir/.config" or die;
mkdir "$dir/.config/cellblock" or die;
my $conf = "$dir/.config/cellblock/cellblock.conf";
my %none = (CELLBLOCK_URL => '', CELLBLOCK_API_KEY => '');
spew($conf, qq(url = "$cb->{url}/";\napi_key = "$cb->{key}";\n));
chmod 0600, $conf;
write_in('one.py', 'print(1)');
is +(cellblock(['run', 'one.py'], env => \%none))[1], "1\n", 'the file has the URL and the key';
is +(cellblock(['run', 'one.py'], env => { %none, CELLBLOCK_API_KEY => 'another-key' }))[0], 123, 'a variable comes before the file';
for my $mode (0640, 0604, 0620) {
    chmod $mode, $conf;
    ($exit, undef, $err) = cellblock(['run', 'one.py'], env => \%none);
    is $exit, 125, sprintf 'a file of mode %o with a key: exit code 125', $mode;
    like $err, qr/other users can (?:read|write).*chmod 600/, '... and the remedy';
}
spew($conf, qq(url = "$cb->{url}";\n));
chmod 0644, $conf;
is +(cellblock(['run', 'one.py'], env => { %none, CELLBLOCK_API_KEY => $cb->{key} }))[1], "1\n", 'a file without a key may be read by others';
for (['url = 1;', 'url: must be a text'], ['api-key = "x";', 'there is no such setting'], ['url = ', 'syntax error'], ['retry_seconds = -1;', 'retry_seconds'],
    ['url = "ftp://x";', 'must begin with http'], ['api_key = "short";', 'the API key must be']) {
    spew($conf, $_->[0]);
    chmod 0600, $conf;
    ($exit, undef, $err) = cellblock(['health'], env => \%none);
    is $exit, 125, "$_->[0]: exit code 125";
    like $err, qr/\Q$_->[1]/, '... and the reason';
    unlike $err, qr/short/, '... without the key';
}
unlink $conf;
SKIP: {
    skip 'needs root', 1 if $>;
    spew($conf, qq(url = "$cb->{url}";\n));
    chown 12345, 12345, $conf;
    like +(cellblock(['health']))[2], qr/belongs to another user/, 'the file of another user is refused';
    unlink $conf;
}
is +(cellblock(['run', 'one.py'], env => { CELLBLOCK_API_KEY => '' }))[0], 123, 'without a key the service refuses';
is +(cellblock(['-u', $cb->{tls_url} =~ s/127\.0\.0\.1/localhost/r, 'run', 'one.py'], env => { CELLBLOCK_CA => "$cb->{dir}/cert.pem" }))[1], "1\n", 'over TLS, with the certificate of the service';
($exit, undef, $err) = cellblock(['-u', $cb->{tls_url} =~ s/127\.0\.0\.1/localhost/r, 'run', 'one.py']);
is $exit, 122, 'a certificate that is not trusted: exit code 122' or diag $err;
unlike $err, qr/trying again/, '... and nothing is tried again';

# --- languages, health, files -----------------------------------------------------------------------------------------------------

($exit, $out) = cellblock(['languages']);
is $exit, 0, 'languages: exit code 0';
like $out, qr/^python3 +zygote +\S*3\.\d+/m, '... with start and version';
like +(cellblock(['languages', '--names']))[1], qr/^python3$/m, '--names';
ok ref json->decode((cellblock(['languages', '-j']))[1])->{data}{languages}, '--json';
is join(' ', (cellblock(['health']))[0, 1]), "0 ok\n", 'health';
is join(' ', (cellblock(['health', '--ready']))[0, 1]), "0 ok\n", 'health --ready';
is +(cellblock(['-u', 'http://127.0.0.1:1', 'health']))[0], 122, 'health of a service that is not there: exit code 122';

my $put = $cb->request('PUT', '/v1/sandbox/files', content => 'x');
if ($put->{status} == 404) {
    for (['put', 'binary']) {
        ($exit, undef, $err) = cellblock(['files', @$_]);
        is $exit, 123, "files @$_, where there is no store: exit code 123";
        like $err, qr/this service keeps no files/, '... and the reason';
    }
}
SKIP: {
    skip 'this service keeps no files', 10 if $put->{status} == 404;
    ($exit, $out) = cellblock(['files', 'put', 'binary', 'one.py']);
    like $out, qr/\Asha256:[0-9a-f]{64} binary\nsha256:[0-9a-f]{64} one\.py\n\z/, 'files put prints an id for each';
    my ($id) = $out =~ /\A(\S+)/;
    is +(cellblock(['files', 'get', $id]))[1], "\0\xff\xfe", 'files get prints the content';
    is +(cellblock(['files', 'get', $id, '-o', 'copy']))[0], 0, 'files get -o';
    is slurp("$dir/copy"), "\0\xff\xfe", '... writes it';
    is +(cellblock(['files', 'delete', $id]))[0], 0, 'files delete';
    is +(cellblock(['files', 'get', $id]))[0], 123, 'a file that is not there: exit code 123';
    is +(cellblock(['files', 'get', $id, '-o', 'copy']))[0], 123, '... also with -o';
    is slurp("$dir/copy"), "\0\xff\xfe", '... and what was there before stays';
    ok !-e "$dir/copy.part", '... and nothing is left';
    is +(cellblock(['files', 'put', 'missing']))[0], 125, 'a file that is not here: exit code 125';
}

# --- events: what the program writes is there before it ends -----------------------------------------------------------------------

my $events = $cb->request('POST', '/v1/sandbox/run', headers => { Accept => 'application/x-ndjson' }, content => json->encode({ language => 'python3', code => 'print(1)' }));
SKIP: {
    skip 'this service has no events', 4 if $events->{headers}{'content-type'} !~ /x-ndjson/;
    write_in('slow.py', 'import time; print("early", flush=True); time.sleep(60)');
    my $pid = open my $from, '-|' or do {
        @ENV{ keys %env } = values %env;
        open STDIN, '<', '/dev/null';
        exec $cellblock, 'run', '-L', 'wall_ms=60000', "$dir/slow.py" or POSIX::_exit(127);
    };
    is scalar <$from>, "early\n", 'output is printed when the program writes it';
    kill 'TERM', $pid;
    close $from;
    write_in('slow.py', 'import sys; print("out"); print("err", file=sys.stderr); sys.exit(5)');
    is join('|', cellblock(['run', 'slow.py'])), "5|out\n|err\n", 'the end is as without events';
    write_in('slow.py', 'open("f", "w").write("by event")');
    is +(cellblock(['run', '-c', 'f', '-d', 'by_event', 'slow.py']))[0], 0, 'a file comes as an event';
    is slurp("$dir/by_event/f"), 'by event', '... and is written';
}

# --- watch ----------------------------------------------------------------------------------------------------------------------------

write_in('watched.py', "print(open('data.txt').read())");
write_in('data.txt', 'first');
my $said = File::Temp->new;
my $pid = fork // die;
if (!$pid) {
    @ENV{ keys %env } = values %env;
    chdir $dir;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$said";
    open STDERR, '>&', \*STDOUT;
    exec $cellblock, 'run', '--watch', '-f', 'data.txt', 'watched.py' or POSIX::_exit(127);
}
my $waits = sub { my ($text, $times) = @_; return eventually(20, sub { my $all = slurp("$said"); index($all, $text) >= 0 && $times == (() = $all =~ /waiting for a change/g) }) };
ok $waits->("first\n", 1), '--watch: a first run' or diag slurp("$said");
write_in('data.txt', 'second');
ok $waits->("second\n", 2), '... another when a file has changed' or diag slurp("$said");
write_in('watched.new', "print('third')");
rename "$dir/watched.new", "$dir/watched.py" or die;
ok $waits->("third\n", 3), '... and when the program was replaced' or diag slurp("$said");
write_in('watched.py', '');
ok $waits->('watched.py: is empty', 4), 'a program that cannot be sent does not end it' or diag slurp("$said");
write_in('other.txt', 'x');
write_in('watched.py', "print('fourth')");
ok $waits->("fourth\n", 5), 'other files of the directory do not count' or diag slurp("$said");
kill 'TERM', $pid;
waitpid $pid, 0;
is $? & 127, 15, 'a signal ends it';

# --- completion --------------------------------------------------------------------------------------------------------------------------

my $shells = prefix() . '/share';
sub completed {
    my (@words) = @_;
    my $script = 'PATH=$1:$PATH; . "$2"; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _cellblock; printf "%s\n" "${COMPREPLY[@]}"';
    my ($code, $list, $complaint) = command(['bash', '-c', $script, 'bash', prefix() . '/bin', "$shells/bash-completion/completions/cellblock", @words], env => \%env);
    is $complaint, '', "completion of @words: no complaint";
    return join ' ', split /\n/, $list;
}
is completed('cellblock', 'la'), 'languages', 'bash completes commands';
is completed('cellblock', '--url', 'http://x', 'te'), 'test', '... behind an option with a value';
is completed('cellblock', 'run', '--lang'), '--language', '... options';
is completed('cellblock', 'run', '--language', 'python3'), 'python3', '... languages of the service';
is completed('cellblock', 'run', '-L', 'wall'), 'wall_ms=', '... limits';
is completed('cellblock', 'files', 'ge'), 'get', '... what files does';
SKIP: {
    my ($code) = command(['zsh', '-c', 'exit 0']);
    skip 'zsh is not installed', 1 if $code;
    my (undef, undef, $complaint) = command(['zsh', '-fc', 'fpath=($1 $fpath); autoload -Uz compinit; compinit -D; autoload -Uz +X _cellblock; [[ $_comps[cellblock] = _cellblock ]] || echo no completion >&2',
        'zsh', "$shells/zsh/site-functions"], env => \%env);
    is $complaint, '', 'zsh loads its completion';
}

$cb->finish;
done_testing;
