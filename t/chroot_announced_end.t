# Level chroot: the answer of a run that succeeds comes while the kernel still frees its memory. A
# program that goes on after it has announced its end is killed.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use Container;
use Test::More;

use constant PF_EXITING => 4; # in the flags of /proc/PID/stat

my $container = Container->new;
my $cb = $container->service;

# Whether a process of a cell was still exiting when the answer was there.
sub is_exiting {
    my ($code, %limits) = @_;
    $cb->processes_at_rest;
    my %cells = $container->processes_of_cells;
    my $data = $container->python($cb, $code, limits => { memory_bytes => 400 << 20, %limits });
    my @stats = map { slurp("/proc/$_/stat") // () } keys %cells;
    is $data->{status}, 'ok', 'a run succeeds' or diag explain $data;
    return scalar grep { (split ' ', s/.*\)//sr)[6] & PF_EXITING } @stats;
}

# The kernel frees much memory slowly. How slowly, nobody knows: some tries may come too late.
my $large = "b = bytearray(200 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\n";
ok eventually(60, sub { is_exiting($large) }), 'the answer comes before the process has gone';
# Without a control group, only the end tells the time of all processes.
is grep({ is_exiting($large, processes => 2) } 1 .. 5), 0, 'with several processes it comes later';

my @replies = $container->at_once($cb, 12, limits => { processes => 4, wall_ms => 1000 }, code => <<'CODE');
import ctypes, os, platform, threading
libc = ctypes.CDLL(None)
number = {'x86_64': 231, 'aarch64': 94}[platform.machine()]
threading.Thread(target=lambda: os.execv('/bin/sleep', ['sleep', '62'])).start()
libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 5, ctypes.c_ulong(0x63656c6c626c6f63))
CODE
is_deeply [grep { $_->{status} != 200 || $_->{data}{status} !~ /^(?:ok|timeout|exit)$/ } @replies], [], 'another program: all runs are answered';
ok eventually(30, sub { !grep { (slurp("/proc/$_/cmdline") // '') =~ /^sleep\x0062/ } map { m{(\d+)} } glob '/proc/[0-9]*' }), 'another program: nothing goes on';

$cb->finish;
done_testing;
