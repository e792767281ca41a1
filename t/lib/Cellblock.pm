# Cellblock.pm - a real service for a test: nginx, workers, runner and cells, on ports of its own.
#
#   my $cb = Cellblock->start;                     # or one that runs already: CELLBLOCK_TEST_URL, CELLBLOCK_API_KEY
#   my $r = $cb->run(code => 'print(1)');          # {status, headers, body, json, data}
#   is $r->{data}{stdout}, "1\n";
#   $cb->finish;                                   # stop it; assert a clean log and nothing left behind
#
# The environment: CELLBLOCK_PREFIX (test what is installed there; else the tree is built once, in
# run/test), CELLBLOCK_MUST_WORK=1 (a skip is a failure), CELLBLOCK_TEST_KEEP=1 (keep the directory
# of an instance), CELLBLOCK_TEST_WITHOUT (layers, for script/server --without). A test that is not
# run by root starts the service with --rootless. t/README lists all variables.
package Cellblock;
use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Find ();
use File::Path qw(make_path remove_tree);
use File::Spec;
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use parent qw(Client);

our @EXPORT_OK = qw(command envelope_ok eventually json missing prefix process_status root runner_program skip_all slurp spew write_configuration);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $root = abs_path(dirname(__FILE__) . '/../..');

sub json { return $json }
sub root { return $root }

# --- small tools ---------------------------------------------------------------------------------------------------

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or return;
    local $/;
    return scalar <$in>;
}

sub spew {
    my ($path, $text) = @_;
    open my $out, '>:raw', $path or die "$path: $!";
    print {$out} $text or die "$path: $!";
    close $out or die "$path: $!";
    return $path;
}

# Call $probe until it returns a true value. Returns the last value. It is given up after four times
# $seconds: those are for a machine that does nothing else.
sub eventually {
    my ($seconds, $probe) = @_;
    my $end = time + 4 * $seconds;
    while (1) {
        my $found = $probe->();
        return $found if $found || time > $end;
        select undef, undef, undef, 0.01;
    }
}

# Run a program without a shell. Returns its exit code (or 128 + signal), stdout, stderr and the
# signal. Options: seconds (after which it is killed), env, dir, stdin (a file), piped (its stdin: a
# text that a pipe holds at once).
sub command {
    my ($argv, %option) = @_;
    my $limit = $option{seconds} // 60;
    my ($out, $err) = (File::Temp->new, File::Temp->new);
    my $pipe;
    if (defined $option{piped}) {
        die 'more than a pipe holds' if length $option{piped} > 65_536;
        pipe $pipe, my $writer or die "pipe: $!";
        syswrite $writer, $option{piped};
    }
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $option{env} || {} });
        $SIG{$_} = 'DEFAULT' for qw(HUP INT PIPE QUIT TERM); # the parent of the test may ignore them
        chdir $option{dir} or POSIX::_exit(126) if $option{dir};
        if ($pipe) {
            open STDIN, '<&', $pipe or POSIX::_exit(126);
        } else {
            open STDIN, '<', $option{stdin} // '/dev/null' or POSIX::_exit(126);
        }
        open STDOUT, '>&', $out or POSIX::_exit(126);
        open STDERR, '>&', $err or POSIX::_exit(126);
        { no warnings 'exec'; exec { $argv->[0] } @$argv }
        print STDERR "$argv->[0]: $!\n";
        POSIX::_exit(127);
    }
    my $ended = eventually($limit, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $status = $?;
    if (!$ended) {
        kill 9, $pid;
        waitpid $pid, 0;
        return (124, slurp("$out"), slurp("$err") . "\n(killed after $limit s)\n");
    }
    my $signal = $status & 127;
    return ($signal ? 128 + $signal : $status >> 8, slurp("$out"), slurp("$err"), $signal);
}

# A facility is missing: skip the whole file or, inside a subtest, the subtest. In CI that is a
# failure.
sub skip_all {
    my ($reason) = @_;
    if ($ENV{CELLBLOCK_MUST_WORK}) {
        fail "must work here: $reason";
        done_testing;
        exit 1;
    }
    plan skip_all => $reason;
}

# The same for a few tests: "SKIP: { skip $why, 1 if $why = missing($reason, $is_there); ... }"
sub missing {
    my ($reason, $is_there) = @_;
    return if $is_there;
    return $reason if !$ENV{CELLBLOCK_MUST_WORK};
    fail "must work here: $reason";
    return $reason;
}

