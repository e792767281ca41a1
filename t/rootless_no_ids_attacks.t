# Attacks on the service of an ordinary user that has neither subordinate ids nor control groups.
#
# Environment: CELLBLOCK_ROOTLESS_ALL=1: every attack.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
$user->attacks_ok($user->without_ids);
done_testing;
