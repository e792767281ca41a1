# The shares of API keys, end to end: the rate of each, how many of its runs may run and wait, the
# cells that no key may take alone, the deadline of a run, and the memory of all together. t/fair.t
# has the queue itself.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json);
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);

my %settings = (
    rated  => 'rate = 1; burst = 4;',
    dify   => 'rate = 1; burst = 0; busy_status = "503";',
    narrow => 'running = 2; waiting = 3;',
    single => 'running = 1;',
    flood  => '',
    light  => '',
);
my %key = map { $_ => "key-of-$_-0123456789" } keys %settings;
my %files = map { $_ => { key => $key{$_}, settings => $settings{$_} } } keys %settings;
my $cells = 12;
my $cb = Cellblock->start(own => 1, args => ['--connections', 600], keys => \%files, conf => [
    ['cellblock.conf', qr/cells = 32/, "cells = $cells"],
    ['cellblock.conf', qr/#reserve = 4/, 'reserve = 2'],
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 100000'],
]);
my $long = 'import time; time.sleep(100)';

# One run of a key. $headers: more of them.
sub run_of {
    my ($name, $headers, %field) = @_;
    return $cb->request('POST', '/v1/sandbox/run', key => $key{$name}, headers => { 'Content-Type' => 'application/json', %{ $headers || {} } },
        content => json->encode({ language => 'python3', code => 'print(1)', %field }));
}

# Many runs of a key, and their answers.
sub runs_of {
    my ($name, $count, $at_once, %field) = @_;
    my ($sent, @replies) = (0);
    local $cb->{key} = $key{$name};
    $cb->many($at_once, sub { $sent++ < $count ? { code => 'print(1)', %field } : undef }, sub { push @replies, $_[1] });
    return @replies;
}

# Runs of a key that do not end by themselves: their connections.
sub sleepers_of {
    my ($name, $count) = @_;
    local $cb->{key} = $key{$name};
    return map { $cb->connect_raw($cb->run_bytes(code => $long, limits => { wall_ms => 110000 })) } 1 .. $count;
}

# A figure of a key, such as "running". A key has figures from the end of its first run on.
sub figure {
    my ($name, $figure) = @_;
    my $text = $cb->get('/v1/sandbox/metrics/keys', key => undef)->{body};
    return $text =~ /^cellblock_key_$figure\{key="$name"\} (\S+)$/m ? $1 : -1;
}

sub runs_and_waits {
    my ($name, $running, $waiting) = @_;
    return eventually(30, sub { figure($name, 'running') == $running && figure($name, 'waiting') == $waiting })
        || !diag join ' ', map { "$_: " . figure($name, $_) } qw(running waiting);
}

sub with_status {
    my ($status, @replies) = @_;
    return grep { $_->{status} == $status } @replies;
}

# --- rate and burst -------------------------------------------------------------------------------------------------------

{
    my $first = run_of('rated');
    envelope_ok($first, 200, 0, 'a rate: the first run is let in');
    is $first->{headers}{'x-ratelimit-limit'}, 5, 'a rate: the burst, and one a second';
    is $first->{headers}{'x-ratelimit-remaining'}, 4, 'a rate: so many are left';
    like $first->{headers}{'x-ratelimit-reset'}, qr/\A[01]\z/, 'a rate: all are there again in a second';
    my @replies = runs_of('rated', 40, 10);
    my @refused = with_status(429, @replies);
    cmp_ok scalar(with_status(200, @replies)), '>=', 4, 'a rate: the burst is let in';
    cmp_ok scalar(@refused), '>=', 1, 'a rate: what is above it is refused';
    is @refused + with_status(200, @replies), 40, 'a rate: each run has one of these answers';
    envelope_ok($refused[0], 429, -429, 'a rate: the refusal');
    is $refused[0]{headers}{'retry-after'}, 1, 'a rate: when to come again';
    is $refused[0]{headers}{'x-ratelimit-remaining'}, 0, 'a rate: none is left';
    like $refused[0]{headers}{'x-ratelimit-reset'}, qr/\A[45]\z/, 'a rate: until all are there again';
    my @other = runs_of('light', 20, 10);
    is scalar(with_status(200, @other)), 20, 'a rate: another key is not touched';
    cmp_ok $other[-1]{headers}{'x-ratelimit-remaining'}, '>', 4000, 'a rate: nor what it has left';
    ok eventually(30, sub { run_of('rated')->{status} == 200 }), 'a rate: it is let in again';

    @replies = runs_of('dify', 20, 10);
    @refused = with_status(503, @replies);
    cmp_ok scalar(@refused), '>=', 1, 'busy_status = "503": what is above the rate is refused';
    is @refused + with_status(200, @replies), 20, 'busy_status = "503": nothing is 429';
    envelope_ok($refused[0], 503, -503, 'busy_status = "503": the refusal');
    is $refused[0]{headers}{'retry-after'}, 1, 'busy_status = "503": when to come again';
}

# --- how many run and wait ------------------------------------------------------------------------------------------------

{
    envelope_ok(run_of('narrow'), 200, 0, 'two may run, and three wait: the first');
    my @open = sleepers_of('narrow', 5);
    ok runs_and_waits('narrow', 2, 3), 'two run, and three wait';
    my $begin = time;
    my $over = run_of('narrow');
    cmp_ok time - $begin, '<', 60, 'one more is refused, long before a place can come free';
    envelope_ok($over, 429, -429, '... by its key');
    like $over->{headers}{'retry-after'}, qr/\A[1-9]\d*\z/, '... with a time to come again';
    is figure('narrow', 'refusals_total'), 1, '... and is counted';
    is scalar(with_status(200, runs_of('light', 10, 5))), 10, 'another key is not touched';
    close shift @open for 1 .. 2;
    ok runs_and_waits('narrow', 2, 1), 'where two have gone, two that waited run';
    close $_ for @open;
    ok runs_and_waits('narrow', 0, 0), 'all have gone';
    envelope_ok(run_of('narrow'), 200, 0, '... and a run of the key is let in');
}

# --- the deadline of a run ------------------------------------------------------------------------------------------------

{
    envelope_ok(run_of('single', { 'X-Queue-Timeout' => 100000 }), 200, 0, 'X-Queue-Timeout: a run that need not wait');
    my @open = sleepers_of('single', 1);
    ok runs_and_waits('single', 1, 0), 'the only run that the key may have';
    my $begin = time;
    my $late = run_of('single', { 'X-Queue-Timeout' => 700 });
    my $took = time - $begin;
    envelope_ok($late, 503, -503, 'X-Queue-Timeout: a run that cannot start in its time');
    like $late->{headers}{'retry-after'}, qr/\A[1-9]\d*\z/, 'X-Queue-Timeout: when to come again';
    cmp_ok $took, '>=', 0.6, 'X-Queue-Timeout: it has waited';
    cmp_ok $took, '<', 60, 'X-Queue-Timeout: but not as long as the configuration allows';
    envelope_ok(run_of('single', { 'X-Queue-Timeout' => $_ }), 400, -400, "X-Queue-Timeout: $_ is refused") for 0, 100001, 'soon', '-1';
    close $_ for @open;
    ok runs_and_waits('single', 0, 0), 'it has gone';
    envelope_ok(run_of('single', { 'X-Queue-Timeout' => 60000 }), 200, 0, 'X-Queue-Timeout: the next one starts in its time');
}

# --- a key that takes all that it can get -----------------------------------------------------------------------------------

{
    envelope_ok(run_of('flood'), 200, 0, 'a flood: its first run');
    my @open = sleepers_of('flood', 200);
    ok runs_and_waits('flood', $cells - 2, 200 - $cells + 2), 'a flood: it has all cells but the reserve, and the others wait';
    # None of its runs ends for 100 seconds.
    my @replies = runs_of('light', 40, 2);
    is scalar(with_status(200, @replies)), 40, 'a flood: the runs of another key are carried out';
    is scalar(grep { ($_->{data}{stdout} // '') ne "1\n" } @replies), 0, 'a flood: rightly';
    is figure('flood', 'running') . ' ' . figure('flood', 'runs_total'), $cells - 2 . ' 1', 'a flood: while none of its own has ended';
    diag sprintf 'the other key waited for %.1f ms at most', max(map { $_->{data}{usage}{queue_ms} // 0 } @replies);
    close $_ for @open;
    ok runs_and_waits('flood', 0, 0), 'a flood: it has gone';
}
$cb->finish;

# --- the memory of all together -------------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, keys => \%files, conf => [
    ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 100000'],
    ['cellblock.conf', qr/#memory_bytes = 0;/, 'memory_bytes = 629145600;'], # 600 MiB
]);
{
    my ($sent, $most, @replies) = (0, 0);
    my $begin = time;
    $cb->many(8, sub { $sent++ < 10 ? { code => 'import time; time.sleep(0.5)', limits => { memory_bytes => 256 << 20 } } : undef }, sub {
        push @replies, $_[1];
        my ($now) = $cb->get('/v1/sandbox/metrics', key => undef)->{body} =~ /^cellblock_runs_running\{language="python3"\} (\d+)$/m;
        $most = max($most, $now // 99);
    });
    is scalar(with_status(200, @replies)), 10, 'runs that do not fit into the memory wait, and all are carried out' or diag $replies[0]{body};
    cmp_ok $most, '<=', 2, 'no more run than fit';
    cmp_ok time - $begin, '>=', 2.5, 'two at a time';
    envelope_ok(run_of('light', {}, limits => { memory_bytes => 700 << 20 }), 400, -400, 'a run that never fits is refused');
    envelope_ok(run_of('light', {}, limits => { memory_bytes => 500 << 20 }), 200, 0, 'one that just fits is carried out');
}
$cb->finish;
done_testing;
