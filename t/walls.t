# The layers of a cell: the view of a guest from inside, and the view of the host from outside.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually json process_status slurp);
use POSIX ();
use Test::More;

my $cb = Cellblock->start(own => 1);

# --- from inside ---------------------------------------------------------------------------------------------------------
# Name, program, expected output.

my @inside = (
    ['no user of the host',       'import os; print({l.split(":")[0] for l in open("/etc/passwd")} <= {"root", "user", "nobody"}, os.path.exists("/etc/shadow"))', "True False\n"],
    ['no /sys or other directories of the host', <<'PYTHON', "[]\n"],
import os
directories = ("/proc/1", "/sys/kernel", "/sys/class", "/sys/fs", "/home", "/root", "/boot", "/var/lib", "/run/systemd", "/mnt", "/srv", "/opt")
print([directory for directory in directories if os.path.exists(directory)])
PYTHON
    ['only three descriptors', <<'PYTHON', "[0, 1, 2]\n"],
import os
found = []
for fd in range(1024):
    try: os.fstat(fd); found.append(fd)
    except OSError: pass
print(found)
PYTHON
    ['no descriptor of a directory, block device or socket', <<'PYTHON', "[False, False, False]\n"],
import os, stat
modes = [os.fstat(fd).st_mode for fd in range(3)]
print([stat.S_ISDIR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode) for mode in modes])
PYTHON
    ['only these environment variables',      'import os; print(sorted(os.environ))', qr/\A\['HOME', 'LANG', 'LOGNAME', 'LSAN_OPTIONS', (?:'OMP_NUM_THREADS', )?'PATH', 'SHELL', 'TMPDIR', 'USER'\]\n\z/],
    ['not root', <<'PYTHON', "False True True\n"],
import os
print(0 in os.getresuid() + os.getresgid(), os.getuid() == os.geteuid(), os.getgroups() in ([], [os.getgid()]))
PYTHON
    ['no change of uid or gid', <<'PYTHON', "no\n"],
import os
other = os.getuid() + 1 # a neighbour's
for f in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.setresuid(other, other, other)):
    try: f(); print('changed')
    except OSError: pass # EINVAL where the user namespace does not map the id
print('no')
PYTHON
    ['a pid namespace of its own', 'import os; print(os.getpid() < 50, os.getppid() < 50)', "True True\n"],
    ['is not pid 1',              'import os; print(os.getpid() != 1)', "True\n"],
    ['no capability', <<'PYTHON', qr/\A(?:0 \[0, 0, 0, 0, 0, 0\]|-1 \[0, 0, 0, 0, 0, 0\])\n\z/],
import ctypes
h = (ctypes.c_uint32 * 2)(0x20080522, 0)
d = (ctypes.c_uint32 * 6)()
r = ctypes.CDLL(None).capget(h, d)
print(r, list(d))
PYTHON
    ['no capability in the bounding set', <<'PYTHON', qr/\A(?:0|-1)\n\z/],
import ctypes
p = ctypes.CDLL(None).prctl
print(max(p(23, c, 0, 0, 0) for c in range(41)))
PYTHON
    ['no new privileges',         'import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))', qr/\A(?:1|-1)\n\z/],
    ['kill(0) reaches only the caller', <<'PYTHON', "only me\n"],
import os, signal
signal.signal(signal.SIGUSR1, lambda *a: print('only me'))
try: os.kill(0, signal.SIGUSR1)
except OSError: print('only me')
PYTHON
    ['a session of its own',      'import os; print(os.getsid(0) > 0, os.getpgrp() > 0)', "True True\n"],
    ['no signal to other processes', <<'PYTHON', "no no no no []\n"],
import os
def t(*a):
    try: os.kill(*a); return 'sent'
    except (PermissionError, ProcessLookupError): return 'no'
print(t(1, 9), t(1, 15), t(-1, 9), t(os.getppid() or 1, 9), [t(n, 0) for n in range(3, 30) if t(n, 0) == 'sent' and n != os.getpid()])
PYTHON
    ['sees no other process group', <<'PYTHON', "end\n"],
import os
for pid in range(1, 300):
    if pid in (os.getpid(), 1): continue
    try: print(pid, os.getpgid(pid))
    except OSError: pass