# The directory in which the programs are installed. Without CELLBLOCK_PREFIX the first test builds
# the tree.
sub prefix {
    our $prefix //= $ENV{CELLBLOCK_PREFIX} || do {
        make_path("$root/run/test");
        open my $lock, '>>', "$root/run/test/.instance" or die "run/test/.instance: $!"; # script/test takes it too
        flock $lock, LOCK_EX;
        my ($exit, $out, $err) = command(['bash', '-euc', '. "$0/script/lib.sh"; build "$0/run/test"', $root], seconds => 900);
        if ($exit != 0) {
            diag "$out$err";
            fail 'the build';
            done_testing;
            exit 1;
        }
        "$root/run/test/prefix";
    };
    return $prefix;
}

sub runner_program { return prefix() . '/bin/cellblock-runner' }

# Write a copy of the shipped configuration to $dir, with changes. A change is [file, pattern,
# replacement], whose pattern must match, or [file, undef, text] for an additional file.
sub write_configuration {
    my ($dir, @changes) = @_;
    make_path($dir);
    for my $name (qw(cellblock.conf dependencies languages seccomp)) {
        my ($exit, undef, $err) = command(['cp', '-R', "$root/etc/$name", "$dir/"]);
        die "cp: $err" if $exit;
    }
    for (@changes) {
        my ($file, $pattern, $replacement) = @$_;
        if (!defined $pattern) {
            make_path(dirname("$dir/$file"));
            spew("$dir/$file", $replacement);
            next;
        }
        my $text = slurp("$dir/$file") // die "no $file";
        $text =~ s/$pattern/$replacement/ or die "$file has nothing like $pattern";
        spew("$dir/$file", $text);
    }
    return;
}

# --- an instance -----------------------------------------------------------------------------------------------------

my @started; # instances of this process; the END block below stops those of a test that died

# A port that no other test uses: each test holds a lock on its port numbers for as long as it
# lives.
sub free_port {
    my ($self) = @_;
    my $locks = File::Spec->tmpdir . "/cellblock-test-ports-$>";
    make_path($locks);
    for (1 .. 500) {
        my $port = 20000 + int rand 10000;
        open my $lock, '>', "$locks/$port" or next;
        flock $lock, LOCK_EX | LOCK_NB or next;
        IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or next;
        push @{ $self->{locks} }, $lock;
        return $port;
    }
    die 'no free port';
}

# A range of host uids (first_uid) that no other test uses, for a runner that is started without
# script/server.
sub free_uids {
    my ($self) = @_;
    return 600_200_000 + 16388 * $self->free_port; # as script/server does
}

