# The whole service of an ordinary user, from script/server --rootless on: with ids of his own for the cells and control groups
# that root has given him, and with neither. Other test files are carried out by that user, attacks among them. And what
# becomes of a start for which something is missing.
#
# Nothing of the host is changed: the user and his ids are in files that are mounted over those of /etc, in a mount
# namespace of the test's own.
#
# The environment: CELLBLOCK_ROOTLESS_ALL=1: every attack, and more files (ten minutes).
use strict;
use warnings;
use Cellblock qw(command eventually root runner_program skip_all slurp spew write_configuration);
use File::Temp qw(tempdir);
use Test::More;

skip_all('needs root, to become an ordinary user with ids that the test chooses') if $> != 0;

my $name = 'cellblock-test';
my ($uid) = grep { !defined getpwuid $_ && !defined getgrgid $_ } 54_321 .. 54_400;
my $first_id = 3_000_000;
my $dir = tempdir('cellblock-rootless-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
mkdir "$dir/$_" for qw(etc tree prefix home);
chown $uid, $uid, "$dir/home" or die "chown: $!";

# --- the user ------------------------------------------------------------------------------------------------------------------

# Control groups of version 1 below our own, which he may divide; none where there are only others. The memory of all
# that he does is limited, for the sake of the host of a test that fails.
my %group;
for (split /\n/, slurp('/proc/self/cgroup')) {
    my (undef, $controllers, $path) = split /:/, $_, 3;
    my ($mount) = map { (split / /)[1] } grep { / cgroup \S*\b(?:$controllers)\b/ } split /\n/, slurp('/proc/self/mounts');
    next if !$mount || $controllers !~ /\A(?:memory|pids|cpu|cpuacct|cpu,cpuacct)\z/;
    my $group = "$mount$path/ordinary-user-$$"; # not a name of ours: Cellblock.pm looks for those
    mkdir $group or next;
    spew("$group/memory.limit_in_bytes", 6 << 30) if $controllers eq 'memory';
    chown $uid, $uid, $group, map {"$group/$_"} qw(tasks cgroup.procs);
    $group{$group} = 1;
}
END {
    my $status = $?;
    for my $group (keys %group) { eventually(5, sub { rmdir $group }) }
    $? = $status;
}

# Argv for a command by the user. Options: ids (how many he has for cells), account (false: none), over ({file => file}:
# mounted over it), with (words before it), in_groups.
sub as_user {
    my ($command, %option) = @_;
    my $line = sub { my ($file, $more) = @_; spew("$dir/etc/$file", (slurp("/etc/$file") // '') . $more) };
    $line->(passwd => $option{account} // 1 ? "$name:x:$uid:${uid}::$dir/home:/bin/sh\n" : '');
    $line->(group => "$name:x:${uid}:\n");
    spew("$dir/etc/$_", $option{ids} ? "$name:$first_id:$option{ids}\n" : '') for qw(subuid subgid);
    my %over = ((map { ("/etc/$_" => "$dir/etc/$_") } qw(passwd group subuid subgid)),
        "$dir/tree" => root(), "$dir/prefix" => Cellblock::prefix(), %{ $option{over} || {} });
    my $script = join "\n", (map {"[ -e '$_' ] || : >'$_'; mount --bind '$over{$_}' '$_'"} sort keys %over),
        ($option{in_groups} ? map {"echo \$\$ >'$_/tasks'"} sort keys %group : ()),  "cd '$dir/tree'", 'exec "$@"';
    return ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-euc', $script, 'sh', @{ $option{with} || [] },
        'setpriv', '--reuid', $uid, '--regid', $uid, '--clear-groups', 'env', "HOME=$dir/home", 'PERL5LIB=', @$command];
}

sub test_file_ok {
    my ($kind, $file, %option) = @_;
    my ($exit, $out, $err) = command(as_user([$^X, '-It/lib', "t/$file.t"], in_groups => 1, ids => $option{ids}), seconds => 1800,
        env => { CELLBLOCK_PREFIX => "$dir/prefix", CELLBLOCK_TEST_WITHOUT => $option{without}, CELLBLOCK_ATTACKS => $option{attacks} // '' });
    my @passed = $out =~ /^ok \d+(?!.* # skip)/gm;
    my @skipped = $out =~ /^ok \d+ # skip (.*)/gm;
    my @failed = $out =~ /^not ok \d+(?!.*# TODO).*/gm;
    is $exit, 0, "$kind: t/$file.t" . ($option{attacks} ? " (a choice)" : '') . ' passes' or diag join "\n", @failed, substr $err, -4000;
    cmp_ok scalar @passed, '>=', 20, "$kind: t/$file.t: it does test";
    diag "$kind: t/$file.t: " . @passed . ' passed, ' . @skipped . ' skipped';
    note "skipped: $_" for @skipped;
    return;
}

# --- the service -----------------------------------------------------------------------------------------------------------------

my $all = $ENV{CELLBLOCK_ROOTLESS_ALL};
my $attacks = $all ? undef : 'calls: .*(?:ptrace|user|mount|kill|unshare)|others:|processes: .*(?:fork|kill|signal|limits|KILL|STOP)|reach:';
my @kinds = (
    ['with ids and control groups', ids => 4096, without => %group ? '' : 'cgroup'],
    ['with neither',                ids => 0,    without => 'cgroup uid_per_cell'],
);
for (@kinds) {
    my ($kind, %option) = @$_;
    # What the last of them say of memory holds only with control groups.
    my @files = (qw(api walls), $option{ids} ? () : 'steps', $all ? qw(denied kill) : (),
        $all && !$option{without} ? qw(limits compile nodejs python_semantics) : ());
    test_file_ok($kind, $_, %option) for @files;
    test_file_ok($kind, 'attacks', %option, attacks => $attacks);
}

# --- script/server ---------------------------------------------------------------------------------------------------------------

my $server = "$dir/tree/script/server";
my ($exit, $out, $err) = command([root() . '/script/server', '--rootless', '--dir', "$dir/none"]);
is $exit, 1, '--rootless by root: exit 1';
like $err, qr/--rootless: you are root/, '--rootless by root: says why';
($exit, $out, $err) = command([root() . '/script/server', '--without', 'seccomp']);
is $exit, 2, '--without a layer that nobody may do without: exit 2';
like $err, qr/--without: cgroup or uid_per_cell/, '--without a layer that nobody may do without: says which';

spew("$dir/etc/dpkg-query", "#!/bin/sh\nexit 1\n");
chmod 0755, "$dir/etc/dpkg-query";
my @refused = (
    ['packages that are missing', [], { over => { '/usr/bin/dpkg-query' => "$dir/etc/dpkg-query" } }, qr/these packages are missing, and only root can install them:.* nginx /],
    ['no ids',                    [], { ids => 0 },    qr/uid_per_cell\s+missing\s+required \/etc\/subuid gives no ids to "$name".*what to do: .*usermod.*could not start here \(--without/s],
    ['a path too long',           ['--dir', "$dir/home/" . 'x' x 100], {}, qr/--dir: the path is too long/],
);
for (@refused) {
    my ($what, $args, $option, $says) = @$_;
    ($exit, $out, $err) = command(as_user([$server, '--rootless', '--prefix', "$dir/prefix", '--dir', "$dir/home/run", '--port', 20999, '--tls-port', 20998,
        @$args], ids => 4096, %$option), seconds => 60);
    is $exit, 1, "script/server, $what: exit 1";
    like "$out$err", $says, "script/server, $what: says so";
}

# --- what can be missing for a uid per cell ----------------------------------------------------------------------------------------

my $c = 'cellblock.conf';
write_configuration("$dir/conf", [$c, qr{socket = "[^"]*"}, "socket = \"$dir/home/runner.sock\""], [$c, qr/worker_user = "[^"]*";/, ''],
    [$c, qr{^#?drivers = .*}m, "drivers = \"$dir/prefix/lib/cellblock\";"], [$c, qr/cgroup = "required"/, 'cgroup = "off"']);
unlink grep { !m{/bash\.conf\z} } glob "$dir/conf/languages/*.conf";
my ($powerless) = ("$dir/etc/newuidmap");
command(['cp', '/usr/bin/newuidmap', $powerless]); # without its set-uid bit
my @missing = (
    ['no ids',               { ids => 0 },                qr{/etc/subuid gives no ids to "$name"}],
    ['too few ids',          { ids => 31 },               qr{/etc/subuid gives "$name" 31 ids in a row, and 32 cells want one each}],
    ['no account',           { account => 0 },            qr{uid $uid has no account}],
    ['no file of ids',       { over => { '/etc/subgid' => '/dev/null' } }, qr{/etc/subgid gives no ids}],
    ['newuidmap not there',  { path => '/bin-of-nobody' }, qr{newuidmap and newgidmap are not installed}],
    ['newuidmap powerless',  { over => { '/usr/bin/newuidmap' => $powerless } }, qr{newuidmap: .*(?:not permitted|failed)}],
    ['newuidmap that fails', { over => { '/usr/bin/newuidmap' => '/bin/false' } }, qr{newuidmap or newgidmap failed}],
    ['newgidmap that fails', { over => { '/usr/bin/newgidmap' => '/bin/false' } }, qr{newuidmap or newgidmap failed}],
    ['no_new_privs',         { with => ['setpriv', '--no-new-privs'] }, qr{no_new_privs}],
);
my @runner = ("$dir/prefix/bin/cellblock-runner", '-c', "$dir/conf/$c");
for (@missing) {
    my ($what, $option, $says) = @$_;
    my @path = $option->{path} ? ("PATH=$option->{path}") : ();
    my %option = (ids => 32, %$option);
    ($exit, $out, $err) = command(as_user([@path, @runner], %option), seconds => 20);
    is $exit, 1, "$what: no start";
    like $err, qr/a uid for each cell is required and cannot be had: .*$says/, "$what: it says why";
    like $err, qr/isolation\.uid_per_cell = "off"/, "$what: and what to do";
    ok !-e "$dir/home/runner.sock", "$what: it never listened";
    ($exit, $out) = command(as_user([@path, @runner, '--check-host'], %option), seconds => 20);
    is $exit, 1, "$what: --check-host: exit 1";
    like $out, qr/^uid_per_cell +missing +required .*$says.*\n +what to do: /m, "$what: --check-host says it";
}

# Where it is optional the start goes on, and says so.
write_configuration("$dir/optional", [$c, undef, slurp("$dir/conf/$c") =~ s/uid_per_cell = "required"/uid_per_cell = "optional"/r]);
unlink grep { !m{/bash\.conf\z} } glob "$dir/optional/languages/*.conf";
for ([0, qr/all cells have the runner's own uid: .*gives no ids/], [32, qr/serving/]) {
    my ($ids, $says) = @$_;
    ($exit, $out, $err) = command(as_user(['timeout', '--preserve-status', 3, $runner[0], '-c', "$dir/optional/$c"], ids => $ids), seconds => 20);
    is $exit, 0, "optional, with $ids ids: it starts, and ends when told to";
    like $err, $says, "optional, with $ids ids: its log";
    unlike $err, qr/own uid/, "optional, with $ids ids: it says nothing that is not so" if $ids;
}

done_testing;