print('end')
PYTHON
    ['HOME and TMPDIR are writable', <<'PYTHON', "all\n"],
import os, tempfile
for d in os.environ['HOME'], os.environ['TMPDIR'], '/tmp', '.', tempfile.gettempdir():
    open(d + '/probe', 'w').write('x'); os.unlink(d + '/probe')
print('all')
PYTHON
    ['the host name is not the host\'s',       'import os; print(os.uname().nodename)', qr/\A(?!\Q@{[(POSIX::uname())[1]]}\E\n)[\w.-]+\n\z/],
    ['no chroot, mknod, mount', <<'PYTHON', "no\n"],
import os, stat
for f in (lambda: os.chroot('/tmp'), lambda: os.mknod('/tmp/d', stat.S_IFCHR | 0o666, os.makedev(1, 3)), lambda: os.mknod('/tmp/b', stat.S_IFBLK | 0o666, os.makedev(8, 0))):
    try: f(); print('done')
    except PermissionError: pass
print('no')
PYTHON
    ['the priority cannot be raised', <<'PYTHON', "no\n"],
import os
try: os.nice(-5); print('raised')
except OSError: print('no')
PYTHON
    ['no limit can be raised', <<'PYTHON', "1 1\n"],
import resource as r
for n in ('NOFILE', 'NPROC', 'FSIZE', 'CPU', 'CORE', 'AS', 'MEMLOCK'):
    k = getattr(r, 'RLIMIT_' + n); s, h = r.getrlimit(k)
    if h == r.RLIM_INFINITY: continue
    try: r.setrlimit(k, (h + 1, h + 1))
    except (OSError, ValueError): pass
    if r.getrlimit(k)[1] != h: print('raised', n)
# With a limit of 0 the kernel would pipe core dumps to a helper of the host. A change of this limit
# is answered with success, and not made.
for limit in ((0, 0), (0, 1), (r.RLIM_INFINITY, r.RLIM_INFINITY)):
    try: r.setrlimit(r.RLIMIT_CORE, limit)
    except (OSError, ValueError): pass
print(*r.getrlimit(r.RLIMIT_CORE))
PYTHON
    ['set-uid files have no effect', <<'PYTHON', "[]\n"],
import os, stat
found = []
for d, _, files in os.walk('/'):
    for f in files:
        try:
            if os.lstat(d + '/' + f).st_mode & (stat.S_ISUID | stat.S_ISGID): found.append(d + '/' + f)
        except OSError: pass
print([f for f in found if not os.statvfs(f).f_flag & os.ST_NOSUID])
PYTHON
    ['no device of a disk or memory', <<'PYTHON', "[]\n"],
import os, stat
found = []
for d, _, files in os.walk('/dev'):
    for f in files:
        s = os.lstat(d + '/' + f)
        if stat.S_ISBLK(s.st_mode) or stat.S_ISCHR(s.st_mode) and f not in ('null', 'zero', 'full', 'random', 'urandom', 'tty'): found.append(f)
print(found)
PYTHON
);
for (@inside) {
    my ($name, $code, $prints) = @$_;
    my $r = $cb->run(code => $code, limits => { wall_ms => 60_000 });
    my $d = $r->{data} || {};
    (ref $prints ? like $d->{stdout}, $prints, $name : is $d->{stdout}, $prints, $name) or diag $r->{body};
}

# libc derives secrets from the kernel's random bytes (AT_RANDOM) once, in the zygote. Each of its
# guests has others; libc's guard of pointers stays, as SECURITY.md says.
{
    my $code = <<'PYTHON';
import ctypes, mmap, os
libc = ctypes.CDLL(None)
libc.getauxval.restype = ctypes.c_ulong
given = ctypes.string_at(libc.getauxval(25), 16).hex()
if os.uname().machine != 'x86_64': print(given); raise SystemExit
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex('64488b042528000000c3')) # mov rax, fs:[0x28]; ret
print(given, ctypes.CFUNCTYPE(ctypes.c_ulong)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())
PYTHON
    my @got = map { [split ' ', $cb->run(code => $code)->{data}{stdout}] } 1 .. 8;
    my %bytes  = map { $_->[0] => 1 } @got;
    my %canary = map { $_->[1] // $_->[0] => 1 } @got;
    is scalar keys %bytes,  8, 'eight runs of at most two zygotes have eight AT_RANDOMs' or diag join "\n", map {"@$_"} @got;
    is scalar keys %canary, 8, 'and eight canaries of the stack';
}

