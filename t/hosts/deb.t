# The Debian packages: installation, the start by systemd, nginx's site, upgrade, removal, purge.
# In a container whose first process is systemd.
#
# script/test-deb builds the packages and runs this. CELLBLOCK_DEBS is their directory,
# CELLBLOCK_DEB_BASE an image of the same Debian, CELLBLOCK_PODMAN the command.
use strict;
use warnings;
use Cellblock qw(command eventually json skip_all);
use Test::More;

skip_all('no packages are named by CELLBLOCK_DEBS; script/test-deb does that') if !$ENV{CELLBLOCK_DEBS};
skip_all('needs root') if $> != 0;

my @podman = split ' ', $ENV{CELLBLOCK_PODMAN} // 'podman --runtime runc';
my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my $name = "cellblock-test-$$-deb";
my $conf = '/etc/cellblock/cellblock.conf';
my ($files) = map { (command(['bash', '-c', 'ulimit -H -n']))[1] =~ /(\d+)/ ? $1 : 4096 } 1;

sub podman { my ($words, %option) = @_; return command([@podman, @$words], seconds => 600 * $slow, %option) }
sub inside { my ($script) = @_; return podman(['exec', '-e', 'DEBIAN_FRONTEND=noninteractive', $name, 'sh', '-c', $script]) }

# A command inside succeeds. Returns its output.
sub done {
    my ($script, $what) = @_;
    my ($exit, $out, $err) = inside($script);
    is $exit, 0, $what // $script or diag substr "$out$err", -3000;
    return $out;
}

