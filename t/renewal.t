# A cell serves several runs, one after the other. None of them finds anything of the one before:
# what a run may leave is put back, and the cell of a run that leaves more is unmade. With a single
# cell, the next run is always in the same place.
use strict;
use warnings;
use Cellblock qw(eventually root slurp);
use Test::More;
use Tracer;

my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf',         qr/^\tcells = \d+;/m, "\tcells = 1;\n\treserve = 0;"],
    ['cellblock.conf',         qr/cell_runs = \d+;/, 'cell_runs = 4;'],
    (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
    ['languages/python3.conf', qr/armed = 6/,        'armed = 0'],
    ['languages/python3.conf', qr/armed = 3/,        'armed = 1'], # of the shelf: all programs here import socket
]);

# --- what a run sees --------------------------------------------------------------------------------------------------------------

# The place of a run, and all that it can tell of an earlier one.
my $look = <<'PYTHON';
import os, socket
print(os.readlink('/proc/self/ns/pid'))
def show(*what): print(*what)
show(os.getpid(), sorted(p for p in os.listdir('/proc') if p.isdigit()))
for name in '/box', '/tmp':
    s = os.stat(name)
    show(name, sorted(os.listdir(name)), oct(s.st_mode), s.st_uid == os.getuid(), s.st_gid == os.getgid(), s.st_mtime > 1e9, s.st_nlink)
v = os.statvfs('/box'); show(v.f_blocks, v.f_bfree, v.f_files, v.f_ffree)
show([line.split()[-1] for line in open('/proc/net/unix').readlines()[1:]])
show(len(open('/proc/self/mountinfo').readlines()), os.uname().nodename, sorted(os.listdir('/proc/self/fd'))[:3])
PYTHON

# Returns its place, and the rest.
sub look {
    my $r = $cb->run(code => $look);
    is $r->{data}{exit_code}, 0, 'a look: it runs' or diag $r->{body};
    return split /\n/, $r->{data}{stdout} // '', 2;
}

