# A cell is a small, ordinary Linux machine: programs find the host's /usr, a /proc of their own
# that tells their limits, and the usual devices.
use strict;
use warnings;
use Cellblock qw(slurp spew);
use File::Temp ();
use Test::More;

my $late = "/usr/local/bin/cellblock-test-late-$$";
END { unlink $late if $late }

my $cb = Cellblock->start(own => 1, conf => [
    ['languages/tcl.conf',  qr/\z/, qq(\nroot = [ "/lib", "?/lib64", "/usr/lib", "/usr/share/tcltk" ];\n)],
    ['languages/late.conf', undef,   qq(name = "late"; main_file = "main.sh"; start = "cold"; policy = "program"; armed = 1;\n)
        . qq(run = [ "$late", "main.sh" ]; version = [ "$late", "-c", "echo 1.2" ];\n)],
]);
my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};

sub prints {
    my ($name, $language, $code, $expected, %more) = @_;
    my $r = $cb->run(language => $language, code => $code, %more);
  SKIP: {
        skip "$name: no $language", 1 if $r->{status} != 200;
        my $out = ($r->{data}{stdout} // '') . ($r->{data}{stderr} // '');
        ref $expected ? like $out, $expected, $name : is $out, $expected, $name or diag $r->{body};
    }
    return;
}

# --- files of the host ----------------------------------------------------------------------------

for (['python3', 'import os; print(*[os.path.exists(p) for p in (%s)])'], ['perl', 'print join(" ", map { -e $_ ? "True" : "False" } (%s)), "\n"'],
    ['bash', 'for p in %s; do [ -e $p ] && r+=" True" || r+=" False"; done; echo ${r# }']) {
    my ($language, $code) = @$_;
    my @paths = qw(/bin/sh /usr/bin/env /usr/share /usr/lib/os-release /usr/include /usr/sbin);
    my $list = $language eq 'bash' ? "@paths" : join ', ', map {"'$_'"} @paths;
    prints "$language: the host's /usr is there", $language, sprintf($code, $list), join(' ', map { -e $_ ? 'True' : 'False' } @paths) . "\n";
}
prints 'an operator can narrow the root', 'tcl', 'puts [file exists /usr/bin/env][file exists /usr/share/tcltk]', "01\n";

# --- a language that is installed later -----------------------------------------------------------

is $cb->run(language => 'late', code => 'echo hello')->{status}, 400, 'a language that is not installed is not served';
spew($late, slurp('/bin/sh'));
chmod 0755, $late or die "$late: $!";
is $cb->run(language => 'late', code => 'echo hello')->{data}{stdout}, "hello\n", 'its program is installed: the next run works';
my ($entry) = grep { $_->{name} eq 'late' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
ok $entry->{available}, 'and it is listed as available';

# --- devices --------------------------------------------------------------------------------------

prints 'the usual devices', 'bash', 'cd /dev; echo *', "fd full null random shm stderr stdin stdout urandom zero\n";
prints '/dev/shm is writable', 'python3', "open('/dev/shm/x', 'w').write('in shared memory'); print(open('/tmp/x').read())", "in shared memory\n";

# --- a host on which no procfs can be mounted -----------------------------------------------------

sub without_proc_ok {
    my ($service) = @_;
    my $layer = $service->get('/v1/sandbox/capabilities')->{data}{layers}{proc};
    ok !$layer->{in_force} && !$layer->{required}, 'without a procfs: the capabilities say so';
    my $r = $service->run(language => 'bash', code => 'cd /proc; echo *; echo text >/dev/null; ls /usr | grep -c bin; lscpu | sed -n "s/^CPU(s): *//p"');
    like $r->{data}{stdout}, qr/\A\*\n[12]\n/, 'without a procfs: /proc is empty, all else is there' or diag $r->{body};
    is $service->run(code => 'import os; print(6 * 7, os.listdir("/proc"))')->{data}{stdout}, "42 []\n", 'without a procfs: Python runs';
    return;
}

if (!$layers->{proc}{in_force}) {
    without_proc_ok($cb);
    $cb->finish;
    done_testing;
    exit;
}
SKIP: {
    skip 'only root covers a part of /proc', 3 if $>;
    my $masked = Cellblock->start(own => 1, inside => ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs mask /proc/irq && exec "$@"', 'sh'],
        allow => [qr/cells have no .proc/]);
    without_proc_ok($masked);
    $masked->finish;
}

# --- /proc ----------------------------------------------------------------------------------------

prints 'process substitution', 'bash', 'cat <(echo in); tee >(cat >/tmp/out) <<<out >/dev/null; until [ -s /tmp/out ]; do :; done; cat /tmp/out', "in\nout\n";
prints '/dev/stdin', 'bash', 'cat /dev/stdin', "text\n", stdin => "text\n";
prints '/dev/fd', 'bash', 'exec 5<<<five; cat /dev/fd/5', "five\n";

for my $bytes (64 << 20, 200 << 20) {
    my $kib = $bytes / 1024;
    my %limits = (limits => { memory_bytes => $bytes });
    prints "free tells the limit of $kib KiB", 'bash', 'free | sed -n "s/^Mem: *\([0-9]*\) .*/\1/p"', "$kib\n", %limits;
    prints "Node.js does, too", 'nodejs', 'console.log(require("os").totalmem())', "$bytes\n", %limits;
    prints 'and swap is none', 'python3', 'print([l.split()[1] for l in open("/proc/meminfo") if l.startswith("Swap")])', "['0', '0', '0']\n", %limits;
}
my $count = prints_number('python3', 'print(sum(l.startswith("processor") for l in open("/proc/cpuinfo")))');
cmp_ok $count, '>=', 1, 'cpuinfo has processors';
prints 'stat has as many',     'bash',    'grep -c "^cpu[0-9]" /proc/stat', "$count\n";
prints 'Node.js has as many',  'nodejs',  'console.log(require("os").cpus().length)', "$count\n";
prints 'Python has as many',   'python3', 'import os; print(os.cpu_count())', "$count\n";
prints 'R has as many',        'r',       'cat(parallel::detectCores(), "\n")', qr/\A$count\s*\n\z/;
prints 'lscpu has as many',    'bash',    'lscpu | sed -n "s/^CPU(s): *//p"', "$count\n" if !system 'command -v lscpu >/dev/null';

prints 'Java has as many',     'java',    'public class Main { public static void main(String[] a) { System.out.println(Runtime.getRuntime().availableProcessors()); } }', "$count\n";
prints 'nproc has as many',    'bash',    'nproc', "$count\n";
prints 'lscpu knows cores and sockets', 'bash', 'lscpu | sed -n "s/^\(Thread(s) per core\|Socket(s)\): *//p" | xargs', "1 1\n" if !system 'command -v lscpu >/dev/null';
prints 'free tells that some is used', 'bash', 'free | awk "/^Mem:/ { print (\$3 > 0 && \$3 + \$4 == \$2) }"', "1\n" if !system 'command -v free >/dev/null';
prints 'uptime works', 'bash', 'uptime', qr/ up .*load average/ if !system 'command -v uptime >/dev/null';
prints 'locks of open file descriptions', 'python3', <<'PYTHON', "1 refused\n";
import fcntl, os, struct
def lock(file, kind=fcntl.F_WRLCK): return fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))
one, two = open("f", "w"), open("f", "w")
print(len(lock(one)) > 0 and 1, end=" ")
try: lock(two); print("both")
except BlockingIOError: print("refused")
PYTHON

