# Tests whose program talks to an interactor: two programs in two cells, each with the output of the
# other as its input.
use strict;
use warnings;
use Cellblock qw(eventually);
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, keys => { one => { key => 'key-of-one-0123456789', settings => 'running = 1;' } },
    allow => [qr/cancelled|refused|lost/], conf => [['cellblock.conf', qr/cells = 32/, 'cells = 12']]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

# It thinks of the number in input.txt, and answers each guess by < > or =. At most eight guesses.
my $interactor = { language => 'python3', code => <<'END' };
import sys
secret, wanted = int(open(sys.argv[1]).read()), open(sys.argv[3]).read()
for guesses in range(1, 9):
    line = sys.stdin.readline()
    if not line:
        sys.exit(8)
    guess = int(line)
    print("=" if guess == secret else "<" if secret < guess else ">", flush=True)
    if guess == secret:
        print(f"{guesses} guesses {wanted}", file=sys.stderr)
        sys.exit(0)
sys.exit(1)
END
my $search = <<'END';
low, high = 1, 100
while True:
    middle = (low + high) // 2
    print(middle, flush=True)
    word = input()
    if word == "=":
        break
    low, high = (low, middle - 1) if word == "<" else (middle + 1, high)
END

sub tests { my $r = $cb->run(interactor => $interactor, @_); return $r->{data} // (diag($r->{body}), {}) }
sub verdicts { join ' ', map { $_->{verdict} } @{ $_[0]{tests} // [] } }
sub one { my $data = tests(@_, tests => [{ stdin => "42\n", expected => 'secret' }]); return $data->{tests}[0] }

# --- dialogues ------------------------------------------------------------------------------------------------------------

my $data = tests(code => $search, tests => [map { { stdin => "$_\n", expected => 'word' } } 1, 42, 100, 7]);
is verdicts($data), 'accepted accepted accepted accepted', 'a program finds the number' or diag explain $data->{tests};
like $data->{tests}[1]{interactor}{message}, qr/^\d guesses word$/, 'the interactor has the input and the answer, and says what it saw';
like $data->{tests}[1]{stdout}, qr/^50\n25\n/, 'the reply has what the program said';
my $test = one(code => "for i in range(1, 101):\n    print(i, flush=True)\n    if input() == '=': break");
is "$test->{verdict} $test->{fault}", 'wrong_answer program', 'a program that guesses too often' or diag explain $test;
$test = one(code => 'import os; print(os.listdir("."), open("input.txt").read())');
is $test->{verdict}, 'runtime_error', 'the program sees no file of the interactor' or diag explain $test;
SKIP: {
    skip 'no C here', 2 if !$available{c};
    my $c = "#include <stdio.h>\nint main(void) { int low = 1, high = 100; char word[8]; for (;;) { int m = (low + high) / 2; printf(\"%d\\n\", m); fflush(stdout);\n"
        . "if (scanf(\"%7s\", word) != 1) return 1; if (*word == '=') return 0; if (*word == '<') high = m - 1; else low = m + 1; } }\n";
    $data = tests(language => 'c', code => $c, tests => [map { { stdin => "$_\n" } } 1 .. 20]);
    is $data->{summary}{accepted}, 20, 'a compiled program' or diag explain $data;
    my $echo = { language => 'c', code => "#include <stdio.h>\nint main(int n, char **a) { int x; printf(\"5\\n\"); fflush(stdout); return scanf(\"%d\", &x) != 1 || x != 10; }\n" };
    $data = tests(interactor => $echo, code => 'print(2 * int(input()))', tests => [{}, {}]);
    is verdicts($data), 'accepted accepted', 'a compiled interactor' or diag explain $data;
}

# --- neither can hang the service -----------------------------------------------------------------------------------------

my %short = (limits => { wall_ms => 700, cpu_ms => 500, output_bytes => 100000 });
my %slow = (language => 'python3', %short);
my @attacks = (
    ['both wait for each other', 'input()', { %$interactor }, 'time_limit', 'limit'],
    ['the program never ends', $search . "\nimport time\ntime.sleep(60)", { %$interactor }, 'time_limit', 'limit'],
    ['the program burns CPU time', 'while True: pass', { %$interactor }, 'time_limit', 'limit'],
    ['the program floods the interactor', "while True: print('1' * 1000)", { %slow, code => 'import time; time.sleep(60)' }, 'output_limit', 'limit'],
    ['the program dies in the middle', 'print(1, flush=True); input(); raise SystemExit(9)', { %$interactor }, 'runtime_error', 'program'],
    ['the program closes its output', 'import os, time; os.close(1); time.sleep(60)', { %$interactor }, 'time_limit', 'limit'],
    ['the program says nothing', 'pass', { %$interactor }, 'presentation_error', 'program'],
    ['the interactor floods the program', 'import time; time.sleep(0.3)', { %slow, code => "while True: print('x' * 1000)" }, 'service_fault', 'service'],
    ['the interactor dies', 'input()', { %slow, code => 'import os; os.abort()' }, undef, undef],
    ['the interactor never ends', 'print(1)', { %slow, code => 'import time; time.sleep(60)' }, 'service_fault', 'service'],
    ['the interactor closes its output and never ends', 'input()', { %slow, code => 'import os, time; os.close(1); time.sleep(60)' }, 'time_limit', 'limit'],
);
for my $row (@attacks) {
    my ($name, $code, $other, $verdict, $fault) = @$row;
    my $begin = time;
    my $t = one(code => $code, interactor => $other, %short);
    cmp_ok time - $begin, '<', 20, "$name: it has an end";
    if (defined $verdict) { is "$t->{verdict} $t->{fault}", "$verdict $fault", "$name: $verdict" or diag explain $t }
    else { isnt $t->{verdict}, 'accepted', "$name: it is not accepted" or diag explain $t }
}
ok eventually(10, sub { $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_runs_running\{language="python3"\} 0/m }), 'nothing of them runs any more';

# --- many at a time -------------------------------------------------------------------------------------------------------

my ($wrong, $accepted, $sent) = (0, 0, 0);
$cb->many(6, sub { $sent++ < 6 ? { code => $search, interactor => $interactor, tests => [map { { stdin => "$_\n" } } 1 .. 8] } : undef }, sub {
    my ($fields, $r) = @_;
    $wrong += grep { $_->{verdict} ne 'accepted' && ($_->{fault} // '') ne 'service' } @{ $r->{data}{tests} // [] };
    $accepted += $r->{data}{summary}{accepted} // 0;
}, 100);
is $wrong, 0, 'more pairs than there are cells for: no wrong verdict';
is $accepted, 48, 'and all of them come to their verdict';

my $socket = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)', interactor => { language => 'python3', code => 'import time; time.sleep(60)' }, tests => [({}) x 20]));
ok eventually(20, sub { $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_runs_running\{language="python3"\} [2-9]/m }), 'pairs run';
close $socket;
ok eventually(20, sub { $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_runs_running\{language="python3"\} 0/m }), 'the client goes away: both sides of each end';

# --- what is refused ------------------------------------------------------------------------------------------------------

my @refused = (
    [{ interactor => 'x' }, 'interactor: must be a program'],
    [{ interactor => { language => 'python3' } }, 'interactor.code: is required'],
    [{ interactor => { %$interactor, args => ['x'] } }, 'interactor: must have neither args nor stdin'],
    [{ interactor => $interactor, checker => 'lines' }, 'interactor: must not be there together with checker'],
    [{ interactor => $interactor, tests => [{ checker => 'lines' }] }, 'tests[0]: must have neither'],
    [{ interactor => { %$interactor, limits => { wall_ms => 1 << 40 } } }, 'interactor.limits.wall_ms: must be'],
);
for my $row (@refused) {
    my $r = $cb->run(code => 'print(1)', tests => [{}], %{ $row->[0] });
    ok $r->{status} == 400 && index($r->{json}{message}, $row->[1]) == 0, $row->[1] or diag $r->{body};
}
{
    local $cb->{key} = 'key-of-one-0123456789';
    my $r = $cb->run(code => 'print(1)', tests => [{}], interactor => $interactor);
    ok $r->{status} == 400 && $r->{json}{message} =~ /^interactor: needs two runs/, 'a key with one run at a time has no interactor' or diag $r->{body};
}

$cb->finish;

# --- memory for one, and for two -------------------------------------------------------------------------------------------

my $small = Cellblock->start(own => 1, allow => [qr/too large/], conf => [
    ['cellblock.conf', qr/#memory_bytes = 0;/, 'memory_bytes = 335544320;'],
    ['cellblock.conf', qr/(memory_bytes = \{ default = )268435456;/, 'memory_bytes = { default = 134217728;']]);
my $talk = { code => $search, tests => [{ stdin => '7', expected => '!' }] };
my ($well, $count) = (0, 12);
$small->many(6, sub { $count-- > 0 ? { %$talk, language => 'python3', interactor => $interactor } : undef },
    sub { $well += verdicts($_[1]{data}) eq 'accepted' }, 120);
is $well, 12, 'pairs of which two at a time have not all the memory that they want: all come to their verdict';
my $large = $small->run(%$talk, interactor => { %$interactor, limits => { memory_bytes => 268435456 } });
ok $large->{status} == 400 && $large->{json}{message} =~ /^limits\.memory_bytes: more than all programs may have/, 'one that never fits is refused at once'
    or diag $large->{body};
is verdicts($small->run(%$talk, interactor => $interactor)->{data}), 'accepted', '... and the next one is not';
$small->finish;
done_testing;
