# Suite.pm - a test file that carries out one share of the attacks against an instance of its own.
#
#   Suite::instance("limits");     # at level namespaces; the host is inspected after each attack
#   Suite::container("limits");    # at level chroot in a plain container
#
# A share is a row of %share: a list of themes. A theme is the name of a file in cases/ without its
# extension, or "calls" for cases/system.calls. Every theme must be in one share, so that no case is
# left out when a file of cases is added.
#
# Environment: CELLBLOCK_ATTACKS, a pattern: carry out only the cases whose name or language matches
# it. CELLBLOCK_SLOW, a number: an emulated machine may take this many times as long.
package Suite;
use strict;
use warnings;

use Attacks;
use Cellblock;
use Container;
use Host;
use Test::More;

# Share => its themes, and the most cases that may be skipped at each level. The bounds leave room
# for a missing Node.js.
my %share = (
    calls  => { themes => [qw(calls sockets)], skipped => 1, skipped_chroot => 8 },
    limits => { themes => [qw(disk memory processes)], skipped => 1, skipped_chroot => 19 },
    next   => { themes => [qw(next)], skipped => 1 },
    output => { themes => [qw(compiler files judge output source)], skipped => 1, skipped_chroot => 2 },
    reach  => { themes => [qw(handed network node others proc reach)], skipped => 47, skipped_chroot => 48 },
);

my $only = $ENV{CELLBLOCK_ATTACKS};
my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my $other_key = 'b' x 48;
# Perl takes long to read a reply of many megabytes.
my $few_files = ['cellblock.conf', qr/collect_bytes = 16777216/, 'collect_bytes = 1048576'];
# The cases bound the time of an answer, on a busy machine, too. t/stall.t has the attacks on this.
my $not_stretched = ['cellblock.conf', qr/stall_percent = \d+/, 'stall_percent = 0'];
my $quick_compiler = ['languages/c.conf', qr/output = "main";/,
    'output = "main"; limits = { wall_ms = ' . 5000 * $slow . '; cpu_ms = ' . 5000 * $slow . '; };'];

sub cases_of {
    my ($name) = @_;
    my %wanted = map { $_ => 1 } @{ $share{$name}{themes} };
    my %all = map { $_ => 1 } map { @{ $_->{themes} } } values %share;
    my @homeless = grep { !$all{ $_->{theme} } } Attacks->cases;
    die "no test file carries out $homeless[0]{name}\n" if @homeless;
    return grep { $wanted{ $_->{theme} } } Attacks->cases($only);
}

sub carry_out {
    my ($attacks, $skipped_at_most, @cases) = @_;
    my (%count, %took);
    for my $case (@cases) {
        my $result = $attacks->carry_out($case);
        Attacks::show($result);
        $took{ $case->{name} } = $result->{took} // 0;
        note "skipped: $result->{name}: $result->{skip}" if $result->{skip};
        $count{ $result->{skip} ? 'skipped' : $case->{language} }++;
    }
    note join ', ', map {"$_: $count{$_}"} sort keys %count;
    note sprintf 'slowest: %.1f s, %s', $took{$_}, $_ for grep { defined } (sort { $took{$b} <=> $took{$a} } keys %took)[0 .. 9];
    cmp_ok $count{skipped} // 0, '<=', $skipped_at_most, "at most $skipped_at_most cases are skipped" if !defined $only;
    pass 'no case matches CELLBLOCK_ATTACKS' if !@cases;
    return;
}

sub finish {
    my ($cb) = @_;
    ok defined $cb->healthy_within(10), 'the service is healthy after all attacks';
    $cb->finish;
    done_testing;
    return;
}

sub instance {
    my ($name) = @_;
    # Some attacks need processes, and others find out whether they have them unasked. The runs
    # that come next have what is shipped.
    my $cb = Cellblock->start(own => 1, keys => { other => $other_key }, conf => [
        ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = ' . 10_000 * $slow],
        $quick_compiler, $few_files, $not_stretched,
        # With few cells the next runs have those of the attack.
        $name eq 'next' ? ['cellblock.conf', qr/cells = 32/, 'cells = 13'] :
            ['cellblock.conf', qr/processes = \{ maximum = \d+;/, 'processes = { default = 1; maximum = 64;'],
    ]);
    my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key}, other_key => $other_key, slow => $slow);
    my @cases = cases_of($name);

    # The first run of a language makes zygotes and cells: they must not count as changes of the
    # host.
    my %wanted = map { $_ => 1 } 'python3', map { $_->{language} } @cases;
    for my $language (grep { exists $attacks->{missing}{$_} && !$attacks->{missing}{$_} } sort keys %wanted) {
        $attacks->run($language, $attacks->benign($language), @$_) for [], [args => ['x']], [limits => { processes => 2 }];
    }
    my $host = Host->new($cb);
    $attacks->{host} = sub { $host->changes };
    carry_out($attacks, $share{$name}{skipped}, @cases);
    finish($cb);
    return;
}

# SECURITY.md says what level chroot does not promise. A case that needs such a layer is skipped by
# the layer's name.
sub container {
    my ($name) = @_;
    my $container = Container->new;
    my $cb = Cellblock->start(own => 1, inside => [$container->plain], conf => [$container->conf, $quick_compiler, $few_files, $not_stretched]);
    my $attacks = Attacks->new(url => $cb->{url}, key => $cb->{key}, slow => $slow);
    # The first run of a language makes its tree.
    $attacks->run($_, $attacks->benign($_)) for grep { !$attacks->{missing}{$_} } sort keys %{ $attacks->{missing} };
    carry_out($attacks, $share{$name}{skipped_chroot}, cases_of($name));
    finish($cb);
    return;
}

1;
