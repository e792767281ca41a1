# Each step with which a cell is made and a guest walled in is made to fail, one after the other, by strace's fault
# injection in the warden and the zygotes. No guest may run then, whatever wall it was; and when the fault is gone, all is
# as before.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually);
use Test::More;

my $p  = 'languages/python3.conf';
my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 300'],
    [$p,               qr/armed = 1;/,        'armed = 0;'],
    [$p,               qr/armed = 8/,        'armed = 1'],
    [$p,               qr/armed = 3/,        'armed = 0'],
]);
my $why = Cellblock::missing('strace is not installed', !system 'command -v strace >/dev/null');
if ($why) {
    $cb->finish;
    done_testing;
    exit;
}

# Who is to fail, in which call, and what that call is for. `when`: from which of its calls on.
my @steps = (
    ['warden', 'unshare',      'new namespaces'],
    ['warden', 'mount',        'the tmpfs'],
    ['warden', 'mkdir',        'its directories'],
    ['warden', 'chown',        'their owner'],
    ['warden', 'clone',        'the init of the pid namespace'],
    ['zygote', 'setns',        'joining the namespaces'],
    ['zygote', 'clone3',       'the fork'],
    ['zygote', 'setsid',       'a session of its own'],
    ['zygote', 'write',        'joining the control groups'],
    ['zygote', 'setgroups',    'dropping groups'],
    ['zygote', 'setresgid',    'the group id'],
    ['zygote', 'setresuid',    'the user id'],
    ['zygote', 'capset',       'dropping capabilities'],
    ['zygote', 'chdir',        'the working directory'],
    ['zygote', 'dup2',         'stdio'],
    ['zygote', 'prlimit64',    'rlimits'],
    ['zygote', 'close_range',  'closing what is not its own'],
    ['zygote', 'seccomp',      'the last filter'],
);

# A cell that was armed before the fault is not under it, so the first run may still succeed; those after it may not.
for (@steps) {
    my ($role, $call, $for) = @$_;
    ok $cb->healthy_within(10), "before $call: healthy";
    $cb->run(code => '1');
    my @attach = map { ('-p', $_) } $cb->pids($role);
    my $out = "$cb->{dir}/strace";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', $out or POSIX::_exit(126);
        exec 'strace', '-f', '-qq', '-o', '/dev/null', '-e', "trace=$call", '-e', "inject=$call:error=EPERM", @attach or POSIX::_exit(127);
    }
    my $traced = eventually(10, sub { !grep { process_tracer($_) != $pid } grep { /\d/ } @attach });
    ok $traced, "$role $call: strace is attached" or diag Cellblock::slurp($out);

    $cb->run(code => '1') for 1 .. 2; # uses up what was armed before
    my @got = map { $cb->run(code => 'print("out")') } 1 .. 3;
    is join(' ', grep { ($_->{data} && $_->{data}{stdout} // '') ne '' } @got), '', "$role $call ($for) fails: no guest runs";
    is scalar(grep { $_->{status} == 200 && $_->{data}{status} eq 'ok' } @got), 0, "$role $call fails: and none is said to have";

    kill 'INT', $pid;
    waitpid $pid, 0;
    ok eventually(15, sub { my $r = $cb->run(code => 'print("again")'); $r->{status} == 200 && $r->{data}{stdout} eq "again\n" }),
        "$role $call: when it works again, so does the service";
}

# The pid that traces a process; 0 if none does.
sub process_tracer {
    my ($pid) = @_;
    my $status = Cellblock::process_status($pid) // return -1;
    return $status->{TracerPid} =~ s/\s//gr;
}

$cb->finish;
done_testing;
