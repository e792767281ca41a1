# Fail closed: a runner does not start without one of its layers. It names the layer and the reason.
use strict;
use warnings;
use Cellblock qw(command eventually runner_program skip_all slurp spew write_configuration);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use POSIX ();
use Socket ();
use Test::More;
use Tracer;

skip_all('needs root') if $> != 0;
my $runner = runner_program();

my $uids = bless {}, 'Cellblock'; # holds the ranges of uids

# Start the runner in a directory of its own, under a command if there is one. Its messages go to
# $dir/log. Returns its pid.
sub start {
    my ($dir, @under) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $ENV{CELLBLOCK_TEST_DIR} = $dir; # the tests find its processes by it
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec(@under, $runner, '-c', "$dir/conf/cellblock.conf") or POSIX::_exit(127);
    }
    return $pid;
}

# Start the runner, and wait until it serves.
sub served {
    my ($dir, @under) = @_;
    my $pid = start($dir, @under);
    eventually(60, sub { (slurp("$dir/log") // '') =~ /serving/ }) or diag slurp("$dir/log");
    return $pid;
}

sub stop {
    my ($pid) = @_;
    kill 'TERM', $pid;
    my $ended = eventually(60, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    return $? if $ended;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return -1;
}

sub prepared {
    my (@changes) = @_;
    my $dir = tempdir('cellblock-start-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    write_configuration("$dir/conf", ['cellblock.conf', qr{socket = "[^"]*"}, "socket = \"$dir/run/runner.sock\""],
        ['cellblock.conf', qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
        ['cellblock.conf', qr/first_uid = 2000000/, 'first_uid = ' . $uids->free_uids],
        ['cellblock.conf', qr{^#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @changes);
    return $dir;
}

# Remove what a runner left behind. The runner itself has no right any more to remove all that it
# made as root. The next start removes it, or --clean.
sub clean {
    my ($dir) = @_;
    my ($exit) = command([$runner, '-c', "$dir/conf/cellblock.conf", '--clean']);
    return $exit;
}

sub processes_of {
    my ($dir) = @_;
    my %all = (bless { dir => $dir }, 'Cellblock')->processes;
    return sort { $a <=> $b } keys %all;
}

# The only process with this short name.
sub process_named {
    my ($dir, $name) = @_;
    my %all = (bless { dir => $dir }, 'Cellblock')->processes;
    my @found = grep { $all{$_}{comm} eq $name } keys %all;
    return @found == 1 ? $found[0] : undef;
}

sub children_of {
    my ($dir, $pid) = @_;
    return grep { ((Cellblock::process_status($_) // {})->{PPid} // 0) == $pid } processes_of($dir);
}

# Returns the descriptors of a process, as number => path.
sub descriptors {
    my ($pid) = @_;
    return map { my ($number) = m{(\d+)\z}; ($number => readlink($_) // '') } glob "/proc/$pid/fd/*";
}

# --- the runner starts when nothing is in the way, and ends at SIGTERM -----------------------------------------------------

{
    my $dir = prepared();
    my $pid = start($dir);
    ok eventually(60, sub { -S "$dir/run/runner.sock" }), 'with the shipped configuration it starts' or diag slurp("$dir/log");
    ok eventually(60, sub { slurp("$dir/log") =~ /serving/ }), 'and serves';
    is waitpid($pid, POSIX::WNOHANG()), 0, 'and stays';
    my @cgroups;
    ok eventually(60, sub { @cgroups = (bless { dir => $dir }, 'Cellblock')->cgroups }), 'with cells in control groups';
    kill 'TERM', $pid;
    my $gone = eventually(60, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    ok $gone, 'SIGTERM ends it' or do { kill 9, $pid; waitpid $pid, 0 };
    is $?, 0, 'with exit 0';
    ok eventually(60, sub { !processes_of($dir) }), 'and nothing is left of it';
    is join("\n", grep { -d } @cgroups), '', 'no control group';
    ok !-e "$dir/run/runner.sock", 'no socket';
    unlike slurp("$dir/log"), qr/fatal/, 'nothing fatal in its log';
    is clean($dir), 0, '--clean: exit 0';
    is join("\n", grep { -d } @cgroups), '', '--clean removes the control groups';
    is clean($dir), 0, '--clean where nothing is left: exit 0';

    # A process that was killed is in its group until the kernel is through with it.
    make_path(@cgroups);
    my ($leaf) = grep { m{/cell-\d+\z} } @cgroups;
    my $late = fork // die "fork: $!";
    if (!$late) {
        spew("$leaf/cgroup.procs", $$);
        exec 'sleep', '0.5';
    }
    ok eventually(60, sub { (slurp("$leaf/cgroup.procs") // '') =~ /^$late$/m }), 'a process is in a group';
    is clean($dir), 0, '--clean with a process that is about to end: exit 0';
    is join("\n", grep { -d } @cgroups), '', '--clean waits for its end, and removes the control groups';
    waitpid $late, 0;
}

# --- a runner that serves: its processes' descriptors, and its defences ------------------------------------------------------

# Connect as the workers' user. Returns a socket of SOCK_SEQPACKET, or nothing.
sub connect_worker {
    my ($dir) = @_;
    socket(my $socket, Socket::PF_UNIX(), Socket::SOCK_SEQPACKET(), 0) or die "socket: $!";
    local $> = getpwnam 'nobody';
    return connect($socket, Socket::pack_sockaddr_un("$dir/run/runner.sock")) ? $socket : undef;
}

# Returns whether the peer closes a connection within so many seconds.
sub is_closed {
    my ($socket, $seconds) = @_;
    my $ready = '';
    vec($ready, fileno $socket, 1) = 1;
    return 0 if !select $ready, undef, undef, $seconds;
    return !sysread $socket, my $byte, 1;
}

sub cpu_ticks {
    my ($pid) = @_;
    my @field = split / /, slurp("/proc/$pid/stat") =~ s/.*\) //sr;
    return $field[11] + $field[12];
}

{
    my $dir = prepared();
    my $pid = served($dir);
    my ($door) = children_of($dir, $pid);
    my ($broker) = children_of($dir, $door);
    like slurp("/proc/$pid/cmdline"), qr/\Acellblock: runner parent\0/, 'the parent has a name';
    is slurp("/proc/$door/comm"), "door\n", 'the door has a name';
    like slurp("/proc/$door/cmdline"), qr/\Acellblock: door\0/, 'in its command line, too';

    my %open = descriptors($door);
    my @kinds = sort map { s/:?\[.*//r } @open{ grep { $_ > 2 } keys %open };
    is "@kinds", '/run/cellblock.uids anon_inode pipe socket socket socket',
        'the door holds its listener twice, the ways to the broker and the parent, its uids and its signals, and nothing else' or diag explain \%open;
    %open = descriptors($pid);
    @kinds = sort map { s/:?\[.*//r } @open{ grep { $_ > 2 } keys %open };
    is "@kinds", 'anon_inode pipe socket', 'the parent holds the listener, the reports of its child and its signals, and nothing else' or diag explain \%open;

    my $need = (slurp("$dir/log") =~ /up to 32 cells, (\d+) descriptors/)[0] // 0;
    my $has = () = descriptors($broker);
    cmp_ok $has / 2, '<', $need, 'the broker needs no more descriptors than was computed';

    # A zygote under an attacker's control must not change the data that later ones read.
    %open = descriptors($broker);
    my @setups = grep { $open{$_} =~ m{\A/memfd:zygote\b} } keys %open;
    ok @setups > 0, 'zygotes have setups';
    my @written = grep { my $at = "/proc/$broker/fd/$_"; my $file; open($file, '+<', $at) && syswrite $file, 'x' } @setups;
    is "@written", '', 'none of which can be written';

    # --clean must not take a running service apart.
    my @cgroups = (bless { dir => $dir }, 'Cellblock')->cgroups;
    my ($exit, $out, $err) = command([$runner, '-c', "$dir/conf/cellblock.conf", '--clean']);
    is $exit, 1, '--clean while it serves: exit 1';
    like "$out$err", qr/a runner serves on \Q$dir\E.*stop it first/, '--clean while it serves: says why';
    ok -S "$dir/run/runner.sock", '--clean while it serves: the socket stays';
    is join("\n", grep { !-d } @cgroups), '', '--clean while it serves: the control groups stay';

    # Without free descriptors the door closes new connections. It does not spin, and does not end.
    my $uid = Cellblock::process_status($door)->{Uid} =~ s/\s.*//r;
    my $highest = (sort { $b <=> $a } keys %{ { descriptors($door) } })[0];
    my $limit = sub { (command(['setpriv', '--reuid', $uid, '--regid', $uid, '--clear-groups', 'prlimit', '--pid', $door, "--nofile=$_[0]:"]))[0] };
    is $limit->($highest + 1), 0, 'the limit of the door is changed';
    my @closed = grep { my $socket = connect_worker($dir); $socket && is_closed($socket, 5) } 1 .. 30;
    is scalar @closed, 30, 'a door without a free descriptor closes each new connection';
    my @lines = slurp("$dir/log") =~ /accept a worker: Too many open files/g;
    ok @lines >= 1 && @lines <= 5, 'and says so once in a second' or diag scalar @lines;
    $limit->(3);
    my $waiting = connect_worker($dir);
    my $before = cpu_ticks($door);
    sleep 2;
    cmp_ok cpu_ticks($door) - $before, '<', 20, 'one that cannot even refuse does not spin';
    is waitpid($pid, POSIX::WNOHANG()), 0, 'and does not end';
    $limit->(1000);
    ok !is_closed($waiting, 2), 'with descriptors again it lets in who has waited';
    my $next = connect_worker($dir);
    ok $next && !is_closed($next, 1), 'and the next one';

    is stop($pid), 0, 'it ends in good order afterwards';
    clean($dir);
}

# --- two runners on one host --------------------------------------------------------------------------------------------

{
    my ($one, $other, $third) = (prepared(), prepared(), prepared());
    my $uid_of = sub { (slurp("$_[0]/conf/cellblock.conf") =~ /first_uid = (\d+)/)[0] };
    my $first_uid = $uid_of->($one);
    my @pids = (served($one), served($other));
    my $uids = sub {
        my %found;
        for (grep { (slurp("/proc/$_/comm") // '') ne "runner parent\n" } processes_of($_[0])) { $found{$_} = 1 for split ' ', (Cellblock::process_status($_) // {})->{Uid} // '' }
        return \%found;
    };
    my ($ones, $others);
    ok eventually(60, sub { ($ones, $others) = ($uids->($one), $uids->($other)); keys %$ones > 2 && keys %$others > 2 }), 'two runners have cells';
    is join(' ', grep { $others->{$_} } keys %$ones), '', 'their uids on the host are others';
    Cellblock::spew("$third/conf/$_", slurp("$third/conf/$_") =~ s/first_uid = \d+/'first_uid = ' . ($first_uid + 32)/er) for 'cellblock.conf';
    my ($exit, $out, $err) = command([$runner, '-c', "$third/conf/cellblock.conf"], seconds => 20);
    is $exit, 1, 'a third with one uid of the first does not start';
    like "$out$err", qr/runner\.first_uid: another runner on this host has some of the uids @{[$first_uid + 32]} to @{[$first_uid + 64]}/, 'and says why';
    Cellblock::spew("$third/conf/$_", slurp("$third/conf/$_") =~ s/first_uid = \d+/'first_uid = ' . ($first_uid + 33)/er) for 'cellblock.conf';
    push @pids, served($third);
    like slurp("$third/log"), qr/serving/, 'it does with the uids behind those';
    stop($_) for @pids;
    clean($_) for $one, $other, $third;
}

# --- no start without one of the layers ------------------------------------------------------------------------------------------

my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';
my $bad_policy = sub { my ($text) = @_; return sub { Cellblock::spew("$_[0]/conf/seccomp/python3.conf", $text) } };
# Each entry has a name, a change of the configuration or a function of the directory, and the
# message. Python is the only language here: a runner with a second one would serve that.
my @impossible = (
    ['a cgroup parent that is not there', [$c, qr/#cgroup_parent = .*;/, 'cgroup_parent = "/no/such/group";'], qr{cgroup.*/no/such/group|/no/such/group.*cgroup}i],
    ['an interpreter that is not there',  [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/usr/bin/no-such-python"'], qr{/usr/bin/no-such-python}],
    ['an interpreter that is none',       [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/etc/hostname"'], qr{/etc/hostname|python3}],
    ['an interpreter that ends at once',  [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/bin/false"'], qr{/bin/false|python3}],
    ['a driver that is not there',        [$p, qr/driver = "python3"/, 'driver = "python9"'],          qr/python9/],
    ['a directory of drivers that is not there', [$c, qr/#?drivers = .*;.*/, 'drivers = "/no/such/drivers";'], qr{/no/such/drivers}],
    ['a policy that is not there',        [$p, qr/policy = "python3"/, 'policy = "none-such"'],        qr/none-such/],
    ['a policy that is empty',            $bad_policy->(''),                                           qr{seccomp/python3\.conf}],
    ['a policy that is rubbish',          $bad_policy->("}{ not a policy\n"),                          qr{seccomp/python3\.conf}],
    ['a proxy that is not there',         [$c, qr/mode = "none";/, 'mode = "proxy"; proxies = ( { name = "a"; address = "no-such-host.invalid:1"; } );'], qr/network\.proxies\[0\]\.address: no-such-host\.invalid/],
    ['a policy for the relay that is rubbish', sub {
        Cellblock::spew("$_[0]/conf/seccomp/relay.conf", 'x');
        Cellblock::spew("$_[0]/conf/$c", slurp("$_[0]/conf/$c") =~ s/mode = "none";/mode = "proxy"; proxies = ( { name = "a"; address = "127.0.0.1:1"; } );/r);
    }, qr{seccomp/relay\.conf:1}],
    ['a root that is not there',          [$p, qr/^more_root = \[\]/m, 'more_root = ["/no/such/root"]'],         qr{/no/such/root}],
    ['a user that is not there',          [$c, qr/worker_user = "[^"]*"/, 'worker_user = "no-such-user"'], qr/no-such-user/],
    ['a directory for the socket that is not there', [$c, qr/socket = "[^"]*"/, 'socket = "/no/such/directory/runner.sock"'], qr{/no/such/directory}],
    ['a configuration that is not there', sub { unlink "$_[0]/conf/cellblock.conf" },                  qr/cellblock\.conf/],
);
for (@impossible) {
    my ($name, $change, $says) = @$_;
    my $dir = ref $change eq 'ARRAY' ? prepared($change) : prepared();
    $change->($dir) if ref $change eq 'CODE';
    # A runner serves the other languages when one is missing; t/languages.t tests that.
    unlink grep { !m{/python3\.conf\z} } glob "$dir/conf/languages/*.conf";
    my $pid = start($dir);
    my $ended = eventually(60, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $status = $?;
    my $log = slurp("$dir/log");
    ok $ended, "$name: it does not stay" or do { kill 'TERM', $pid; waitpid $pid, 0 };
    isnt $status, 0, "$name: and fails" if $ended;
    is $status & 127, 0, "$name: by itself, not by a signal" if $ended;
    like $log, $says, "$name: it says why";
    unlike $log, qr/Sanitizer|runtime error/, "$name: no sanitizer speaks";
    ok !-e "$dir/run/runner.sock", "$name: no socket is left";
    ok eventually(60, sub { !processes_of($dir) }), "$name: nothing is left";
    clean($dir);
}

# An interpreter works, but not as a zygote: the runner goes on, and says why. It tries again, more
# and more slowly.
{
    my $dir = prepared([$p, qr/"abc", "argparse"/, '"no_such_module_here"']);
    my $pid = start($dir);
    ok eventually(60, sub { (slurp("$dir/log") // '') =~ /no_such_module_here/ }), 'a module to warm that is not there: it is named';
    is waitpid($pid, POSIX::WNOHANG()), 0, 'a module to warm that is not there: the runner stays';
    kill 'TERM', $pid;
    ok eventually(60, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }), 'and ends when told to';
    ok eventually(60, sub { !processes_of($dir) }), 'with all its processes';
    clean($dir);
}

# The host denies something: without the capability to make a namespace or a cgroup the runner does
# not start at all.
my @powerless = (
    ['no user namespaces',  ['setpriv', '--bounding-set=-sys_admin,-setuid,-setgid', '--inh-caps=-all'], qr/user namespace|namespace|uid|not permitted/i],
);
for (@powerless) {
    my ($name, $prefix, $says) = @$_;
    my $dir = prepared();
    my ($exit, $out, $err) = command([@$prefix, $runner, '-c', "$dir/conf/cellblock.conf"], seconds => 20);
    isnt $exit, 0, "$name: refuses to start";
    isnt $exit, 124, "$name: at once";
    like "$out$err", $says, "$name: and says why" or diag "$out$err";
    ok !-e "$dir/run/runner.sock", "$name: no socket is left";
}

# strace makes a system call of the start fail.
my @refused = (
    ['landlock_create_ruleset', 'ENOSYS', qr/Landlock is required and cannot be had.*isolation\.landlock/],
    ['landlock_restrict_self',  'EPERM',  qr/Landlock around the door/],
    ['capset',                  'EPERM',  qr/drop all capabilities/],
    ['pivot_root',              'EPERM',  qr/pivot/],
    ['sethostname',             'EPERM',  qr/host name/],
    ['fsmount',                 'EPERM',  qr/make a \/proc of the cells' processes/],
);
SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    for (@refused) {
        my ($call, $error, $says) = @$_;
        my $dir = prepared();
        my ($exit, $out, $err) = command(['strace', '-f', '-qq', '-o', '/dev/null', '-e', "trace=$call", '-e', "inject=$call:error=$error",
            $runner, '-c', "$dir/conf/cellblock.conf"], seconds => 30);
        ok $exit != 0 && $exit != 124, "$call fails: no start" or diag $exit;
        like "$out$err", $says, "$call fails: it says why";
        ok eventually(60, sub { !processes_of($dir) }), "$call fails: nothing is left";
        clean($dir);
    }
}

# --- descriptors --------------------------------------------------------------------------------------------------------

# Root with all its rights raises the limit. This command takes that right away.
my @no_raise = ('setpriv', '--bounding-set=-sys_resource', '--inh-caps=-sys_resource');
for (
    [900, 'open_files = { default = 1024; maximum = 4096; }', 'open_files = { default = 1024; maximum = 5000; }', qr/limits\.open_files: the maximum of \S+, 5000, is more than the runner itself may have open \(900\)/],
    [4200, 'cells = 32', 'cells = 33', qr/runner\.cells: the runner may have 4200 files open, and can need 33 cells x 26 \+ 256 queued runs x 8 \+ .* = \d+; allowed: .*LimitNOFILE/],
    [10000, 'mode = "none";', 'mode = "proxy"; proxies = ( { name = "a"; address = "127.0.0.1:1"; } ); connections = 1000', qr/network\.connections: 1000 for each of 32 cells are up to 64080 open files/],
) {
    my ($limit, $was, $is, $says) = @$_;
    my $dir = prepared([$c, qr/\Q$was\E/, $is], $is =~ /connections/ ? [$c, qr/^\tconnections = 32;/m, ''] : ());
    my ($exit, $out, $err) = command(['prlimit', "--nofile=$limit:$limit", @no_raise, $runner, '-c', "$dir/conf/cellblock.conf"], seconds => 20);
    is $exit, 1, "$is with $limit descriptors: no start";
    like "$out$err", $says, "$is with $limit descriptors: the sum, and the setting";
    ok !-e "$dir/run/runner.sock", "$is with $limit descriptors: no socket is left";
    clean($dir);
}

# The shipped limits give the shipped configuration all the descriptors that it needs.
for (['etc/systemd/cellblock-runner.service.in', qr/^LimitNOFILE=(\d+)$/m], ['script/server', qr/\bFILES="\$\(file_limit (\d+)\)"/]) {
    my ($file, $pattern) = @$_;
    my ($limit) = slurp(Cellblock::root() . "/$file") =~ $pattern or die "$file sets no limit of descriptors";
    my $hard = (slurp('/proc/self/limits') =~ /^Max open files\s+\d+\s+(\d+)/m)[0];
    my $dir = prepared();
    my $pid = served($dir, 'prlimit', '--nofile=' . ($limit < $hard ? "$limit:$limit" : "$hard:$hard"), @no_raise);
    like slurp("$dir/log"), qr/serving/, "$file: the shipped configuration has enough descriptors";
    stop($pid);
    clean($dir);
}

# --- a control group of version 1, of which a part is read-only ----------------------------------------------------------

SKIP: {
    skip 'control groups of version 1 are not mounted each by itself', 1 if grep { !-e "/sys/fs/cgroup/$_/tasks" } qw(memory cpuacct);
    my $dir = prepared();
    my $hash = 2166136261;
    $hash = (($hash ^ ord) * 16777619) & 0xffffffff for split //, "$dir/run/runner.sock";
    my ($exit, $out, $err) = command(['unshare', '--mount', 'sh', '-c', 'mount --bind -o ro /sys/fs/cgroup/cpuacct /sys/fs/cgroup/cpuacct && exec "$@"',
        'sh', $runner, '-c', "$dir/conf/cellblock.conf"], seconds => 20);
    is $exit, 1, 'cpuacct is unavailable: no start';
    like "$out$err", qr{control group /sys/fs/cgroup/cpuacct/}, 'cpuacct is unavailable: it says why';
    is join(' ', glob sprintf '/sys/fs/cgroup/*/cellblock-%08x', $hash), '', 'cpuacct is unavailable: nothing is left in the other hierarchies';
    clean($dir);
}

done_testing;
