# The self-test: the log reports it, and each layer that it attacks is broken from outside, one
# after the other. Then nothing is served, and the log names the attack that succeeded.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually missing root runner_program skip_all slurp spew write_configuration);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Tracer;

skip_all('needs root') if $> != 0;

# The names of all attacks, from the tables in the source.
my $source = slurp(root() . '/runner/guest/attack.c');
my %named;
for my $list (qw(calls deadly_calls)) {
    my ($rows) = $source =~ /^static const struct call \Q$list\E\[\] = \{\n(.*?)^\};/ms or die "no $list";
    $named{$list} = [$rows =~ /^\t\{ "([^"]+)", SYS_\w+|^\t\{ "([^"]+)", X86/mg];
    @{ $named{$list} } = grep { defined } @{ $named{$list} };
}
cmp_ok scalar @{ $named{calls} }, '>', 40, 'the table of denied system calls was found';
cmp_ok scalar @{ $named{deadly_calls} }, '>', 10, 'the table of fatal system calls was found';

# --- no fault -----------------------------------------------------------------------------------------------------------

my $cb = Cellblock->start(own => 1);
like $cb->log_text, qr/python3: self-test: \d+ attacks, all of them stopped, in \d+ ms/, 'the log reports the self-test';
my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};
is_deeply [grep { $layers->{$_}{required} && !$layers->{$_}{in_force} } sort keys %$layers], [], 'all required layers are in force';
my ($sleeping) = map { $_->{name} } grep { $_->{available} && $_->{name} =~ /^(?:bash|perl)$/ } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
SKIP: {
    skip $sleeping, 2 if $sleeping = missing('neither bash nor perl is installed', $sleeping) // 0;
    my ($language) = map { $_->{name} } grep { $_->{available} && $_->{name} =~ /^(?:bash|perl)$/ } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    unlike $cb->log_text, qr/$language: self-test/, 'a language that sleeps is not tested';
    $cb->run(language => $language, code => '#');
    # The log goes through a pipe, and may come after the reply.
    ok eventually(20, sub { $cb->log_text =~ /$language: self-test: \d+ attacks, all of them stopped/ }), 'a language is tested before its first run';
}

# The policy gets a hole while the service runs. The next zygote finds it, and nothing is served.
spew("$cb->{dir}/live/conf/seccomp/python3.conf", slurp("$cb->{dir}/live/conf/seccomp/python3.conf") . "\nallow = ({ reason = \"a hole\"; calls = [\"unshare\"]; });\n");
my ($runner) = $cb->pids('runner');
kill 'KILL', $runner;
ok eventually(20, sub { $cb->log_text =~ /not stopped: unshare;/ }), 'a hole in the policy: the log names the call';
# A worker may answer this from what it knew up to five seconds ago.
my $health;
ok eventually(20, sub { ($health = $cb->get('/health', key => undef))->{status} == 503 }), 'a hole in the policy: /health fails';
envelope_ok($health, 503, -503, 'a hole in the policy: /health is 503');
like $health->{json}{message}, qr/seccomp.*unshare/, 'a hole in the policy: /health names the layer and the attack';
ok eventually(20, sub { my $r = $cb->run(code => 'print(1)'); $r->{status} == 503 && $r->{json}{message} =~ /python3/ }), 'a hole in the policy: no run is served';
envelope_ok($cb->run(language => 'bash', code => 'echo 1'), 503, -503, 'a hole in one language: no other language is served');
my $seccomp;
ok eventually(20, sub { $seccomp = $cb->get('/v1/sandbox/capabilities')->{data}{layers}{seccomp}; $seccomp && !$seccomp->{in_force} }),
    'capabilities: seccomp is not in force';
like $seccomp->{detail}, qr/not stopped: unshare/, 'capabilities: the detail names the attack';
$cb->finish;

# --- a runner alone, in a directory of its own, with one language --------------------------------------------------------------

