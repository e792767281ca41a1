# Processes are killed under load: every client gets an answer in JSON, and the service recovers by
# itself.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json slurp);
use Test::More;
use Tracer;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--workers', 6],
    # Log lines about the kills below.
    allow => [qr/\[alert\].*exited on signal 9/, qr/\[crit\] .*connect\(\) to unix:\S+ failed/, qr/fatal: .*(?:runner|connection|link)/,
        qr/\[emerg\] .*bind\(\) to \S+ failed \(98: /]); # workers of a killed master; nginx tries again

# The role that is killed, and how many of its processes.
my @victims = (
    (map { [$_, 1] } 'worker', 'zygote', 'warden', 'broker', 'runner', 'init', 'nginx', 'nginx master', 'runner parent', 'worker parent'),
    (map { [$_, 1000] } 'worker', 'zygote', 'init', 'guest'),
);

my $processes_at_start = $cb->processes_at_rest;
for (@victims) {
    my ($role, $count) = @$_;
    my @pids;
    my $who = $count == 1 ? $role : "every $role";

    # 12 clients send 160 runs; the kill comes after 40 answers.
    my ($sent, $answers, %status, @strange) = (0, 0);
    my $killed;
    $cb->many(12, sub {
        return if $sent >= 160;
        $sent++;
        return { code => "import time; time.sleep(.02); print($sent)", number => $sent };
    }, sub {
        my ($fields, $r) = @_;
        $answers++;
        if ($answers == 40) {
            @pids = $cb->pids($role);
            splice @pids, $count if @pids > $count;
            kill 9, @pids;
            $killed = time;
        }
        $status{ $r->{status} }++;
        # A run whose guest was killed is answered with that signal.
        my $d = $r->{data};
        my $fine
            = $r->{status} == 200
            ? $d->{status} eq 'ok' && $d->{stdout} eq "$fields->{number}\n" || $role eq 'guest' && $d->{signal} eq 'SIGKILL'
            : $r->{status} =~ /\A50[03]\z/ ? ref $r->{json} eq 'HASH' && $r->{json}{code} == -$r->{status} && !defined $r->{json}{data}
            : 0;
        push @strange, "$r->{status} " . substr $r->{body}, 0, 300 if !$fine;
    }, 60);
    is $answers, 160, "$who killed: every client gets an answer";
    ok @pids > 0, "$who killed: the process existed" or next;
    if ($role =~ /nginx/) {
        # The connections of a killed nginx process end with it, without an answer.
        @strange = grep { !/\A0 / } @strange;
        cmp_ok $status{0} // 0, '<=', 12, "$who killed: only its own connections are lost";
    }
    is join("\n", @strange), '', "$who killed: every answer is right or an error in the envelope";
    diag "$who killed: answers: " . json->encode(\%status);
    my $healed = $cb->healthy_within(5);
    ok defined $healed, "$who killed: healthy again within 5 s";
    diag sprintf '%s killed: healthy %.2f s after it', $who, time - $killed if defined $healed;
    $cb->healthy_within(30) if !defined $healed;
    is $cb->processes_settle($processes_at_start), $processes_at_start, "$who killed: as many processes as before";
}

# --- killed in the middle of a run -----------------------------------------------------------------------------------------------

# A run that waits. Its number of threads identifies it. Returns its client's socket and its pid.
sub waiting_run {
    my ($threads, %more) = @_;
    my $socket = $cb->connect_raw($cb->run_bytes(
        code => "import threading, time\nthreading.stack_size(1 << 18)\nfor _ in range($threads): threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(60)", %more));
    my $pid = eventually(10, sub { $cb->find_by_threads($threads + 1) });
    ok $pid, "a run with $threads threads has started";
    return ($socket, $pid);
}