sub property { return (inside("systemctl show --property $_[1] --value $_[0]"))[1] =~ s/\s+\z//r }

# systemd itself comes first: an image for containers does not have it.
my $image = "localhost/$name";
my ($made, $out, $err) = podman(['run', '--name', $name, '--network', 'host', '--ulimit', 'nofile=1024:4096', '--ulimit', 'nproc=4096:4096', $ENV{CELLBLOCK_DEB_BASE},
    'sh', '-c', 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends systemd dbus']);
skip_all("no packages can be downloaded: $err") if $made != 0;
podman(['commit', $name, $image]);
podman(['rm', '-f', $name]);
($made, undef, $err) = podman(['run', '-d', '--name', $name, '--systemd=always', '--privileged', '--network', 'host', '--ulimit', "nofile=1024:$files", '--ulimit', 'nproc=4096:4096',
    '-v', "$ENV{CELLBLOCK_DEBS}:/debs:ro", $image, '/lib/systemd/systemd']);
skip_all("podman starts no container here: $err") if $made != 0;
END { my $status = $?; if (defined $name) { podman(['rm', '-f', '-v', '-t', '0', $name]); podman(['rmi', '-f', $image]) } $? = $status }
skip_all('systemd does not run in a container here') if !eventually(60 * $slow, sub { (inside('systemctl is-system-running'))[1] =~ /running|degraded/ });

# --- installation ------------------------------------------------------------------------------------------------------

done('apt-get update -q && apt-get install -qy --no-install-recommends /debs/cellblock_*.deb /debs/cellblock-doc_*.deb', 'the packages are installed');
my @services = map {"cellblock-$_.service"} qw(runner fcgi status deps);
is property($_, 'UnitFileState'), 'enabled', "$_ starts with the host" for @services;
is done('stat -c "%a %U %G" /etc/cellblock/keys'), "750 root cellblock-fcgi\n", 'the directory of keys is for root and the workers';
like done('dpkg -s cellblock-doc cellblock; ls /usr/share/doc/cellblock-doc'), qr/API\.md.*SECURITY\.md/s, 'the documents are there';
like done('man -w cellblock 2>/dev/null || ls /usr/share/man/man7/cellblock.7.gz'), qr{man7/cellblock\.7}, 'the overview has a page';
# The control groups may be those of a host of version 1, which systemd does not delegate.
done(qq{sed -i 's/cgroup = "required"/cgroup = "optional"/; s/first_uid = [0-9]*/first_uid = 3000000/' $conf && systemctl restart cellblock-runner}, 'the configuration is changed');
my ($key) = done('cellblock-key add alice') =~ /(cb_\S+)/;
ok $key, 'a key is made';
done('systemctl reload cellblock-fcgi');

# Other services of this machine have the usual ports.
my ($plain, $tls) = map { Cellblock::free_port(bless {}, 'Cellblock') } 1, 2;
like done("cellblock-site enable --listen 127.0.0.1:$plain --listen '127.0.0.1:$tls ssl'"), qr/self-signed certificate.*nginx serves Cellblock/s, 'one command puts it behind nginx';

sub healthy { return eventually(120 * $slow, sub { (inside("curl -s http://127.0.0.1:$plain/health"))[1] eq '"ok"' }) }
sub run {
    my ($code, $url) = @_;
    my $body = json->encode({ language => 'python3', code => $code }) =~ s/'/'\\''/gr;
    my (undef, $reply) = inside(q{curl -sk -H 'X-Api-Key: } . $key . q{' --json '} . $body . q{' } . ($url // "http://127.0.0.1:$plain") . '/v1/sandbox/run');
    return eval { json->decode($reply)->{data} } // { broken => $reply };
}
ok healthy(), 'it is healthy' or diag((inside('journalctl --no-pager -o cat -n 40 -u cellblock-runner'))[1]), BAIL_OUT('not healthy');
is run('print(6 * 7)')->{stdout}, "42\n", 'a run';
is run('print(6 * 7)', "https://127.0.0.1:$tls")->{stdout}, "42\n", 'a run, by TLS';
# From another address of the loopback.
my $metrics_for = sub { return (inside("curl -s -o /dev/null -w '%{http_code}' --interface $_[0] http://127.0.0.1:$plain/v1/sandbox/metrics"))[1] };
is $metrics_for->('127.0.0.1'), 200, 'this host may read the metrics';
is $metrics_for->('127.0.7.1'), 404, '... and no other address';
done("cellblock-site enable --listen 127.0.0.1:$plain --listen '127.0.0.1:$tls ssl' --metrics-from 127.0.7.0/24 --metrics-from fd00::/8", 'it may be repeated');
ok eventually(20 * $slow, sub { $metrics_for->('127.0.7.1') == 200 }), '--metrics-from: these addresses may, too';
is $metrics_for->('127.0.0.1'), 200, '... and this host as before';
is $metrics_for->('127.0.8.1'), 404, '... and no others';
like((inside("cellblock-site enable --metrics-from monitor"))[2], qr/--metrics-from: must be an address or a network/, 'a name is refused there');
like((inside("cellblock-site enable --listen nonsense"))[2], qr/--listen: must be ADDRESS/, 'a wrong address is refused');
is((inside('cellblock-site'))[0], 2, 'no command: usage');
done("echo 'nonsense;' >/etc/nginx/conf.d/broken.conf");
my ($exit, undef, $why) = inside("cellblock-site enable --listen 127.0.0.1:$plain");
is $exit, 1, 'nginx rejects its configuration: an error';
like $why, qr/the configuration is as before/, '... which says so';
done('rm /etc/nginx/conf.d/broken.conf && nginx -q -t');
like done('cat /etc/nginx/sites-available/cellblock'), qr/127\.0\.0\.1:$tls ssl/, '... and the site is as before';

# --- upgrade -------------------------------------------------------------------------------------------------------------

my $pid = property('cellblock-runner.service', 'MainPID');
my $generation = sub { return (inside('journalctl --no-pager -o cat -u cellblock-runner'))[1] =~ /.*generation (\d+) serves/s ? $1 : 0 };
my $before = $generation->();
podman(['exec', '-d', $name, 'sh', '-c', qq{curl -s -H 'X-Api-Key: $key' --json '{"language":"python3","code":"import time; time.sleep(8); print(1)"}' http://127.0.0.1:$plain/v1/sandbox/run >/root/slow.json}]);
ok eventually(20 * $slow, sub { (inside("curl -s http://127.0.0.1:$plain/v1/sandbox/metrics"))[1] =~ /runs_running\{language="python3"\} 1/ }), 'a run goes on';
done('apt-get install -qy --reinstall --no-install-recommends /debs/cellblock_*.deb', 'an upgrade');
is property('cellblock-runner.service', 'MainPID'), $pid, 'the parent of the runner stays';
ok eventually(60 * $slow, sub { $generation->() > $before }), '... and a new generation serves';
ok eventually(60 * $slow, sub { (inside('cat /root/slow.json'))[1] =~ /"stdout":"1\\n"/ }), 'the run that went on has its result';
like done("cat $conf"), qr/first_uid = 3000000/, 'the configuration that was changed stays';
ok healthy(), 'it is healthy';
is run('print(1)')->{stdout}, "1\n", 'a run with the same key';

# --- removal ---------------------------------------------------------------------------------------------------------------

done('apt-get remove -qy cellblock', 'the package is removed');
is((inside('ls /etc/nginx/sites-enabled/cellblock /etc/nginx/sites-available/cellblock /usr/bin/cellblock-runner'))[1], '', 'its site and its programs are gone');
is((inside('cat /proc/[0-9]*/comm | grep -E "cellblock|door|(runner|worker) parent|warden"'))[1], '', 'no process is left');
like done('ls /etc/cellblock'), qr/cellblock\.conf\nkeys\n|cellblock\.conf/, 'the configuration is left';
done('apt-get purge -qy cellblock', 'the package is purged');
is((inside('ls -d /etc/cellblock /var/lib/cellblock /var/log/cellblock'))[1], '', 'nothing of it is left');
is((inside('systemctl list-units --all --plain --no-legend "cellblock*"'))[1] =~ s/^\s+|\s+$//gr, '', 'no unit is left');
done('nginx -q -t', 'nginx is as it was');

done_testing;
