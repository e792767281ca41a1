# The steps of a guest that has its run are made to fail (t/steps_run.t), in the service of an
# ordinary user that has neither subordinate ids nor control groups.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($kind, %option) = $user->without_ids;
$user->test_file_ok($kind, 'steps_run', %option);
done_testing;
