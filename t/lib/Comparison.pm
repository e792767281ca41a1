# Comparison.pm - compares a program that ran in a cell with the same program under a bare
# interpreter.
package Comparison;
use strict;
use warnings;

use Encode qw(encode_utf8);
use Exporter qw(import);
use Test::More;

our @EXPORT_OK = qw(same_as_cold);

my @what = qw(stdout stderr exit_code signal);

# Assert that $reply equals the result of the bare interpreter: [stdout, stderr, exit code, signal].
# $same_form removes from a text the parts that may differ.
sub same_as_cold {
    my ($name, $reply, $cold, $same_form) = @_;
    my $d = $reply->{data};
    if ($reply->{status} != 200) {
        fail $name;
        diag "status $reply->{status}: $reply->{body}";
        return;
    }
    my @warm = ($same_form->($d->{stdout}), $same_form->($d->{stderr}), @$d{qw(exit_code signal)});
    my @differ = grep { ($cold->[$_] // 'none') ne ($warm[$_] // 'none') } 0 .. $#what;
    ok !@differ, $name or do {
        for (@differ) {
            my @shown = map { encode_utf8(substr $_ // 'none', 0, 3000) } $cold->[$_], $warm[$_];
            diag "$what[$_]\n--- cold:\n$shown[0]\n--- service:\n$shown[1]";
        }
    };
    return;
}

1;
