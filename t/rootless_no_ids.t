# The service of an ordinary user that has neither subordinate ids nor control groups. The user
# carries out other test files.
#
# Environment: CELLBLOCK_ROOTLESS_ALL=1: more files.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($kind, %option) = $user->without_ids;
$user->test_file_ok($kind, $_, %option) for qw(api walls files_collect), $ENV{CELLBLOCK_ROOTLESS_ALL} ? qw(denied kill) : ();
done_testing;
