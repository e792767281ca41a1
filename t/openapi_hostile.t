# Valid and hostile requests for every route, which schemathesis makes from openapi.yaml. The
# service answers each as the description says, and has no fault of its own.
use strict;
use warnings;
use Cellblock qw(command json prefix root slurp spew);
use File::Temp qw(tempdir);
use Test::More;

my $root = root();
my $dir = tempdir(CLEANUP => 1);
my $seconds = $ENV{CELLBLOCK_HOSTILE_SECONDS} // 25;

# Without the registry there is nothing to test, also in CI.
my ($exit, undef, $err) = command(['/usr/bin/python3', '-m', 'venv', "$dir/venv"], seconds => 120);
($exit, undef, $err) = command(["$dir/venv/bin/pip", 'install', '-q', 'schemathesis==4.32.5'], seconds => 300) if $exit == 0;
plan skip_all => 'schemathesis cannot be had by pip' if $exit;

my $cb = Cellblock->start(own => 1);
my $api = prefix() . '/share/cellblock/openapi.json';

# A program that never ends has its CPU time, on a busy machine after some minutes.
my $patience = 300;

# Test the service against a description, for so many seconds. Returns the exit code, the number of
# requests, and the report.
sub hostile {
    my ($file, $time, @options) = @_;
    my ($code, $out, $complaint) = command(["$dir/venv/bin/st", '--config-file', "$root/t/openapi/schemathesis.toml", 'run', $file, '-u', $cb->{url},
        '-H', "X-Api-Key: $cb->{key}", '--max-time', $time, '--phases', 'examples,coverage,fuzzing', '--request-timeout', $patience, '--warnings', 'off',
        '--continue-on-failure', '--no-shrink', '--seed', $ENV{CELLBLOCK_SEED} // 1, @options], dir => $dir, seconds => 6 * $time + 2 * $patience,
        env => { NO_COLOR => 1, HOME => $dir, SCHEMATHESIS_HOOKS => 'hooks', PYTHONPATH => "$root/t/openapi", PYTHONDONTWRITEBYTECODE => 1 });
    my ($count) = $out =~ /(\d+) generated/;
    # The failures come last. What is before them only counts.
    $out =~ s/.*^=+ FAILURES =+\n//ms;
    return ($code, $count // 0, "$out$complaint");
}

# Without tests the service ignores what is only for them, so a wrong value there is no bad request.
my $loose = json->decode(slurp($api));
delete @{ $loose->{components}{schemas}{RunRequest}{properties} }{qw(checker interactor stop_on test_output_bytes)};

# Valid data need not be acceptable: the description does not know the languages of an instance.
my ($code, $count, $report) = hostile(spew("$dir/loose.json", json->encode($loose)), $seconds, '--exclude-checks', 'positive_data_acceptance');
is $code, 0, 'valid and hostile requests are answered as described' or diag $report;
cmp_ok $count, '>=', 2 * $seconds, '... many of them';

my $capabilities = $cb->get('/v1/sandbox/capabilities')->{data};
my (undef, $tight) = command(['/usr/bin/python3', "$root/t/openapi/tighten.py", $api, json->encode($capabilities)]);
($code, $count, $report) = hostile(spew("$dir/tight.json", $tight), $seconds, '--mode', 'positive');
is $code, 0, 'what fits the description of this instance is accepted' or diag $report;
cmp_ok $count, '>=', 2 * $seconds, '... many of them';

# A description that is wrong is noticed.
my $wrong = slurp($api);
$wrong =~ s/"Status":\{"enum":\["ok",/"Status":{"enum":[/ or die 'no status';
($code, undef, $report) = hostile(spew("$dir/wrong.json", $wrong), 5, '--include-path', '/v1/sandbox/run', '--exclude-checks', 'positive_data_acceptance');
is $code, 1, 'an answer that is not as described is found' or diag $report;

is $cb->run(code => 'print("well")')->{data}{stdout}, "well\n", 'the service is well afterwards';
$cb->finish;
done_testing;
