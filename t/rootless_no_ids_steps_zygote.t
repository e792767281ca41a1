# The steps of a zygote's start, of networks and of relays are made to fail (t/steps_zygote.t), in
# the service of an ordinary user that has neither subordinate ids nor control groups.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($kind, %option) = $user->without_ids;
$user->test_file_ok($kind, 'steps_zygote', %option);
done_testing;
