# cellblock test: a program with each input of a directory, and the verdicts.
use strict;
use warnings;
use Cellblock qw(command json prefix slurp spew);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Flaky;
use Test::More;

my $cellblock = prefix() . '/bin/cellblock';
my $cb = Cellblock->start(own => 1);
my $dir = tempdir(CLEANUP => 1);

sub cellblock {
    my ($arguments, %option) = @_;
    my %env = (CELLBLOCK_URL => $cb->{url}, CELLBLOCK_API_KEY => $cb->{key}, HOME => $dir, XDG_CONFIG_HOME => '', NO_COLOR => '', %{ $option{env} || {} });
    return command([$cellblock, @$arguments], dir => $dir, seconds => 60, env => \%env);
}

# Write a directory of tests: name => text.
sub problem {
    my ($name, %files) = @_;
    make_path("$dir/$name");
    spew("$dir/$name/$_", $files{$_}) for keys %files;
    return $name;
}

# --- verdicts -----------------------------------------------------------------------------------------------------------------

my $judged = <<'END';
import sys, time
word = sys.stdin.readline().strip()
if word == "loop":
    while True: pass
elif word == "memory":
    x = bytearray(1 << 30)
elif word == "exit": sys.exit(3)
elif word == "long": print("x" * 100_000)
else: print(word, "  \t")
print()
END
problem('verdicts', 'solution.py' => $judged,
    (map { ("t$_.in" => "right\n", "t$_.out" => "right") } 1, 2, 10),
    't3.in' => "wrong \e[31m\n", 't3.ans' => "right\r\n",
    't4.in' => "loop\n", 't4.out' => '', 't5.in' => "memory\n", 't5.out' => '', 't6.in' => "exit\n", 't6.out' => '', 't7.in' => "long\n", 't7.out' => '',
    't8.out' => '');
my ($exit, $out, $err) = cellblock(['test', '--limit', 'cpu_ms=500', '-L', 'memory_bytes=64M', '-L', 'output_bytes=10K', 'verdicts']);
is $exit, 1, 'tests that are not accepted: exit code 1' or diag $err;
my %verdict = $out =~ /^(t\d+) +(\w+)/mg;
is_deeply \%verdict, { (map { $_ => 'accepted' } qw(t1 t2 t8 t10)), t3 => 'wrong_answer', t4 => 'time_limit', t5 => 'memory_limit', t6 => 'runtime_error', t7 => 'output_limit' },
    'each test has its verdict' or diag $out;
