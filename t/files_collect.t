# Files that a run leaves: the reply returns those that match the patterns of the request.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually);
use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
use MIME::Base64 qw(decode_base64);
use Test::More;

my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/collect_bytes = 16777216/, 'collect_bytes = 4194304']]);

# path => content of the files that came back; those without one have their reason in brackets.
sub contents {
    my ($r) = @_;
    return { map {
        my $bytes = defined $_->{content} ? ($_->{encoding} eq 'base64' ? decode_base64($_->{content}) : encode_utf8($_->{content})) : undef;
        ($_->{path} => $bytes // "[$_->{reason}]")
    } @{ $r->{data}{files} || [] } };
}

# --- what comes back ---------------------------------------------------------------------------------------------------------

my $make = <<'END';
import os, sys
os.makedirs("out/deep/.git")
open("plot.png", "wb").write(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
open("out/table.csv", "w").write("a,b\n1,\u00e9\n")
open("out/deep/notes", "w").write("done\n")
open("out/deep/.git/config", "w").write("hidden")
open("empty", "w").close()
open("other", "w").write("not asked for")
END
my $png = "\x89PNG\r\n\x1a\n" . join '', map { chr } 0 .. 255;
my $csv = encode_utf8("a,b\n1,\x{e9}\n");
my $r = $cb->run(code => $make, collect => ['*.png', 'out/**', 'empty', 'never']);
envelope_ok($r, 200, 0, 'a run that leaves files');
is_deeply contents($r), { 'plot.png' => $png, 'out/table.csv' => $csv, 'out/deep/notes' => "done\n", empty => '' }, 'the contents' or diag $r->{body};
is_deeply [map { $_->{path} } @{ $r->{data}{files} }], ['empty', 'out/deep/notes', 'out/table.csv', 'plot.png'], 'in the order of their names';
is_deeply $r->{data}{collect}, { complete => JSON::PP::true, reason => undef }, 'the collection is complete';
my %file = map { $_->{path} => $_ } @{ $r->{data}{files} };
is_deeply [@{ $file{'plot.png'} }{qw(size mime encoding truncated sha256)}], [264, 'image/png', 'base64', JSON::PP::false, sha256_hex($png)], 'a picture';
is_deeply [@{ $file{'out/table.csv'} }{qw(size mime encoding truncated sha256)}], [length $csv, 'text/csv', 'utf-8', JSON::PP::false, sha256_hex($csv)], 'a table';
is $file{'out/deep/notes'}{mime}, 'text/plain', 'a text';
is $cb->run(code => $make)->{data}{files}, undef, 'nobody asked for files: there are none in the reply';
is_deeply $cb->run(code => $make, collect => ['none/*'])->{data}{files}, [], 'no file matches';

# --- each kind of start, and each end of a program ------------------------------------------------------------------------------

my $has_groups = $cb->get('/v1/sandbox/capabilities')->{data}{layers}{cgroup}{in_force};
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
for (
    ['python3', 'open("f", "w").write("python3")'],
    ['nodejs', 'require("fs").writeFileSync("f", "nodejs")'],
    ['perl', 'open my $f, ">", "f"; print $f "perl"'],
    ['bash', 'printf bash > f'],
    ['c', "#include <stdio.h>\nint main(void) { fputs(\"c\", fopen(\"f\", \"w\")); return 0; }"],
) {
    my ($language, $code) = @$_;
    SKIP: {
        skip "no $language here", 1 if !$available{$language};
        $r = $cb->run(language => $language, code => $code, collect => ['f']);
        is_deeply contents($r), { f => $language }, $language or diag $r->{body};
    }
}
for (
    ['an exit code',  'exit',         'import sys; sys.exit(3)'],
    ['a signal',      'signal',       'import os; os.kill(os.getpid(), 9)'],
    ['a timeout',     'timeout',      'import time; time.sleep(60)', wall_ms => 2000],
    # Without control groups this is an error of the program's.
    ['too much memory', $has_groups ? 'memory_limit' : 'exit', 'x = bytearray(1 << 29)', wall_ms => 60_000],
    ['too much output', 'output_limit', 'print("x" * 100000)', output_bytes => 1000],
) {
    my ($name, $status, $code, @limits) = @$_;
    $r = $cb->run(code => "with open('f', 'w') as f: f.write('left')\n$code", collect => ['f'], limits => {@limits});
    is_deeply [$r->{data}{status}, contents($r)], [$status, { f => 'left' }], "after $name" or diag $r->{body};
}
$r = $cb->run(language => 'c', code => 'int main(void) { return x; }', collect => ['*']);
is_deeply [@{ $r->{data} }{qw(status files)}], ['compile_error', undef], 'after a compile error there are none' or diag $r->{body};
$r = $cb->run(code => "import subprocess, sys, time\nsubprocess.Popen(['/bin/sh', '-c', 'while :; do echo x >> f; done'])\ntime.sleep(.3)\nprint('end')",
    collect => ['f'], limits => { processes => 4 });
my $grown = contents($r)->{f} // '';
cmp_ok length $grown, '>', 2, 'a file that another process still writes: it is collected when that one is dead' or diag substr $r->{body}, 0, 500;
is $r->{data}{files}[0]{size}, length $grown, 'a file that another process still writes: all of it';

# --- files that are none ---------------------------------------------------------------------------------------------------------

my $strange = <<'END';
import os, socket
os.symlink("/etc/passwd", "link"); os.symlink("/", "out"); os.symlink(".", "self"); os.symlink("gone", "broken")
os.mkfifo("pipe")
open(b"bad\xff", "w").write("x")
open("shut", "w").write("x"); os.chmod("shut", 0)
os.mkdir("shutdir"); open("shutdir/x", "w").close(); os.chmod("shutdir", 0)
try: socket.socket(socket.AF_UNIX).bind("sock")
except OSError: print("there are no sockets here")
END
$r = $cb->run(code => $strange, collect => ['*', 'out/**', 'shutdir/*']);
my $got = contents($r);
is delete $got->{sock}, $r->{data}{stdout} eq '' ? '[socket]' : undef, 'a socket, where a program can make one';
is delete $got->{'main.py'}, $strange, 'the program itself is a file, too';
is_deeply $got, { link => '[symlink]', out => '[symlink]', self => '[symlink]', broken => '[symlink]', pipe => '[fifo]',
    "bad\x{fffd}" => '[name]', shut => '[unreadable]', shutdir => '[unreadable]' }, 'links, pipes and what cannot be read are listed';
$r = $cb->run(code => 'open("sparse", "w").truncate(1 << 40)', collect => ['sparse']);
is length contents($r)->{sparse}, 4194304, 'a file with a hole of a terabyte is cut' or diag substr $r->{body}, 0, 2000;
is_deeply [@{ $r->{data}{files}[0] }{qw(size truncated)}], [1 << 40, JSON::PP::true], 'its size, and that it is cut';

my $deep = "import os\nfor i in range(1000):\n    os.mkdir('d'); os.chdir('d')\nopen('x', 'w').write('x')";
$r = $cb->run(code => $deep, collect => ['**/x']);
is_deeply contents($r), { join('/', ('d') x 33) => '[too_deep]' }, 'directories a thousand deep' or diag substr $r->{body}, 0, 2000;
$r = $cb->run(code => "for i in range(1500): open(f'f{i}', 'w').close()", collect => ['f*']);
is scalar @{ $r->{data}{files} }, 1000, 'more files than are returned';
is_deeply $r->{data}{collect}, { complete => JSON::PP::false, reason => 'files' }, 'more files than are returned: the reply says so';
$r = $cb->run(code => "import os\nos.chmod('.', 0)", collect => ['*']);
is_deeply contents($r), { '.' => '[unreadable]' }, 'a working directory that cannot be read' or diag $r->{body};
$r = $cb->run(code => "import os\nos.remove('main.py')", collect => ['*']);
is_deeply contents($r), {}, 'nothing is left';

# --- bad requests ----------------------------------------------------------------------------------------------------------------

for (
    ['../*', 'collect[0]: must not contain . or .. as a name'],
    ['/etc/*', 'collect[0]: must be relative to the working directory'],
    ['', 'collect[0]: must not be empty'],
    ["a\0", 'collect[0]: must not contain a NUL character'],
    ['a//b', 'collect[0]: must not contain an empty name, nor end in /'],
) {
    my ($pattern, $message) = @$_;
    $r = $cb->run(code => 'print(1)', collect => [$pattern]);
    envelope_ok($r, 400, -400, "pattern '$pattern'");
    is $r->{json}{message}, $message, "pattern '$pattern': the message";
}
is $cb->run(code => 'print(1)', collect => 'x')->{json}{message}, 'collect: must be a list of patterns', 'no list';
is $cb->run(code => 'print(1)', collect => [1])->{json}{message}, 'collect[0]: must be a string', 'no string';
is $cb->run(code => 'print(1)', collect => [('x') x 65])->{json}{message}, 'collect: must not be more than 64 patterns', 'too many';

# --- many at once, and clients that go ----------------------------------------------------------------------------------------------

my ($sent, @wrong) = (0);
$cb->many(16, sub { $sent++ < 200 ? { code => "open('f', 'w').write('$sent')", collect => ['f'], n => $sent } : undef },
    sub { push @wrong, $_[1]{body} if (contents($_[1])->{f} // '') ne $_[0]{n} }, 120);
is scalar @wrong, 0, 'many at once: each has its own' or diag join "\n", map { substr $_, 0, 600 } @wrong;
my $socket = $cb->connect_raw($cb->run_bytes(code => "open('f', 'w').truncate(1 << 40)\nimport time; time.sleep(.2)", collect => ['f']));
close $socket;
ok $cb->healthy_within(20), 'a client that goes away: the service is healthy';

$cb->finish;
done_testing;
