# The start of an ordinary user: what script/server --rootless and the runner say when ids,
# newuidmap or packages are missing. t/rootless_ids*.t and t/rootless_no_ids*.t test the service
# itself.
use strict;
use warnings;
use Cellblock qw(command root slurp spew write_configuration);
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($dir, $uid, $name) = ($user->{dir}, $user->{uid}, Rootless::NAME);

# --- script/server ---------------------------------------------------------------------------------------------------------------

my $server = "$dir/tree/script/server";
my ($exit, $out, $err) = command([root() . '/script/server', '--rootless', '--dir', "$dir/none"]);
is $exit, 1, '--rootless by root: exit 1';
like $err, qr/--rootless: you are root/, '--rootless by root: the message says why';
($exit, $out, $err) = command([root() . '/script/server', '--without', 'seccomp']);
is $exit, 2, '--without a mandatory layer: exit 2';
like $err, qr/--without: must be cgroup or uid_per_cell/, '--without a mandatory layer: the message names the optional ones';

spew("$dir/etc/dpkg-query", "#!/bin/sh\nexit 1\n");
chmod 0755, "$dir/etc/dpkg-query";
my @refused = (
    ['missing packages', [], { over => { '/usr/bin/dpkg-query' => "$dir/etc/dpkg-query" } }, qr/these packages are missing, and only root can install them:.* nginx /],
    ['no ids',                    [], { ids => 0 },    qr/uid_per_cell\s+missing\s+required \/etc\/subuid gives no ids to "$name".*what to do: .*usermod.*could not start here \(--without/s],
    ['a path too long',           ['--dir', "$dir/home/" . 'x' x 100], {}, qr/--dir: the path is too long/],
);
for (@refused) {
    my ($what, $args, $option, $says) = @$_;
    ($exit, $out, $err) = command($user->argv([$server, '--rootless', '--prefix', "$dir/prefix", '--dir', "$dir/home/run", '--port', 20999, '--tls-port', 20998,
        @$args], ids => 4096, %$option), seconds => 60);
    is $exit, 1, "script/server, $what: exit 1";
    like "$out$err", $says, "script/server, $what: the message says so";
}

# --- conditions for a uid per cell ----------------------------------------------------------------------------------------

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
    ['no newuidmap',  { path => '/bin-of-nobody' }, qr{newuidmap and newgidmap are not installed}],
    ['newuidmap without its set-uid bit',  { over => { '/usr/bin/newuidmap' => $powerless } }, qr{newuidmap: .*(?:not permitted|failed)}],
    ['a failing newuidmap', { over => { '/usr/bin/newuidmap' => '/bin/false' } }, qr{newuidmap or newgidmap failed}],
    ['a failing newgidmap', { over => { '/usr/bin/newgidmap' => '/bin/false' } }, qr{newuidmap or newgidmap failed}],
    ['no_new_privs',         { with => ['setpriv', '--no-new-privs'] }, qr{no_new_privs}],
);
my @runner = ("$dir/prefix/bin/cellblock-runner", '-c', "$dir/conf/$c");
for (@missing) {
    my ($what, $option, $says) = @$_;
    my @path = $option->{path} ? ("PATH=$option->{path}") : ();
    my %option = (ids => 32, %$option);
    ($exit, $out, $err) = command($user->argv([@path, @runner], %option), seconds => 20);
    is $exit, 1, "$what: the runner does not start";
    like $err, qr/a uid for each cell is required and cannot be had: .*$says/, "$what: the message says why";
    like $err, qr/isolation\.uid_per_cell = "off"/, "$what: the message says what to do";
    ok !-e "$dir/home/runner.sock", "$what: the runner did not listen";
    ($exit, $out) = command($user->argv([@path, @runner, '--check-host'], %option), seconds => 20);
    is $exit, 1, "$what: --check-host: exit 1";
    like $out, qr/^uid_per_cell +missing +required .*$says.*\n +what to do: /m, "$what: --check-host says why";
}

# If the layer is optional, the runner starts without it and says so.
write_configuration("$dir/optional", [$c, undef, slurp("$dir/conf/$c") =~ s/uid_per_cell = "required"/uid_per_cell = "optional"/r]);
unlink grep { !m{/bash\.conf\z} } glob "$dir/optional/languages/*.conf";
for ([0, qr/all cells have the runner's own uid: .*gives no ids/], [32, qr/serving/]) {
    my ($ids, $says) = @$_;
    ($exit, $out, $err) = command($user->argv(['timeout', '--preserve-status', 3, $runner[0], '-c', "$dir/optional/$c"], ids => $ids), seconds => 20);
    is $exit, 0, "optional, with $ids ids: the runner starts, and ends on SIGTERM";
    like $err, $says, "optional, with $ids ids: the log says so";
    unlike $err, qr/own uid/, "optional, with $ids ids: the log does not report a shared uid" if $ids;
}

done_testing;
