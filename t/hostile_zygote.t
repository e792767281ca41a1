# Hostile drivers. Our own code runs inside an interpreter before a program does. Here a driver
# takes its place and breaks every rule of the channels of a zygote and a guest. Then its language
# is not served. The same broker serves the others. It neither ends nor keeps the descriptors that
# it was sent.
use strict;
use warnings;
use Cellblock qw(command eventually prefix process_status runner_program skip_all slurp spew write_configuration);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

skip_all('needs root') if $> != 0;

# A driver in Python, as the interpreter's startup file. `requests` is the zygote's socket,
# descriptor 3.
my $common = <<'PYTHON';
import array, os, random, socket, struct, sys, time
# The broker may end this process, or its connection, at any moment.
def end(kind, value, trace):
    if issubclass(kind, OSError): os._exit(1)
    sys.__excepthook__(kind, value, trace)
sys.excepthook = end
requests = socket.socket(fileno=3)
def send(sock, data, fds=()):
    try: sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    except OSError: pass
def report(error=0):
    return struct.pack("i32s192s", error, b"9.9", b"")
def guest_report(error=0):
    return struct.pack("i48s", error, b"")
def take_request():
    data, found, flags, address = requests.recvmsg(64, 4096)
    if not data: os._exit(0)
    fds = array.array("i")
    for level, kind, content in found: fds.frombytes(content[:len(content) // 4 * 4])
    return list(fds)
null = os.open("/dev/null", os.O_RDWR)
full, other = os.pipe()
os.write(other, b"x" * 100)
PYTHON

# The misbehaviour, and its code.
my @zygotes = (
    ['ends at once',                   'os._exit(1)'],
    ['reports garbage',                'send(requests, os.urandom(500)); time.sleep(60)'],
    ['reports half',                   'send(requests, report()[:100]); time.sleep(60)'],
    ['reports too much',               'send(requests, report() + b"x" * 5000); time.sleep(60)'],
    ['reports nothing, with descriptors', 'send(requests, b"", [null] * 8); time.sleep(60)'],
    ['reports with many descriptors',  'send(requests, report(), [null] * 200); time.sleep(60)'],
    ['has a listener that is none',    'send(requests, report(), [full]); time.sleep(60)'],
    ['has a directory for a listener',    'send(requests, report(), [os.open("/", os.O_RDONLY)]); time.sleep(60)'],
    ['reports again and again',        "for i in range(10000): send(requests, report())\ntime.sleep(60)"],
    ['makes no guests',                'send(requests, report()); time.sleep(60)'],
    ['ends when it is to make a guest', "send(requests, report())\ntake_request()\nos._exit(0)"],
);
# A third field: the broker takes it for a guest. The self-test finds that it has no cell of its
# own. Then nothing is served.
my @guests = (
    ['garbage',                        'send(control, os.urandom(300))'],
    ['an empty message with descriptors', 'send(control, b"", [null] * 8)'],
    ['half a report',                  'send(control, guest_report()[:10])'],
    ['too long a report',              'send(control, guest_report() + b"x" * 9000)'],
    ['many descriptors',               'send(control, guest_report(), [null] * 200)'],
    ['no descriptors',                 'send(control, guest_report())'],
    ['wrong descriptors',              'send(control, guest_report(), [null, null])', 1],
    ['its own channel',                'send(control, guest_report(), [control.fileno(), control.fileno()])', 1],
    ['a directory and a pipe',            'send(control, guest_report(), [os.open("/", os.O_RDONLY), full])', 1],
    ['many reports',                   'for i in range(1000): send(control, guest_report(), fds[:1] + [null])', 1],
    ['an errno that is none',          'send(control, guest_report(-2147483648))'],
    ['no end of its step',             'send(control, struct.pack("i", 5) + b"\xff" * 48)'],
);
my @all = map { ["a zygote that $_->[0]", $_->[1]] } @zygotes;
push @all, ["a guest that reports $_->[0]", "send(requests, report())\nwhile True:\n    fds = take_request()\n    control = socket.socket(fileno=fds[1])\n    $_->[1]\n    control.close()\n    for fd in fds[:1] + fds[2:]: os.close(fd)\n", $_->[2]] for @guests;

my $drivers = File::Temp::tempdir('cellblock-drivers-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $drivers;
command(['cp', '-R', prefix() . '/lib/cellblock/.', $drivers]);

my $cb = Cellblock->start(own => 1);
my $connections = 32 * (() = $cb->pids('worker')); # worker.requests of each
my $text = slurp("$cb->{dir}/live/conf/cellblock.conf");
$text =~ s{^#?drivers = .*}{drivers = "$drivers";}m or die 'no drivers';
spew("$cb->{dir}/live/conf/cellblock.conf", $text);
# Workers end when they see a runner with another configuration, but not at once. So they are killed
# here.
kill 'KILL', $cb->pids('runner parent'), $cb->pids('runner'), $cb->pids('worker parent'), $cb->pids('worker');

my $bash = { language => 'bash', code => 'echo out' };

sub descriptors { my @open = glob "/proc/$_[0]/fd/*"; return scalar @open }

# CPU time in seconds.
sub cpu {
    my @field = split / /, (slurp("/proc/$_[0]/stat") // '') =~ s/.*\) //sr;
    return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

for (@all) {
    my ($name, $code, $is_taken) = @$_;
    spew("$drivers/python3/driver.py", "$common$code\n");
    # The broker ends a moment after its runner, and answers until then.
    my @old = $cb->pids('broker');
    kill 'KILL', $cb->pids('runner');
    ok eventually(60, sub { !grep { -d "/proc/$_" } @old }), "$name: the runner before it is gone";
    if ($is_taken) {
        ok eventually(60, sub { my $health = $cb->get('/health', key => undef); $health->{status} == 503 && $health->{body} =~ /shares the namespace/ }), "$name: the self-test sees it";
        is $cb->run(%$bash)->{status}, 503, "$name: nothing is served";
        my ($broker) = $cb->pids('broker');
        ok eventually(20, sub { $cb->runner_connections >= $connections }), "$name: all workers have connected";
        my ($began, $cpu, $open) = (time, cpu($broker), descriptors($broker));
        sleep 0.5;
        cmp_ok cpu($broker) - $cpu, '<', 0.5 * (time - $began), "$name: the broker is not busy";
        cmp_ok descriptors($broker), '<', $open + 30, "$name: and keeps no descriptor";
        next;
    }
    # The workers find the new runner, and the other language wakes up.
    ok eventually(60, sub { my $r = $cb->run(%$bash); $r->{status} == 200 && ($r->{data}{stdout} // '') eq "out\n" }), "$name: another language is served" or next;
    my ($broker) = $cb->pids('broker');
    ok eventually(20, sub { $cb->runner_connections >= $connections }), "$name: all workers have connected";
    my ($began, $cpu) = (time, cpu($broker));
    my ($right, $open) = (0, 0);
    for (1 .. 20) {
        my $r = $cb->run(%$bash);
        $right++ if $r->{status} == 200 && $r->{data}{stdout} eq "out\n";
        $open = descriptors($broker) if $_ == 10;
        sleep 0.05;
    }
    is $right, 20, "$name: again and again";
    is +($cb->pids('broker'))[0], $broker, "$name: the broker lives";
    cmp_ok descriptors($broker), '<', $open + 30, "$name: and keeps no descriptor";
    cmp_ok cpu($broker) - $cpu, '<', 0.5 * (time - $began), "$name: and is not busy";
    is $cb->get('/health', key => undef)->{status}, 503, "$name: it is not healthy";
}
cmp_ok scalar(() = (slurp("$cb->{dir}/log/runner.log") // '') =~ /\n/g), '<', 60 * @all, 'the log is not flooded';
$cb->finish;
done_testing;
