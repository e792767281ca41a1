# The service under systemd: the units of etc/systemd, installed as an operator would. They start
# the service, the cells have their limits in the delegated control groups, processes that end are
# started again, and a stop leaves nothing behind. Also the site in Debian's own nginx, the workers'
# user by sysusers, and logs by logrotate.
#
# It changes the host, so it runs only in the machine of t/hosts/vm --systemd.
use strict;
use warnings;
use Cellblock qw(command eventually process_status slurp skip_all spew);
use File::Path qw(make_path);
use Test::More;
use Time::HiRes qw(time);

skip_all('changes the host') if !$ENV{CELLBLOCK_HOST_IS_OURS};
skip_all('systemd is not the first process') if !-d '/run/systemd/system';

my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my $prefix = Cellblock::prefix();
my $examples = "$prefix/share/doc/cellblock/examples";
my @services = ('cellblock-runner.service', 'cellblock-fcgi.service', 'cellblock-status.service', 'cellblock-store.service', 'cellblock-deps.service');
my @units = (@services, 'cellblock-fcgi.socket', 'cellblock-status.socket', 'cellblock-store.socket', 'cellblock-deps.socket');
my $site = '/etc/nginx/sites-enabled/cellblock';
my $key = 'test-key-of-systemd';
my @mounts_before = Cellblock::host_mounts();

sub done {
    my ($argv, $name) = @_;
    my ($exit, $out, $err) = command($argv, seconds => 60);
    is $exit, 0, $name // join ' ', @$argv or diag "$out$err";
    return "$out$err";
}

sub systemctl { my (@words) = @_; return done(['systemctl', @words]) }

sub filled {
    my ($template, $to, %value) = @_;
    my ($exit, $out, $err) = command(["$examples/script/fill", "$examples/$template", map {"$_=$value{$_}"} sort keys %value]);
    is $exit, 0, "script/fill $template" or diag($err), BAIL_OUT('half-filled');
    make_path($to =~ s{/[^/]*\z}{}r);
    return spew($to, $out);
}

sub property {
    my ($unit, $name) = @_;
    my (undef, $out) = command(['systemctl', 'show', '--property', $name, '--value', $unit]);
    return $out =~ s/\n\z//r;
}

sub journal { return (command(['journalctl', '--no-pager', '--lines', 60]))[1] }

