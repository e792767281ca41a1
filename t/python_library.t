# Three hundred programs of the kind that documentation shows behave in a cell as under a bare
# Python: same output, same errors, same exit status.
#
# Each program of t/python_shelf/library_*.txt runs twice: cold, by `python3 main.py` in an empty
# directory, and by the service, where most imports come from a shelf.
use strict;
use warnings;
use Cellblock qw(root slurp);
use ColdPython qw(cold_python cold_result same_form);
use Comparison qw(same_as_cold);
use Encode qw(decode);
use File::Temp qw(tempdir);
use POSIX ();
use Storable qw(retrieve store);
use Test::More;

my $at_once = 3;

my $python = $ENV{CELLBLOCK_TEST_PYTHON} // '/usr/bin/python3';
my $cb = Cellblock->start(conf => [['languages/python3.conf', qr{^interpreter = "/usr/bin/python3"}m, "interpreter = \"$python\""]]);
my $cold_python = cold_python($python, $cb->run(code => $ColdPython::facts));

# [name, source (bytes)]
my @programs;
for my $file (sort glob root() . '/t/python_shelf/library_*.txt') {
    my (undef, @parts) = split /^== (.*)\n/m, slurp($file);
    while (my ($name, $source) = splice @parts, 0, 2) {
        push @programs, [$name, $source];
    }
}
cmp_ok scalar @programs, '>=', 300, 'there are 300 programs';
is scalar(keys %{ { map { $_->[0] => 1 } @programs } }), scalar @programs, 'each has a name of its own';
if (my $pattern = $ENV{CELLBLOCK_PROGRAMS}) {
    @programs = grep { $_->[0] =~ $pattern } @programs;
}

# The cold runs, in some processes of ours, each with its share of the programs.
my $results = tempdir(CLEANUP => 1);
my @children = map { my $share = $_; fork // die "fork: $!" or do {
    my %of;
    for (my $i = $share; $i < @programs; $i += $at_once) {
        $of{$i} = [cold_result($cold_python, $programs[$i][1], '')];
    }
    store(\%of, "$results/$share");
    POSIX::_exit(0);
} } 0 .. $at_once - 1;
waitpid $_, 0 for @children;
my %cold = map { %{ retrieve("$results/$_") } } 0 .. $at_once - 1;

my @left = map { { code => decode('UTF-8', $programs[$_][1]), number => $_ } } 0 .. $#programs;
my %reply;
$cb->many($at_once, sub { shift @left }, sub { my ($fields, $reply) = @_; $reply{ $fields->{number} } = $reply }, 120);
same_as_cold($programs[$_][0], $reply{$_}, $cold{$_}, \&same_form) for 0 .. $#programs;
$cb->finish;
done_testing;