{
    my ($socket, $pid) = waiting_run(31);
    close $socket;
    my $begin = time;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a client disconnects: its run ends';
    diag sprintf 'it ended after %.0f ms', 1000 * (time - $begin);
}
{
    my ($socket, $pid) = waiting_run(33);
    kill 9, $cb->pids('worker');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a worker is killed: its run ends';
    my $r = $cb->read_reply($socket);
    envelope_ok($r, 500, -500, 'a worker is killed: its client learns that the run may have begun');
    like $r->{json}{message}, qr/\Alost: /, 'a worker is killed: the answer says that the run is lost';
    ok !defined $r->{headers}{'retry-after'}, 'a worker is killed: the client is not invited to send it again';
}
ok defined $cb->healthy_within(5), 'the service is healthy again';
{
    my ($socket, $pid) = waiting_run(35);
    kill 9, $cb->pids('broker');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the broker is killed: its cells end';
    my $r = $cb->read_reply($socket);
    like $r->{status}, qr/\A50[03]\z/, 'the broker is killed: the client gets 500 or 503';
    is $r->{json}{code}, -$r->{status}, 'the broker is killed: the answer is an envelope';
}
ok defined $cb->healthy_within(5), 'the service is healthy again';
{
    my ($socket, $pid) = waiting_run(36);
    kill 9, $cb->pids('warden');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the wardens are killed: their cells end';
    my $r = $cb->read_reply($socket);
    envelope_ok($r, 500, -500, 'the wardens are killed: the answer is an envelope');
    like $r->{json}{message}, qr/\Alost: /, 'the wardens are killed: the answer says that the run is lost';
}
ok defined $cb->healthy_within(5), 'the service is healthy again';
{
    my ($socket, $pid) = waiting_run(37);
    kill 9, $pid;
    my $r = $cb->read_reply($socket);
    is $r->{status}, 200, 'a guest is killed from outside: the run is answered';
    is $r->{data}{signal}, 'SIGKILL', 'a guest is killed from outside: the answer names the signal';
}

# A worker is stopped, not killed: the others continue. A thread that has not stopped yet may take
# a request, so wait for all of them.
{
    my ($victim) = $cb->pids('worker');
    kill 'STOP', $victim;
    ok eventually(30, sub { !grep { !/\) T / } map { slurp($_) } glob "/proc/$victim/task/*/stat" }), 'a worker is stopped, each of its threads';
    my ($sent, %status) = (0);
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print(1)' } : undef }, sub { $status{ $_[1]{status} }++ }, 60);
    kill 'CONT', $victim;
    is json->encode(\%status), '{"200":40}', 'a stopped worker delays nobody who comes later';
}

# An init ends with its warden because it has called prctl(PR_SET_PDEATHSIG). One that was made a
# moment before the warden's death has not called it yet, and the broker ends it.
SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    my @wardens = $cb->pids('warden');
    my $tracer = Tracer->attach(\@wardens, '-f', '-e', 'trace=prctl', '-e', 'inject=prctl:error=EPERM');
    ok $tracer->is_attached, 'inits without PR_SET_PDEATHSIG: strace is attached' or diag $tracer->says;
    my ($sent, %got) = 0;
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print(1)' } : undef }, sub { });
    $cb->processes_at_rest;
    $tracer->detach;
    my %before = map { $_ => 1 } $cb->pids('init'), $cb->pids('zygote');
    kill 9, @wardens;
    ok eventually(10, sub { my %now = map { $_ => 1 } $cb->pids('warden'); !grep { $now{$_} } @wardens }), 'inits without PR_SET_PDEATHSIG: the wardens are replaced';
    ok eventually(10, sub { !grep { $before{$_} } $cb->pids('zygote') }), 'inits without PR_SET_PDEATHSIG: the old zygotes end';
    $sent = 0;
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print("out")' } : undef }, sub { my $r = $_[1]; $got{ $r->{data} ? $r->{data}{stdout} : $r->{body} }++ });
    is_deeply \%got, { "out\n" => 40 }, 'inits without PR_SET_PDEATHSIG: the language serves on';
    ok defined $cb->healthy_within(10), 'inits without PR_SET_PDEATHSIG: the service is healthy';
}

# Control groups of a killed runner, with smaller limits, do not affect the next runner.
{
    my ($sent, %got) = 0;
    $cb->many(8, sub { $sent++ < 120 ? { code => 'print(1)', limits => { memory_bytes => 64 << 20 } } : undef }, sub { });
    my @killed = ($cb->pids('runner'), $cb->pids('broker'));
    kill 9, $cb->pids('runner');
    # The status is that of the broker that was, until it has gone.
    ok eventually(10, sub { my %now = map { $_ => 1 } $cb->pids('runner'), $cb->pids('broker'); !grep { $now{$_} } @killed }), 'the runner is killed after runs with smaller limits: it ends';
    ok defined $cb->healthy_within(20), 'the runner is killed after runs with smaller limits: the service recovers';
    $sent = 0;
    $cb->many(8, sub { $sent++ < 120 ? { code => 'print("out")' } : undef }, sub { my $r = $_[1]; $got{ $r->{data} ? $r->{data}{stdout} : $r->{body} }++ });
    is_deeply \%got, { "out\n" => 120 }, 'the runner is killed after runs with smaller limits: later runs have their own limits';
}
is $cb->processes_settle($processes_at_start), $processes_at_start, 'at the end there are as many processes as at the start';
$cb->finish;
done_testing;
