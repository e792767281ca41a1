# The start of level chroot: what the runner and --check-host say in a plain container, and where this level cannot be had.
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
    my $dir = tempdir('conf-XXXXXX', DIR => $container->{folder});
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
    like $err . $out, qr/user namespace.*isolation\.level = "chroot".*SECURITY\.md/, 'and it says what can be had';
    ($exit, $out) = command([$plain, runner_program(), '-c', $conf, '--check-host']);
    is $exit, 1, '--check-host says so too';
    like $out, qr/^level namespaces, as configured: cannot be had: user_namespace/m, 'for the one level';
    like $out, qr/^level chroot: can be had$/m, 'and for the other';
    ($exit, $out) = command([$plain, runner_program(), '-c', configured(@small), '--check-host']);
    is $exit, 0, '--check-host where level chroot is asked for';
    like $out, qr/^level chroot, as configured: can be had$/m, 'and can be had';
    ($exit, $out, $err) = command(['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', runner_program(), '-c', configured(@small)], seconds => 20);
    is $exit, 1, 'level chroot as an ordinary user: no start';
    like $err, qr/isolation\.level: "chroot" needs a start as root/, 'and it says why';
    for my $capability (qw(chown kill mknod setgid setuid sys_chroot dac_override)) {
        ($exit, $out) = command([$plain, 'setpriv', "--bounding-set=-$capability", '--inh-caps=-all', runner_program(), '-c', configured(@small), '--check-host'], seconds => 20);
        is $exit, 1, "without the capability $capability it cannot be had";
    }
}

done_testing;
