# Each step of making a cell is made to fail (t/steps.t), in the service of an ordinary user that
# has neither subordinate ids nor control groups: such cells have a user namespace of their own.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($kind, %option) = $user->without_ids;
$user->test_file_ok($kind, 'steps', %option);
done_testing;
