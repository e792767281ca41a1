# The start of level chroot: messages of the runner and of --check-host in a plain container, and
# conditions for this level.
use strict;
use warnings;
use Cellblock qw(command runner_program write_configuration);
use Container;
use File::Temp qw(tempdir);
use Test::More;

my $container = Container->new;
my $plain = $container->plain;
my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';

sub configured {
    my (@changes) = @_;
    my $dir = tempdir('conf-XXXXXX', DIR => $container->{dir});
    chmod 0755, $dir;
    write_configuration("$dir/conf", [$c, qr{socket = "[^"]*"}, "socket = \"$dir/runner.sock\""],
        [$c, qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'],
        [$c, qr{^\s*#?drivers = .*}m, 'drivers = "' . Cellblock::prefix() . '/lib/cellblock";'], @changes);
    unlink grep { !m{/python3\.conf\z} } glob "$dir/conf/languages/*.conf";
    return "$dir/conf/cellblock.conf";
}
my @small = grep { $_->[0] eq $c || $_->[0] eq $p } $container->conf;
{
    my $conf = configured([$c, qr/cgroup = "required"/, 'cgroup = "off"']);
    my ($exit, $out, $err) = command([$plain, runner_program(), '-c', $conf], seconds => 20);
    is $exit, 1, 'level namespaces in a plain container: no start';
    like $err . $out, qr/user namespace.*isolation\.level = "chroot".*SECURITY\.md/, 'level namespaces in a plain container: the message names the other level';
    ($exit, $out) = command([$plain, runner_program(), '-c', $conf, '--check-host']);
    is $exit, 1, '--check-host in a plain container: exit 1';
    like $out, qr/^level namespaces, as configured: cannot be had: user_namespace/m, '--check-host in a plain container: level namespaces is unavailable';
    like $out, qr/^level chroot: can be had$/m, '--check-host in a plain container: level chroot is available';
    ($exit, $out) = command([$plain, runner_program(), '-c', configured(@small), '--check-host']);
    is $exit, 0, '--check-host with level chroot configured: exit 0';
    like $out, qr/^level chroot, as configured: can be had$/m, '--check-host with level chroot configured: it is available';
    ($exit, $out, $err) = command(['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', runner_program(), '-c', configured(@small)], seconds => 20);
    is $exit, 1, 'level chroot as an ordinary user: no start';
    like $err, qr/isolation\.level: "chroot" needs a start as root/, 'level chroot as an ordinary user: the message says why';
    for my $capability (qw(chown kill mknod setgid setuid sys_chroot dac_override)) {
        ($exit, $out) = command([$plain, 'setpriv', "--bounding-set=-$capability", '--inh-caps=-all', runner_program(), '-c', configured(@small), '--check-host'], seconds => 20);
        is $exit, 1, "level chroot needs the capability $capability";
    }
}

# --- pid 1 of the container does not reap --------------------------------------------------------------------------------

# As with `docker run` without --init: zombies that lose their parent stay. The parent of the runner
# reaps them as long as it lives. A start after its death says what is wrong, and does not hang.
{
    my $conf = configured(@small);
    my $log = "$container->{dir}/reap.log";
    my $script = "$container->{dir}/pid1.pl";
    Cellblock::spew($script, <<'END');
use strict; use warnings; use Time::HiRes qw(time);
$| = 1;
my ($log, @command) = @ARGV;
sub text { open my $in, '<', $log or return ''; local $/; return <$in> // '' }
sub until_true { my ($seconds, $probe) = @_; my $end = time + 4 * $seconds; while (time < $end) { return 1 if $probe->(); select undef, undef, undef, .02 } return 0 }
sub start { unlink $log; my $pid = fork // die; if (!$pid) { open STDERR, '>', $log; open STDOUT, '>&STDERR'; exec @command; exit 127 } return $pid }
sub state_of { open my $in, '<', "/proc/$_[0]/stat" or return 'gone'; my ($state) = <$in> =~ /\) (\S)/; return $state }
sub broker { for my $stat (glob '/proc/[0-9]*/stat') { open my $in, '<', $stat or next; my $line = <$in> // next; return $1 if $line =~ /^(\d+) \(broker\) [^Z]/ } return }
my $served = sub { until_true(60, sub { text() =~ /generation 1 serves/ }) };
sub report { print "$_[0]: ", ($_[1] ? 'yes' : 'no'), "\n"; print STDERR text() if !$_[1]; return $_[1] }
my $pid = start();
report('it serves', $served->());
kill 'TERM', $pid;
report('it stops', until_true(20, sub { state_of($pid) eq 'Z' }));
$pid = start();
report('it serves again', $served->());
kill 'KILL', broker();
report('another broker serves', until_true(60, sub { (() = text() =~ /serving \d+ language/g) >= 2 }));
kill 'KILL', $pid;
until_true(20, sub { !broker() });
$pid = start();
report('it serves or says why not', until_true(60, sub { text() =~ /generation 1 serves|pid 1 does not reap it: .*docker run --init/ }));
END
    my ($exit, $out, $err) = command(['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', $^X, $script, $log, $plain, runner_program(), '-c', $conf], seconds => 240);
    is $exit, 0, 'pid 1 does not reap: the test is carried out' or diag $err;
    is $out, join('', map {"$_: yes\n"} 'it serves', 'it stops', 'it serves again', 'another broker serves', 'it serves or says why not'), 'pid 1 does not reap: every step' or diag Cellblock::slurp($log), $err;
    diag Cellblock::slurp($log) =~ /^.*fatal.*$/m ? $& : 'it serves after all';
}

done_testing;
