# The broker recovers from each failure by itself. No run fails because of a failure that was not
# its own.
use strict;
use warnings;
use Cellblock qw(command eventually prefix slurp spew);
use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep time);
use Tracer;

# A copy of the installed files. The first test breaks one of them for a while.
my $copy = File::Temp::tempdir('cellblock-prefix-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $copy;
command(['cp', '-R', prefix() . '/.', $copy]);
my $driver = "$copy/lib/cellblock/python3/driver.py";

# bash serves from the start and is never put to sleep; python3 sleeps after four seconds.
my $cb = Cellblock->start(own => 1, args => ['--workers', 8, '--prefix', $copy], conf => [
    ['cellblock.conf', qr/cells = 32/, 'cells = 6'],
    ['cellblock.conf', qr/cpu_percent = 100/, 'cpu_percent = 200'],
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 6000'],
    ['languages/python3.conf', qr/idle_s = 0/, 'idle_s = 4'],
    (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
    ['languages/python3.conf', qr/armed = 6/, 'armed = 1'],
    ['languages/python3.conf', qr/armed = 3/, 'armed = 1'],
    ['languages/bash.conf', qr/\A/, "idle_s = 0;\n"],
], allow => [qr/zygote/, qr/warden/, qr/refused/, qr/could not be made/, qr/watch its end/, qr/not gone yet/, qr/armed guest died/,
    qr/take on/, qr/self-test does not/, qr/worker \d+ /, qr/reaper/]);

sub python { return $cb->run(language => 'python3', code => 'print(1)', @_) }
sub bash { return $cb->run(language => 'bash', code => 'echo 1', @_) }
sub is_good { my ($r, $name) = @_; ok($r->{status} == 200 && $r->{data}{status} eq 'ok', $name) or diag $r->{body}; return }
sub health { return $cb->get('/health', key => undef)->{status} }

sub children { return split ' ', slurp("/proc/$_[0]/task/$_[0]/children") // '' }

# Returns the entry of a language in GET /v1/sandbox/languages.
sub language {
    my ($name) = @_;
    my ($one) = grep { $_->{name} eq $name } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    return $one;
}

# --- a language whose interpreter is broken for a while ---------------------------------------------------------------------

{
    my $good = slurp($driver);
    is_good(python(), 'python3 serves');
    my ($broker) = $cb->pids('broker');
    my $is_awake = sub { scalar grep { (readlink "/proc/$_/exe" // '') =~ /python/ } children($broker) };
    ok eventually(5, $is_awake), 'by its zygotes';
    ok eventually(15, sub { !$is_awake->() }), 'and sleeps when it is not used';
    spew($driver, "import os\nos._exit(1)\n");
    my $r = python();
    is $r->{status}, 503, 'a language whose zygotes end at their start is refused';
    cmp_ok $r->{seconds} // 0, '<', 5, 'and not only after the whole time in the queue';
    ok !language('python3')->{available}, 'the list of languages says that it is not available';
    like language('python3')->{reason}, qr/zygote/, 'and why';
    is health(), 503, 'and so does /health';
    like $cb->log_text, qr/python3: a run was refused: not available: its zygotes/, 'the log has the refused run and its reason';
    # Meanwhile others run, for longer than the time after which the language sleeps.
    my $until = time + 9;
    my $bad = 0;
    while (time < $until) { $bad++ if bash()->{status} != 200; sleep 0.1 }
    is $bad, 0, 'other languages are served meanwhile';
    spew($driver, $good);
    ok eventually(15, sub { python()->{status} == 200 }), 'when the cause is gone, it comes back by itself' or diag $cb->log_text;
    ok language('python3')->{available}, 'and is available again';
    ok eventually(5, sub { health() == 200 }), 'and healthy';
}

# --- zygotes that die again and again --------------------------------------------------------------------------------------

{
    is_good(python(), 'python3 is awake');
    my $before = () = $cb->log_text =~ /a zygote died/g;
    my %killed;
    my $until = time + 3;
    while (time < $until) {
        for ($cb->pids('zygote')) { $killed{$_}++; kill 'KILL', $_ }
        sleep 0.01;
    }
    my $lines = (() = $cb->log_text =~ /a zygote died/g) - $before;
    cmp_ok $lines, '<=', 12, 'zygotes that die as soon as they serve: a line a second and language in the log';
    ok eventually(15, sub { python()->{status} == 200 && bash()->{status} == 200 }), 'and they serve again afterwards';
    ok eventually(10, sub { health() == 200 }), 'and are healthy';
}

SKIP: {
    skip $_, 1 if $_ = Tracer::missing();

    # --- a zygote that is killed while it starts ----------------------------------------------------------------------------

    my ($broker) = $cb->pids('broker');
    $cb->processes_at_rest;
    my %before = map { $_ => 1 } children($broker);
    is_good($cb->run(language => 'perl', code => 'print 1'), 'perl is awake');
    $cb->processes_at_rest;
    is language('perl')->{start}, 'zygote', 'and has a zygote';
    my %perl = map { $_ => 1 } grep { !$before{$_} } children($broker);
    my @victims = grep { $perl{$_} } $cb->pids('zygote');
    # The broker forks another zygote, and strace delays the broker right after that.
    my $holder = Tracer->attach([$broker], '-e', 'trace=clone', '-e', 'inject=clone:delay_exit=2000000');
    ok $holder->is_attached, 'a broker that is held up when it forks: strace is attached' or diag $holder->says;
    my %known = map { $_ => 1 } children($broker);
    kill 'KILL', @victims;
    my $starting = eventually(5, sub { (grep { !$known{$_} } children($broker))[0] });
    ok $starting, 'its zygote is killed, and another one starts';
    kill 'KILL', $starting // ();
    $holder->detach;
    ok eventually(10, sub { $cb->run(language => 'perl', code => 'print 1')->{status} == 200 }), 'that one is killed, too: perl serves all the same';
    ok eventually(10, sub { health() == 200 }), 'and is healthy';
    is language('perl')->{start}, 'zygote', 'and still by a zygote: one death is an accident';
    is language('perl')->{reason}, '', 'with no reason given';

    # --- cells that the broker cannot order ---------------------------------------------------------------------------------

    # bash has armed cells left: use them up first, so that each run needs a new one.
    my $tracer = Tracer->attach([$broker], '-e', 'trace=socketpair', '-e', 'inject=socketpair:error=EMFILE');
    ok $tracer->is_attached, 'no socket pairs: strace is attached' or diag $tracer->says;
    my ($begin, $last) = (time);
    my $refused = eventually(10, sub { $last = bash(); $last->{status} != 200 });
    ok $refused, 'runs are refused when no cell can be ordered';
    is $last->{status}, 500, 'as an internal error';
    $begin = time;
    is bash()->{status}, 500, 'the next one, too';
    cmp_ok time - $begin, '<', 3, 'and it does not wait for its whole time in the queue';
    is health(), 503, '/health says so';
    like $cb->log_text, qr/bash: a cell could not be made: make its control socket: Too many open files/, 'the log names the step and the errno';
    like $cb->log_text, qr/bash: a run was refused: internal error: .*Too many open files/, 'beside the refused run, too';
    $tracer->detach;
    ok eventually(10, sub { bash()->{status} == 200 }), 'it comes back by itself';
    ok eventually(10, sub { health() == 200 }), 'and is healthy';

    # --- the end of a cell cannot be watched -------------------------------------------------------------------------------

    $cb->processes_at_rest;
    $tracer = Tracer->attach([$broker], '-e', 'trace=epoll_ctl', '-e', 'inject=epoll_ctl:error=ENOSPC');
    ok $tracer->is_attached, 'no watch: strace is attached' or diag $tracer->says;
    bash() for 1 .. 3;
    ok eventually(5, sub { $cb->log_text =~ /cell \d+: watch its end: No space left on device/ }), 'a cell whose end cannot be watched is not used again';
    $tracer->detach;
    ok eventually(15, sub { bash()->{status} == 200 && health() == 200 }), 'it comes back by itself' or diag $cb->log_text;

    # --- the figures of a run count from before it -------------------------------------------------------------------------

    python() for 1 .. 3;
    $tracer = Tracer->attach([$broker], '-e', 'trace=sendmsg', '-e', 'inject=sendmsg:delay_exit=100000');
    ok $tracer->is_attached, 'a broker that is slow after its requests: strace is attached' or diag $tracer->says;
    python() for 1 .. 3;
    $tracer->detach;
    my @peaks = map { python()->{data}{usage}{memory_peak_bytes} } 1 .. 3;
    is scalar(grep { $_ < 100_000 } @peaks), 0, "the guest's own memory is in its peak" or diag "@peaks";
}

# --- armed guests that die before their run ---------------------------------------------------------------------------------

{
    my ($broker) = $cb->pids('broker');
    my @answers;
    for (1 .. 8) {
        ok eventually(10, sub { scalar $cb->pids('guest') }), 'guests wait' if $_ == 1;
        $cb->processes_at_rest;
        # The broker reads the run first, and finds the dead guest when it hands the run over.
        kill 'STOP', $broker;
        my $socket = $cb->connect_raw($cb->run_bytes(language => 'python3', code => 'print(1)'));
        sleep 0.1;
        kill 'KILL', $cb->pids('guest');
        sleep 0.05;
        kill 'CONT', $broker;
        push @answers, $cb->read_reply($socket)->{status};
    }
    is_deeply \@answers, [(200) x 8], 'a run whose cell died before it got the run takes another one' or diag "@answers";
}

# --- the size of a disk, while a warden does not answer ---------------------------------------------------------------------

{
    is_good(python(), 'python3 is awake');
    $cb->processes_at_rest;
    my @wardens = $cb->pids('warden');
    kill 'STOP', @wardens;
    my $begin = time;
    my $r = python(code => "import os\ns = os.statvfs('/box')\nprint(s.f_frsize * s.f_blocks)", limits => { disk_bytes => 8 << 20 });
    my $took = time - $begin;
    is $r->{data}{stdout} // $r->{body}, (8 << 20) . "\n", 'a run gets a disk of the size that it asked for';
    cmp_ok $took, '<', 1.5, 'at once, though its warden is stopped';
    is health(), 200, 'and /health answers';
    cmp_ok time - $begin, '<', 2, 'at once';
    kill 'CONT', @wardens;
}

# --- a control group that an earlier run has filled with names that are not there ---------------------------------------------

{
    my @groups = grep {m{/cell-\d+\z}} $cb->cgroups;
    my $charged = sub {
        my $most = 0;
        for my $file (map { ("$_/memory.usage_in_bytes", "$_/memory.current") } @groups) {
            my $bytes = slurp($file) // next;
            $most = $bytes if $bytes > $most;
        }
        return $most;
    };
    my $fill = "import os, time\nend = time.monotonic() + 2\nn = 0\nwhile time.monotonic() < end:\n    for _ in range(1000):\n        n += 1\n        try: os.stat('/usr/lib/' + 'x' * 200 + str(n))\n        except OSError: pass\nprint('full')";
    my $r = python(code => $fill, limits => { memory_bytes => 1 << 30, wall_ms => 10000, cpu_ms => 10000 });
    is $r->{data}{stdout} // $r->{body}, "full\n", 'a run leaves much charged to its control group';
    my @next = map { python(limits => { memory_bytes => $_ }) } (256 << 20, 64 << 20) x 8;
    is join(' ', grep { $_ ne 'ok' } map { $_->{data}{status} // $_->{body} } @next), '', 'no later run pays for it';
  SKIP: {
        skip 'no control groups', 1 if !@groups;
        ok eventually(10, sub { $charged->() < 128 << 20 }), 'and it is reclaimed' or diag $charged->();
    }
}

# --- CPU time at more than one processor ------------------------------------------------------------------------------------

{
    my $r = $cb->run(language => 'bash', code => "(while :; do :; done) & while :; do :; done", limits => { cpu_ms => 600, processes => 4, wall_ms => 10000 });
    is $r->{data}{status}, 'cpu_limit', 'two processors at once: the CPU limit ends the run' or diag $r->{body};
    cmp_ok $r->{data}{usage}{cpu_ms}, '<', 850, 'when it is used up, and not when its wall time is';
}

# --- no descriptors left ----------------------------------------------------------------------------------------------------

{
    my ($broker) = $cb->pids('broker');
    $cb->processes_at_rest;
    my (undef, $limits) = command(['prlimit', '--pid', $broker, '--nofile', '--noheadings', '-o', 'SOFT,HARD']);
    my ($soft, $hard) = split ' ', $limits;
    my @workers = $cb->pids('worker');
    # No descriptor below 8 is free, or becomes free.
    command(['prlimit', '--pid', $broker, "--nofile=8:$hard"]);
    my $r = python();
    is $r->{status}, 500, 'a run whose descriptors cannot be received is refused as an internal error' or diag $r->{body};
    # The log has one line a second for refused runs of a kind.
    my $says = qr/a run was refused: internal error: receive its descriptors: Too many open files/;
    ok eventually(10, sub { $cb->log_text =~ $says || !python() }), 'the log says why' or diag $cb->log_text;
    unlike $cb->log_text, qr/broke the protocol/, 'and does not blame the worker';
    kill 'KILL', $workers[0];
    ok eventually(10, sub { $cb->log_text =~ /take on a connection: Too many open files/ }), 'a worker that connects then is not taken on, and the log says so';
    is_deeply [$cb->pids('broker')], [$broker], 'the runner goes on';
    command(['prlimit', '--pid', $broker, "--nofile=$soft:$hard"]);
    ok eventually(15, sub { python()->{status} == 200 && health() == 200 }), 'and serves again when there are descriptors';
}

# --- one cell that cannot be made --------------------------------------------------------------------------------------------

SKIP: {
    my ($group) = grep {m{/cell-5\z}} $cb->cgroups;
    skip 'no control groups', 1 if !$group;
    my @groups = grep {m{/cell-5\z}} $cb->cgroups;
    # Cell 5 is the last of six. When bash and python3 have theirs armed, it is the only free one.
    $cb->processes_at_rest;
    my $removed = eventually(10, sub { rmdir $_ for @groups; !grep { -d } @groups });
    skip 'no cell is free for long enough', 1 if !$removed;
    my @answers = map { python()->{status} } 1 .. 20;
    is_deeply [grep { $_ != 200 } @answers], [], 'with one cell that cannot be made all runs are served by the others' or diag "@answers";
    ok eventually(10, sub { health() == 200 }), 'and that is healthy';
}

$cb->finish;
done_testing;