# Start a service, or skip the file. Options: key, args (more options for script/server), conf
# (changes of the configuration, see write_configuration), keys (more keys by name: the key, or {key
# => ..., settings => text for its file}), allow (patterns of log lines that this test provokes),
# own (do not use the service at CELLBLOCK_TEST_URL), inside (a command that takes script/server as
# its argument).
sub start {
    my ($class, %option) = @_;
    my $self = bless { owner => $$, allow => $option{allow} || [], inside => $option{inside} || [], key => $option{key} // 'test-key-' . int rand 1e9 }, $class;

    if ($ENV{CELLBLOCK_TEST_URL}) {
        $self->{url} = $ENV{CELLBLOCK_TEST_URL} =~ s{/\z}{}r;
        $self->{key} = $ENV{CELLBLOCK_API_KEY} // '';
        skip_all('this test needs an instance of its own') if $option{own};
        return $self;
    }
    $self->{dir} = File::Temp::tempdir('cellblock-test-XXXXXX', TMPDIR => 1);
    push @started, $self;
    chmod 0755, $self->{dir}; # nginx and the workers run as other users
    ($self->{port}, $self->{tls_port}) = ($self->free_port, $self->free_port);
    $self->{url} = "http://127.0.0.1:$self->{port}";
    $self->{tls_url} = "https://127.0.0.1:$self->{tls_port}";
    $self->{mounts_before} = { map { $_ => 1 } host_mounts() };
    # A busy machine wakes a language in more than the seconds that a run may wait.
    my @patient = (grep { ($_->[2] // '') =~ /queue_ms = / } @{ $option{conf} || [] }) ? () : ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 60000'];
    write_configuration("$self->{dir}/conf", @{ $option{conf} || [] }, @patient);
    $self->write_key($_, $option{keys}{$_}) for sort keys %{ $option{keys} || {} };
    my ($exit, $out, $err) = $self->up(@{ $option{args} || [] });
    $self->{said} = $out;
    if ($exit != 0) {
        diag "$out$err";
        for my $log ($self->logs) {
            my $text = slurp($log) // '';
            diag "--- the end of $log\n" . (length $text > 1500 ? substr $text, -1500 : $text);
        }
        fail "script/server --detach: exit $exit";
        done_testing;
        exit 1;
    }
    return $self;
}

# Write the file of an API key. The workers read it at their next start.
sub write_key {
    my ($self, $name, $key) = @_;
    $key = { key => $key } if !ref $key;
    make_path("$self->{dir}/conf/keys");
    return spew("$self->{dir}/conf/keys/$name.conf", sprintf qq(sha256 = "%s";\n%s\n), sha256_hex($key->{key}), $key->{settings} // '');
}

# Start, or start again, on the same ports and with the directory as it is.
sub up {
    my ($self, @args) = @_;
    my $server = "$root/script/server";
    skip_all('no script/server') if !-x $server;
    $self->{running} = 1;
    return command([@{ $self->{inside} }, $server, '--detach', '--prefix', prefix(), '--dir', $self->{dir}, '--port', $self->{port},
        '--tls-port', $self->{tls_port}, ($> ? '--rootless' : ()), (map { $_ eq 'packages' ? '--without-packages' : ('--without', $_) } split ' ', $ENV{CELLBLOCK_TEST_WITHOUT} // ''),
        @args], env => { CELLBLOCK_API_KEY => $self->{key} }, seconds => 120);
}

sub down {
    my ($self) = @_;
    $self->{running} = 0;
    return command(["$root/script/server", '--stop', '--dir', $self->{dir}], seconds => 150); # it waits for up to 120 s itself
}

# Stop the service, and assert that nothing is left and that its log is clean. Every test file ends
# with it.
sub finish {
    my ($self) = @_;
    return if !$self->{dir};
    my %were = $self->processes;
    my @cgroups = $self->cgroups;
    my ($exit, $out, $err) = $self->down;
    is $exit, 0, 'stop: exit 0' or diag "$out$err";

    my %left;
    eventually(5, sub {
        my %now = $self->processes;
        my %all = all_processes();
        $now{$_} //= $all{$_} for grep { $all{$_} && $all{$_}{start} eq $were{$_}{start} } keys %were;
        %left = %now;
        return !%left;
    });
    is join("\n", map { "$_ $left{$_}{comm} $left{$_}{cmdline}" } sort keys %left), '', 'stop: no process is left';
    is join("\n", grep { -d } @cgroups), '', 'stop: no cgroup is left';
    # Tests beside this one mount what is theirs in directories of their own.
    my @new = grep { !$self->{mounts_before}{$_} && !(m{^(?:\S+ ){4}(\S*/cellblock-[a-z]+-\S+)} && index($1, $self->{dir}) != 0) } host_mounts();
    is join("\n", @new), '', 'stop: no mount is left';
    is join("\n", $self->sockets), '', 'stop: no socket is left';
    $self->log_is_clean;
    $self->show_logs if !Test::More->builder->is_passing;
    return;
}

# A test failed: the last warnings of each log may say why.
sub show_logs {
    my ($self) = @_;
    for my $file ($self->logs) {
        my @lines = grep {/ (?:warning|error): |\[(?:warn|error)\]/} split /\n/, slurp($file) // '';
        diag map { 'log: ' . substr($_, 0, 300) . "\n" } @lines[(@lines > 8 ? -8 : -@lines) .. -1];
    }
    return;
}

my $bad_log = qr{\bfatal\b|\[(?:alert|emerg|crit)\]|(?:Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|runtime error:|\bTraceback\b|core dumped|Assertion}i;

sub log_is_clean {
    my ($self) = @_;
    my @bad;
    for my $file ($self->logs) {
        my @lines = split /\n/, slurp($file) // '';
        for my $at (grep { $lines[$_] =~ $bad_log } 0 .. $#lines) {
            next if grep { $lines[$at] =~ $_ } @{ $self->{allow} };
            my @more = $lines[$at] =~ /\bTraceback\b/ ? grep {defined} @lines[$at + 1 .. $at + 12] : ();
            push @bad, "$file: $lines[$at]", @more;
        }
    }
    is join("\n", @bad[0 .. ($#bad < 20 ? $#bad : 20)]), '', 'the log is clean';
    return;
}

sub logs {
    my ($self) = @_;
    my @files;
    File::Find::find(sub { push @files, $File::Find::name if -f }, "$self->{dir}/log") if -d "$self->{dir}/log";
    @files = sort @files;
    return @files;
}

sub log_text {
    my ($self) = @_;
    return join '', map { slurp($_) // '' } $self->logs;
}

# Sanitizers need memory and system calls of their own, so some figures and one filter are
# meaningless in such a build.
sub sanitized {
    my ($self) = @_;
    return $self->log_text =~ /built with sanitizers/;
}

sub sockets {
    my ($self) = @_;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ if -S } }, grep { -d } $self->{dir}, "$self->{dir}/live/");
    return @found;
}

# A test that died must not leave a service behind.
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    my $status = $?;
    for my $self (grep { $_->{owner} == $$ } @started) {
        $self->down if $self->{running};
        remove_tree($self->{dir}) if !$ENV{CELLBLOCK_TEST_KEEP};
    }
    $? = $status;
}

# --- what the host sees ----------------------------------------------------------------------------------------------

# pid => {ppid, start, comm, cmdline, uid}
sub all_processes {
    my %all;
    for my $proc (glob '/proc/[0-9]*') {
        my ($pid) = $proc =~ /(\d+)\z/;
        my $stat = slurp("$proc/stat") // next;
        my ($comm, $rest) = $stat =~ /\((.*)\) (.*)/s or next;
        my @field = split / /, $rest;
        next if $field[0] eq 'Z';
        my $cmdline = slurp("$proc/cmdline") // '';
        $cmdline =~ tr/\0/ /;
        $all{$pid} = { pid => $pid, comm => $comm, state => $field[0], ppid => $field[1], start => $field[19], cmdline => $cmdline };
    }
    return %all;
}

# The processes of this instance: those that name its directory in their command line, run in it, or
# have it in their environment (a process with a title shows no arguments); and all their
# descendants.
sub processes {
    my ($self) = @_;
    my %all = all_processes();
    my %mine;
    my $dir = $self->{dir} // return;
    for my $pid (keys %all) {
        next if $pid == $$;
        $mine{$pid} = $all{$pid} if index($all{$pid}{cmdline}, $dir) >= 0 || (readlink("/proc/$pid/cwd") // '') eq $dir
            || index("\0" . (slurp("/proc/$pid/environ") // ''), "\0CELLBLOCK_TEST_DIR=$dir\0") >= 0;
    }
    my $more = 1;
    while ($more) {
        $more = 0;
        for my $pid (grep { !$mine{$_} && $mine{ $all{$_}{ppid} } } keys %all) {
            $mine{$pid} = $all{$pid};
            $more = 1;
        }
    }
    return %mine;
}

# The number of processes of an instance at rest: when for a moment none starts or ends, and all
# sleep. On a busy machine a process that has work to do waits for a processor, so it does not
# sleep.
sub processes_at_rest {
    my ($self) = @_;
    my ($last, $since) = ('', time);
    eventually(20, sub {
        my %now = $self->processes;
        my $pids = join ' ', sort keys %now;
        ($last, $since) = ($pids, time) if $pids ne $last || grep { $_->{state} ne 'S' } values %now;
        return time - $since > 0.3;
    });
    return scalar(() = $last =~ /\d+/g);
}

# The number of processes at rest once it is $count, or after a while. What was killed is started
# again, and cells are armed again, some time after the last answer.
sub processes_settle {
    my ($self, $count) = @_;
    my $now;
    eventually(15, sub { ($now = $self->processes_at_rest) == $count });
    return $now;
}

# The number of connections to the runner. Each thread of a worker has one.
sub runner_connections {
    my ($self) = @_;
    return scalar grep {/ 03 +\d+ \Q$self->{dir}\E.*runner/} split /\n/, slurp('/proc/net/unix');
}

# The pids of one kind.
sub pids {
    my ($self, $role) = @_;
    my %all = $self->roles;
    return @{ $all{$role} || [] };
}

# The relay's pid. undef: there is none.
sub relay {
    my ($self) = @_;
    my %runner = map { $_ => 1 } $self->pids('runner');
    my @found = grep { (slurp("/proc/$_/comm") // '') eq "relay\n" } keys %runner;
    return $found[0];
}

# The short names of the runner's own processes, at their start and by their titles.
our $runner_names = qr/\A(?:cellblock-runne|runner parent|(?:door|guard|relay|broker|warden|reaper)\b)/;

# Role => pids. The depth in pid namespaces tells the roles apart: the runner's processes on the
# host, the broker (pid 1 of the runner's namespace), the warden and zygotes beside it, a cell's
# init and guest below.
sub roles {
    my ($self) = @_;
    my %mine = $self->processes;
    my %found;
    my $base = () = process_status($$)->{NSpid} =~ /\d+/g;
    for my $pid (sort { $a <=> $b } keys %mine) {
        my ($comm, $cmdline) = @{ $mine{$pid} }{qw(comm cmdline)};
        my $status = process_status($pid) // next;
        my @ns = split ' ', $status->{NSpid};
        my $depth = @ns - $base;
        my $runner = $comm =~ $runner_names;
        my $is
            = $comm eq 'cellblock-fcgi'         ? 'worker'
            : $comm eq 'worker parent'          ? 'worker parent'
            : $comm eq 'runner parent'          ? 'runner parent'
            : $comm eq 'status'                 ? 'status'
            : $comm eq 'status parent'          ? 'status parent'
            : $cmdline =~ /\Anginx: worker/     ? 'nginx'
            : $cmdline =~ /\Anginx: master/     ? 'nginx master'
            : $depth == 0                       ? ($runner ? 'runner' : '')
            : $depth == 1 && $ns[-1] == 1       ? 'broker'
            : $depth == 1                       ? ($runner ? 'warden' : 'zygote')
            : $ns[-1] == 1                      ? 'init'
            :                                     'guest';
        push @{ $found{$is} }, $pid;
    }
    return %found;
}

# The fields of /proc/PID/status, each a string.
sub process_status {
    my ($pid) = @_;
    my $text = slurp("/proc/$pid/status") // return;
    return { $text =~ /^(\w+):[ \t]*(.*?)[ \t]*$/mg };
}

# The process of this instance that has exactly so many threads. A test finds its own guest in this
# way.
sub find_by_threads {
    my ($self, $threads) = @_;
    my %mine = $self->processes;
    # The store has threads of its own.
    for my $pid (grep { $mine{$_}{comm} ne 'store' } keys %mine) {
        my $status = process_status($pid) // next;
        return $pid if $status->{Threads} == $threads;
    }
    return;
}

# The cgroup directories of this instance's processes that carry our name, and those below them.
sub cgroups {
    my ($self) = @_;
    my %mine = $self->processes;
    my %mounted; # controller list, or '' for version 2, => mount point
    for (split /\n/, slurp('/proc/self/mounts')) {
        my (undef, $where, $type, $options) = split / /;
        if ($type eq 'cgroup2') { $mounted{''} = $where }
        if ($type eq 'cgroup') { $mounted{$_} = $where for split /,/, $options }
    }
    my %found;
    # The store has threads of its own.
    for my $pid (grep { $mine{$_}{comm} ne 'store' } keys %mine) {
        for (split /\n/, slurp("/proc/$pid/cgroup") // '') {
            my (undef, $controllers, $path) = split /:/, $_, 3;
            my ($first) = split /,/, $controllers;
            my $mount = $mounted{ $first // '' } // next;
            my ($top) = $path =~ m{\A(.*?/cellblock[^/]*)} or next;
            File::Find::find(sub { $found{$File::Find::name} = 1 if -d }, "$mount$top") if -d "$mount$top";
        }
    }
    my @found = sort keys %found;
    return @found;
}

sub host_mounts {
    return grep {/cellblock/} split /\n/, slurp('/proc/self/mountinfo') // '';
}

# --- assertions ------------------------------------------------------------------------------------------------------

# A reply has this status and code, the envelope, and the right length and type.
sub envelope_ok {
    my ($reply, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $json = $reply->{json};
    my @wrong;
    push @wrong, "status is $reply->{status}, not $status" if $reply->{status} != $status;
    if (ref $json ne 'HASH') { push @wrong, 'the body is not a JSON object' }
    else {
        push @wrong, 'keys: ' . join ' ', sort keys %$json if "@{[sort keys %$json]}" ne 'code data message';
        push @wrong, 'code is ' . ($json->{code} // 'null') . ", not $code" if ($json->{code} // '') ne $code;
        push @wrong, 'no message' if !length($json->{message} // '');
        push @wrong, 'message of a success' if $code == 0 && $json->{message} ne 'success';
        push @wrong, 'data of an error is not null' if $code != 0 && defined $json->{data};
    }
    push @wrong, 'type: ' . ($reply->{headers}{'content-type'} // 'none')
        if ($reply->{headers}{'content-type'} // '') ne 'application/json; charset=utf-8';
    push @wrong, 'content-length: ' . ($reply->{headers}{'content-length'} // 'none')
        if ($reply->{headers}{'content-length'} // -1) != length $reply->{body};
    return ok !@wrong, $name if !@wrong;
    fail $name;
    diag join("\n", @wrong, substr $reply->{body} // '', 0, 600);
    return 0;
}

1;
