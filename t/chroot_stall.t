# Level chroot: the limit of wall time grows there, too, by what a run had to wait for a processor.
# Without control groups that is known of runs of one process.
use strict;
use warnings;
use Cellblock;
use Container;
use POSIX ();
use Test::More;

my $container = Container->new;
my $cb = $container->service(['cellblock.conf', qr/stall_percent = \d+/, 'stall_percent = 10000']);

# Programs of the test's own keep the one processor busy that the run chooses.
chomp(my $last = (split /[-,]/, (Cellblock::slurp('/proc/self/status') =~ /^Cpus_allowed_list:\s*(\S+)/m)[0])[-1]);
my @busy = map {
    my $pid = fork // die "fork: $!";
    exec 'taskset', '-c', $last, 'perl', '-e', 'alarm 300; 1 while 1' or POSIX::_exit(127) if !$pid;
    $pid;
} 1 .. 4;
END { kill 'KILL', @busy if @busy }
my $on = "import os, time
os.sched_setaffinity(0, [$last])
";
my %limits = (limits => { wall_ms => 1500, cpu_ms => 20_000 });

my $data = $container->python($cb, "${on}while time.process_time() < 1: pass\nprint('done')", %limits);
is $data->{status}, 'ok', 'busy: a program near its limit ends as on a quiet machine';
cmp_ok $data->{usage}{wall_ms} // 0, '>', 1500, 'busy: it took longer than its limit';
cmp_ok $data->{usage}{stall_ms} // 0, '>', 0, 'busy: usage tells what it had to wait';

$data = $container->python($cb, "${on}while True: pass", %limits);
is $data->{status}, 'timeout', 'busy: a program above its limit meets it';
is $data->{fault}, 'limit', 'busy: and that is its own fault';

$data = $container->python($cb, "${on}for _ in range(8):\n    if os.fork() == 0: break\nwhile True: pass",
    limits => { wall_ms => 1000, cpu_ms => 20_000, processes => 16 });
is $data->{status}, 'timeout', 'several processes: the limit is met';
ok !exists $data->{usage}{stall_ms}, 'several processes: nothing is known, and nothing is stretched';

kill 'KILL', @busy;
waitpid $_, 0 for @busy;
@busy = ();
$cb->finish;
done_testing;
