# openapi.yaml is good OpenAPI: a linter from the npm registry has no complaint.
use strict;
use warnings;
use Cellblock qw(command root slurp spew);
use File::Temp qw(tempdir);
use Test::More;

my $root = root();
my $dir = tempdir(CLEANUP => 1);

# Without the registry there is nothing to test, also in CI.
my ($exit, $out, $err) = command(['npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', $dir, '@redocly/cli@1.34.20'], seconds => 300);
plan skip_all => 'the linter cannot be had from the npm registry' if $exit;

sub lint {
    my ($file) = @_;
    my @found = command(["$dir/node_modules/.bin/redocly", 'lint', '--config', "$root/t/openapi/redocly.yaml", '--format', 'stylish', $file],
        env => { REDOCLY_TELEMETRY => 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE => 'true', CI => 'true' }, seconds => 120);
    return ($found[0], "$found[1]$found[2]");
}

($exit, $out) = lint("$root/openapi.yaml");
is $exit, 0, 'the linter has no complaint' or diag $out;
like $out, qr/\bvalid\b/, '... and has read it';
my $bad = slurp("$root/openapi.yaml");
$bad =~ s/operationId: languages/operationId: run/ or die;
$bad =~ s/code: print\(6 \* 7\)/code: 1/ or die;
($exit, $out) = lint(spew("$dir/bad.yaml", $bad));
isnt $exit, 0, 'it finds what is wrong';
like $out, qr/operation-operationId-unique/, '... an id that is there twice' or diag $out;
like $out, qr/no-invalid-media-type-examples/, '... and an example that does not fit' or diag $out;

done_testing;
