# The files of contrib/: manifests of Kubernetes against its schemas, and a job of Nomad.
# kubernetes-validate comes from the index of pip; without it, this part is skipped.
use strict;
use warnings;
use Cellblock qw(command json root skip_all slurp spew);
use File::Temp qw(tempdir);
use Test::More;

my $contrib = root() . '/contrib';
my $dir = tempdir('cellblock-contrib-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# --- what all of them say of the image -----------------------------------------------------------------------------------

my $settings = join '', map { slurp($_) } root() . '/image/settings.py', root() . '/etc/cellblock.conf';
my $job = json->decode(slurp("$contrib/nomad/cellblock.nomad.json"))->{Job};
my ($task) = @{ $job->{TaskGroups}[0]{Tasks} };
my ($check) = @{ $job->{TaskGroups}[0]{Services}[0]{Checks} };
is $check->{Path}, '/readyz', 'Nomad asks whether runs are accepted';
is $job->{TaskGroups}[0]{Networks}[0]{DynamicPorts}[0]{To}, 8194, '... on the port of the image';
like $settings, qr/"\Q$_\E"/, "$_ is a setting of the image" for sort keys %{ $task->{Env} };
my ($drain_ms) = slurp(root() . '/etc/cellblock.conf') =~ /drain_ms = (\d+)/;
cmp_ok $task->{KillTimeout} / 1e6, '>', $drain_ms, 'Nomad lets runs end';

# --- Kubernetes --------------------------------------------------------------------------------------------------------------

my $manifests = slurp("$contrib/kubernetes/cellblock.yaml");
my ($grace) = $manifests =~ /terminationGracePeriodSeconds: (\d+)/;
my ($pause) = $manifests =~ /command: \["sleep", "(\d+)"\]/;
cmp_ok 1000 * ($grace - $pause), '>', $drain_ms, 'Kubernetes lets runs end';
like $manifests, qr{path: $_\n}, "$_ is asked" for '/readyz', '/livez';
unlike $manifests, qr/privileged: true|SYS_ADMIN|hostPath|hostNetwork/, 'nothing of the host is needed';

SKIP: {
    my @words = ("$dir/venv/bin/kubernetes-validate", '--strict');
    command(['/usr/bin/python3', '-m', 'venv', "$dir/venv"], seconds => 120);
    my ($made, $out, $err) = command(["$dir/venv/bin/pip", 'install', '-q', 'kubernetes-validate'], seconds => 300);
    skip 'kubernetes-validate cannot be installed: ' . ((split /\n/, "$out$err")[-1] // $made), 3 if $made != 0;
    for my $version ('1.33', '1.37') {
        # Its exit status is 0 whatever it finds.
        my (undef, $said, $messages) = command([@words, '-k', $version, "$contrib/kubernetes/cellblock.yaml"], seconds => 60);
        is scalar(() = "$said$messages" =~ / passed for resource /g), 5, "the manifests fit the schemas of Kubernetes $version" or diag $said, $messages;
    }
    spew("$dir/wrong.yaml", $manifests =~ s/replicas: \d+/replicas: many/r);
    unlike join('', (command([@words, "$dir/wrong.yaml"], seconds => 60))[1, 2]), qr/passed for resource deployment/, 'a wrong value would be found';
}

done_testing;