# A program that ends without the exit of its interpreter, and one that returns through all of it.
for (['python3', 'import sys; sys.exit(3)'], ['perl', 'eval { die "x" }; exit 3'], ['php', '<?php exit(3);'], ['tcl', 'exit 3'], ['nodejs', 'process.exitCode = 3']) {
    my ($language, $code) = @$_;
    my $r = $cb->run(language => $language, code => $code);
  SKIP: {
        skip "no $language", 1 if $r->{status} != 200;
        is $r->{data}{exit_code}, 3, "$language: the frames above a guest's start still end well" or diag $r->{body};
    }
}

# The files that a run reads stay in the host's cache, charged to its cell or not: else each run of
# a compiler would read them from the disk.
{
    my ($file) = sort { -s $b <=> -s $a } grep { -s $_ > 10_000_000 && -s $_ < 150_000_000 } glob '/usr/lib/*/*.so.*';
    my $cached = sub { my ($exit, $out) = command(['fincore', '-nbo', 'RES', $file]); $out + 0 };
  SKIP: {
        skip 'no large file in /usr/lib, or no fincore', 1 if !$file || !eval { defined $cached->() };
        command(['dd', "if=$file", 'iflag=nocache', 'count=0']);
        my $r = $cb->run(code => "print(len(open('$file', 'rb').read()))", limits => { memory_bytes => 1 << 30 });
        is $r->{data}{stdout}, (-s $file) . "\n", 'a run reads a large file' or diag $r->{body};
        $cb->run(code => 'print(1)') for 1 .. 5;
        cmp_ok $cached->(), '>', 0.9 * -s $file, 'which is cached after the run';
    }
}

# Walk through all that has a name: nothing outside of the cell's tmpfs can be created, changed or
# removed.
my $writes = $cb->run(limits => { wall_ms => 60_000, cpu_ms => 60_000 }, code => <<'PYTHON');
import os
own = ("/box", "/tmp", "/dev/shm", os.environ["HOME"])
places = 0


def attempt(what, *arguments):
    try:
        what(*arguments)
        print(what.__name__, *arguments)
    except OSError:
        pass


for directory, directories, files in os.walk("/"):
    if directory.startswith(own) or directory.endswith("/fd"): # links to its own streams
        continue
    if directory == "/dev": # more of them
        files = [name for name in files if name not in ("stdin", "stdout", "stderr")]
    if directory.count("/") > 2: # one mount is read-only as a whole: a sample will do
        del directories[4:]
    places += 1
    attempt(os.mkdir, directory + "/planted")
    attempt(os.symlink, "x", directory + "/planted")
    attempt(os.open, directory + "/planted", os.O_CREAT | os.O_WRONLY)
    for name in files[:5] + directories[:2]:
        path = directory + "/" + name
        if path.startswith(own):
            continue
        attempt(os.unlink, path)
        attempt(os.rmdir, path)
        attempt(os.chmod, path, 0o777)
        attempt(os.chown, path, os.getuid(), -1)
        attempt(os.rename, path, directory + "/stolen")
        attempt(os.utime, path)
        attempt(os.truncate, path, 0)
        if not directory.startswith("/dev"):
            attempt(os.open, path, os.O_WRONLY)
print(places > 10)
PYTHON
is $writes->{data}{stdout}, "True\n", 'nothing outside of its own directories can be written' or diag substr $writes->{body}, 0, 2000;

# --- runs after and beside each other -----------------------------------------------------------------------------

my $leave = <<'PYTHON';
import os, sys, builtins
for d in ("/tmp", "/box", "/dev/shm", os.environ["HOME"]):
    try:
        open(d + "/left-behind", "w").write("secret")
        os.makedirs(d + "/directory/deep")
    except OSError:
        pass
builtins.left = 1
sys.modules["left"] = sys
os.umask(0)
PYTHON
my $look = <<'PYTHON';
import os, sys, builtins
found = []
for d in ("/tmp", "/box", "/dev/shm", os.environ["HOME"]):
    try:
        found += [d + "/" + f for f in os.listdir(d) if f not in ("main.py", "tmp", "home")]
    except OSError:
        pass
