# An armed guest has rehearsed its run, unless runs waited for guests of its kind: then it has
# touched fewer pages. The answers are the same.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use Test::More;

my $cb = Cellblock->start(own => 1, conf => [['languages/nodejs.conf', qr/armed = 4/, 'armed = 1']]);
my %available = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };

my @programs = (
    ['python3', "import json\nfrom base64 import b64decode\nprint(json.loads(b64decode(b'Nw==')) * 6)"],
    ['nodejs',  'console.log(7 * 6)'],
);

# Send $count runs, eight at a time. Returns how many page faults the guest has had that is armed
# afterwards.
sub faults_after {
    my ($count, $language, $code) = @_;
    $cb->processes_at_rest;
    my %before = map { $_ => 1 } $cb->pids('guest');
    my ($left, $good) = ($count, 0);
    $cb->many(8, sub { $left-- > 0 ? { language => $language, code => $code } : undef }, sub { $good += ($_[1]{data}{stdout} // '') eq "42\n" }, 60);
    is $good, $count, "$language: $count runs are answered";
    $cb->processes_at_rest;
    my @new = grep { !$before{$_} } $cb->pids('guest');
    is scalar(@new), 1, "$language: a guest is armed for the next run" or diag "@new";
    return (split ' ', (slurp("/proc/$new[0]/stat") // '') =~ s/.*\)//sr)[7];
}

for (@programs) {
    my ($language, $code) = @$_;
  SKIP: {
        skip "no $language here", 1 if !$available{$language};
        faults_after(1, $language, $code);
        my $calm = faults_after(1, $language, $code);
        # The last run of a burst may find a guest that waits for it. Then the next guest rehearses.
        my $busy;
        ok eventually(30, sub { ($busy = faults_after(40, $language, $code)) < $calm }), "$language: after a burst a guest does not rehearse";
        my $calm_again;
        ok eventually(30, sub { ($calm_again = faults_after(1, $language, $code)) > $busy }), "$language: after a pause it does";
        note "$language: page faults of an armed guest: $calm, $busy after a burst, then $calm_again";
    }
}

$cb->finish;
done_testing;
