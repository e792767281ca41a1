# Attacks on the service of an ordinary user that root has given subordinate ids and control groups.
#
# Environment: CELLBLOCK_ROOTLESS_ALL=1: every attack.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
$user->attacks_ok($user->with_ids);
done_testing;