is join(' ', $out =~ /^(t\d+) /mg), join(' ', map {"t$_"} 1 .. 8, 10), 'in the order of their numbers';
like $out, qr/^t3 .*\n +line 1 differs\n +expected +right\n +actual +wrong \?\[31m$/m, 'a wrong answer has the first difference, without control characters';
like $out, qr/^t6 .*\n +process exited with code 3$/m, 'a program that fails has its error';
like $out, qr/^t1 +accepted +\d+\.\d ms +\d+\.\d ms +\d+\.\d MiB$/m, 'a row has times and memory';
like $out, qr/^4 of 9 accepted; slowest \d+\.\d ms, most memory \d+\.\d MiB$/m, 'the sum';
unlike $out, qr/\e/, 'no colours where nobody sees them';

(undef, $out) = cellblock(['test', '--color', 'always', '-L', 'cpu_ms=500', '-L', 'memory_bytes=64M', 'verdicts']);
like $out, qr/\e\[32maccepted/, '--color=always: green is accepted';
like $out, qr/\e\[31mwrong_answer/, '... and red is not';
unlike $out, qr/\e\[31m\n/, '... and the program has no say in it';

# --- comparing --------------------------------------------------------------------------------------------------------------------

problem('echo', 'echo.py' => "import sys\nsys.stdout.write(sys.stdin.read())\n");
my %same = (blanks => ["a  \nb\t\r\n\n\n", "a\nb"], empty => ['', "\n\n"], spaces => [' a', ' a'], unicode => ["\xc3\xa9\n", "\xc3\xa9"]);
my %differ = (inside => ["a  b\n", "a b\n"], before => [' a', 'a'], missing => ["a\n", "a\nb\n"], more => ["a\nb\n", "a\n"], line => ["a\n\nb\n", "a\nb\n"]);
for (sort keys %same, sort keys %differ) {
    my ($input, $answer) = @{ $same{$_} || $differ{$_} };
    problem('echo', "$_.in" => $input, "$_.out" => $answer);
}
($exit, $out) = cellblock(['test', '--json', '-j', '2', 'echo']);
my $list = json->decode($out);
is_deeply { map { $_->{name} => $_->{verdict} } @$list }, { (map { $_ => 'accepted' } keys %same), (map { $_ => 'wrong_answer' } keys %differ) },
    'blanks at ends do not count, and everything else does';
my ($missing) = grep { $_->{name} eq 'missing' } @$list;
is_deeply $missing->{difference}, { line => 2, expected => 'b', actual => undef }, '--json has the difference';
is $missing->{data}{status}, 'ok', '... and the result';

# --- all accepted, a compiled program, many -------------------------------------------------------------------------------------------

my $languages = json->decode((cellblock(['languages', '--json']))[1])->{data}{languages};
SKIP: {
    my ($c) = grep { $_->{name} eq 'c' && $_->{available} } @$languages;
    skip 'no C compiler', 4 if !$c;
    problem('sum', map { ("$_.in" => "$_ 1\n", "$_.out" => $_ + 1) } 1 .. 30);
    spew("$dir/sum.c", "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b); printf(\"%d\\n\", a + b); return 0; }\n");
    ($exit, $out, $err) = cellblock(['test', '-j', '8', 'sum', 'sum.c']);
    is $exit, 0, 'all accepted: exit code 0' or diag "$out$err";
    like $out, qr/^30 of 30 accepted/m, '... and the sum';
    spew("$dir/sum.c", "int main(void) { return x; }\n");
    ($exit, $out) = cellblock(['test', 'sum', 'sum.c']);
    is $exit, 1, 'a program that does not compile: exit code 1';
    like $out, qr/^1 +compile_error.*\n(?:.*\n)*.*undeclared(?:.*\n)*0 of 30 accepted.*; 29 not run$/m, '... after one test, with the compiler\'s words' or diag $out;
}

# --- what is wrong with a directory -----------------------------------------------------------------------------------------------------

problem('no_answer', 'a.in' => '1', 'x.py' => 'print()');
problem('two_answers', 'a.in' => '1', 'a.out' => '', 'a.ans' => '', 'x.py' => 'print()');
problem('no_tests', 'x.py' => 'print()');
problem('no_program', 'a.in' => '1', 'a.out' => '1');
problem('two_programs', 'a.in' => '1', 'a.out' => '1', 'x.py' => 'print()', 'y.py' => 'print()');
problem('not_text', 'a.in' => "\xff", 'a.out' => '1', 'x.py' => 'print()');
my %wrong = (no_answer => qr{no_answer/a\.in: has no answer: neither a\.out nor a\.ans}, two_answers => qr/has two answers, \.out and \.ans/,
    no_tests => qr/has no tests/, no_program => qr/has no program/, two_programs => qr/which is the program, x\.py or y\.py\?/,
    not_text => qr{not_text/a\.in: is not a text in UTF-8}, missing_directory => qr/missing_directory: No such file/);
for (sort keys %wrong) {
    ($exit, $out, $err) = cellblock(['test', $_]);
    is "$exit $out", '125 ', "$_: exit code 125";
    like $err, $wrong{$_}, '... and the reason';
}

# --- a service that refuses ------------------------------------------------------------------------------------------------------------------

($exit, $out) = cellblock(['test', 'echo'], env => { CELLBLOCK_API_KEY => 'a-wrong-key' });
is $exit, 123, 'a service that refuses one test is not asked again: exit code 123';
like $out, qr/service_fault\n +unauthorized/, '... and the reason is in the table';
like $out, qr/; 8 not run$/m, '... and how many are left' or diag $out;
my $flaky = Flaky->new($cb, 'relay', 'cut', 'relay');
($exit, $out) = cellblock(['-u', $flaky->{url}, 'test', '-j', '1', 'echo']);
is $exit, 121, 'a connection that is cut: exit code 121';
is scalar(() = $out =~ /service_fault/g), 1, '... of one test';
is join(' ', $flaky->done), 'relayed cut' . ' relayed' x 7, '... which is not sent again, and the others are run';

$cb->finish;
done_testing;
