# Fail closed: a runner that cannot have a layer does not start, and says which, and why.
use strict;
use warnings;
use Cellblock qw(command eventually runner_program skip_all slurp write_configuration);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Tracer;

skip_all('needs root') if $> != 0;
my $runner = runner_program();

# Start the runner in a folder of its own. Returns its pid; its messages go to $dir/log.
sub start {
    my ($dir) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec($runner, '-c', "$dir/conf/cellblock.conf") or POSIX::_exit(127);
    }
    return $pid;
}

sub prepared {
    my (@changes) = @_;
    my $dir = tempdir('cellblock-start-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    write_configuration("$dir/conf", ['cellblock.conf', qr{socket = "[^"]*"}, "socket = \"$dir/run/runner.sock\""],
        ['cellblock.conf', qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
        ['cellblock.conf', qr{^#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @changes);
    return $dir;
}

# A runner has no right to remove all that it made as root; the next start does, or this.
sub clean {
    my ($dir) = @_;
    my ($exit) = command([$runner, '-c', "$dir/conf/cellblock.conf", '--clean']);
    return $exit;
}

# All processes that were started with this folder in their command line.
sub processes_of {
    my ($dir) = @_;
    my %all = Cellblock::all_processes();
    return grep { index($all{$_}{cmdline}, $dir) >= 0 } keys %all;
}

# --- first of all: it does start when nothing is in the way, and ends when told to -----------------------------------------

{
    my $dir = prepared();
    my $pid = start($dir);
    ok eventually(30, sub { -S "$dir/run/runner.sock" }), 'with the shipped configuration it starts' or diag slurp("$dir/log");
    ok eventually(10, sub { slurp("$dir/log") =~ /serving/ }), 'and serves';
    is waitpid($pid, POSIX::WNOHANG()), 0, 'and stays';
    my @cgroups;
    ok eventually(10, sub { @cgroups = (bless { dir => $dir }, 'Cellblock')->cgroups }), 'with cells in control groups';
    kill 'TERM', $pid;
    my $gone = eventually(10, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    ok $gone, 'SIGTERM ends it' or do { kill 9, $pid; waitpid $pid, 0 };
    is $?, 0, 'with exit 0';
    ok eventually(5, sub { !processes_of($dir) }), 'and nothing is left of it';
    ok !-e "$dir/run/runner.sock", 'nor its socket';
    unlike slurp("$dir/log"), qr/fatal/, 'nothing fatal in its log';
    is clean($dir), 0, '--clean: exit 0';
    is join("\n", grep { -d } @cgroups), '', '--clean removes the control groups';
    is clean($dir), 0, '--clean where nothing is left: exit 0';
}

# --- and not when a layer cannot be had ------------------------------------------------------------------------------------------

my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';
my $bad_policy = sub { my ($text) = @_; return sub { Cellblock::spew("$_[0]/conf/seccomp/python3.conf", $text) } };
# name, changes of the configuration or a function of the folder, what it must say. Python is the only language here: a
# runner that has another goes on with that.
my @impossible = (
    ['a cgroup parent that is not there', [$c, qr/#cgroup_parent = .*;/, 'cgroup_parent = "/no/such/group";'], qr{cgroup.*/no/such/group|/no/such/group.*cgroup}i],
    ['an interpreter that is not there',  [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/usr/bin/no-such-python"'], qr{/usr/bin/no-such-python}],
    ['an interpreter that is none',       [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/etc/hostname"'], qr{/etc/hostname|python3}],
    ['an interpreter that ends at once',  [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/bin/false"'], qr{/bin/false|python3}],
    ['a driver that is not there',        [$p, qr/driver = "python3"/, 'driver = "python9"'],          qr/python9/],
    ['a folder of drivers that is not there', [$c, qr/#?drivers = .*;.*/, 'drivers = "/no/such/drivers";'], qr{/no/such/drivers}],
    ['a policy that is not there',        [$p, qr/policy = "python3"/, 'policy = "none-such"'],        qr/none-such/],
    ['a policy that is empty',            $bad_policy->(''),                                           qr{seccomp/python3\.conf}],
    ['a policy that is rubbish',          $bad_policy->("}{ not a policy\n"),                          qr{seccomp/python3\.conf}],
    ['a proxy that is not there',         [$c, qr/mode = "none";/, 'mode = "proxy"; proxies = ( { name = "a"; address = "no-such-host.invalid:1"; } );'], qr/network\.proxies\[0\]\.address: no-such-host\.invalid/],
    ['a policy for the relay that is rubbish', sub {
        Cellblock::spew("$_[0]/conf/seccomp/relay.conf", 'x');
        Cellblock::spew("$_[0]/conf/$c", slurp("$_[0]/conf/$c") =~ s/mode = "none";/mode = "proxy"; proxies = ( { name = "a"; address = "127.0.0.1:1"; } );/r);
    }, qr{seccomp/relay\.conf:1}],
    ['a root that is not there',          [$p, qr/^root = \[\]/m, 'root = ["/no/such/root"]'],         qr{/no/such/root}],
    ['a user that is not there',          [$c, qr/worker_user = "[^"]*"/, 'worker_user = "no-such-user"'], qr/no-such-user/],
    ['a folder for the socket that is not there', [$c, qr/socket = "[^"]*"/, 'socket = "/no/such/folder/runner.sock"'], qr{/no/such/folder}],
    ['a configuration that is not there', sub { unlink "$_[0]/conf/cellblock.conf" },                  qr/cellblock\.conf/],
);
for (@impossible) {
    my ($name, $change, $says) = @$_;
    my $dir = ref $change eq 'ARRAY' ? prepared($change) : prepared();
    $change->($dir) if ref $change eq 'CODE';
    # One language that is missing is no reason not to serve the others; t/languages.t sees to that.
    unlink grep { !m{/python3\.conf\z} } glob "$dir/conf/languages/*.conf";
    my $pid = start($dir);
    my $ended = eventually(30, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $status = $?;
    my $log = slurp("$dir/log");
    ok $ended, "$name: it does not stay" or do { kill 'TERM', $pid; waitpid $pid, 0 };
    isnt $status, 0, "$name: and fails" if $ended;
    is $status & 127, 0, "$name: by itself, not by a signal" if $ended;
    like $log, $says, "$name: it says why";
    unlike $log, qr/Sanitizer|runtime error/, "$name: no sanitizer speaks";
    ok !-e "$dir/run/runner.sock", "$name: it never listened";
    ok eventually(5, sub { !processes_of($dir) }), "$name: nothing is left";
    clean($dir);
}

# An interpreter that works, but not as a zygote: the runner lives and tries again, more and more slowly, and says why.
{
    my $dir = prepared([$p, qr/"json", "re", "math"/, '"no_such_module_here"']);
    my $pid = start($dir);
    ok eventually(30, sub { (slurp("$dir/log") // '') =~ /no_such_module_here/ }), 'a module to warm that is not there: it is named';
    is waitpid($pid, POSIX::WNOHANG()), 0, 'a module to warm that is not there: the runner stays';
    kill 'TERM', $pid;
    ok eventually(10, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }), 'and ends when told to';
    ok eventually(5, sub { !processes_of($dir) }), 'with all its processes';
    clean($dir);
}

# The host can refuse too: without the capability to make a namespace or a cgroup there is no start by halves.
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
    ok !-e "$dir/run/runner.sock", "$name: it never listened";
}

# A call of the start itself fails, by strace's fault injection.
my @refused = (
    ['landlock_create_ruleset', 'ENOSYS', qr/Landlock is required and cannot be had.*isolation\.landlock/],
    ['landlock_restrict_self',  'EPERM',  qr/Landlock around the door/],
    ['capset',                  'EPERM',  qr/drop all capabilities/],
    ['pivot_root',              'EPERM',  qr/pivot/],
    ['sethostname',             'EPERM',  qr/host name/],
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
        ok eventually(5, sub { !processes_of($dir) }), "$call fails: nothing is left";
        clean($dir);
    }
}

# Guests may not have more files open than the runner itself may, nor the relay. Root with all its rights raises that.
for (['open_files = 256', 'open_files = 5000', qr/isolation\.open_files: 5000 is more than/],
    ['mode = "none";', 'mode = "proxy"; proxies = ( { name = "a"; address = "127.0.0.1:1"; } );', qr/network\.connections: 32 for each of 32 cells/]) {
    my ($was, $is, $says) = @$_;
    my $dir = prepared([$c, qr/$was/, $is]);
    my ($exit, $out, $err) = command(['prlimit', '--nofile=1000:1000', 'setpriv', '--bounding-set=-sys_resource', '--inh-caps=-sys_resource',
        $runner, '-c', "$dir/conf/cellblock.conf"], seconds => 20);
    is $exit, 1, 'too many open files: refuses to start';
    like "$out$err", $says, 'too many open files: names the key';
    ok !-e "$dir/run/runner.sock", 'too many open files: it never listened';
    clean($dir);
}

done_testing;
