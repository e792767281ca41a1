# The interpreters with a driver make guests on this host: where their self-test failed, programs
# would run in interpreters that are started for them, and every other test would pass.
use strict;
use warnings;
use Cellblock;
use Test::More;

my $cb = Cellblock->start(own => 1);
my %programs = (python3 => 'print(6 * 7)', nodejs => 'console.log(6 * 7)');
for my $language (sort keys %programs) {
    my $r = $cb->run(language => $language, code => $programs{$language});
    is $r->{data}{stdout}, "42\n", "$language: a program runs" or diag $r->{body};
    is $cb->get('/v1/sandbox/capabilities')->{data}{languages}{$language}, 'zygote', "$language: its guests are forked";
}
$cb->finish;
done_testing;
