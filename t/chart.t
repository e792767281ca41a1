# The benchmark's picture of its latencies: bench/chart.py. What was not measured is left out, and
# the picture is well-formed XML whatever the machine is called.
use strict;
use warnings;
use Cellblock qw(command json root slurp spew);
use File::Temp qw(tempdir);
use Test::More;

my $root = root();
my $dir = tempdir('cellblock-chart-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub chart { return command(['/usr/bin/python3', '-B', "$root/bench/chart.py", @_]) }

my ($exit, $picture, $err) = chart("$root/t/chart/result.json");
is $exit, 0, 'it draws' or diag $err;
my $check = 'import sys, xml.dom.minidom as x; print(*(t.firstChild.data for t in x.parse(sys.stdin).getElementsByTagName("text")), sep="\n")';
my ($well, $texts, $why) = command(['/usr/bin/python3', '-c', $check], stdin => spew("$dir/picture.svg", $picture));
is $well, 0, 'it is well-formed' or diag $why;
my @found = split /\n/, $texts;
is_deeply [grep {/ ms\z/} @found], ['1.2 ms', '11.2 ms', '2.0 ms', '1.1 ms', '2.7 ms', '166 ms'], 'each measure has its figure, in order';
is_deeply [grep {/Node\.js|bubblewrap/} @found], [], 'a comparison without Cellblock is left out, and so is a way that is not here';
like $found[-1], qr/2 x A <processor> & more, Linux 6\.1\.0, .*load average 0\.1 to 0\.4; 2026-11-28/, 'the last line says what machine it was, and how busy';
my ($shortest, $longest) = (sort { $a <=> $b } $picture =~ /<rect x="290" y="\d+" width="([\d.]+)"/g)[0, -1];
cmp_ok abs($longest / $shortest - 166.4 / 1.1), '<', 1, 'the lengths are in proportion';
is((chart("$root/t/chart/result.json", "$dir/other.svg"))[0], 0, 'it draws into a file');
is slurp("$dir/other.svg"), $picture, '... the same';

my $none = json->decode(slurp("$root/t/chart/result.json"));
$none->{$_} = [] for qw(latency nodes languages);
($exit, undef, $err) = chart(spew("$dir/none.json", json->encode($none)));
isnt $exit, 0, 'nothing was measured: an error';
like $err, qr/no latency of Cellblock was measured/, '... which says so';

# The picture of the documents is that of the figures beside it.
SKIP: {
    skip 'the documents have no picture', 1 if !-e "$root/docs/latency.json";
    is((chart("$root/docs/latency.json"))[1], slurp("$root/docs/latency.svg"), 'docs/latency.svg shows docs/latency.json');
}

done_testing;
