# The steps of a guest that has its run are made to fail, as in t/steps.t: the rows of run_walls in
# runner/guest/walls.c, and the start of the program. So are the steps of guests that are made in
# other ways: by a launcher, by hook.so, by Node.js.
use strict;
use warnings;
use Cellblock qw(eventually);
use Steps;
use Test::More;

my $steps = Steps->start;
my $cb    = $steps->service;

# The rows, and further calls before and after them.
my %run_more = (
    'find the size of the job' => [['newfstatat,fstat', when => 1]],
    'write the program'        => [['openat', path => 'main.py']],
);
$steps->fail_rows('run', { %{ Steps::rows('run_walls') }, %run_more });

# The same of guests that are made in other ways: by a launcher, by hook.so, by Node.js.
my @others = (
    ['bash',   'echo out'],
    ['perl',   'print "out\n"'],
    ['nodejs', 'console.log("out")'],
);
my @walls = (
    ['setns',     "join the cell's pid namespace"],
    $steps->layers->{uid_per_cell}{in_force} ? ['setresuid', "become the cell's user"] : ['unshare', 'hide the path of its cgroup'],
    ['capset',    'drop all capabilities'],
    ['landlock_restrict_self', 'enter the Landlock domain'],
    ['prlimit64', "set the run's rlimits", 1],
    ['seccomp',   'load the last filter', 1],
);
# Meanwhile the cells of another language, of which one is ready, are made as fast as ever. A try
# that fails is repeated after 0.5 s.
sub others_run {
    my ($language, @failing) = @_;
    my @waited;
    for (1 .. 7) {
        $cb->run(@failing);
        $cb->run(code => 'print("in")'); # takes the one that is ready
        push @waited, ($cb->run(code => 'print("in")')->{data} || {})->{usage}{queue_ms} // 300;
    }
    # By now it has failed for more than a second.
    my @refused = map { $cb->run(@failing) } 1 .. 4;
    is join(' ', map { $_->{status} } @refused), '500 500 500 500', "$language: its own runs do not wait for the queue's end"
        or diag join "\n", map { $_->{body} } @refused;
    my $median = (sort { $a <=> $b } @waited)[3];
    cmp_ok $median, '<', 100, "$language: others do not wait for its cells" or diag "@waited";
    return;
}
for (@others) {
    my ($language, $code) = @$_;
    my ($why_not) = map { $_->{reason} } grep { $_->{name} eq $language && !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
  SKIP: {
        skip $why_not, 1 if $why_not = Cellblock::missing("$language: " . ($why_not // ''), !defined $why_not);
        ok eventually(10, sub { ($cb->run(language => $language, code => $code)->{data}{stdout} // '') eq "out\n" }), "$language: awake";
        for (@walls) {
            my ($call, $step, $is_run) = @$_;
            $steps->fail_step("$language $call ($step)", $call, $language, $code, sub { $steps->zygotes_of($language) }, step => $step, is_run => $is_run,
                then => sub { others_run($language, language => $language, code => $code) if $call eq 'capset' });
        }
    }
}
# The last steps of a launcher's guest. With arguments it has no interpreter that has started
# already.
for (['bash', 'execute the interpreter', 'echo out', args => ['x']], ['c', 'execute the compiler', "#include <stdio.h>\nint main(void) { puts(\"out\"); }\n"]) {
    my ($language, $step, $code, @more) = @$_;
    my @run = (language => $language, @more);
  SKIP: {
        my $ready = eventually(20, sub { ($cb->run(@run, code => $code)->{data}{stdout} // '') eq "out\n" });
        skip "no $language", 1 if Cellblock::missing("$language", $ready);
        # Not a program that has been compiled already.
        my $number = 0;
        $steps->fail_step("$language execve ($step)", 'execve', \@run, $code, sub { $steps->zygotes_of($language) }, step => $step, is_run => 1, fresh => sub { "$code\n" . "\n" x ++$number });
    }
}

$steps->finish;
