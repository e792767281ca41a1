# The store: clients put files there, and runs name them by their ids.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually slurp);
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::UNIX;
use Test::More;

my $other = 'another-key-for-the-store';
my $small = 'a-key-with-a-small-quota';
my $cb = Cellblock->start(own => 1,
    conf => [['cellblock.conf', qr/store_file_bytes = \d+/, 'store_file_bytes = 20000000']],
    keys => { other => $other, small => { key => $small, settings => 'store_bytes = 65536;' } });

my $files = '/v1/sandbox/files';

sub put {
    my ($content, %option) = @_;
    return $cb->request('PUT', $files, content => $content, %option);
}

sub id_of { return 'sha256:' . sha256_hex($_[0]) }

# --- the routes --------------------------------------------------------------------------------------------------------------

my $bytes = join '', map { chr } 0 .. 255;
my $r = put($bytes);
envelope_ok($r, 200, 0, 'PUT');
is_deeply $r->{data}, { id => id_of($bytes), size => 256 }, 'PUT: the id and the size';
my $id = id_of($bytes);
$r = $cb->get("$files/$id");
is_deeply [$r->{status}, $r->{body}, @{ $r->{headers} }{qw(content-type content-length)}], [200, $bytes, 'application/octet-stream', 256], 'GET';
$r = $cb->request('HEAD', "$files/$id");
is_deeply [$r->{status}, $r->{body} // '', $r->{headers}{'content-length'}], [200, '', 256], 'HEAD';
is put($bytes)->{data}{id}, $id, 'PUT of what is there';
is put('')->{data}{id}, id_of(''), 'PUT of an empty file';
is $cb->get("$files/" . id_of(''))->{headers}{'content-length'}, 0, 'GET of an empty file';

my $large = join '', map { pack 'N', $_ * 2654435761 % 2**32 } 1 .. 3_000_000;
$r = put($large);
is_deeply $r->{data}, { id => id_of($large), size => 12_000_000 }, 'PUT of 12 MB' or diag $r->{body};
ok $cb->get("$files/" . id_of($large))->{body} eq $large, 'GET of 12 MB';
$r = put('x' x 20_000_001);
envelope_ok($r, 413, -413, 'PUT of more than files.store_file_bytes');

# Without a Content-Length, in chunks.
my $chunked = "PUT $files HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nTransfer-Encoding: chunked\r\n\r\n";
my $socket = $cb->connect_raw($chunked . "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
is $cb->read_reply($socket)->{data}{id}, id_of('hello world'), 'PUT in chunks';

for my $method (qw(PUT POST)) {
    my $reply = $cb->request($method, "$files/$id", content => 'x');
    envelope_ok($reply, 405, -405, "$method of an id");
    is $reply->{headers}{allow}, 'GET, HEAD, DELETE', "$method of an id: what is allowed";
}
is $cb->get($files)->{headers}{allow}, 'PUT', 'GET of all files: what is allowed';

# --- a key sees its own files alone --------------------------------------------------------------------------------------------

for my $path ("$files/$id", "$files/" . id_of('never')) {
    envelope_ok($cb->get($path, key => $other), 404, -404, 'GET by another key');
    envelope_ok($cb->request('DELETE', $path, key => $other), 404, -404, 'DELETE by another key');
}
is $cb->get("$files/$id")->{status}, 200, 'DELETE by another key: the file is still there';
envelope_ok($cb->get("$files/$id", key => undef), 401, -401, 'GET without a key');
envelope_ok(put('x' x 5_000_000, key => 'wrong-key-wrong-key'), 401, -401, 'PUT with a wrong key');
is put($bytes, key => $other)->{data}{id}, $id, 'PUT of the same by another key';
is $cb->request('DELETE', "$files/$id", key => $other)->{data}{deleted}, JSON::PP::true, 'DELETE';
is $cb->get("$files/$id", key => $other)->{status}, 404, 'DELETE: it is gone';
is $cb->get("$files/$id")->{status}, 200, 'DELETE: the other key has its own';

# --- paths that are none -------------------------------------------------------------------------------------------------------

for my $bad ('sha256:' . 'A' x 64, 'sha256:' . 'a' x 63, 'sha256:' . 'a' x 65, 'a' x 64, '..', '%2e%2e%2flock', 'sha256:%2e%2e%2f%2e%2e%2flock',
    'sha256:' . '%2f' x 64, '%00', 'lock', 'socket', "sha256:..%2fother%2f" . sha256_hex($bytes)) {
    my $reply = $cb->get("$files/$bad");
    ok $reply->{status} == 400 || $reply->{status} == 404 || $reply->{status} == 405, "GET $bad" or diag "$reply->{status} $reply->{body}";
}

# --- runs ------------------------------------------------------------------------------------------------------------------------

my $look = 'import hashlib, os; print(hashlib.sha256(open("d/data", "rb").read()).hexdigest(), oct(os.stat("d/data").st_mode & 0o777))';
$r = $cb->run(code => $look, files => [{ path => 'd/data', id => id_of($large) }, { path => 'small', content => 'x' }]);
is $r->{data}{stdout}, sha256_hex($large) . " 0o644\n", 'a run with a file of the store' or diag $r->{body};
$r = $cb->run(code => 'print(open("a").read() + open("b").read())', files => { a => 'one', b => id_of('hello world') });
is $r->{data}{stdout}, "onehello world\n", 'the form {name: id}' or diag $r->{body};
put("#!/bin/sh\necho ran\n");
$r = $cb->run(language => 'bash', code => './tool', files => [{ path => 'tool', id => id_of("#!/bin/sh\necho ran\n"), executable => JSON::PP::true }]);
is $r->{data}{stdout}, "ran\n", 'an executable file' or diag $r->{body};
put('print("main", __import__("json").dumps(1))');
for my $main ('start.py', 'main.py') {
    $r = $cb->run(main => $main, files => [{ path => $main, id => id_of('print("main", __import__("json").dumps(1))') }]);
    is $r->{data}{stdout}, "main 1\n", "the program itself is in the store, as $main" or diag $r->{body};
}
SKIP: {
    my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    skip 'no c here', 3 if !$available{c};
    put("#define X $_\n") for 1, 2;
    my %c = (language => 'c', code => "#include <stdio.h>\n#include \"x.h\"\nint main(void) { printf(\"%d\\n\", X); }\n");
    is $cb->run(%c, files => { 'x.h' => id_of("#define X $_\n") })->{data}{stdout}, "$_\n", "a header of the store: $_" for 1, 2;
    ok $cb->run(%c, files => { 'x.h' => id_of("#define X 2\n") })->{data}{compile}{cached}, 'the same ids make the same program';
}

my @unknown = map { id_of("unknown $_") } 1 .. 8;
$r = $cb->run(code => 'print(1)', files => [(map { { path => "f$_", id => $unknown[$_] } } 0 .. 7), { path => 'g', id => $unknown[0] }, { path => 'h', id => $id }]);
is $r->{status}, 400, 'unknown ids' or diag $r->{body};
is_deeply $r->{json}{missing}, \@unknown, 'unknown ids: the list';
like $r->{json}{message}, qr/\Afiles: this key has not stored these; upload them first: $unknown[0], .*, and 3 more\z/, 'unknown ids: the message';
is_deeply $cb->post(Cellblock::json()->encode({ language => 'python3', code => 'print(1)', files => { a => $id } }), key => $other,
    headers => { 'Content-Type' => 'application/json' })->{json}{missing}, [$id], 'the id of a file of another key is unknown';
$r = $cb->run(code => 'print(1)', files => [{ path => 'a', id => id_of($large) }], limits => { disk_bytes => 1 << 20 });
like $r->{json}{message}, qr/\Afiles: have 12000000 bytes together, and limits\.disk_bytes is 1048576\z/, 'more than the disk';
for (['x', 'files[0].id: must be sha256: and 64 hexadecimal digits, in small letters'], [1, 'files[0].id: must be a string']) {
    $r = $cb->run(code => 'print(1)', files => [{ path => 'a', id => $_->[0] }]);
    envelope_ok($r, 400, -400, "id $_->[0]");
    is $r->{json}{message}, $_->[1], "id $_->[0]: the message";
}

# --- what a program can do with its copy ------------------------------------------------------------------------------------------

$r = $cb->run(code => <<'END', files => { a => $id });
import os
open("a", "r+b").write(b"changed")
os.link("a", "b"); os.chmod("a", 0o777); os.truncate("b", 1); os.remove("a")
for fd in os.listdir("/proc/self/fd"):
    try: name = os.readlink("/proc/self/fd/" + fd)
    except OSError: continue
    if "memfd" in name or "store" in name or "keys" in name: print(fd, name)
END
is $r->{data}{stdout} . $r->{data}{error}, '', 'a program changes its copy, and has no descriptor of the store or the job' or diag $r->{body};
ok $cb->get("$files/$id")->{body} eq $bytes, 'the file of the store has not changed';

# --- files that runs leave --------------------------------------------------------------------------------------------------------

$r = $cb->run(code => 'open("out.bin", "wb").write(bytes(range(256))); open("t.txt", "w").write("text")', collect => ['*.bin', '*.txt'], collect_as => 'id');
is_deeply [map { [@$_{qw(path size id content mime)}] } @{ $r->{data}{files} }],
    [['out.bin', 256, $id, undef, 'application/octet-stream'], ['t.txt', 4, id_of('text'), undef, 'text/plain']], 'collect_as: ids' or diag $r->{body};
is $cb->get("$files/" . id_of('text'))->{body}, 'text', 'collect_as: the files are in the store';
$r = $cb->run(code => 'open("big", "wb").write(b"x" * (20 << 20)); open("a", "w").write("a")', collect => ['*'], limits => { disk_bytes => 64 << 20 });
my %left = map { $_->{path} => $_ } @{ $r->{data}{files} };
is $left{a}{content}, 'a', 'a file that fits into the reply';
is $left{big}{reason}, 'store', 'a file that fits neither into the reply nor into the store' or diag substr $r->{body}, 0, 500;
$r = $cb->run(code => 'open("big", "wb").write(b"x" * (18 << 20)); open("a", "w").write("a")', collect => ['*'], limits => { disk_bytes => 64 << 20 });
%left = map { $_->{path} => $_ } @{ $r->{data}{files} };
is $left{big}{id}, id_of('x' x (18 << 20)), 'a file that does not fit into the reply goes into the store' or diag substr $r->{body}, 0, 500;
$r = $cb->run(code => 'print(1)', collect => ['*'], collect_as => 'x');
is $r->{json}{message}, 'collect_as: must be "content" or "id"', 'collect_as: no such form';

# --- quotas and expiry --------------------------------------------------------------------------------------------------------------

my @sixteen = map { chr(65 + $_) x 4000 } 0 .. 15;
is put($_, key => $small)->{status}, 200, 'a small quota' for @sixteen;
is $cb->get("$files/" . id_of($sixteen[0]), key => $small)->{status}, 200, 'a small quota: it is full, and all are there';
is put('Z' x 4000, key => $small)->{status}, 200, 'one more';
is $cb->get("$files/" . id_of($sixteen[1]), key => $small)->{status}, 404, 'one more: the file that was not used for longest has gone';
is $cb->get("$files/" . id_of($sixteen[0]), key => $small)->{status}, 200, 'one more: the file that was used is there';
envelope_ok(put('y' x 65537, key => $small), 413, -413, 'more than the quota');

# --- uploads that are broken off ------------------------------------------------------------------------------------------------------

my $tmp = "$cb->{dir}/store/tmp";
$tmp = (glob '/var/lib/cellblock/*.store/tmp')[0] // $tmp if !-d $tmp;
sub in_progress { return grep { -f } glob "$tmp/*" }
$socket = $cb->connect_raw("PUT $files HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nContent-Length: 1000000\r\n\r\n" . 'b' x 300_000);
ok eventually(10, sub { in_progress() == 1 }), 'an upload in progress';
is $cb->get("$files/" . id_of('b' x 300_000))->{status}, 404, 'an upload in progress: nothing can be seen of it';
close $socket;
ok eventually(20, sub { in_progress() == 0 }), 'an upload that is broken off leaves nothing';
$socket = $cb->connect_raw($chunked . "5\r\nhalf \r\n");
ok eventually(10, sub { in_progress() == 1 }), 'an upload in chunks';
close $socket;
ok eventually(20, sub { in_progress() == 0 }), 'an upload in chunks that is broken off leaves nothing';
is $cb->get("$files/" . id_of('half '))->{status}, 404, 'an upload in chunks that is broken off is not stored';

# More uploads than a key may have, each of which stalls.
my @stalled = map { $cb->connect_raw("PUT $files HTTP/1.1\r\nHost: x\r\nX-Api-Key: $other\r\nContent-Length: 1000000\r\n\r\nx") } 1 .. 8;
ok eventually(20, sub { in_progress() == 8 }), 'uploads that stall';
$r = put('x', key => $other);
envelope_ok($r, 429, -429, 'one upload more than a key may have');
is put('of one that is not slow')->{status}, 200, 'uploads that stall: another key has room';
is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'uploads that stall: runs are served';
close $_ for @stalled;
ok eventually(20, sub { in_progress() == 0 }), 'uploads that stall: nothing is left';

# A key whose answers nobody takes, past nginx, which would take them: it has half of the threads.
sub fastcgi {
    my (%parameter) = @_;
    my $pairs = join '', map { pack('CN', length $_, length($parameter{$_}) | 1 << 31) . $_ . $parameter{$_} } sort keys %parameter;
    my $record = sub { pack('CCnnCx', 1, $_[0], 1, length $_[1], 0) . $_[1] };
    return $record->(1, pack 'nCx5', 1, 0) . $record->(4, $pairs) . $record->(4, '');
}
my @unread = map {
    my $socket = IO::Socket::UNIX->new(Peer => "$cb->{dir}/live/sock/store.sock") or die "store.sock: $!";
    print {$socket} fastcgi(REQUEST_METHOD => 'GET', DOCUMENT_URI => "$files/" . id_of($large), CELLBLOCK_KEY => $cb->{key});
    $socket->flush;
    $socket;
} 1 .. 16;
ok eventually(10, sub { $cb->get("$files/$id")->{status} == 429 }), 'a key that takes none of its answers is refused more';
is put($bytes, key => $other)->{status}, 200, 'a key that takes none of its answers: another key has room';
close $_ for @unread;
ok eventually(20, sub { $cb->get("$files/$id")->{status} == 200 }), 'a key that takes none of its answers: it has room again';

# A client that sends a byte in a second never makes nginx wait for long.
$socket = $cb->connect_raw("PUT $files HTTP/1.1\r\nHost: x\r\nX-Api-Key: $other\r\nContent-Length: 1000000\r\n\r\n");
my $answered = IO::Select->new($socket);
for (1 .. 60) {
    last if $answered->can_read(1);
    syswrite $socket, 'x' or last;
}
envelope_ok($cb->read_reply($socket), 408, -408, 'a client that sends a byte in a second');
ok eventually(20, sub { in_progress() == 0 }), 'a client that sends a byte in a second: nothing is left';

# --- restarts ------------------------------------------------------------------------------------------------------------------------

my ($exit, $out, $err) = Cellblock::command([Cellblock::root() . '/script/server', '--reload', '--dir', $cb->{dir}], seconds => 120);
is $exit, 0, 'a reload' or diag "$out$err";
is $cb->get("$files/$id")->{body}, $bytes, 'a reload keeps the files';
my %mine = $cb->processes;
my ($pid) = grep { $mine{$_}{comm} eq 'store' } keys %mine;
ok $pid, 'the process of the store' or diag join ' ', map { $_->{comm} } values %mine;
$socket = $cb->connect_raw("PUT $files HTTP/1.1\r\nHost: x\r\nX-Api-Key: $cb->{key}\r\nContent-Length: 1000000\r\n\r\n" . 'c' x 300_000);
ok eventually(10, sub { in_progress() == 1 }), 'an upload before a crash';
kill KILL => $pid;
ok eventually(30, sub { $cb->get("$files/$id")->{status} == 200 }), 'a crash keeps the files';
ok eventually(20, sub { in_progress() == 0 }), 'a crash leaves no half file';
$r = $cb->run(code => 'print(len(open("a", "rb").read()))', files => { a => $id });
is $r->{data}{stdout}, "256\n", 'a run after a crash' or diag $r->{body};

# --- figures ------------------------------------------------------------------------------------------------------------------------

my %figure = $cb->get('/v1/sandbox/metrics')->{body} =~ /^(cellblock_store_\w+) (\d+)$/mg;
is $figure{cellblock_store_up}, 1, 'metrics: the store is there';
cmp_ok $figure{cellblock_store_files}, '>', 10, 'metrics: files';
cmp_ok $figure{cellblock_store_bytes}, '>', 12_000_000, 'metrics: bytes';
is $figure{cellblock_store_uploads}, 0, 'metrics: no upload is in progress';
# A run gives its files back when its cell is empty.
ok eventually(20, sub { $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_store_run_bytes 0$/m }), 'metrics: no run has files of the store';

$cb->finish;
done_testing;
