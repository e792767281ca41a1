# The files of contrib/: manifests of Kubernetes against its schemas, those of KEDA against its
# models, and a job of Nomad. The schemas and models come from the index of pip; without it, this
# part is skipped.
use strict;
use warnings;
use Cellblock qw(command json missing root slurp spew);
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

# --- KEDA ---------------------------------------------------------------------------------------------------------------------

my $keda = slurp("$contrib/kubernetes/keda.yaml");
my ($autoscaler) = $manifests =~ /^kind: HorizontalPodAutoscaler\nmetadata:\n  name: (\S+)/m;
like $keda, qr/transfer-hpa-ownership: "true".*horizontalPodAutoscalerConfig:\n      name: \Q$autoscaler\E\n/s, 'KEDA takes over the autoscaler of the other manifests';
is_deeply [$keda =~ /ReplicaCount: (\d+)/g], [$manifests =~ /(?:min|max)Replicas: (\d+)/g], '... with as many pods';
my $sources = slurp(root() . '/fcgi/metrics_text.c');
my %figures = map { s/_bucket\z//r => 1 } $keda =~ /\bcellblock_([a-z_]+)\b/g;
is scalar(keys %figures), 3, 'its queries have three figures';
like $sources, qr/"\Q$_\E"/, "... $_ is one of the service" for sort keys %figures;

SKIP: {
    my $why = missing('no promtool (Debian: prometheus)', grep { -x "$_/promtool" } split /:/, $ENV{PATH});
    skip $why, 2 if $why;
    my @queries = map { s/\s+/ /gr } $keda =~ /query: (?:>-\n)?(.+?)\n        threshold/sg;
    my $rules = sub {
        my @rules = map { { record => 'query', expr => $_ } } @_;
        spew("$dir/rules.json", json->encode({ groups => [{ name => 'keda', rules => \@rules }] }));
        return (command(['promtool', 'check', 'rules', '--lint=none', "$dir/rules.json"]))[0];
    };
    is $rules->(@queries), 0, scalar(@queries) . ' queries are well-formed';
    isnt $rules->("$queries[0] )"), 0, '... and a wrong one would be found';
}

# --- the schemas ----------------------------------------------------------------------------------------------------------

SKIP: {
    my @words = ("$dir/venv/bin/kubernetes-validate", '--strict');
    command(['/usr/bin/python3', '-m', 'venv', "$dir/venv"], seconds => 120);
    my ($made, $out, $err) = command(["$dir/venv/bin/pip", 'install', '-q', 'kubernetes-validate', 'cloudcoil.models.keda'], seconds => 300);
    skip 'the validators cannot be installed: ' . ((split /\n/, "$out$err")[-1] // $made), 8 if $made != 0;
    for my $version ('1.33', '1.37') {
        # Its exit status is 0 whatever it finds.
        my (undef, $said, $messages) = command([@words, '-k', $version, "$contrib/kubernetes/cellblock.yaml"], seconds => 60);
        is scalar(() = "$said$messages" =~ / passed for resource /g), 5, "the manifests fit the schemas of Kubernetes $version" or diag $said, $messages;
        (undef, $said, $messages) = command([@words, '-k', $version, "$contrib/kubernetes/keda.yaml"], seconds => 60);
        is scalar(() = "$said$messages" =~ / passed for resource /g), 1, '... and so does the policy beside KEDA' or diag $said, $messages;
    }
    spew("$dir/wrong.yaml", $manifests =~ s/replicas: \d+/replicas: many/r);
    unlike join('', (command([@words, "$dir/wrong.yaml"], seconds => 60))[1, 2]), qr/passed for resource deployment/, 'a wrong value would be found';

    my @strict = ("$dir/venv/bin/python3", root() . '/t/contrib/strict_model.py');
    my ($status, $verdict, $trouble) = command([@strict, "$contrib/kubernetes/keda.yaml"], seconds => 60);
    is "$status $verdict", "0 ScaledObject passed\n", 'the ScaledObject fits the models of KEDA' or diag $trouble;
    spew("$dir/wrong.yaml", $keda =~ s/minReplicaCount: \d+/minReplicaCount: many/r);
    like((command([@strict, "$dir/wrong.yaml"], seconds => 60))[1], qr/^ScaledObject: spec\.minReplicaCount: /, '... a wrong value would be found');
    spew("$dir/wrong.yaml", $keda =~ s/pollingInterval/polingInterval/r);
    like((command([@strict, "$dir/wrong.yaml"], seconds => 60))[1], qr/^ScaledObject: spec: .*polingInterval/, '... and a field that KEDA does not have');
}

done_testing;