# Options: hole (rows for the policy), language (default python3), under (words in front of the
# command). Returns the directory and the pid.
sub start {
    my (%how) = @_;
    my $dir = tempdir('cellblock-selftest-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $language = $how{language} // 'python3';
    chmod 0755, $dir;
    write_configuration("$dir/conf", ['cellblock.conf', qr{socket = "[^"]*"}, "socket = \"$dir/run/runner.sock\""],
        ['cellblock.conf', qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
        ['cellblock.conf', qr/first_uid = 2000000/, 'first_uid = ' . $cb->free_uids],
        ['cellblock.conf', qr{^#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @{ $how{conf} || [] });
    unlink grep { !m{/\Q$language\E\.conf\z} } glob "$dir/conf/languages/*.conf";
    spew("$dir/conf/seccomp/$language.conf", slurp("$dir/conf/seccomp/$language.conf") . "\n$how{hole}\n") if $how{hole};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $ENV{CELLBLOCK_TEST_DIR} = $dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        exec(@{ $how{under} || [] }, runner_program(), '-c', "$dir/conf/cellblock.conf") or POSIX::_exit(127);
    }
    return ($dir, $pid);
}

sub stop {
    my ($dir, $pid) = @_;
    my @all = (bless { dir => $dir }, 'Cellblock')->pids('runner parent');
    kill 'TERM', @all ? @all : $pid;
    my $ended = eventually(15, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    kill 'KILL', $pid if !$ended;
    waitpid $pid, 0 if !$ended;
    command([runner_program(), '-c', "$dir/conf/cellblock.conf", '--clean']);
    return;
}

sub log_of { return slurp("$_[0]/log") // '' }

sub not_served {
    my ($name, $dir, $says) = @_;
    ok eventually(30, sub { log_of($dir) =~ $says }), "$name: the log says so" or diag substr log_of($dir), -1500;
    return;
}

# The kernel denies these calls to an ordinary user before it reads an argument, so a hole in the
# policy has no effect.
my $kernel = qr{^(?:fsopen|init_module|kexec_load|move_mount|pivot_root|reboot|setgroups|sethostname|syslog)\b};

# --- holes in the policy -----------------------------------------------------------------------------------------------------

my %call = map { $_ => 1 } map {/^(\w+)/} @{ $named{calls} };
my $rows = join ",\n", map {"{ reason = \"a hole\"; calls = [\"$_\"]; }"} sort keys %call;
{
    # A row of common.conf with another answer contradicts these, so those rows are removed.
    my @without = map { ['seccomp/common.conf', $_, 'calls = ["uselib"]'] } qr/calls = \["clone3"\]/, qr/calls = \["io_uring_enter"[^]]*\]/,
        qr/calls = \["add_key"[^]]*\]/;
    push @without, ['seccomp/common.conf', qr/calls = \["name_to_handle_at"\]/, 'calls = ["sysfs"]'],
        ['seccomp/common.conf', qr/calls = \["prctl"\](?=;\s+with)/, 'calls = ["ustat"]'];
    push @without, ['seccomp/common.conf', qr/, "seccomp"\]/, ']'], ['seccomp/common.conf', qr/"kcmp", /, ''];
    my ($dir, $pid) = start(conf => \@without, hole => "allow = (\n$rows\n);");
    not_served('a policy that allows too much', $dir, qr/not stopped/);
    my %got_out = map { $_ => 1 } log_of($dir) =~ /not stopped: (.+?); layer/g;
    is_deeply [grep { !$got_out{$_} && !/$kernel/ } @{ $named{calls} }], [], 'a policy that allows too much: each call of the table is reported';
    unlike log_of($dir), qr/all of them stopped/, 'a policy that allows too much: no success is logged';
    stop($dir, $pid);
}

# No policy can allow a program the calls of zygotes; see below. (A policy has no name for x32.)
for my $name (grep { !/zygote|x32|$kernel/ } @{ $named{deadly_calls} }) {
    my ($dir, $pid) = start(conf => [['seccomp/common.conf', qr/"$name", | ?, "$name"|, "$name"/, '']], hole => "allow = ({ reason = \"a hole\"; calls = [\"$name\"]; });");
    not_served("a policy that allows $name", $dir, qr/not stopped: $name;/);
    stop($dir, $pid);
}

# --- limits that another process removes ---------------------------------------------------------------------------------------

# The name of a runner's control groups, which the runner derives from the path of its socket.
sub group_name {
    my ($path) = @_;
    my $hash = 2166136261;
    $hash = (($hash ^ ord) * 16777619) & 0xffffffff for split //, $path;
    return sprintf 'cellblock-%08x', $hash;
}

# Remove all limits of a kind from all cells, in a loop without end.
sub take_away {
    my ($dir, $file, $cells) = @_;
    my ($name, $last, @files) = (group_name("$dir/run/runner.sock"), $cells - 1);
    eventually(20, sub {
        my (undef, $out) = command(['find', '/sys/fs/cgroup', '-path', "*/$name/cell-*/*", '-name', '[mp]*']);
        @files = grep { m{/([^/]+)\z} && $1 =~ $file } split /\n/, $out;
        return grep { m{/cell-$last(?:-b)?/} } @files; # they are made in order
    });
    # A group of pids may be replaced, by turns by one of each name.
    my %value;
    for my $file (@files) {
        $value{ $file =~ s{/(cell-\d+)(?:-b)?/}{/$1$_/}r } = $file =~ /limit_in_bytes/ ? '-1' : 'max' for '', '-b';
    }
    while (1) {
        for my $path (keys %value) {
            open my $limit, '>', $path or next;
            syswrite $limit, $value{$path};
        }
    }
}

my $cells = 12; # of which python3 keeps all armed
for (
    ['memory', qr/^memory\.(?:max|limit_in_bytes|memsw\.limit_in_bytes)$/, 'more memory than it has'],
    ['pids',   qr/^pids\.max$/,                                            'more threads than it has'],
) {
    my ($controller, $file, $attack) = @$_;
    # A removal that comes too late has no effect.
    for my $attempt (1 .. 40) {
        my ($dir, $pid) = start(conf => [['cellblock.conf', qr/cells = 32/, "cells = $cells"]]);
        my $thief = fork // die "fork: $!";
        if (!$thief) {
            take_away($dir, $file, $cells);
        }
        eventually(30, sub { log_of($dir) =~ /not stopped|all of them stopped/ });
        my $was_late = log_of($dir) =~ /all of them stopped/ && $attempt < 40;
        not_served("no limit of $controller", $dir, qr/not stopped: $attack; layer cgroup/) if !$was_late;
        kill 'KILL', $thief;
        waitpid $thief, 0;
        stop($dir, $pid);
        last if !$was_late;
    }
}

# --- steps that report success and do nothing -------------------------------------------------------------------------

sub children { return split ' ', slurp("/proc/$_[0]/task/$_[0]/children") // '' }

# Attach strace to a zygote before its self-test, or to the warden that makes the cells of that
# test. It skips the call and returns 0.
sub fake {
    my ($role, $call, $says, $language) = @_;
    my ($dir, $pid) = start(language => $language);
    my $service = bless { dir => $dir }, 'Cellblock';
    eventually(30, sub { log_of($dir) =~ /all of them stopped/ }) or do { fail "$call: the runner starts"; diag log_of($dir); stop($dir, $pid); return };
    $service->processes_at_rest; # the other zygotes have passed, and all cells are armed
    my ($broker) = $service->pids('broker');
    my ($warden) = sort { $a <=> $b } grep { my $pid = $_; grep { $_ == $pid } children($broker) } $service->pids('warden');
    my %before = map { $_ => 1 } children($broker);
    my @victims = grep { $before{$_} && $_ != $warden } $service->pids('zygote');
    # The broker forks another one and is delayed there, so that the new zygote is not served before
    # it is traced.
    my $holder = Tracer->attach([$broker], '-e', 'trace=clone', '-e', 'inject=clone:delay_exit=3000000');
    kill 'KILL', $victims[0];
    my $zygote;
    eventually(10, sub { ($zygote) = grep { !$before{$_} } children($broker); $zygote });
    eventually(10, sub { my $status = Cellblock::process_status($zygote // 0) or return; $status->{Seccomp} == 2 && $status->{State} =~ /^S/ });
    my $traced = $role eq 'warden' ? $warden : $zygote;
    my $tracer = Tracer->attach([$traced // 0], '-f', '-e', "trace=$call", '-e', "inject=$call:retval=0");
    ok $tracer->is_attached, "$language: $role: $call: strace is attached" or diag $tracer->says;
    $holder->detach;
    not_served("$language: $call of the $role does nothing", $dir, $says);
    $tracer->detach;
    stop($dir, $pid);
    return;
}

SKIP: {
    skip $_, 1 if $_ = Tracer::missing();
    fake('zygote', 'seccomp', qr/not stopped: setresuid of zygotes;/, 'python3');
    fake('zygote', 'setns', qr/not stopped: other processes;/, 'python3');
    fake('zygote', 'setns', qr/not stopped: (?:directories without a limit|a cell shares the namespace);/, 'python3');
    fake('zygote', 'setsid', qr/not stopped: the session of another;/, 'python3');
    fake('zygote', 'setresgid', qr/not stopped: a user that is not the cell's;/, 'python3');
    fake('zygote', 'setresuid', qr/stay the cell's user/, 'python3');
    fake('zygote', 'capset', qr{not stopped: capabilities to be taken;}, 'python3');
    fake('zygote', 'prlimit64', qr/not stopped: higher limits;/, 'python3');
    fake('zygote', 'landlock_restrict_self', qr/not stopped: an ioctl of a device;/, 'python3');
    fake('zygote', 'close_range', qr/not stopped: descriptors;/, 'bash');
    # Without the first alone, a new namespace is made.
    fake('warden', 'setns,unshare', qr/not stopped: a cell shares the namespace;/, 'python3');
    fake('warden', 'chown', qr/enter the working directory/, 'python3');
}

done_testing;