# Returns the place of the run.
sub leave {
    my ($code, %more) = @_;
    my $r = $cb->run(code => "import os, socket, sys\nprint(os.readlink('/proc/self/ns/pid'))\n$code", %more);
    return ($r->{data}{stdout} // '') =~ /\A(.*\n)/ ? $1 =~ s/\n//r : $r->{body};
}

# Have the next run be the first one of its cell.
sub make_anew { $cb->run(code => 'import os, socket; os.mkdir("x")'); return }

make_anew();
my ($first_place, $clean) = look();
like $clean, qr/^2 \['2'\]$/m, 'a run: it is pid 2, and alone';
my %places;
$places{ (look())[0] }++ for 1 .. 3;
is_deeply \%places, { $first_place => 3 }, 'a cell serves four runs ...';
isnt((look())[0], $first_place, '... and then it is made anew');

# --- what a run may leave --------------------------------------------------------------------------------------------------------

my %left = (
    'files, links, a FIFO, a socket' => <<'PYTHON',
for i in range(20): open(f'/tmp/{i}', 'w').write('x' * 100000)
os.symlink('/', '/box/link'); os.mkfifo('/box/fifo'); os.link('/tmp/1', '/tmp/second')
s = socket.socket(socket.AF_UNIX); s.bind('/tmp/socket'); s.listen()
PYTHON
    'modes and times'       => "for d in '/box', '/tmp': os.utime(d, (1, 1)); os.chmod(d, 0o1000)",
    'a file without access' => "open('/tmp/x', 'w').close(); os.chmod('/tmp/x', 0); os.chmod('/tmp', 0)",
    'an abstract name'      => "s = socket.socket(socket.AF_UNIX); s.bind('\\0name'); s.listen()",
    'an exit status'        => 'sys.exit(3)',
    'an exception'          => '1/0',
    'many pids'             => "for i in range(5):\n    p = os.fork()\n    if p == 0: os._exit(0)\n    os.waitpid(p, 0)",
    'a fork that is reaped by nobody' => "p = os.fork()\nif p == 0: os._exit(0)\nos.waitid(os.P_PID, p, os.WEXITED | os.WNOWAIT)",
);
for my $name (sort keys %left) {
    make_anew();
    my $of = leave($left{$name});
    my ($place, $seen) = look();
    is $place, $of, "$name: the same cell serves the next run";
    is $seen, $clean, "$name: which finds nothing of it";
}

# --- what costs a run its cell ---------------------------------------------------------------------------------------------------

my %too_much = (
    'a directory'       => "os.mkdir('/tmp/x')",
    'forty files'       => "for i in range(40): open(f'/tmp/{i}', 'w').close()",
    'a process'         => "p = os.fork()\nif p == 0:\n    os.setsid()\n    import time\n    for i in range(3): os.close(i)\n    time.sleep(60)",
    'a grandchild'      => "p = os.fork()\nif p == 0:\n    if os.fork() == 0:\n        import time\n        for i in range(3): os.close(i)\n        time.sleep(60)\n    os._exit(0)\nos.waitpid(p, 0)",
    'a signal'          => 'os.kill(os.getpid(), 9)',
    'a denied call'     => "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)",
    'a held descriptor' => <<'PYTHON',
f = open('/tmp/held', 'w+'); f.write('x' * 100000); f.flush()
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
# Each is on its way in a message to the other: the kernel closes them later.
socket.send_fds(a, [b'x'], [f.fileno(), a.fileno(), b.fileno()]); socket.send_fds(b, [b'x'], [a.fileno(), b.fileno()])
PYTHON
);
for my $name (sort keys %too_much) {
    make_anew();
    my $of = leave($too_much{$name});
    my ($place, $seen) = look();
    isnt $place, $of, "$name: the next run has another cell" if $name ne 'a held descriptor';
    is $seen, $clean, "$name: which finds nothing of it";
}
for (['memory', { memory_bytes => 64 << 20 }, 'x = "x" * (1 << 30)'], ['a time limit', { wall_ms => 300 }, 'while True: pass'], ['a disk of its own', { disk_bytes => 1 << 20 }, '0']) {
    my ($name, $limits, $code) = @$_;
    make_anew();
    my $of = leave($code, limits => $limits);
    my ($place, $seen) = look();
    isnt $place, $of, "$name: the next run has another cell";
    is $seen, $clean, "$name: which finds nothing of it";
}

# --- a step fails -----------------------------------------------------------------------------------------------------------------

# Its call, and how it fails, for each row of the table. An init makes no other calls then.
my %fails = (
    'verify that nothing runs in it' => ['kill', 'error=EPERM'],
    'verify that it has no socket'   => ['socket', 'error=EPERM'],
    'empty /tmp and /box'            => ['unlinkat', 'error=EPERM'],
    'start its pids anew'            => ['pwrite64', 'error=EPERM'],
);
my ($table) = slurp(root() . '/runner/warden/warden.c') =~ /^static const struct step renewal_steps\[\] = \{\n(.*?)^\};/ms;
is_deeply [sort keys %fails], [sort($table =~ /^\t\{ "(.+?)", \w+ \}/mg)], 'each step has a test here';
SKIP: {
    skip $_, 3 * keys %fails for grep {defined} Tracer::missing();
    for my $step (sort keys %fails) {
        my ($call, $how) = @{ $fails{$step} };
        make_anew();
        my ($before) = look();
        my ($init) = grep { ((Cellblock::process_status($_) // {})->{NSpid} // '') =~ /\s1\z/ && (readlink("/proc/$_/ns/pid") // '') eq $before } $cb->pids('init');
        my $tracer = Tracer->attach([$init // 0], '-e', "trace=$call", '-e', "inject=$call:$how");
        ok $tracer->is_attached, "$step: strace is attached to the init" or diag $tracer->says;
        my $of = leave('0');
        my ($place, $seen) = look();
        $tracer->detach;
        isnt $place, $of, "$step fails: the next run has another cell";
        is $seen, $clean, "$step fails: which is as it must be";
    }
}
$cb->finish;

# --- a network by a proxy --------------------------------------------------------------------------------------------------------

# Nobody listens there: a program that makes a socket is answered by the relay.
$cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/mode = "none";/, <<'CONF']]);
mode = "proxy";
	proxies = ( { name = "p"; address = "127.0.0.1:9"; } );
CONF
# The number of a file tells how many files its tmpfs has had.
my $number = "import os, socket\nf = open('/tmp/x', 'w'); print(os.fstat(f.fileno()).st_ino)\n";
my $new; # in a new cell, it is the least
sub new_cells {
    my ($code) = @_;
    my @runs = map { $cb->run(code => $number . $code, enable_network => JSON::PP::true) } 1 .. 12;
    is scalar(grep { $_->{data}{network} eq 'proxy' && $_->{data}{exit_code} == 0 } @runs), 12, 'runs have a network by a proxy' or diag $runs[0]{body};
    $new //= (sort { $a <=> $b } map { $_->{data}{stdout} } @runs)[0];
    return scalar grep { $_->{data}{stdout} == $new } @runs;
}
cmp_ok new_cells(''), '<', 12, 'runs with a network that make no socket: their cells serve again';
new_cells('socket.socket()'); # those that come first may have a cell that served
is new_cells('socket.socket()'), 12, 'runs that make one: each has a new cell';
is new_cells(<<'PYTHON'), 12, 'a child with a session of its own makes one: the same';
if os.fork() == 0: os.setsid(); socket.socket(); os._exit(0)
os.wait()
PYTHON
$cb->finish;

# --- one run for each cell -------------------------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/cell_runs = \d+;/, 'cell_runs = 1;']]);
my %of = map { (look())[0] => 1 } 1 .. 5;
# The kernel may give a number again.
cmp_ok scalar keys %of, '>=', 4, 'cell_runs = 1: each run has a cell of its own';
$cb->finish;
done_testing;