print(found, hasattr(builtins, "left"), "left" in sys.modules)
PYTHON
my @runs = map { ($leave, $look) } 1 .. 12;
my (%seen, $looked);
$cb->many(4, sub { @runs ? { code => shift @runs } : undef }, sub {
    my ($fields, $reply) = @_;
    return if $fields->{code} ne $look;
    $seen{ $reply->{data}{stdout} // $reply->{body} }++;
    $looked++;
});
is_deeply \%seen, { "[] False False\n" => $looked }, 'a run finds nothing of earlier or simultaneous runs';

# --- system calls that a guest must not have ---------------------------------------------------------------------------------
# The arguments make an unfiltered kernel answer something other than EPERM, so a missing filter
# shows. They do no harm if the filter is missing. The numbers are those of x86-64.

my @calls = (
    [mount           => 165, '1, 1, 1, 0, 0'],
    [umount2         => 166, '1, -1'],
    [pivot_root      => 155, '1, 1'],
    [chroot          => 161, '1'],
    [unshare         => 272, '0'],
    ['unshare NEWUSER' => 272, '0x10000000'],
    [setns           => 308, '-1, 0'],
    ['clone NEWUSER' => 56,  '0x10000200, 0, 0, 0, 0'], # with CLONE_FS, which is EINVAL
    ['clone NEWNS'   => 56,  '0x00020200, 0, 0, 0, 0'],
    [clone3          => 435, '1, 64'],
    [fork            => 57,  ''],
    [ptrace          => 101, '0x4206, 999999, 0, 0'],
    [process_vm_readv => 310, '999999, 0, 0, 0, 0, 0'],
    [bpf             => 321, '-1, 1, 0'],
    [perf_event_open => 298, '1, 0, -1, -1, 0'],
    [keyctl          => 250, '9999, 0, 0, 0, 0'],
    [add_key         => 248, '1, 1, 1, 0, 0'],
    [request_key     => 249, '1, 1, 1, 0'],
    [io_uring_setup  => 425, '0, 1'],
    [io_uring_enter  => 426, '-1, 0, 0, 0, 0, 0'],
    [userfaultfd     => 323, '1'],
    [open_by_handle_at => 304, '-1, 1, 0'],
    [name_to_handle_at => 303, '-1, 1, 1, 1, 0'],
    [init_module     => 175, '1, 0, 1'],
    [finit_module    => 313, '-1, 1, 0'],
    [delete_module   => 176, '1, 0'],
    [kexec_load      => 246, '0, 0, 0, 0xffff'],
    [reboot          => 169, '0, 0, 0, 0'],
    [swapon          => 167, '1, 0'],
    [acct            => 163, '1'],
    [sethostname     => 170, '1, 1'],
    [settimeofday    => 164, '1, 1'],
    [clock_settime   => 227, '99, 1'],
    [syslog          => 103, '99, 0, 0'],
    [quotactl        => 179, '-1, 1, 0, 0'],
    [fsopen          => 430, '1, 0'],
    [fsmount         => 432, '-1, 0, 0'],
    [open_tree       => 428, '-1, 1, 0'],
    [move_mount      => 429, '-1, 1, -1, 1, 0'],
    [mount_setattr   => 442, '-1, 1, 0, 1, 32'],
    [memfd_secret    => 447, '-1'],
    [pidfd_getfd     => 438, '-1, 0, 0'],
    [kcmp            => 312, '999999, 999999, 0, 0, 0'],
    [personality     => 135, '0x0040000'],
    [modify_ldt      => 154, '99, 0, 0'],
    [iopl            => 172, '0'],
    [fanotify_init   => 300, '-1, 0'],
    [socket          => 41,  '2, 1, 0'],
    ['socket AF_NETLINK' => 41, '16, 3, 12'],
    # Type 15 is none: the kernel reports that (EINVAL) before it looks for the family.
    ['socket AF_PACKET'  => 41, '17, 15, 0'],
    ['socket AF_VSOCK'   => 41, '40, 15, 0'],
    ['socket AF_ALG'     => 41, '38, 15, 0'],
    ['the x32 getpid' => '0x40000000 | 39', ''],
);
# Calls that no program makes by accident end the run. For most of them the kernel itself would
# answer EPERM, so only the signal shows that the filter comes first.
my %kills = map { $_ => 1 } qw(acct bpf delete_module finit_module init_module iopl kexec_load open_by_handle_at quotactl
    reboot swapon userfaultfd);
# The others are denied: EPERM; ENOSYS or EOPNOTSUPP so that libc falls back; EAFNOSUPPORT as
# without a network.
my $refused = qr/\A-1 (?:EPERM|ENOSYS|EAFNOSUPPORT)\n\z/;
my %refused = (name_to_handle_at => qr/\A-1 (?:EOPNOTSUPP|ENOTSUP)\n\z/);
# Programs may start others, unless the request allows one process.
my %alone = (fork => 1);
SKIP: {
    skip 'the numbers are of x86-64', scalar @calls if (POSIX::uname())[4] ne 'x86_64';
    for (@calls) {
        my ($name, $number, $arguments) = @$_;
        my $list = join ', ', map {"c_long($_)"} $number, grep { length } split /, /, $arguments;
        my $d = $cb->run(($alone{$name} ? (limits => { processes => 1 }) : ()), code => "import os, errno\nfrom ctypes import *\nme = os.getpid()\nlibc = CDLL(None, use_errno=True)\n"
                . "libc.syscall.restype = c_long\nr = libc.syscall($list)\n"
                . "if os.getpid() != me: os._exit(0)\nprint(r, errno.errorcode.get(get_errno()))")->{data};
        my $killed = ($d->{signal} // '') eq 'SIGSYS';
        ok $killed || !$kills{$name} && $d->{stdout} =~ ($refused{$name} // $refused), "denied: $name" or diag "$d->{stdout}$d->{error}";
    }
}
# A program may execute another one in its place, which keeps the filter.
my $executed = $cb->run(limits => { processes => 1 }, code => <<'PYTHON');
import os, sys
code = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0, 0x10000000):
    print(libc.unshare(flags), errno.errorcode.get(ctypes.get_errno()))
try:
    os.fork()
except OSError as e:
    print(errno.errorcode[e.errno])
"""
sys.stdout.flush()
os.execv(sys.executable, [sys.executable, "-c", code])
PYTHON
is $executed->{data}{stdout}, "-1 EPERM\n-1 EPERM\nEPERM\n", 'a program keeps the filter when it executes another'
    or diag $executed->{body};
my $int80 = $cb->run(code => <<'PYTHON');
# The 32-bit entry: mov eax, 20 (getpid); int 0x80; ret
import ctypes, mmap
m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
m.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
print(f() > 0)
PYTHON
isnt $int80->{data}{stdout}, "True\n", 'no system call through the 32-bit entry' if (POSIX::uname())[4] eq 'x86_64';

my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};

# --- from outside ------------------------------------------------------------------------------------------------------------

# Two programs that wait. Their numbers of threads identify them.
my @socket = map {
    $cb->connect_raw($cb->run_bytes(code => "import threading, time\nfor _ in range($_): threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(60)"))
} 21, 22;
# The one with more threads first: while it starts, it has as many as the other for a moment.
my @guest = reverse map { my $n = $_; eventually(10, sub { $cb->find_by_threads($n) }) } 23, 22;
ok $guest[0] && $guest[1], 'two guests are visible from the host' or BAIL_OUT('no guest was found');
my @status = map { process_status($_) } @guest;
for my $one (@status) {
    my @uids = split /\s+/, $one->{Uid};
    is_deeply [grep { $_ == 0 } @uids, split /\s+/, $one->{Gid}], [], "guest $one->{Pid}: not root on the host";
    is getpwuid($uids[0]), undef, "guest $one->{Pid}: no user of the host has its uid" if $layers->{uid_per_cell}{in_force};
    is $one->{Groups}, '', "guest $one->{Pid}: no groups" or diag $one->{Groups};
    is hex $one->{$_}, 0, "guest $one->{Pid}: $_" for qw(CapInh CapPrm CapEff CapBnd CapAmb);
    is $one->{NoNewPrivs}, 1, "guest $one->{Pid}: no_new_privs";
    is $one->{Seccomp}, 2, "guest $one->{Pid}: a seccomp filter";
    for my $namespace (qw(user mnt pid ipc uts net cgroup)) {
        my ($own, $host) = map { readlink "/proc/$_/ns/$namespace" } $one->{Pid}, $$;
        isnt $own, $host, "guest $one->{Pid}: $namespace namespace" if $namespace ne 'cgroup';
    }
}
isnt((split /\s+/, $status[0]{Uid})[0], (split /\s+/, $status[1]{Uid})[0], 'two runs have different uids') if $layers->{uid_per_cell}{in_force};
for my $namespace (qw(mnt pid uts), $layers->{uid_per_cell}{in_force} ? () : 'user') {
    isnt readlink("/proc/$guest[0]/ns/$namespace"), readlink("/proc/$guest[1]/ns/$namespace"), "two runs have different $namespace namespaces";
}
if ($layers->{cgroup}{in_force}) {
    isnt slurp("/proc/$guest[0]/cgroup"), slurp("/proc/$guest[1]/cgroup"), 'two runs have different cgroups';
    like slurp("/proc/$guest[0]/cgroup"), qr{/cellblock}, 'the cgroup of a run is Cellblock\'s';
}
my @bad_mounts = grep { !/ - tmpfs / && !/^\S+ \S+ \S+ \S+ \S+ ro[ ,]/ } split /\n/, slurp("/proc/$guest[0]/mountinfo");
is join("\n", @bad_mounts), '', 'all mounts of a guest except its tmpfs are read-only';
my @lax_mounts = grep { !/^\S+ \S+ \S+ \S+ \S+ \S*nosuid/ || !m{^\S+ \S+ \S+ \S+ (?!/dev[/ ])\S+ \S*nodev|^\S+ \S+ \S+ \S+ /dev[/ ]\S* ?ro,\S*noexec} } split /\n/, slurp("/proc/$guest[0]/mountinfo");
is join("\n", @lax_mounts), '', 'all mounts are nosuid, and nodev except the devices, which are read-only and noexec';
close $_ for @socket;
ok eventually(5, sub { !grep { -d "/proc/$_" } @guest }), 'guests end when their clients disconnect';

# On a slow machine, zygotes still start. One that imports its modules has no filter yet.
$cb->processes_at_rest;
for my $role (qw(runner broker warden zygote init)) {
    my @pids = $cb->pids($role);
    ok @pids > 0, "there is a $role";
    for my $pid (@pids) {
        my $one = process_status($pid) // next;
        is_deeply [grep { $_ == 0 } split ' ', "$one->{Uid} $one->{Gid}"], [], "$role $pid: not root on the host";
        is $one->{NoNewPrivs}, 1, "$role $pid: no_new_privs";
        if ($role eq 'runner') { # the door, which stays on the host, has no capability there
            # An ordinary user cannot empty the bounding set, and has nothing that it would bound.
            is hex $one->{$_}, 0, "$role $pid: $_" for qw(CapInh CapPrm CapEff CapAmb), $> ? () : 'CapBnd';
            next;
        }
        isnt readlink("/proc/$pid/ns/user"), readlink("/proc/$$/ns/user"), "$role $pid: a user namespace of its own";
        my @maps = map { [split] } split /\n/, slurp("/proc/$pid/uid_map") // '';
        ok @maps > 0, "$role $pid: uids are mapped";
        is_deeply [grep { $_->[1] == 0 } @maps], [], "$role $pid: the host's root is not among them";
        ok eventually(10, sub { (process_status($pid) // return 1)->{Seccomp} == 2 }), "$role $pid: a seccomp filter" if $role eq 'zygote';
    }
}

# Processes have names for ps and top, which say what they are. An interpreter that has started in a
# guest has a name of its own.
my %numbers;
for my $pid ($cb->pids('zygote')) {
    my ($title, $comm) = map { slurp("/proc/$pid/$_") // '' } qw(cmdline comm);
    my ($language) = $title =~ /\Acellblock: zygote ([\w+.-]+)\0+\z/;
    ok defined $language, "zygote $pid: its command line" or diag $title;
    is $comm, substr('zygote ' . ($language // ''), 0, 15) . "\n", "zygote $pid: its short name";
}
# A guest of a launcher is no program yet.
$cb->run(language => 'c', code => 'int main(void) { return 0; }');
$cb->processes_at_rest;
for my $pid ($cb->pids('guest')) {
    my ($title, $comm) = map { slurp("/proc/$pid/$_") // '' } qw(cmdline comm);
    my ($number) = $title =~ /\Acellblock: guest (\d+)\0+\z/;
    if (defined $number) {
        is $comm, "guest $number\n", "guest $pid: its short name";
        $numbers{$number}++;
    }
    $numbers{python3}++ if $title eq "/usr/bin/python3\0main.py\0" && $comm eq "python3\n";
}
cmp_ok delete $numbers{python3} // 0, '>=', 2, 'guests of an interpreter that wait have its names';
is join(' ', grep { $numbers{$_} > 1 } sort keys %numbers), '', 'other guests have the numbers of their cells, each another one';
# A program finds nothing of that.
for (['python3', 'import sys; print(sys.argv, getattr(sys, "orig_argv", 0))'], ['nodejs', 'console.log(process.title, process.argv, process.argv0, process.execPath)'],
    ['bash', 'echo "$0 $BASH_ARGV0"'], ['perl', 'print "$0 $^X @ARGV\n"'], ['php', '<?php print_r($argv); print_r($_SERVER["argv"]);'], ['ruby', 'p $0, $PROGRAM_NAME, ARGV']) {
    my ($language, $code) = @$_;
    my $r = $cb->run(language => $language, code => $code);
  SKIP: {
        skip "no $language", 1 if ($r->{data}{status} // '') ne 'ok';
        like $r->{data}{stdout}, qr/main|node/, "$language: its own name";
        unlike $r->{data}{stdout}, qr/cellblock:|guest|zygote/, "$language: and not ours";
    }
}
my @workers = $cb->pids('worker');
ok @workers > 0, 'there are workers';
for my $pid (@workers) {
    my $one = process_status($pid) // next;
    isnt((split /\s+/, $one->{Uid})[$_], 0, "worker $pid: uid $_ is not root") for 0 .. 3;
    is hex $one->{$_}, 0, "worker $pid: $_" for qw(CapInh CapPrm CapEff CapAmb);
    is $one->{NoNewPrivs}, 1, "worker $pid: no_new_privs";
    is $one->{Seccomp}, 2, "worker $pid: a seccomp filter" if !$cb->sanitized;
    # In /proc, root owns the files of a process that is not dumpable.
    is +(stat "/proc/$pid/mem")[4], 0, "worker $pid: not dumpable";
}
for my $pid ($cb->pids('nginx')) {
    isnt((split /\s+/, process_status($pid)->{Uid})[0], 0, "nginx worker $pid: not root");
}

# The sockets of the runner and the workers are for their own users only.
if ($>) {
    $cb->finish;
    done_testing; # only root can become another user
    exit;
}
my ($stranger) = grep { !defined getpwuid $_ } 54_321 .. 54_400;
my $tried = 0;
for my $path ($cb->sockets) {
    my ($exit, $out, $err) = command(['setpriv', '--reuid', $stranger, '--regid', $stranger, '--clear-groups', qw(env -u PERL5LIB), $^X, '-MSocket', '-e',
        'for (SOCK_STREAM, SOCK_SEQPACKET) { socket my $s, AF_UNIX, $_, 0; connect($s, sockaddr_un($ARGV[0])) and print "connected"; print "$!\n" }', $path]);
    unlike $out, qr/connected/, 'another user cannot connect to ' . $path =~ s{.*/}{}r;
    like $out, qr/Permission denied/, 'another user gets EACCES from ' . $path =~ s{.*/}{}r or diag "$out$err";
    $tried++;
}
cmp_ok $tried, '>=', 2, 'the sockets of the workers and the runner were found';

# Secrets on the host are not readable for other users.
for my $file ("$cb->{dir}/api_key", glob("$cb->{dir}/keys/*"), glob("$cb->{dir}/tls/key.pem")) {
    my ($exit) = command(['setpriv', '--reuid', $stranger, '--regid', $stranger, '--clear-groups', 'cat', $file]);
    isnt $exit, 0, 'another user cannot read ' . $file =~ s{.*/}{}r;
}

$cb->finish;
done_testing;
