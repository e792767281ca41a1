# The tests of a submission: one request, one compilation, a clean cell for each test, a verdict on
# each.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually);
use Events;
use JSON::PP;
use Test::More;

my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/output_bytes = \{[^}]*\}/, 'output_bytes = { default = 1000000; maximum = 2000000; }']]);
my $available = { map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} } };

# Send tests; returns data.
sub tests {
    my (%request) = @_;
    my $r = $cb->run(%request);
    return $r->{data} // (diag($r->{body}), {});
}

sub verdicts { join ' ', map { $_->{verdict} } @{ $_[0]{tests} // [] } }

# --- verdicts -------------------------------------------------------------------------------------------------------------

my $double = 'print(2 * int(input()))';
my $r = $cb->run(code => $double, tests => [
    { id => 'one', stdin => "1\n", expected => { stdout => "2\n" } },
    { id => 7, stdin => "2\n", expected => { stdout => '5' }, weight => 3 },
    { stdin => "3\n", expected => '6' },
    { stdin => "x\n", expected => '6', weight => 0.5 },
]);
envelope_ok $r, 200, 0, 'a request with tests has the usual envelope';
my $data = $r->{data};
is verdicts($data), 'accepted wrong_answer accepted runtime_error', 'each test has a verdict' or diag $r->{body};
is_deeply [map { $_->{id} } @{ $data->{tests} }], ['one', 7, 2, 3], 'each has its id, or its number';
is_deeply [map { $_->{fault} } @{ $data->{tests} }], [undef, 'program', undef, 'program'], 'and says whose fault it is';
is_deeply $data->{tests}[1]{difference}, { line => 1, column => 1, expected => '5', got => '4' }, 'and where it differs';
is $data->{tests}[0]{stdout}, "2\n", 'and what it wrote';
like $data->{tests}[3]{stderr}, qr/ValueError/, 'to stderr, too';
is $data->{tests}[3]{reason}, 'exit code 1 instead of 0', 'and why it has its verdict';
my $summary = $data->{summary};
is_deeply [@{$summary}{qw(tests accepted wrong_answer runtime_error skipped score score_most first_failure)}],
    [4, 2, 1, 1, 0, 2, 5.5, 7], 'the summary counts and adds up';
ok defined $summary->{slowest}{cpu_ms} && $summary->{most_memory}{memory_peak_bytes} > 0, 'it names the slowest and the largest';
is_deeply [@{$data}{qw(status error stdout exit_code)}], ['ok', '', '', 0], 'the reply as a whole is that of a run that went well';

$data = tests(code => 'import sys; a = sys.argv[1:]; import os; print(a, os.environ.get("X"), open("f").read(), sys.stdin.read())',
    args => ['usual'], env => { X => 'usual' }, stdin => 'usual', tests => [
        { files => { f => 'one' }, expected => "['usual'] usual one usual" },
        { args => ['a', 'b'], env => { X => '1' }, stdin => 'in', files => { f => 'two' }, expected => "['a', 'b'] 1 two in" },
        { args => [], env => {}, stdin => '', files => [{ path => 'f', content => '3' }], expected => '[] None 3' },
    ]);
is verdicts($data), 'accepted accepted accepted', 'a test has its own arguments, environment, input and files, or the usual ones'
    or diag explain $data->{tests};

my @bad = (
    ['time_limit', 'limit', 'while True: pass', { cpu_ms => 100 }],
    ['time_limit', 'limit', 'import time; time.sleep(60)', { wall_ms => 100 }],
    ['memory_limit', 'limit', 'x = bytearray(200 << 20)', { memory_bytes => 64 << 20 }],
    ['output_limit', 'limit', 'print("x" * 100000)', { output_bytes => 1000 }],
    ['runtime_error', 'program', 'import os; os.abort()', {}],
    ['runtime_error', 'program', 'raise SystemExit(3)', {}],
);
for my $row (@bad) {
    my ($verdict, $fault, $code, $limits) = @$row;
    my $test = tests(code => $code, tests => [{ limits => $limits }])->{tests}[0];
    is "$test->{verdict} $test->{fault}", "$verdict $fault", "$verdict: $code" or diag explain $test;
}
is verdicts(tests(code => 'raise SystemExit(3)', tests => [{ expected => { exit_code => 3 } }])), 'accepted', 'an exit code that is expected';

# --- files ----------------------------------------------------------------------------------------------------------------

$data = tests(code => 'import sys; open("out", "w").write(sys.stdin.read())', tests => [
    { stdin => 'a', expected => { files => { out => 'a' } } },
    { stdin => 'b', expected => { files => { out => 'a' } } },
    { stdin => 'a', expected => { files => { out => 'a', other => 'x' } } },
]);
is verdicts($data), 'accepted wrong_answer wrong_answer', 'files that the program is to leave' or diag explain $data->{tests};
is_deeply [map { $_->{reason} } @{ $data->{tests} }], [undef, 'the file out differs', 'the file other is missing'], 'with the reason';
$data = tests(code => 'import os; print(sorted(os.listdir("."))); open("left", "w")', tests => [map { { expected => "['main.py']" } } 1 .. 20]);
is $data->{summary}{accepted}, 20, 'a test finds nothing of another one';

# --- stop_on --------------------------------------------------------------------------------------------------------------

my @mixed = map { { stdin => "$_\n", expected => $_ == 5 ? 'wrong' : 2 * $_ . '' } } 1 .. 30;
$data = tests(code => $double, stop_on => 'first_failure', tests => \@mixed);
is verdicts($data), join(' ', ('accepted') x 4, 'wrong_answer', ('skipped') x 25), 'stop_on: what comes after the first failure is skipped';
is $data->{summary}{first_failure}, 4, 'and the summary names that one';
$data = tests(code => $double, stop_on => 'none', tests => \@mixed);
is $data->{summary}{accepted}, 29, 'stop_on none: all are run';

# --- events ---------------------------------------------------------------------------------------------------------------

for my $stop (qw(none first_failure)) {
    my %request = (code => $double, stop_on => $stop, tests => [map { { %$_, id => "t$_->{stdin}" =~ s/\n//r } } @mixed]);
    my $stream = Events->start($cb, 'ndjson', { language => 'python3', %request });
    my $events = $stream->rest(60);
    is "$stream->{status} $stream->{end} $stream->{headers}{'content-type'}", '200 whole application/x-ndjson; charset=utf-8', "events, stop_on $stop: the answer";
    is join(' ', map { $_->{event} } @$events), join(' ', 'queued', ('test') x 30, 'result'), "events, stop_on $stop: one for each test";
    my @told = map { $_->{data} } grep { $_->{event} eq 'test' } @$events;
    is join(' ', map { $_->{id} } @told), join(' ', map {"t$_"} 1 .. 30), '... in their order';
    is verdicts({ tests => \@told }), join(' ', ('accepted') x 4, 'wrong_answer', ($stop eq 'none' ? 'accepted' : 'skipped') x 25), '... with its verdict, also if it is skipped';
    is_deeply [map { [sort keys %$_] } @told], [map { [sort keys %$_] } @{ tests(%request)->{tests} }], '... and the members of the plain reply';
    my $result = $events->[-1]{data};
    is_deeply [@{ $result->{summary} }{qw(tests accepted skipped first_failure)}], $stop eq 'none' ? [30, 29, 0, 't5'] : [30, 4, 25, 't5'], '... and the result has the summary';
    is join(' ', grep { exists $result->{$_} } qw(tests stdout stderr files)), '', '... without the tests';
}
SKIP: {
    skip 'no C here', 1 if !$available->{c};
    my $events = Events->start($cb, 'ndjson', { language => 'c', code => 'int main(', tests => [{}, {}] })->rest(60);
    is join(' ', map { $_->{event} eq 'test' ? $_->{data}{verdict} : $_->{event} } @$events), 'queued skipped skipped stderr result', 'events of a program that does not compile'
        or diag explain $events;
}

# --- bounds of the reply --------------------------------------------------------------------------------------------------

$data = tests(code => 'print("x" * 10000)', test_output_bytes => 10, tests => [{ expected => 'x' x 10000 }, { expected => 'y' }]);
is verdicts($data), 'accepted wrong_answer', 'the whole output is judged';
is_deeply [@{ $data->{tests}[0] }{qw(stdout truncated)}, $data->{tests}[0]{usage}{stdout_bytes}], ['x' x 10, JSON::PP::true, 10001],
    'and as much of it is in the reply as the request asks for';
$data = tests(code => 'print("\0" * 200000)', test_output_bytes => 200000, tests => [({}) x 12]);
is $data->{summary}{accepted}, 12, 'outputs that are too large for the reply, all together, are left out';
cmp_ok length(join '', map { $_->{stdout} } @{ $data->{tests} }), '>', 0, 'some are there';
cmp_ok length(join '', map { $_->{stdout} } @{ $data->{tests} }), '<=', 400000, 'and the reply has a bound';

# --- many at a time -------------------------------------------------------------------------------------------------------

$data = tests(code => 'import time; time.sleep(0.5)', tests => [({}) x 8]);
cmp_ok $data->{summary}{wall_ms}, '<', 3000, 'tests run at the same time' or diag explain $data->{summary};
my $hundred = tests(code => $double, tests => [map { { stdin => "$_\n", expected => 2 * $_ . '' } } 1 .. 500]);
is $hundred->{summary}{accepted}, 500, 'five hundred tests in one request';
is_deeply [map { $_->{id} } @{ $hundred->{tests} }], [0 .. 499], 'in the order in which they were given';

# --- compiled languages ---------------------------------------------------------------------------------------------------

SKIP: {
    skip 'no C here', 8 if !$available->{c};
    my $c = qq(#include <stdio.h>\nint main(void) { int n; if (scanf("%d", &n) != 1) return 1; printf("%d\\n", 2 * n); return 0; }\n);
    $data = tests(language => 'c', code => $c, tests => [map { { stdin => "$_\n", expected => 2 * $_ . '' } } 1 .. 50]);
    is $data->{summary}{accepted}, 50, 'tests of a compiled program' or diag explain $data;
    is $data->{compile}{cached}, JSON::PP::false, 'it was compiled for them';
    $data = tests(language => 'c', code => $c, tests => [{ stdin => '1', expected => '2' }]);
    is $data->{compile}{cached}, JSON::PP::true, 'and is known the next time';
    $data = tests(language => 'c', code => $c, tests => [{ stdin => '1', expected => '2', files => { f => 'x' } }]);
    is_deeply [verdicts($data), $data->{compile}{cached}], ['accepted', JSON::PP::true], 'the files of a test are not its compiler\'s';
    my $r = $cb->run(language => 'c', code => 'int main(void) { return x; }', tests => [({}) x 3]);
    is_deeply [$r->{status}, $r->{data}{status}, verdicts($r->{data})], [200, 'compile_error', 'skipped skipped skipped'],
        'a program that does not compile: the tests are skipped';
    like $r->{data}{error}, qr/compile error\n.*undeclared/s, 'and the compiler says why, once';
    is_deeply [map { $_->{fault} } @{ $r->{data}{tests} }], [('program') x 3], 'it is the program\'s fault';
    is $r->{data}{fault}, 'program', 'of the reply as a whole, too';
}

# --- a checker of the request's own ---------------------------------------------------------------------------------------

my $checker = { language => 'python3', code => <<'END' };
import sys
given, got, answer = (open(name).read() for name in sys.argv[1:])
sys.stderr.write(f"{given.strip()}|{got.strip()}|{answer.strip()}\n")
sys.exit({"good": 0, "wrong": 1, "format": 2, "fail": 3, "dirt": 4, "end": 8}.get(got.strip(), 99))
END
$data = tests(code => 'print(input())', checker => $checker, tests => [
    map { { stdin => "$_\n", expected => 'answer' } } qw(good wrong format fail dirt end other) ]);
is verdicts($data), 'accepted wrong_answer presentation_error service_fault presentation_error presentation_error service_fault',
    'a program of the request checks, with the exit codes of testlib' or diag explain $data->{tests};
is $data->{tests}[0]{checker}{message}, "good|good|answer\n", 'it has the input, the output and the answer as files';
is $data->{tests}[3]{fault}, 'service', 'a checker that fails is no verdict on the program';
$data = tests(code => 'print(1)', checker => $checker, tests => [{ expected => '1', checker => 'lines' }, { expected => '1' }]);
is verdicts($data), 'accepted service_fault', 'a test may have another checker';
SKIP: {
    skip 'no C here', 2 if !$available->{c};
    my $c = { language => 'c', code => "#include <stdio.h>\nint main(int n, char **a) { FILE *f = fopen(a[2], \"r\"); return f == 0 || fgetc(f) != 'y'; }\n" };
    $data = tests(code => 'print(input())', checker => $c, tests => [{ stdin => 'y' }, { stdin => 'n' }]);
    is verdicts($data), 'accepted wrong_answer', 'a checker may be compiled' or diag explain $data;
    my $r = $cb->run(code => 'print(1)', checker => { language => 'c', code => 'int main(' }, tests => [{}]);
    ok $r->{status} == 400 && $r->{json}{message} =~ /^checker: it does not compile: /, 'a checker that does not compile is an error of the request' or diag $r->{body};
}

# --- what is refused ------------------------------------------------------------------------------------------------------

my @refused = (
    [{ tests => {} }, 'tests: must be a list of objects'],
    [{ tests => ['x'] }, 'tests[0]: must be an object'],
    [{ tests => [{}, { expect => 1 }] }, 'tests[1].expect: there is no such field; there are id, stdin,'],
    [{ tests => [{ id => {} }] }, 'tests[0].id: must be a string or an integer'],
    [{ tests => [{ stdin => 1 }] }, 'tests[0].stdin: must be a string'],
    [{ tests => [{ limits => { wall_ms => 0 } }] }, 'tests[0].limits.wall_ms: must be an integer from 1'],
    [{ tests => [{ limits => { wall => 1 } }] }, 'tests[0].limits.wall: there is no such limit'],
    [{ tests => [{ files => { '../x' => '' } }] }, 'tests[0].files'],
    [{ tests => [{ files => { x => '' } }], files => { 'x/y' => '' } }, 'tests[0].files[0].path: "x" is, or is in, a file of the request'],
    [{ tests => [{ files => { 'x/y' => '' } }], files => { x => '' } }, 'tests[0].files[0].path: "x/y" is, or is in, a file of the request'],
    [{ tests => [{ weight => -1 }] }, 'tests[0].weight: must be a number'],
    [{ tests => [{ expected => { out => 1 } }] }, 'tests[0].expected.out: there is no such field'],
    [{ tests => [{ expected => { exit_code => 256 } }] }, 'tests[0].expected.exit_code: must be an integer from 0 to 255'],
    [{ tests => [{ expected => { files => { '*' => 'x' } } }] }, 'tests[0].expected.files'],
    [{ tests => [{ checker => 'regex', expected => '(' }] }, 'tests[0].expected.stdout: has a ( without its )'],
    [{ tests => [{ checker => 'best' }] }, 'tests[0].checker: must be exact, lines,'],
    [{ tests => [{ checker => { type => 'lines', absolute => 1 } }] }, 'tests[0].checker: only the type floats'],
    [{ tests => [{ checker => { type => 'floats', absolute => -1 } }] }, 'tests[0].checker.absolute: must be a number'],
    [{ tests => [{}], checker => { language => 'python3' } }, 'checker.code: is required'],
    [{ tests => [{}], checker => { language => 'no', code => 'x' } }, 'checker: unsupported language'],
    [{ tests => [{}], stop_on => 'all' }, 'stop_on: must be "first_failure" or "none"'],
    [{ tests => [{}], test_output_bytes => -1 }, 'test_output_bytes: must be an integer'],
    [{ tests => [{}], collect => ['x'] }, 'collect: must not be there together with tests'],
    [{ tests => [({}) x 2001] }, 'tests: must not be more than 2000'],
);
for my $row (@refused) {
    my $r = $cb->run(code => 'print(1)', %{ $row->[0] });
    ok $r->{status} == 400 && index($r->{json}{message}, $row->[1]) == 0, $row->[1] or diag $r->{body};
}
is $cb->run(code => 'print(1)', tests => [])->{data}{stdout}, "1\n", 'no tests: a run as always';
is $cb->run(code => 'raise SystemExit(1)')->{data}{fault}, 'program', 'a run without tests says whose fault it is';
is $cb->run(code => 'while True: pass', limits => { cpu_ms => 50 })->{data}{fault}, 'limit', 'or that it met a limit';
ok !exists $cb->run(code => 'print(1)')->{data}{fault}, 'and nothing, if it went well';

$cb->finish;
done_testing;
