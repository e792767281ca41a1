# Rootless.pm - an ordinary user for a test: the account, its subordinate ids, its control groups,
# and commands that it runs.
#
#   my $user = Rootless->new;                              # or the file is skipped
#   command($user->argv([@command], ids => 4096));         # as the user, who has 4096 ids for cells
#   $user->test_file_ok('with ids', 'api', ids => 4096);   # t/api.t, carried out by the user
#
# The host is not changed. The account and the ids are in files that are bind-mounted over those of
# /etc, in a mount namespace of each command's own.
package Rootless;
use strict;
use warnings;

use Cellblock qw(command eventually root skip_all slurp spew);
use Fcntl qw(:flock);
use File::Spec;
use File::Temp qw(tempdir);
use Test::More;

use constant NAME => 'cellblock-test';

my %group; # control groups that this test has made; the END block below removes them

sub new {
    my ($class) = @_;
    skip_all('needs root, to become an ordinary user with ids that the test chooses') if $> != 0;
    my $self = bless { dir => tempdir('cellblock-rootless-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, $class;
    my ($dir, $uid) = ($self->{dir}, $self->choose_ids);
    chmod 0755, $dir;
    mkdir "$dir/$_" for qw(etc tree prefix home);
    chown $uid, $uid, "$dir/home" or die "chown: $!";
    $self->make_groups;
    return $self;
}

# A uid, and subordinate ids, that no other test uses: each test holds a lock on its uid for as long
# as it lives.
sub choose_ids {
    my ($self) = @_;
    my $locks = File::Spec->tmpdir . '/cellblock-test-users';
    mkdir $locks;
    for my $uid (grep { !defined getpwuid $_ && !defined getgrgid $_ } 54_321 .. 54_400) {
        open $self->{lock}, '>', "$locks/$uid" or next;
        flock $self->{lock}, LOCK_EX | LOCK_NB or next;
        $self->{first_id} = 3_000_000 + 10_000 * ($uid - 54_321);
        return $self->{uid} = $uid;
    }
    die 'no free uid';
}

# The test delegates control groups of version 1 to the user. On a host with version 2 only, the
# user has none. The memory limit protects the host from a test that fails.
sub make_groups {
    my ($self) = @_;
    for (split /\n/, slurp('/proc/self/cgroup')) {
        my (undef, $controllers, $path) = split /:/, $_, 3;
        my ($mount) = map { (split / /)[1] } grep { / cgroup \S*\b(?:$controllers)\b/ } split /\n/, slurp('/proc/self/mounts');
        next if !$mount || $controllers !~ /\A(?:memory|pids|cpu|cpuacct|cpu,cpuacct)\z/;
        my $group = "$mount$path/ordinary-user-$$"; # Cellblock.pm takes a name with "cellblock" for the runner's own
        mkdir $group or next;
        spew("$group/memory.limit_in_bytes", 6 << 30) if $controllers eq 'memory';
        chown $self->{uid}, $self->{uid}, $group, map {"$group/$_"} qw(tasks cgroup.procs);
        $group{$group} = $$;
    }
    return;
}

END {
    my $status = $?;
    for my $group (grep { $group{$_} == $$ } keys %group) { eventually(5, sub { rmdir $group }) }
    $? = $status;
}

sub has_groups { return scalar keys %group }

# Argv for a command that the user runs. Options: ids (how many subordinate ids the user has),
# account (0: none), over ({file => file}: bind-mounted over it), with (words in front of the
# command), in_groups (start in the control groups).
sub argv {
    my ($self, $command, %option) = @_;
    my ($dir, $uid, $name) = ($self->{dir}, $self->{uid}, NAME);
    my $append = sub { my ($file, $more) = @_; spew("$dir/etc/$file", (slurp("/etc/$file") // '') . $more) };
    $append->(passwd => $option{account} // 1 ? "$name:x:$uid:${uid}::$dir/home:/bin/sh\n" : '');
    $append->(group => "$name:x:${uid}:\n");
    spew("$dir/etc/$_", $option{ids} ? "$name:$self->{first_id}:$option{ids}\n" : '') for qw(subuid subgid);
    my %over = ((map { ("/etc/$_" => "$dir/etc/$_") } qw(passwd group subuid subgid)),
        "$dir/tree" => root(), "$dir/prefix" => Cellblock::prefix(), %{ $option{over} || {} });
    my $script = join "\n", (map {"[ -e '$_' ] || : >'$_'; mount --bind '$over{$_}' '$_'"} sort keys %over),
        ($option{in_groups} ? map {"echo \$\$ >'$_/tasks'"} sort keys %group : ()), "cd '$dir/tree'", 'exec "$@"';
    return ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-euc', $script, 'sh', @{ $option{with} || [] },
        'setpriv', '--reuid', $uid, '--regid', $uid, '--clear-groups', 'env', "HOME=$dir/home", 'PERL5LIB=', @$command];
}

# The user carries out t/$file.t. Options: ids, without (layers), attacks (a pattern for
# CELLBLOCK_ATTACKS).
sub test_file_ok {
    my ($self, $kind, $file, %option) = @_;
    my ($exit, $out, $err) = command($self->argv([$^X, '-It/lib', "t/$file.t"], in_groups => 1, ids => $option{ids}), seconds => 1800,
        env => { CELLBLOCK_PREFIX => "$self->{dir}/prefix", CELLBLOCK_TEST_WITHOUT => $option{without}, CELLBLOCK_ATTACKS => $option{attacks} // '' });
    my @passed = $out =~ /^ok \d+(?!.* # skip)/gm;
    my @skipped = $out =~ /^ok \d+ # skip (.*)/gm;
    my @failed = $out =~ /^not ok \d+(?!.*# TODO).*/gm;
    is $exit, 0, "$kind: t/$file.t passes" . ($option{attacks} ? ' with the chosen attacks' : '') or diag join "\n", @failed, substr $err, -4000;
    cmp_ok scalar @passed, '>=', $option{at_least} // 20, "$kind: t/$file.t has carried out tests";
    note "$kind: t/$file.t: " . @passed . ' passed, ' . @skipped . ' skipped';
    note "skipped: $_" for @skipped;
    return;
}

# The two kinds of ordinary user: a name for test names, and options of test_file_ok.
sub with_ids { my ($self) = @_; return ('with ids and control groups', ids => 4096, without => has_groups() ? '' : 'cgroup') }
sub without_ids { return ('with neither ids nor control groups', ids => 0, without => 'cgroup uid_per_cell') }

# Attacks on the layers that differ from a start as root. CELLBLOCK_ROOTLESS_ALL=1: all of them.
sub attacks_ok {
    my ($self, $kind, %option) = @_;
    my %chosen = $ENV{CELLBLOCK_ROOTLESS_ALL} ? () : (
        attacks_calls  => 'calls: .*(?:ptrace|user|mount|kill|unshare)',
        attacks_limits => 'processes: .*(?:fork|kill|signal|limits|KILL|STOP)',
        attacks_reach  => 'others:|reach:',
    );
    $self->test_file_ok($kind, $_, %option, attacks => $chosen{$_}, at_least => 10)
        for qw(attacks_calls attacks_limits attacks_reach), $ENV{CELLBLOCK_ROOTLESS_ALL} ? 'attacks_output' : ();
    return;
}

1;
