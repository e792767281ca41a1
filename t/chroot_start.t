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

done_testing;
