# Every attack of t/attacks against an instance, and what the host has of it after each: see t/attacks/README.
#
# The environment: CELLBLOCK_ATTACKS, a pattern: only those; CELLBLOCK_SLOW, a number: on an emulated machine everything may
# take so many times as long.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/attacks";
use Attacks;
use Cellblock;
use Host;
use Test::More;

# Programs that may start others, for attacks that need some; and a compiler that is stopped sooner.
my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = ' . 10_000 * $slow],
    ['cellblock.conf', qr/processes = \{ default = 1; maximum = 1;/, 'processes = { default = 1; maximum = 64;'],
    ['languages/c.conf', qr/output = "main";/, 'output = "main"; limits = { wall_ms = ' . 5000 * $slow . '; cpu_ms = ' . 5000 * $slow . '; };'],
]);
my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key}, slow => $slow);

my @cases = $attacks->cases($ENV{CELLBLOCK_ATTACKS});

# What is made at the first run of a language is no change.
my %wanted = map { $_ => 1 } 'python3', map { $_->{language} } @cases;
for my $language (grep { exists $attacks->{missing}{$_} && !$attacks->{missing}{$_} } sort keys %wanted) {
    $attacks->run($language, $attacks->benign($language), @$_) for [], [args => ['x']], [limits => { processes => 2 }];
}
my $host = Host->new($cb);
$attacks->{host} = sub { $host->changes };

my (%count, %took);
for my $case (@cases) {
    my $result = $attacks->carry_out($case);
    Attacks::show($result);
    $took{ $case->{name} } = $result->{took} // 0;
    diag "skipped: $result->{name}: $result->{skip}" if $result->{skip};
    $count{ $result->{skip} ? 'skipped' : $case->{language} }++;
}
diag join ', ', map {"$_: $count{$_}"} sort keys %count;
diag sprintf 'slowest: %.1f s, %s', $took{$_}, $_ for grep { defined } (sort { $took{$b} <=> $took{$a} } keys %took)[0 .. 19];
cmp_ok $count{skipped} // 0, '<', 40, 'most of them were carried out' if !$ENV{CELLBLOCK_ATTACKS};
ok defined $cb->healthy_within(10), 'healthy after all that';

$cb->finish;
done_testing;
