# Tests of a submission where things go wrong: no cache, few cells, a low rate, a client that goes
# away, a service that stops, and checkers that are attacked. Whatever happens, no test has a wrong
# verdict.
use strict;
use warnings;
use Cellblock qw(eventually json process_status);
use Test::More;

my %settings = (rated => 'rate = 20; burst = 3;', narrow => 'running = 1; waiting = 0;');
my $cb = Cellblock->start(own => 1, keys => { map { $_ => { key => "key-of-$_-0123456789", settings => $settings{$_} } } keys %settings },
    allow => [qr/cancelled|given up|refused|lost/],
    conf => [['cellblock.conf', qr/compiled_bytes = \d+/, 'compiled_bytes = 0'], ['cellblock.conf', qr/cells = 32/, 'cells = 4'],
        ['cellblock.conf', qr/queue = 256/, 'queue = 2'], ['cellblock.conf', qr/drain_ms = 30000/, 'drain_ms = 2000'],
        (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3), ['languages/python3.conf', qr/armed = 3/, 'armed = 0'],
        ['languages/python3.conf', qr/armed = 6/, 'armed = 3']]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
my $double = 'print(2 * int(input()))';

sub numbers { return [map { { stdin => "$_\n", expected => 2 * $_ . '', weight => $_ } } 1 .. $_[0]] }

sub figure {
    my ($name) = @_;
    my ($value) = $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_$name\{language="c"\} (\d+)/m;
    return $value;
}

# The number of tests with each verdict that is neither accepted nor a fault of the service.
sub wrong { return grep { $_->{verdict} ne 'accepted' && ($_->{fault} // '') ne 'service' } @{ $_[0]{tests} } }

# --- one compilation ------------------------------------------------------------------------------------------------------

SKIP: {
    skip 'no C here', 3 if !$available{c};
    my $c = qq(#include <stdio.h>\nint main(void) { int n; if (scanf("%d", &n) != 1) return 1; printf("%d\\n", 2 * n); return 0; }\n);
    my $r = $cb->run(language => 'c', code => $c, tests => numbers(40));
    is $r->{data}{summary}{accepted}, 40, 'tests of a compiled program where no program is kept' or diag $r->{body};
    is figure('compile_cache_misses_total'), 1, 'it was compiled once';
    $cb->run(language => 'c', code => $c);
    is figure('compile_cache_misses_total'), 2, 'and is not held when the tests are done';
}

# --- overload -------------------------------------------------------------------------------------------------------------

my ($wrong, $accepted, $sent, $others) = (0, 0, 0, 0);
$cb->many(6, sub { $sent++ < 12 ? { code => $double, tests => numbers(20) } : undef }, sub {
    my ($fields, $r) = @_;
    return $others++ if $r->{status} != 200;
    $wrong += wrong($r->{data});
    $accepted += $r->{data}{summary}{accepted};
}, 100);
is $wrong, 0, 'four times as many tests as there is room for: no wrong verdict';
is $others, 0, 'and each request is answered';
is $accepted, 240, 'what was refused was tried again';

for my $name (sort keys %settings) {
    local $cb->{key} = "key-of-$name-0123456789";
    my $r = $cb->run(code => $double, tests => numbers(15));
    is $r->{data}{summary}{accepted}, 15, "a key with $settings{$name}" or diag $r->{body};
}

# --- attacks on checkers --------------------------------------------------------------------------------------------------

my $evil = { code => 'print("a" * 30000)', tests => [map { { expected => $_, checker => 'regex' } } '(a+)+b', '(a|a)*b', '(.*)(.*)(.*)b', '(a?){300}a{300}b', 'a*'] };
my $data = $cb->run(%$evil)->{data};
is join(' ', map { $_->{verdict} } @{ $data->{tests} }), 'wrong_answer wrong_answer wrong_answer wrong_answer accepted', 'patterns that would take years elsewhere';
$data = $cb->run(code => 'print("a" * 3000000)', tests => [{ expected => '(a*b*c*d*){1000}', checker => 'regex' }])->{data};
is_deeply [@{ $data->{tests}[0] }{qw(verdict fault)}], ['service_fault', 'service'], 'one that takes too long is no verdict' or diag explain $data;
my @hang = (['while True: pass', { cpu_ms => 300 }], ['import time; time.sleep(60)', { wall_ms => 300 }], ['x = bytearray(1 << 30)', { memory_bytes => 64 << 20 }],
    ['print("x" * 10000000)', { output_bytes => 1000 }], ['import os; os.kill(os.getpid(), 9)', {}]);
for my $row (@hang) {
    $data = $cb->run(code => 'print(1)', checker => { language => 'python3', code => $row->[0], limits => $row->[1] }, tests => [{ expected => '1' }])->{data};
    is_deeply [@{ $data->{tests}[0] }{qw(verdict fault)}], ['service_fault', 'service'], "a checker does not judge: $row->[0]" or diag explain $data;
}
# A program's files cannot reach its checker: that has another cell, and its own guest writes the
# output for it.
$data = $cb->run(code => 'import os, sys; os.symlink("/etc/passwd", "answer.txt"); os.mkdir("output.txt"); print("mine")',
    checker => { language => 'python3', code => 'import sys; print(open(sys.argv[2]).read() + open(sys.argv[3]).read(), file=sys.stderr)' },
    tests => [{ expected => 'the answer' }])->{data};
is $data->{tests}[0]{checker}{message}, "mine\nthe answer\n", 'a program cannot put files into the place of its checker\'s' or diag explain $data;
# It does not see the answer, either.
$data = $cb->run(code => 'import os; print([n for d, _, f in os.walk("/box") for n in f], "secret" in str(dict(os.environ)), os.path.exists("answer.txt"))',
    checker => { language => 'python3', code => 'pass' }, tests => [{ expected => 'secret' }])->{data};
is $data->{tests}[0]{stdout}, "['main.py'] False False\n", 'a program does not see the answer' or diag explain $data;

# --- the client goes away -------------------------------------------------------------------------------------------------

my $socket = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(20)', limits => { wall_ms => 60000 }, tests => [({}) x 100]));
sub running { return $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_runs_running\{language="python3"\} [1-9]/m }
ok eventually(20, \&running), 'tests have begun';
close $socket;
ok eventually(20, sub { $cb->run(code => 'print(1)', limits => { wall_ms => 1000 })->{status} == 200 }), 'the client is gone: others run';
ok eventually(20, sub { !running() }), 'and its tests have ended';

# --- the end of the runner ------------------------------------------------------------------------------------------------

$socket = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(0.2); ' . $double, tests => numbers(60)));
ok eventually(20, sub { $cb->pids('guest') > 0 }), 'tests run';
my ($broker) = $cb->pids('broker');
kill 'KILL', $broker;
my $r = $cb->read_reply($socket);
is $r->{status}, 200, 'the runner dies: there is a reply' or diag $r->{body};
is scalar(wrong($r->{data})), 0, 'and no wrong verdict';
cmp_ok $r->{data}{summary}{accepted}, '>', 0, 'most tests have one' or diag explain $r->{data}{summary};
ok defined $cb->healthy_within(60), 'the service is well again';

# --- the service stops ----------------------------------------------------------------------------------------------------

$socket = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(1); ' . $double, tests => numbers(60)));
ok eventually(20, sub { $cb->pids('guest') > 0 }), 'tests run';
kill 'TERM', ($cb->pids('worker parent'))[0];
$r = $cb->read_reply($socket);
is $r->{status}, 200, 'the workers stop: there is a reply' or diag $r->{body};
is scalar(wrong($r->{data})), 0, 'and no wrong verdict' or diag explain [wrong($r->{data})];
cmp_ok $r->{data}{summary}{skipped}, '>', 0, 'what had not begun is skipped' or diag explain $r->{data}{summary};
ok defined $cb->healthy_within(60), 'the service is well again';

$cb->finish;
done_testing;