# Programs that gcc has fitted with checks. The search for leaks would need ptrace(2).
SKIP: {
    my $dir = File::Temp::tempdir('cellblock-machine-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    spew("$dir/main.c", "int main(void) { return 0; }\n");
    skip 'no AddressSanitizer', 2 if system "gcc -fsanitize=address -o $dir/main $dir/main.c 2>/dev/null && ASAN_OPTIONS=detect_leaks=0 $dir/main";
    my %time = (limits => { wall_ms => 60000, cpu_ms => 60000 });
    prints 'a program with AddressSanitizer ends as it does outside', 'bash', <<'BASH', "done 3\n", %time;
printf '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { volatile char *p = malloc(9); p = NULL; printf("done "); return 3; }\n' >main.c
gcc -fsanitize=address -o main main.c && ./main; echo $?
BASH
    prints 'and AddressSanitizer finds faults', 'bash', <<'BASH', "heap-buffer-overflow\n", %time;
printf '#include <stdlib.h>\nint main(void) { volatile char *p = malloc(9); return p[9]; }\n' >main.c
gcc -fsanitize=address -o main main.c; ./main 2>&1 | grep -o heap-buffer-overflow | head -n 1
BASH
}
prints 'pages of the manual are found', 'bash', 'man -w ls | sed "s,.*/,,"', qr/^ls\.1/ if !system 'man -w ls >/dev/null 2>&1';

# A program has the names that it has anywhere, however it was started.
my %called = (
    python3 => ['import sys; print(open("/proc/self/comm").read() + repr(open("/proc/self/cmdline").read()))', "python3\n'/usr/bin/python3\\x00main.py\\x00'\n"],
    nodejs  => ['const { readFileSync: r } = require("fs"); console.log(r("/proc/self/comm") + JSON.stringify(r("/proc/self/cmdline", "utf8")))', qr{\Anode.*\n"/usr/bin/node\\u0000/box/main.js\\u0000"\n\z}],
    perl    => ['print map { open my $f, "<", "/proc/self/$_"; tr/\0/|/r } map { <$_> } map { open my $f, "<", "/proc/self/$_"; $f } qw(comm cmdline)', qr{\Aperl\n/usr/bin/perl\|.*\|main\.pl\|\z}],
    php     => ['<?php echo file_get_contents("/proc/self/comm"), strtr(file_get_contents("/proc/self/cmdline"), "\0", "|");', qr{\Aphp[\d.]*\n/usr/bin/php\S*\|.*main\.php\|\z}],
    tcl     => ['set f [open /proc/self/comm]; puts -nonewline [read $f]; set f [open /proc/self/cmdline]; puts [string map {\u0000 |} [read $f]]', qr{\Atclsh\S*\n/usr/bin/tclsh\S*\|main\.tcl\|\n\z}],
    c       => [qq(#include <stdio.h>\nint main(void) { char s[64]; FILE *f = fopen("/proc/self/comm", "r"); fgets(s, sizeof s, f); fputs(s, stdout); f = fopen("/proc/self/cmdline", "r"); puts(fgets(s, sizeof s, f)); }), "main\nmain\n"],
    bash    => ['cat /proc/$$/comm; tr "\0" "|" </proc/$$/cmdline', qr{\Abash\n/usr/bin/bash\|main\.sh\|\z}],
);
prints "$_: the names of its process", $_, @{ $called{$_} } for sort keys %called;
prints 'ps tells them, too', 'python3', 'import subprocess; print(subprocess.check_output(["ps", "-o", "comm=,args=", "-C", "python3"], text=True).split())',
    "['python3', '/usr/bin/python3', 'main.py']\n" if !system 'command -v ps >/dev/null';

# --- what the host has where ----------------------------------------------------------------------

prints 'the control group is the root of all', 'bash', 'cut -d: -f3- /proc/self/cgroup | sort -u', "/\n";
prints 'and children are below it', 'python3', 'import subprocess; print(subprocess.check_output(["cut", "-d:", "-f3-", "/proc/self/cgroup"], text=True).split().count("/") > 0)', "True\n";

# --- network interfaces ---------------------------------------------------------------------------

SKIP: {
    skip 'cells share a network namespace', 8 if !$layers->{network_namespace}{in_force} || !$layers->{uid_per_cell}{in_force};
    prints 'without a network there is one interface', 'python3', 'import socket; print(socket.if_nameindex(), socket.if_nametoindex("lo"), socket.if_indextoname(1))', "[(1, 'lo')] 1 lo\n";
    prints 'Node.js lists those that are up', 'nodejs', 'console.log(Object.keys(require("os").networkInterfaces()).length)', "0\n";
    prints 'C lists it', 'c', <<'C', "lo down\n";
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
int main(void)
{
	struct ifaddrs *list;
	if (getifaddrs(&list) != 0)
		return 1;
	for (; list != NULL; list = list->ifa_next)
		printf("%s %s\n", list->ifa_name, list->ifa_flags & IFF_UP ? "up" : "down");
}
C
    my @loopback = (network => 'loopback');
    prints 'with a loopback it has its addresses', 'nodejs', 'console.log(require("os").networkInterfaces().lo.map((a) => a.cidr).join(" "))', "127.0.0.1/8 ::1/128\n", @loopback;
    prints 'Java asks in its own way', 'java', <<'JAVA', "lo true 127.0.0.1\n", @loopback;
import java.net.*;
import java.util.*;
public class Main {
	public static void main(String[] args) throws Exception {
		for (NetworkInterface one : Collections.list(NetworkInterface.getNetworkInterfaces()))
			for (InetAddress address : Collections.list(one.getInetAddresses()))
				if (address instanceof Inet4Address) System.out.println(one.getName() + " " + one.isUp() + " " + address.getHostAddress());
	}
}
JAVA
    my $r = $cb->run(code => <<'PYTHON');
import socket
sockets = []
try:
    while True: sockets.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
except OSError as error: print(len(sockets), error.strerror)
PYTHON
    is $r->{data}{stdout}, "32 Address family not supported by protocol\n", 'a run may make 32 sockets that list interfaces';
    is_deeply [map { $_->{name} } @{ $r->{data}{denied} }], ['socket'], 'the next one is denied, and reported';
    is_deeply $cb->run(code => 'import socket; socket.if_nameindex()')->{data}{denied}, [], 'a list of interfaces is not reported';
}

sub prints_number {
    my ($language, $code) = @_;
    my $r = $cb->run(language => $language, code => $code);
    return ($r->{data}{stdout} // '') =~ /\A(\d+)\n\z/ ? $1 : 0;
}

prints 'ps lists the processes of the cell', 'bash', 'sleep 1 & ps -A -o comm= >/tmp/list; sort /tmp/list | tr "\n" " "; kill $!', 'bash ps sleep '
    if !system 'command -v ps >/dev/null';
prints "a process knows itself ($_->[0])", @$_
    for ['python3', "import os; s = open('/proc/self/status').read(); print(f'Pid:\\t{os.getpid()}\\n' in s, len(os.listdir('/proc/self/task')), os.readlink('/proc/self/cwd'))", "True 1 /box\n"],
    ['bash', '[ /proc/self/exe -ef "$(command -v readlink)" ] || readlink /proc/self/exe', qr{/readlink\n\z|\A\z}],
    ['python3', 'print(all(open("/proc/self/" + n, "rb").read() != b"" for n in ("environ", "auxv", "io", "maps", "stat", "statm", "limits")))', "True\n"],
    ['perl', 'open my $f, "<", "/proc/$$/maps" or die $!; print scalar(grep { /stack/ } <$f>), "\n"', "1\n"];
prints 'the kernel tells what uname(2) tells', 'bash', '[ "$(cat /proc/sys/kernel/osrelease)" = "$(uname -r)" ] && head -c 13 /proc/version', 'Linux version';
prints 'mounts, filesystems and uptime', 'bash', 'grep -c " /box tmpfs " /proc/mounts; grep -c tmpfs$ /proc/filesystems; [ "$(cut -d. -f1 /proc/uptime)" -gt 0 ] && echo up', qr/\A[1-9]\d*\n[1-9]\d*\nup\n\z/;
prints 'a stack is found by glibc', 'c', <<'C', "good\n";
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
int main(void)
{
	pthread_attr_t attr;
	void *address;
	size_t size;
	char here;
	if (pthread_getattr_np(pthread_self(), &attr) != 0 || pthread_attr_getstack(&attr, &address, &size) != 0)
		return 1;
	puts(&here > (char *)address && &here < (char *)address + size ? "good" : "bad");
}
C

$cb->finish;
done_testing;
