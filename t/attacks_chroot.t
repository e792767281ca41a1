# Every attack of t/attacks against level chroot in a plain container. What that level does not promise is skipped by name, with
# the layer that is missing: see SECURITY.md.
#
# The environment: CELLBLOCK_ATTACKS, a pattern: only those.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Attacks;
use Cellblock;
use Container;
use Test::More;

my $container = Container->new;
my $cb = Cellblock->start(own => 1, inside => [$container->plain], conf => [$container->conf,
    ['languages/c.conf', qr/output = "main";/, 'output = "main"; limits = { wall_ms = 5000; cpu_ms = 5000; };']]);
my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key});
# Trees are made at the first run of a language.
$attacks->run($_, $attacks->benign($_)) for grep { !$attacks->{missing}{$_} } sort keys %{ $attacks->{missing} };

my %count;
for my $case ($attacks->cases($ENV{CELLBLOCK_ATTACKS})) {
    my $result = $attacks->carry_out($case);
    Attacks::show($result);
    $count{ $result->{skip} ? 'skipped' : $case->{language} }++;
}
diag join ', ', map {"$_: $count{$_}"} sort keys %count;
cmp_ok $count{skipped} // 0, '<', 60, 'most of them were carried out' if !$ENV{CELLBLOCK_ATTACKS};
ok defined $cb->healthy_within(10), 'healthy after all that';

$cb->finish;
done_testing;
