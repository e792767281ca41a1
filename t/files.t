# Files that a request brings: they are in the working directory before the program starts.
use strict;
use warnings;
use Cellblock qw(envelope_ok);
use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;

my $cb = Cellblock->start(own => 1);

# --- each kind of start ---------------------------------------------------------------------------------------------------

my %program = (
    python3 => 'print(open("d/a.txt").read() + open("b").read())',
    nodejs  => 'const fs = require("fs"); console.log(fs.readFileSync("d/a.txt", "utf8") + fs.readFileSync("b", "utf8"))',
    perl    => 'for ("d/a.txt", "b") { open my $in, "<", $_ or die; print <$in> } print "\n"',
    lua     => 'for _, name in ipairs({"d/a.txt", "b"}) do io.write(io.open(name):read("a")) end print()',
    bash    => 'cat d/a.txt b; echo',
    c       => qq(#include <stdio.h>\n#include "d/a.h"\nint main(void) { char t[9]; FILE *f = fopen("d/a.txt", "r");\n)
        . qq(fgets(t, 9, f); printf("%s%s\\n", t, B); return 0; }\n),
);
my $languages = $cb->get('/v1/sandbox/languages')->{data}{languages};
my %available = map { $_->{name} => $_->{available} } @$languages;
for my $language (sort keys %program) {
    SKIP: {
        skip "no $language here", 2 if !$available{$language};
        my %request = (language => $language, code => $program{$language},
            files => { 'd/a.txt' => 'one', b => 'two', 'd/a.h' => "#define B \"two\"\n" });
        for my $more ({}, { args => ['x'] }) {
            my $r = $cb->run(%request, %$more);
            is $r->{data}{stdout}, "onetwo\n", "$language" . (%$more ? ', with arguments' : '') or diag $r->{body};
        }
    }
}

# --- what is written --------------------------------------------------------------------------------------------------------

my $look = <<'END';
import os, hashlib
for dir, dirs, files in sorted(os.walk(".")):
    for name in sorted(files):
        path = os.path.join(dir, name)
        st = os.stat(path)
        print(path, st.st_size, oct(st.st_mode & 0o111), st.st_uid == os.getuid(), hashlib.sha256(open(path, "rb").read()).hexdigest()[:8])
END
my $r = $cb->run(code => $look, files => [
    { path => 'bytes', content => encode_base64(join('', map { chr } 0 .. 255), ''), encoding => 'base64' },
    { path => 'tool.sh', content => "#!/bin/sh\necho ran\n", executable => JSON::PP::true },
    { path => "d/\x{e9}/empty", content => '' },
    { path => '.hidden', content => "a\0b" },
]);
my @wanted = (['.hidden', "a\0b"], ['bytes', join '', map { chr } 0 .. 255], ['main.py', $look], ['tool.sh', "#!/bin/sh\necho ran\n"], ["d/\x{e9}/empty", '']);
is $r->{data}{stdout}, join('', map {
    sprintf "./%s %d %s True %s\n", $_->[0], length $_->[1], $_->[0] eq 'tool.sh' ? '0o111' : '0o0', substr sha256_hex($_->[1]), 0, 8;
} @wanted), 'contents, sizes, permissions and owner' or diag $r->{body};

is $cb->run(code => 'import helper, pkg.deep; print(helper.x, pkg.deep.y)',
    files => { 'helper.py' => 'x = 1', 'pkg/__init__.py' => '', 'pkg/deep.py' => 'y = 2' })->{data}{stdout}, "1 2\n",
    'Python: a module and a package are importable';
is $cb->run(code => 'import json; print(json.loads("[1]"), json.__file__)', files => { 'json.py' => 'def loads(x): return "mine"' })
    ->{data}{stdout}, "mine /box/json.py\n", 'Python: a file takes the place of a module of the library, as outside';
