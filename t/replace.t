# Zygotes are replaced after their number of guests. The old one serves until the new one is proved,
# so the service stays healthy. The self-test's guests do not count.
use strict;
use warnings;
use Cellblock qw(eventually);
use POSIX ();
use Test::More;

# The only zygote of the only language that is always awake.
my $cb = Cellblock->start(own => 1, conf => [
    ['languages/python3.conf', qr/^#?recycle_runs = .*/m, 'recycle_runs = 5;'],
]);

sub replaced {
    my ($count) = $cb->get('/v1/sandbox/metrics', key => undef)->{body} =~ /^cellblock_zygotes_replaced_total\{language="python3"\} (\d+)$/m;
    return $count;
}

# A zygote is a process of its own for as long as it serves.
sub zygotes { return join ' ', sort { $a <=> $b } $cb->pids('zygote') }

my $first = zygotes();
isnt $first, '', 'there are zygotes';
my ($good, @ill) = (0);
for (1 .. 120) {
    my $r = $cb->run(code => 'print(6 * 7)');
    $r->{status} == 200 && $r->{data}{stdout} eq "42\n" ? $good++ : diag $r->{body};
    my $health = $cb->get('/health', key => undef);
    push @ill, $health->{body} if $health->{status} != 200;
}
is $good, 120, 'every run is carried out while zygotes are replaced';
is_deeply \@ill, [], 'the service is healthy all the time';
my @first = split / /, $first;
# Zygotes of other warm sets have made no guest but those that are armed.
my @now = split / /, zygotes();
cmp_ok scalar(grep { my $pid = $_; !grep { $_ == $pid } @now } @first), '>', 0, 'zygotes were replaced';
cmp_ok replaced(), '>=', 10, 'the metrics count them';
ok eventually(20, sub { @now = split / /, zygotes(); @now <= @first + 1 }), 'those that were replaced have ended' or diag "first @first, now @now";
$cb->finish;

# Each makes one guest for a run, and many for its self-test.
$cb = Cellblock->start(own => 1, conf => [
    ['languages/python3.conf', qr/^#?recycle_runs = .*/m, 'recycle_runs = 1;'],
]);
is $cb->run(code => 'print(6 * 7)')->{data}{stdout}, "42\n", 'a zygote for each run: run 1';
my @slow = grep { $cb->run(code => 'print(6 * 7)')->{status} != 200 } 1 .. 20;
is scalar @slow, 0, 'a zygote for each run: twenty more';
is $cb->get('/health', key => undef)->{status}, 200, 'a zygote for each run: healthy';
$cb->finish;

# A language that a run wakes is no reason to send requests elsewhere.
$cb = Cellblock->start(own => 1);
my ($wakes, @unwell) = (0);
for my $language (qw(bash perl nodejs c)) {
    my $pid = fork // die "fork: $!";
    if (!$pid) { $cb->run(language => $language, code => $language eq 'c' ? 'int main(void){return 0;}' : ''); POSIX::_exit(0) }
    do {
        my $health = $cb->get('/health', key => undef);
        push @unwell, "$language: $health->{body}" if $health->{status} != 200;
        $wakes++;
    } while waitpid($pid, POSIX::WNOHANG()) == 0;
}
is_deeply \@unwell, [], "languages wake: the service is healthy ($wakes looks)";
$cb->finish;
done_testing;
