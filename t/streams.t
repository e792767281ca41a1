# stdin, stdout and stderr of a run: pipes, also by the names of /dev, and what is left of them when
# a run is stopped.
use strict;
use warnings;
use Cellblock qw(eventually missing);
use Test::More;

my $cb = Cellblock->start;

sub data {
    return $cb->run(@_)->{data} || {};
}

# --- /dev/stdin, /dev/stdout and /dev/stderr, which a program opens again ------------------------------------------

my $has_names = data(language => 'bash', code => '[ -e /dev/stdout ] && echo yes')->{stdout} eq "yes\n";
SKIP: {
    my $why = missing('no /dev/stdout in cells: no procfs can be mounted here', $has_names);
    skip $why, 9 if $why;

    my $d = data(language => 'bash', code => <<'BASH', stdin => "given\n");
echo first >/dev/stdout
echo problem >/dev/stderr
cat /dev/stdin
echo second >>/dev/fd/1
cat < <(echo substituted)
echo both | tee /dev/stderr
BASH
    is $d->{stdout}, "first\ngiven\nsecond\nsubstituted\nboth\n", 'bash writes to its stdout by name, in order';
    is $d->{stderr}, "problem\nboth\n",                            'bash writes to its stderr by name';

    is data(code => 'print(open("/dev/stdin").read())', stdin => 'x' x 200_000)->{stdout}, 'x' x 200_000 . "\n", 'Python reads its stdin by name';
    is data(code => 'print(repr(open("/dev/stdin").read()))')->{stdout}, "''\n", 'a stdin without input is at its end, by name too';

    my $flood = 'f = open("/dev/STREAM", "w")' . "\nwhile True:\n    f.write('y' * 5000)\n";
    for my $stream (qw(stdout stderr)) {
        my $r = data(code => $flood =~ s/STREAM/$stream/r, limits => { output_bytes => 1000, wall_ms => 20_000 });
        is join(' ', $r->{status}, length $r->{$stream}), 'output_limit 1000', "what is written to /dev/$stream counts towards output_bytes";
    }
    my $wrong_way = <<'PYTHON';
import os
for name, flag in (("stdout", os.O_RDONLY), ("stderr", os.O_RDWR), ("stdin", os.O_WRONLY)):
    try:
        os.open("/dev/" + name, flag)
        print(name, "opened")
    except PermissionError:
        print(name, "no")
PYTHON
    # Without uids of their own the cells and the workers are one user.
    if ($cb->get('/v1/sandbox/capabilities')->{data}{layers}{uid_per_cell}{in_force}) {
        is data(code => $wrong_way, stdin => 'x')->{stdout}, "stdout no\nstderr no\nstdin no\n", 'a program cannot read its output, or write to its input';
    } else {
        pass 'cells and workers are one user here';
    }
    is data(language => 'c', code => <<'C', stdin => '20 22')->{stdout}, "42\n", 'C reads its stdin by name';
#include <stdio.h>
int main(void) {
    int a, b;
    FILE *in = fopen("/dev/stdin", "r");
    if (in == NULL || fscanf(in, "%d %d", &a, &b) != 2)
        return 1;
    printf("%d\n", a + b);
    return 0;
}
C
    is data(language => 'bash', code => 'for i in 1 2 3; do echo $i; done > >(tr 123 abc); wait $!')->{stdout}, "a\nb\nc\n", 'bash substitutes a process for an output';
}

# --- a run that is stopped keeps what it has printed, also what its interpreter had in a buffer --------------------

my @limits = (limits => { wall_ms => 500 });
my %endless = (
    'a loop'             => "print('kept')\nwhile True: pass",
    'a sleep'            => "import time\nprint('kept')\ntime.sleep(60)",
    'a wait for a thread' => "import threading, time\nprint('kept')\nt = threading.Thread(target=time.sleep, args=(60,))\nt.start()\nt.join()",
    'stdout is replaced' => "import io, sys\nprint('kept')\nsys.stdout = io.StringIO()\nwhile True: print('dropped')",
);
for my $name (sort keys %endless) {
    my $d = data(code => $endless{$name}, @limits);
    is "$d->{status} $d->{stdout}", "timeout kept\n", "Python keeps its output at a timeout: $name";
    is "$d->{exit_code} $d->{signal}", '-1 SIGKILL', 'the verdict is that of a program that was killed';
}
my $d = data(code => "print('kept')\nwhile True: pass", limits => { cpu_ms => 300, wall_ms => 20_000 });
is "$d->{status} $d->{stdout}", "cpu_limit kept\n", 'Python keeps its output when its CPU time is used up';

# A program that uses that chance for something else is late all the same, and lasts a moment.
my $stubborn = <<'PYTHON';
import os, signal
def handle(number, frame):
    os.write(1, b"asked ")
    ANSWER
for number in range(1, signal.NSIG):
    try:
        signal.signal(number, handle)
    except (OSError, ValueError):
        pass
while True:
    pass
PYTHON
for my $answer ('os._exit(0)', 'pass') {
    # The chance is short: a busy machine may not give the program any time in it.
    ok eventually(20, sub { $d = data(code => $stubborn =~ s/ANSWER/$answer/r, @limits); "$d->{status} $d->{stdout}" eq 'timeout asked ' }),
        "a program that handles every signal is late all the same: $answer" or diag "$d->{status} $d->{stdout}";
    cmp_ok $d->{usage}{wall_ms}, '<', 10_000, 'and is killed soon';
}
for (['lua', "print('kept') while true do end"], ['nodejs', "console.log('kept'); for (;;);"], ['bash', 'echo kept; while :; do :; done']) {
    my ($language, $code) = @$_;
    my $r = $cb->run(language => $language, code => $code, @limits);
    SKIP: {
        my $why = missing("no $language", $r->{status} == 200);
        skip $why, 1 if $why;
        is "$r->{data}{status} $r->{data}{stdout}", "timeout kept\n", "$language keeps its output at a timeout";
    }
}

$cb->finish;
done_testing;
