# The service of an ordinary user that root has given subordinate ids and control groups. The user
# carries out other test files.
#
# Environment: CELLBLOCK_ROOTLESS_ALL=1: more files and every attack, which takes about five
# minutes.
use strict;
use warnings;
use Rootless;
use Test::More;

my $user = Rootless->new;
my ($kind, %option) = $user->with_ids;
$user->test_file_ok($kind, $_, %option) for qw(api walls files_collect);
if ($ENV{CELLBLOCK_ROOTLESS_ALL}) {
    # Parts of limits, compile and the comparisons need control groups.
    $user->test_file_ok($kind, $_, %option) for qw(denied kill), $option{without} ? () : qw(limits compile nodejs python_semantics);
}
done_testing;
