# Each step with which a collector is walled in is made to fail, by strace's fault injection in the
# warden's children. No file may be collected then; the run has its result all the same, says that
# its files are missing, and the step is in the log. The steps are the rows of the table in
# runner/warden/collector.c, whose names are read there: a row without a test fails.
use strict;
use warnings;
use Cellblock qw(eventually root slurp);
use Steps;
use Test::More;
use Tracer;

# Step => its call; which one of the collector's calls it is; the layer with which it is made.
# The first call of prctl(2) has the collector die with its warden.
my %tests = (
    'end in time'                           => { call => 'rt_sigaction', when => 1 },
    "set the collector's rlimits"           => { call => 'prlimit64' },
    "become the cell's user"                => { call => 'setresuid', layer => 'uid_per_cell' },
    'drop all capabilities'                 => { call => 'capset' },
    'become undumpable'                     => { call => 'prctl', when => 2 },
    'set no_new_privs'                      => { call => 'prctl', when => 3 },
    "enter the collector's Landlock domain" => { call => 'landlock_restrict_self', layer => 'landlock' },
    "load the collector's policy"           => { call => 'seccomp' },
);
my ($table) = slurp(root() . '/runner/warden/collector.c') =~ /^static const struct step steps\[\] = \{\n(.*?)^\};/ms;
is join(', ', sort $table =~ /^\t\{ "(.+)", \w+ \},$/mg), join(', ', sort keys %tests), 'each row of the table has a test';

my $steps = Steps->start(qr/the files of a run were not collected/);
my $cb    = $steps->service;
my $run   = sub { $cb->run(code => 'open("f", "w").write("left"); print("out")', collect => ['f']) };

for my $step (sort keys %tests) {
    my $test = $tests{$step};
    next if !$steps->is_made($test->{layer}) || ($test->{call} eq 'seccomp' && $cb->sanitized);
    ok $cb->healthy_within(60), "before $step: healthy";
    is $run->()->{data}{files}[0]{content}, 'left', "before $step: files are collected";
    my $logged = length $steps->runner_log;
    my $tracer = Tracer->attach(sub { $cb->pids('warden') }, '-f', '-e', "trace=$test->{call}",
        '-e', "inject=$test->{call}:error=EPERM" . ($test->{when} ? ":when=$test->{when}" : ''));
    ok $tracer->is_attached, "$step: strace is attached" or diag $tracer->says;
    my $r = $run->();
    is_deeply [@{ $r->{data} }{qw(stdout status files)}], ["out\n", 'ok', []], "$step fails: the run has its result, and no file" or diag $r->{body};
    is $r->{data}{collect}{reason}, 'service', "$step fails: the reply says whose fault it is";
    ok eventually(10, sub {
        return 1 if index(substr($steps->runner_log, $logged), "the files of a run were not collected: $step: Operation not permitted") >= 0;
        $run->(); # the log has one line a second
        return;
    }), "$step fails: the step is in the log" or diag substr $steps->runner_log, $logged;
    $tracer->detach;
    ok eventually(20, sub { ($run->()->{data}{files}[0]{content} // '') eq 'left' }), "$step: when it works again, files are collected";
}

$steps->finish;
