# Files of the store in requests with tests: of the request, of each test, of checkers and of the
# interactor.
use strict;
use warnings;
use Cellblock qw(eventually);
use Digest::SHA qw(sha256_hex);
use Test::More;

my $other = 'another-key-for-the-store';
my $cb = Cellblock->start(own => 1, keys => { other => $other },
    conf => [['cellblock.conf', qr/store_run_bytes = \d+/, 'store_run_bytes = 8000000']]);
my $files = '/v1/sandbox/files';
my $available = { map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} } };

sub id_of { return 'sha256:' . sha256_hex($_[0]) }

sub put {
    my ($content, %option) = @_;
    my $r = $cb->request('PUT', $files, content => $content, %option);
    die $r->{body} if $r->{status} != 200;
    return id_of($content);
}

sub figure { return $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_store_$_[0] (\d+)$/m ? $1 : undef }

# Send tests; returns data.
sub tests {
    my $r = $cb->run(@_);
    return $r->{data} // (diag($r->{body}), {});
}

sub verdicts { return join ' ', map { $_->{verdict} } @{ $_[0]{tests} // [] } }
sub outputs { return join '|', map { $_->{stdout} } @{ $_[0]{tests} // [] } }

# --- files of the request and of its tests -------------------------------------------------------------------------------

my @id = map { put("content $_") } 0 .. 3;
my $read = 'import os; print(*(open(n).read() for n in ("all", "mine") if os.path.exists(n)), sep=",")';
my $data = tests(code => $read, files => { all => $id[0] }, tests => [
    { files => { mine => $id[1] }, expected => 'content 0,content 1' },
    { files => [{ path => 'mine', id => $id[2] }], expected => 'content 0,content 2' },
    { files => { mine => 'here' }, expected => 'content 0,here' },
    { expected => 'content 0' },
    { files => { mine => $id[1] }, expected => 'content 0,content 1' },
]);
is verdicts($data), 'accepted accepted accepted accepted accepted', 'each test has the files that it names' or diag outputs($data);
$data = tests(language => 'bash', code => './d/tool; stat -c %a d/data', tests => [{ files => [
    { path => 'd/tool', id => put("#!/bin/sh\necho ran\n"), executable => JSON::PP::true },
    { path => 'd/data', id => $id[0] }, { path => 'd/empty', id => put('') } ], expected => "ran\n644\n" }]);
is verdicts($data), 'accepted', 'an executable file, and one that is none' or diag outputs($data);
$data = tests(main => 'main.py', files => { 'main.py' => put('print(input(), "from the store")') }, tests => [
    map { { stdin => "$_\n", expected => "$_ from the store" } } 1 .. 3 ]);
is verdicts($data), 'accepted accepted accepted', 'the program itself is in the store' or diag outputs($data);

# Many tests with one file: it is fetched once, and every cell has the same memory.
my $large = join '', map { pack 'N', $_ * 2654435761 % 2**32 } 1 .. 500_000;
my $large_id = put($large);
my $found = figure('found_total') // 0;
$data = tests(code => 'import hashlib; print(hashlib.sha256(open("f", "rb").read()).hexdigest())', files => { x => $id[0] },
    tests => [map { { files => { f => $large_id }, expected => sha256_hex($large) } } 1 .. 40]);
is $data->{summary}{accepted}, 40, 'forty tests with a file of 2 MB' or diag verdicts($data);
is figure('found_total') - $found, 4, 'forty tests: each of two ids was looked for and opened once';
ok eventually(10, sub { figure('run_bytes') == 0 }), 'nothing is counted after the tests';

# --- programs of the request ----------------------------------------------------------------------------------------------

my $judge = 'import sys; sys.exit(0 if open("output.txt").read() == open("key").read() else 1)';
$data = tests(code => 'print(input(), end="")', tests => [{ stdin => 'content 1' }, { stdin => 'content 2' }],
    checker => { language => 'python3', code => $judge, files => { key => $id[1] } });
is verdicts($data), 'accepted wrong_answer', 'a checker has a file of the store' or diag explain $data->{tests};
$data = tests(code => 'print(input(), end="")', tests => [
    { stdin => 'content 1', checker => { language => 'python3', code => $judge, files => { key => $id[1] } } },
    { stdin => 'content 1', checker => { language => 'python3', main => 'main.py', files => { 'main.py' => put($judge), key => $id[2] } } },
]);
is verdicts($data), 'accepted wrong_answer', 'each test has its own checker, one of them from the store' or diag explain $data->{tests};
$data = tests(code => 'print(open("a").read()); print(input())', files => { a => $id[0] }, tests => [{ files => { b => $id[2] } }, {}],
    interactor => { language => 'python3', files => { key => $id[3] },
        code => 'import sys; a = input(); print(1, flush=True); sys.exit(0 if a == "content 0" and open("key").read() == "content 3" else 1)' });
is verdicts($data), 'accepted accepted', 'an interactor has a file of the store' or diag explain $data->{tests};
SKIP: {
    skip 'no c here', 2 if !$available->{c};
    put("#define X $_\n") for 1, 2;
    my %c = (language => 'c', code => "#include <stdio.h>\n#include \"x.h\"\nint main(void) { char s[9] = \"\"; FILE *f = fopen(\"t\", \"r\"); fread(s, 1, 8, f); printf(\"%d%s\\n\", X, s); }\n");
    for my $x (1, 2) {
        $data = tests(%c, files => { 'x.h' => id_of("#define X $x\n") }, tests => [{ files => { t => put('one') }, expected => "${x}one" }, { files => { t => put('two') }, expected => "${x}two" }]);
        is verdicts($data), 'accepted accepted', "a compiler has the files of the request, and not those of a test: $x" or diag explain $data;
    }
}

# --- what a program can see -------------------------------------------------------------------------------------------------

my $look = <<'END';
import os
for fd in os.listdir("/proc/self/fd"):
    try: name = os.readlink("/proc/self/fd/" + fd)
    except OSError: continue
    if "memfd" in name or "/store/" in name: print(fd, name)
print(*(l for l in open("/proc/self/maps") if "cellblock-pack" in l))
END
my $secret = put('the secret of another test');
for my $language (grep { $available->{$_} } 'python3', 'nodejs', 'bash', 'perl') {
    my %code = (
        python3 => $look,
        nodejs => 'const fs = require("fs"); for (const d of fs.readdirSync("/proc/self/fd")) try { const n = fs.readlinkSync("/proc/self/fd/" + d); if (/memfd|[/]store[/]/.test(n)) console.log(d, n) } catch {} for (const l of fs.readFileSync("/proc/self/maps", "utf8").split("\n")) if (/cellblock-pack/.test(l)) console.log(l)',
        bash => 'ls -l /proc/self/fd/ | grep -E "memfd|/store/"; grep cellblock-pack /proc/$$/maps',
        perl => 'for (glob "/proc/self/fd/*") { my $n = readlink; print "$_ $n\n" if defined $n && $n =~ m{memfd|/store/} } open my $m, "<", "/proc/self/maps"; /cellblock-pack/ && print while <$m>;',
    );
    $data = tests(language => $language, code => $code{$language}, tests => [{ files => { mine => $id[0] } }, { files => { mine => $secret } }, {}]);
    is outputs($data) =~ s/\s//gr, '||', "$language: a program has neither the descriptor nor the memory of the pack";
}
$data = tests(code => 'open("f", "r+b").write(b"changed"); print(open("f").read())', tests => [map { { files => { f => $id[0] }, expected => 'changed0' } } 1 .. 4]);
is $data->{tests}[0]{stdout}, "changed 0\n", 'a program changes its copy';
is_deeply [map { $_->{stdout} } @{ $data->{tests} }], [("changed 0\n") x 4], 'and no test sees the change of another' or diag outputs($data);
is $cb->get("$files/$id[0]")->{body}, 'content 0', 'the file of the store has not changed';

# --- errors -----------------------------------------------------------------------------------------------------------------

my @unknown = map { id_of("unknown $_") } 0 .. 7;
my $r = $cb->run(code => 'print(1)', files => { a => $unknown[0], b => $id[0] }, tests => [
    { files => { c => $unknown[1], d => $unknown[2] } }, { files => { c => $unknown[1] } }, { files => { c => $id[1] } },
    { checker => { language => 'python3', code => '1', files => { k => $unknown[4] } } } ],
    checker => { language => 'python3', code => '1', files => { k => $unknown[3], l => $unknown[1] } });
is $r->{status}, 400, 'unknown ids';
is_deeply $r->{json}{missing}, [@unknown[0 .. 4]], 'unknown ids: all of them, each once' or diag $r->{body};
like $r->{json}{message}, qr/\Afiles: this key has not stored these; upload them first: $unknown[0], /, 'unknown ids: the message';
$r = $cb->run(code => 'print(1)', tests => [{ files => { a => $unknown[5] } }], interactor => { language => 'python3', code => '1', files => { k => $unknown[6] } });
is_deeply $r->{json}{missing}, [@unknown[5, 6]], 'unknown ids of an interactor';
my $of_other = put('of the other key', key => $other);
is_deeply $cb->run(code => 'print(1)', tests => [{ files => { a => $of_other } }])->{json}{missing}, [$of_other], 'the id of another key is unknown';

my @refused = (
    [{ tests => [{}, { files => [{ path => 'a', id => 'x' }] }] }, 'tests[1].files[0].id: must be sha256: and 64 hexadecimal digits'],
    [{ tests => [{ files => [{ path => 'a', id => $id[0], content => '' }] }] }, 'tests[0].files[0]: must have content or id, not both'],
    [{ tests => [{}, { files => { a => $large_id }, limits => { disk_bytes => 1 << 20 } }] },
        'tests[1].files: have 2000000 bytes with the request\'s, and limits.disk_bytes is 1048576'],
    [{ tests => [{ files => { a => 'x' }, limits => { disk_bytes => 1 << 20 } }], files => { f => $large_id } },
        'tests[0].files: have 2000001 bytes with the request\'s, and limits.disk_bytes is 1048576'],
    [{ tests => [{}], checker => { language => 'python3', code => '1', files => { a => $large_id }, limits => { disk_bytes => 1 << 20 } } },
        'checker.files: have 2000000 bytes together, and limits.disk_bytes is 1048576'],
    [{ tests => [{}], interactor => { language => 'python3', code => '1', files => { a => $large_id }, limits => { disk_bytes => 1 << 20 } } },
        'interactor.files: have 2000000 bytes together, and limits.disk_bytes is 1048576'],
    [{ tests => [{}], checker => { language => 'python3', main => 'main.py', files => { 'main.py' => id_of('') } } },
        'checker.main: "main.py" must not be empty'],
    [{ tests => [map { { files => { a => put($_ . 'z' x 1_000_000) } } } 1 .. 5] },
        'files: those in the store have 5000005 bytes together; a request may have 4000000 from there'],
    [{ tests => [map { { files => { map { $_ => id_of($_) } $_ * 600 .. $_ * 600 + 599 } } } 0, 1] }, 'files: there must not be more than 1000 different ids'],
);
for my $row (@refused) {
    $r = $cb->run(code => 'print(1)', %{ $row->[0] });
    ok $r->{status} == 400 && index($r->{json}{message}, $row->[1]) == 0, $row->[1] or diag $r->{body};
}
is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'after that a run is as always';

$cb->finish;
done_testing;
