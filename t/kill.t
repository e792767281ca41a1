# Death of any process, under load: every client still gets an answer in JSON, and the service heals itself.
use strict;
use warnings;
use Cellblock qw(eventually json);
use Test::More;
use Tracer;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, args => ['--workers', 6],
    # What supervisord, nginx and the others may say about the murders below.
    allow => [qr/\[alert\].*exited on signal 9/, qr/\[crit\] .*connect\(\) to unix:\S+ failed/, qr/fatal: .*(?:runner|connection|link)/]);

# Who dies: one of a kind, or all.
my @victims = (
    (map { [$_, 1] } 'worker', 'zygote', 'warden', 'broker', 'runner', 'init', 'nginx', 'nginx master', 'multiwatch'),
    (map { [$_, 1000] } 'worker', 'zygote', 'init', 'guest'),
);

my $processes_at_start = $cb->processes_at_rest;
for (@victims) {
    my ($role, $count) = @$_;
    my @pids;
    my $who = $count == 1 ? $role : "every $role";

    # 12 clients; the kill comes when 40 answers are in, the load goes on until 160 runs have been sent.
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
        # A guest that is killed has an answer, which says so.
        my $d = $r->{data};
        my $fine
            = $r->{status} == 200
            ? $d->{status} eq 'ok' && $d->{stdout} eq "$fields->{number}\n" || $role eq 'guest' && $d->{signal} eq 'SIGKILL'
            : $r->{status} =~ /\A50[03]\z/ ? ref $r->{json} eq 'HASH' && $r->{json}{code} == -$r->{status} && !defined $r->{json}{data}
            : 0;
        push @strange, "$r->{status} " . substr $r->{body}, 0, 300 if !$fine;
    }, 60);
    is $answers, 160, "$who killed: no client waits for ever";
    ok @pids > 0, "$who killed: there was one" or next;
    if ($role =~ /nginx/) {
        # A killed nginx process takes its own connections with it: nobody is left to answer on them.
        @strange = grep { !/\A0 / } @strange;
        cmp_ok $status{0} // 0, '<=', 12, "$who killed: only its own clients lose their connection";
    }
    is join("\n", @strange), '', "$who killed: every answer is right or an error in the envelope";
    diag "$who killed: answers: " . json->encode(\%status);
    my $healed = $cb->healthy_within(5);
    ok defined $healed, "$who killed: healthy again within 5 s";
    diag sprintf '%s killed: healthy %.2f s after it', $who, time - $killed if defined $healed;
    $cb->healthy_within(30) if !defined $healed;
    # Healthy it may be by those that are left, while supervisord has yet to start the killed one again.
    my $processes;
    eventually(15, sub { ($processes = $cb->processes_at_rest) == $processes_at_start });
    is $processes, $processes_at_start, "$who killed: as many processes as before";
}

# --- killed in the middle of a run -----------------------------------------------------------------------------------------------

# A run that waits, known by its threads; returns its client's socket and its pid.
sub waiting_run {
    my ($threads, %more) = @_;
    my $socket = $cb->connect_raw($cb->run_bytes(
        code => "import threading, time\nthreading.stack_size(1 << 18)\nfor _ in range($threads): threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(60)", %more));
    my $pid = eventually(10, sub { $cb->find_by_threads($threads + 1) });
    ok $pid, "a run with $threads threads is seen";
    return ($socket, $pid);
}

{
    my ($socket, $pid) = waiting_run(31);
    close $socket;
    my $begin = time;
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a client goes: its run ends';
    diag sprintf 'it ended after %.0f ms', 1000 * (time - $begin);
}
{
    my ($socket, $pid) = waiting_run(33);
    kill 9, $cb->pids('worker');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'a worker dies: its run ends';
    my $r = $cb->read_reply($socket);
    is $r->{status}, 503, 'and its client is told';
    is $r->{json}{code}, -503, 'in the envelope';
}
ok defined $cb->healthy_within(5), 'healthy after that';
{
    my ($socket, $pid) = waiting_run(35);
    kill 9, $cb->pids('broker');
    ok eventually(2, sub { !-d "/proc/$pid" }), 'the runner dies: its cells die';
    my $r = $cb->read_reply($socket);
    like $r->{status}, qr/\A50[03]\z/, 'and the client is told';
    is $r->{json}{code}, -$r->{status}, 'in the envelope';
}
ok defined $cb->healthy_within(5), 'healthy after that';
{
    my ($socket, $pid) = waiting_run(37);
    kill 9, $pid;
    my $r = $cb->read_reply($socket);
    is $r->{status}, 200, 'a guest is killed from outside: that is an answer';
    is $r->{data}{signal}, 'SIGKILL', 'which names the signal';
}

# A worker stopped, not dead: the others serve on.
{
    my ($victim) = $cb->pids('worker');
    kill 'STOP', $victim;
    my ($sent, $good) = (0, 0);
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print(1)' } : undef }, sub { $good++ if $_[1]{status} == 200 }, 20);
    kill 'CONT', $victim;
    cmp_ok $good, '>=', 39, 'a worker that hangs holds up no more than the request it has';
}

# An init dies with its warden because it has asked for that; one that was made a moment before has not asked yet, and is left.
SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    my @wardens = $cb->pids('warden');
    my $tracer = Tracer->attach(\@wardens, '-f', '-e', 'trace=prctl', '-e', 'inject=prctl:error=EPERM');
    ok $tracer->is_attached, 'inits that do not ask: strace is attached' or diag $tracer->says;
    my ($sent, %got) = 0;
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print(1)' } : undef }, sub { });
    $cb->processes_at_rest;
    $tracer->detach;
    my %before = map { $_ => 1 } $cb->pids('init'), $cb->pids('zygote');
    kill 9, @wardens;
    ok eventually(10, sub { my %now = map { $_ => 1 } $cb->pids('warden'); !grep { $now{$_} } @wardens }), 'their wardens are killed';
    ok eventually(10, sub { !grep { $before{$_} } $cb->pids('zygote') }), 'and their zygotes go, too';
    ok +(grep { $before{$_} } $cb->pids('init')), 'when inits are left';
    $sent = 0;
    $cb->many(4, sub { $sent++ < 40 ? { code => 'print("out")' } : undef }, sub { my $r = $_[1]; $got{ $r->{data} ? $r->{data}{stdout} : $r->{body} }++ });
    is_deeply \%got, { "out\n" => 40 }, 'the language serves on';
    ok defined $cb->healthy_within(10), 'and is healthy';
}

# What a runner that was killed has left does not bind the next: the cells of these runs had a smaller limit.
{
    my ($sent, %got) = 0;
    $cb->many(8, sub { $sent++ < 120 ? { code => 'print(1)', limits => { memory_bytes => 64 << 20 } } : undef }, sub { });
    kill 9, $cb->pids('runner');
    ok defined $cb->healthy_within(10), 'the runner is killed after runs with smaller limits: healthy';
    $sent = 0;
    $cb->many(8, sub { $sent++ < 120 ? { code => 'print("out")' } : undef }, sub { my $r = $_[1]; $got{ $r->{data} ? $r->{data}{stdout} : $r->{body} }++ });
    is_deeply \%got, { "out\n" => 120 }, 'and every run has its own limits';
}
is $cb->processes_at_rest, $processes_at_start, 'at the end: as many processes as at the start';
$cb->finish;
done_testing;