# The control groups of a unit, and the processes in them.
sub groups {
    my ($unit) = @_;
    my $group = "/sys/fs/cgroup/system.slice/$unit";
    return -d $group ? split /\n/, (command(['find', $group, '-type', 'd']))[1] : ();
}
sub procs { return map { split /\n/, slurp("$_/cgroup.procs") // '' } @_ }
sub named { my %all = Cellblock::all_processes(); return map {"$_->{pid} $_->{comm}"} grep { $_->{comm} =~ /\A(?:cellblock|door\b|guard\b|relay\b|status\b|(?:runner|worker) parent)/ } values %all }

# --- installation ---------------------------------------------------------------------------------------

spew('/etc/passwd', slurp('/etc/passwd') =~ s/^cellblock-fcgi:.*\n//mr);
spew('/etc/group', slurp('/etc/group') =~ s/^cellblock-fcgi:.*\n//mr);
make_path('/etc/cellblock', '/etc/systemd/system/nginx.service.d');
done(['cp', "$examples/etc/systemd/cellblock.sysusers", '/usr/lib/sysusers.d/cellblock.conf']);
done(['systemd-sysusers']);
cmp_ok getpwnam('cellblock-fcgi') // 0, '>', 0, 'sysusers makes the workers\' user';

my $config = '/etc/cellblock/cellblock.conf';
done(['cp', '-R', (map {"$examples/etc/$_"} qw(cellblock.conf dependencies languages seccomp)), '/etc/cellblock'], 'the configuration is copied');
# A stop must not wait for a run that sleeps.
spew($config, slurp($config) =~ s/drain_ms = \d+/drain_ms = 2000/r);
my %paths = (BINDIR => "$prefix/bin", CONFIG => $config);
filled('etc/systemd/cellblock-runner.service.in', '/etc/systemd/system/cellblock-runner.service', %paths);
filled('etc/systemd/cellblock-fcgi.service.in', '/etc/systemd/system/cellblock-fcgi.service', %paths);
done(['cp', (map {"$examples/etc/systemd/$_"} qw(cellblock-fcgi.socket cellblock-status.socket cellblock-store.socket cellblock-deps.socket cellblock-logrotate.service cellblock-logrotate.timer)), '/etc/systemd/system/']);
done(['cp', "$examples/etc/systemd/nginx-cellblock.conf", '/etc/systemd/system/nginx.service.d/cellblock.conf']);
filled('etc/logrotate/cellblock.in', '/etc/cellblock/logrotate.conf', LOG => '/var/log/cellblock');
filled("etc/systemd/cellblock-$_.service.in", "/etc/systemd/system/cellblock-$_.service", %paths) for qw(status store deps);
is done(['systemd-analyze', '--man=no', 'verify', map {"/etc/systemd/system/$_"} @units]), '', 'systemd has no complaint about the units';

spew('/root/key', "$key\n");
done(['sh', '-c', "$prefix/bin/cellblock-key -c $config add test --stdin </root/key"], 'an API key is added');
is sprintf('%o', (stat '/etc/cellblock/keys/test.conf')[2] & 07777), '640', 'its file is for root and the workers';
done(['openssl', qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost),
    '-keyout', '/etc/cellblock/key.pem', '-out', '/etc/cellblock/cert.pem'], 'a certificate is made');
filled('nginx/cellblock.conf.in', $site, ADAPTERS => '', METRICS_FROM => '', ORIGINS => 'default "";', CONNECTIONS => 320, EVENTS => 64, KEY_EVENTS => 48,
    ADDRESS_CONNECTIONS => 1280, BODY => '32m', REPLY => '265216k', ERROR_LOG => '/var/log/cellblock/nginx.log', OPENAPI => "$prefix/share/cellblock/openapi.json", READ_TIMEOUT => '1h', LISTEN => 'listen 127.0.0.1:8194; listen 8443 ssl;', TLS_CERTIFICATE => '/etc/cellblock/cert.pem',
    TLS_KEY => '/etc/cellblock/key.pem', ACCESS_LOG => '/var/log/cellblock/access.log', ERRORS => "$examples/nginx/errors.conf",
    FCGI_SOCKET => '/run/cellblock-fcgi.sock', STATUS_SOCKET => '/run/cellblock-status.sock', DEPS_SOCKET => '/run/cellblock-deps.sock',
    STORE_SOCKET => '/run/cellblock-store.sock', FILE => '512m');

# --- it starts --------------------------------------------------------------------------------------------------------------

systemctl('daemon-reload');
systemctl('enable', '--now', @units);
systemctl('restart', 'nginx');
is property($_, 'ActiveState'), 'active', "$_ is active" for @units;
is property($_, 'UnitFileState'), 'enabled', "$_ starts with the host" for @units;
($ENV{CELLBLOCK_TEST_URL}, $ENV{CELLBLOCK_API_KEY}) = ('http://127.0.0.1:8194', $key);
my $cb = Cellblock->start;
ok defined $cb->healthy_within(60 * $slow), 'the service is healthy, through nginx' or diag(journal()), BAIL_OUT('not healthy');

my $layers = $cb->get('/v1/sandbox/capabilities')->{data}{layers};
is join(' ', grep { !$layers->{$_}{in_force} } sort keys %$layers), '', 'every layer is in force';
like $layers->{cgroup}{detail}, qr/\Aversion 2\b/, 'the control groups are of version 2';

# --- its control groups -------------------------------------------------------------------------------------------------------

my ($unit_group) = groups('cellblock-runner.service');
my ($ours) = glob "$unit_group/cellblock*";
ok $ours, 'the runner\'s groups are in the one that systemd has delegated' or diag join "\n", groups('cellblock-runner.service');
is join(' ', procs($unit_group, $ours)), '', 'no process is in the delegated group or the group of the cells';
my $main = property('cellblock-runner.service', 'MainPID');
is join(' ', procs("$ours-parent/runner")), $main, 'the parent of the runner is alone in a group of its own';
isnt join(' ', procs("$ours/runner")), '', 'its processes are in a leaf beside the cells';

my $running = $cb->run(code => 'import time; time.sleep(0.2); print("slept")', limits => { memory_bytes => 100 << 20, processes => 1 });
is $running->{data}{stdout}, "slept\n", 'a run with limits of its own succeeds';
cmp_ok $running->{data}{usage}{memory_peak_bytes}, '>', 100_000, 'its peak of memory is reported';
cmp_ok $running->{data}{usage}{memory_peak_bytes}, '<', 100 << 20, 'its peak of memory is below its limit';
ok +(grep { (slurp("$_/memory.max") // '') eq (100 << 20) . "\n" } glob "$ours/cell-*"), 'a group has the limit of the run';
for (1 .. 3) {
    is $cb->run(code => 'x = bytearray(200 << 20)', limits => { memory_bytes => 100 << 20 })->{data}{status}, 'memory_limit', 'the memory limit holds';
}
is property('cellblock-runner.service', 'MainPID'), $main, 'systemd does not take the end of a run for the end of the service';
systemctl('daemon-reload');
systemctl('set-property', '--runtime', 'cellblock-runner.service', 'CPUWeight=50');
is $cb->run(code => 'x = bytearray(200 << 20)', limits => { memory_bytes => 100 << 20 })->{data}{status}, 'memory_limit',
    'the memory limit holds after systemd has rewritten its groups';

# --- the layers of the workers, systemd's and their own -------------------------------------------------------------------------------

my ($worker) = grep { process_status($_)->{Name} eq 'cellblock-fcgi' } procs(groups('cellblock-fcgi.service'));
my $status = process_status($worker);
is $status->{Uid} =~ s/\s.*//r, scalar getpwnam('cellblock-fcgi'), 'a worker runs as the user of the workers';
is $status->{CapBnd}, '0' x 16, 'a worker has an empty bounding set';
is $status->{Seccomp}, 2, 'a worker has a seccomp filter';
isnt readlink "/proc/$worker/ns/$_", readlink "/proc/self/ns/$_", "a worker has a $_ namespace of its own" for qw(mnt net);

# --- processes that end are started again ---------------------------------------------------------------------------------------------------------

my @workers = procs(groups('cellblock-fcgi.service'));
# The broker is the first process of its pid namespace.
sub brokers { return grep { ((process_status($_) // {})->{NSpid} // '') =~ /\A\d+\s+1\z/ } procs(glob "$unit_group/cellblock*/runner") }

sub comes_back {
    my ($what) = @_;
    ok defined $cb->healthy_within(60 * $slow), "$what: the service is healthy again"
        or diag(journal()), BAIL_OUT('not healthy');
    # A reload uses the other name.
    ok eventually(20 * $slow, sub { (grep { -d } "$ours", "$ours-1") == 1 && -d "$ours-parent" && 2 == (() = glob "$unit_group/cellblock*") }), "$what: there is one set of control groups"
        or diag join ' ', glob "$unit_group/cellblock*";
    return;
}
for (
    ['the runner is restarted' => sub { systemctl('restart', 'cellblock-runner.service') }, 1],
    ['the parent of the runner is killed' => sub { kill 'KILL', $main }, 1],
    ['the broker is killed' => sub { kill 'KILL', brokers() }, 0],
    ['the runner is reloaded' => sub { systemctl('reload', 'cellblock-runner.service') }, 0],
) {
    my ($what, $do, $is_other) = @$_;
    my ($old) = brokers();
    $do->();
    ok eventually(60 * $slow, sub { my @now = brokers(); @now == 1 && $now[0] != $old }), "$what: another broker serves" or diag(journal());
    comes_back($what);
    my $new = property('cellblock-runner.service', 'MainPID');
    $is_other ? isnt $new, $main, "$what: with another parent" : is $new, $main, "$what: with the same parent";
    $main = $new;
}
is join(' ', sort(procs(groups('cellblock-fcgi.service')))), join(' ', sort @workers), 'the workers were not restarted';

kill 'KILL', $worker;
ok eventually(10 * $slow, sub { my @now = procs(groups('cellblock-fcgi.service')); @now == @workers && !grep { $_ == $worker } @now }),
    'a worker that is killed is replaced';
my $waiting = $cb->connect_raw($cb->run_bytes(code => 'print("before")'));
systemctl('restart', 'cellblock-fcgi.service');
is $cb->run(code => 'print("after")')->{data}{stdout}, "after\n", 'a run succeeds during a restart of the workers';
close $waiting;

# --- stops -----------------------------------------------------------------------------------

my $during = $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)'));
ok eventually(20 * $slow, sub { grep { (slurp("$_/pids.max") // '') =~ /\d/ && procs($_) } glob "$unit_group/cellblock*/cell-*" }), 'a run has started';
my $begin = time;
systemctl('stop', 'cellblock-runner.service');
cmp_ok time - $begin, '<', 20 * $slow, 'the runner stops within 20 s';
cmp_ok $cb->read_reply($during)->{status}, '>=', 500, 'the runner stops: its run is answered with an error';
is $cb->get('/health', key => undef)->{status}, 503, 'without a runner /health is 503';
is join(' ', groups('cellblock-runner.service')), '', 'no group of the runner is left';
ok !-e '/run/cellblock', 'the runner\'s socket is gone';
is property('cellblock-runner.service', 'Result'), 'success', 'the stop of the runner is a success';

systemctl('start', 'cellblock-runner.service');
ok defined $cb->healthy_within(60 * $slow), 'the service starts again';
systemctl('stop', @units);
is join(', ', named()), '', 'after a stop of all units no process is left';
is join(' ', map { groups($_) } @services), '', 'after a stop of all units no control group is left';
is join("\n", Cellblock::host_mounts()), join("\n", @mounts_before), 'after a stop of all units no mount is left';
is property($_, 'Result'), 'success', "$_: the stop is a success" for @units;
my (undef, $journal) = command(['journalctl', '--no-pager', '--output', 'cat', map { ('-u', $_) } @services]);
is join("\n", $journal =~ /^.*(?:\bfatal\b|Sanitizer|core dumped|guest died).*$/mg), '',
    'the journal has no fatal error, and no guest that died before its runner ended it';

# --- the logs ---------------------------------------------------------------------------------------------------------------------

systemctl('start', @units);
ok defined $cb->healthy_within(60 * $slow), 'the service starts after a complete stop';
my $log = '/var/log/cellblock/access.log';
is sprintf('%04o', (stat '/var/log/cellblock')[2] & 07777), '0755', 'nginx\'s unit makes the directory of its logs';
spew($log, slurp($log) . "a line that was written before\n" x 400_000);
systemctl('enable', '--now', 'cellblock-logrotate.timer');
is property('cellblock-logrotate.timer', 'ActiveState'), 'active', 'the timer of logrotate is active';
systemctl('start', 'cellblock-logrotate.service');
is property('cellblock-logrotate.service', 'Result'), 'success', 'logrotate reports no error' or diag(command(['journalctl', '-u', 'cellblock-logrotate.service']));
ok -s "$log.1.gz", 'the access log is rotated';
cmp_ok -s $log, '<', 1 << 20, 'the new access log is small';
$cb->run(code => 'print("logged")');
ok eventually(10 * $slow, sub { (slurp($log) // '') =~ m{ path=/v1/sandbox/run } }), 'nginx writes to it';
my ($nginx) = map { slurp("/proc/$_/mountinfo") } property('nginx.service', 'MainPID');
like $nginx, qr{ /var/lib/nginx \S+ .*- tmpfs \S+ \S*size=2097152k}, 'nginx\'s files have a bound';

systemctl('stop', 'nginx', @units);
done_testing;