SKIP: {
    skip 'no nodejs here', 2 if !$available{nodejs};
    is $cb->run(language => 'nodejs', code => 'console.log(require("./helper").x, require("./d"))',
        files => { 'helper.js' => 'exports.x = 1', 'd/index.js' => 'module.exports = 2' })->{data}{stdout}, "1 2\n",
        'Node: a module and a directory can be required';
    is $cb->run(language => 'nodejs', code => 'import { x } from "./helper.mjs"; console.log(x)',
        files => { 'helper.mjs' => 'export const x = 3' })->{data}{stdout}, "3\n", 'Node: a module can be imported';
}
is $cb->run(language => 'bash', code => './tool.sh; ./plain.sh 2>/dev/null || echo refused', files => [
        { path => 'tool.sh', content => "#!/bin/sh\necho ran\n", executable => JSON::PP::true },
        { path => 'plain.sh', content => "#!/bin/sh\necho escaped\n" }])->{data}{stdout}, "ran\nrefused\n",
    'a file can be executed if the request says so, and not otherwise' if $available{bash};
is $cb->run(code => 'import os; print(os.path.exists("left"))')->{data}{stdout}, "False\n", 'the next run finds none of it';

# --- limits ------------------------------------------------------------------------------------------------------------------

my $big = 'x' x (3 << 20);
is $cb->run(code => 'print(len(open("big").read()))', files => { big => $big }, limits => { disk_bytes => 4 << 20 })->{data}{stdout},
    (3 << 20) . "\n", 'a file that fits on the disk';
$r = $cb->run(code => "open('more', 'w').write('y' * (2 << 20))", files => { big => $big }, limits => { disk_bytes => 4 << 20 });
is $r->{data}{status}, 'disk_limit', 'files count as disk' or diag $r->{body};
$r = $cb->run(code => 'print(1)', files => { big => $big }, limits => { disk_bytes => 2 << 20 });
envelope_ok($r, 400, -400, 'more than the disk');
like $r->{json}{message}, qr/\Afiles: have 3145728 bytes together, and limits\.disk_bytes is 2097152\z/, 'more than the disk: the message';
# Each file fills whole pages, which only the kernel counts.
$r = $cb->run(code => 'print("began")', files => { map { $_ => 'x' } 1 .. 40 }, limits => { disk_bytes => 65536 });
is_deeply [@{ $r->{data} }{qw(status stdout exit_code)}], ['disk_limit', '', 127], 'files that do not fit after all: the program is not started'
    or diag $r->{body};
like $r->{data}{stderr}, qr/\A\d+: No space left on device\n\z/, 'files that do not fit after all: stderr names the file';
$r = $cb->run(code => 'print("began")', files => { map { ("d$_/e/f" => 'x') } 1 .. 40 }, limits => { inodes => 60 });
is_deeply [@{ $r->{data} }{qw(status stdout)}], ['disk_limit', ''], 'directories count as inodes' or diag $r->{body};

# --- bad ones ----------------------------------------------------------------------------------------------------------------

for (
    ['../x', 'must not contain . or .. as a name'],
    ['a/../../x', 'must not contain . or .. as a name'],
    ['/box/x', 'must be relative to the working directory'],
    ["a\0b", 'must not contain a NUL character'],
    ['main.py', 'main.py is the name of the program, which is in code'],
) {
    my ($path, $fault) = @$_;
    $r = $cb->run(code => 'print(1)', files => [{ path => 'good', content => '' }, { path => $path, content => '' }]);
    envelope_ok($r, 400, -400, $path);
    is $r->{json}{message}, "files[1].path: $fault", "$path: the message";
}
$r = $cb->run(code => 'print(1)', files => [{ path => 'a', content => '%', encoding => 'base64' }]);
like $r->{json}{message}, qr/\Afiles\[0\]\.content: must be base64/, 'base64 that is none';

# --- compiled programs -------------------------------------------------------------------------------------------------------

SKIP: {
    skip 'no c here', 2 if !$available{c};
    my %c = (language => 'c', code => "#include <stdio.h>\n#include \"x.h\"\nint main(void) { printf(\"%d\\n\", X); }\n");
    is join('', map { $cb->run(%c, files => { 'x.h' => "#define X $_\n" })->{data}{stdout} } 1, 2, 1), "1\n2\n1\n",
        'another file makes another program';
    ok $cb->run(%c, files => { 'x.h' => "#define X 2\n" })->{data}{compile}{cached}, 'the same files make the same program';
}

$cb->finish;
done_testing;
