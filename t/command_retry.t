# cellblock and the clients send a request again where nothing was run, and never where it may have.
# The command is here; the clients have the same cases in t/clients.t.
use strict;
use warnings;
use Cellblock qw(command json prefix spew);
use File::Temp qw(tempdir);
use Flaky;
use Test::More;
use Time::HiRes qw(time);

my $cellblock = prefix() . '/bin/cellblock';
my $cb = Cellblock->start(own => 1);
my $dir = tempdir(CLEANUP => 1);
spew("$dir/one.py", "print('ran')\n");

sub answer { my ($code, $message) = @_; return json->encode({ code => $code, message => $message, data => undef }) }
my $busy = [503, 'Retry-After: 1', answer(-503, 'busy: no cell came free in time')];
my $many = [429, 'Retry-After: 1', answer(-429, 'too many requests')];

# Run one.py through a relay with these actions. Returns the exit code, stdout, stderr, what the
# relay did, and the seconds.
sub through {
    my ($actions, @options) = @_;
    my $flaky = Flaky->new($cb, @$actions);
    my $begin = time;
    my ($exit, $out, $err) = command([$cellblock, '-u', $flaky->{url}, @options, 'run', 'one.py'], dir => $dir,
        env => { CELLBLOCK_API_KEY => $cb->{key}, HOME => $dir, XDG_CONFIG_HOME => '' });
    return ($exit, $out, $err, join(' ', $flaky->done), time - $begin);
}

my ($exit, $out, $err, $done, $seconds) = through([$busy, $many, 'relay']);
is "$exit $out", "0 ran\n", 'after 503 and 429 the run is sent again' or diag $err;
is $done, '503 429 relayed', '... three times in all';
cmp_ok $seconds, '>=', 2, '... and each Retry-After was waited for';
like $err, qr/\Acellblock: busy: no cell came free in time; trying again for up to 30 s\n\z/, '... and it says so once';

($exit, $out, $err, $done, $seconds) = through([[503, 'Retry-After: 100', answer(-503, 'stops')], 'relay']);
is "$exit $done", '122 503', 'a Retry-After beyond --retry: exit code 122, at once';
cmp_ok $seconds, '<', 20, '... without a wait';
is +(through([$busy, 'relay'], '--retry', '0'))[3], '503', '--retry 0 sends nothing again';

my %final = (
    cut    => ['cut', 121, qr/the run may have begun, and its result is lost/],
    half   => ['half', 121, qr/the run may have begun, and its result is lost/],
    lost   => [[500, 'X: y', answer(-500, 'lost: the run may have begun, and its result is lost; see the log')], 121, qr/lost: the run may have begun/],
    fault  => [[500, 'X: y', answer(-500, 'internal error; see the log')], 121, qr/internal error/],
    other  => [[503, 'Retry-After: 1', '<html>overloaded</html>'], 121, qr/the answer is not from Cellblock \(HTTP 503\)/],
    bad    => [[502, 'X: y', '<html>bad gateway</html>'], 121, qr/\(HTTP 502\)/],
    strict => [[200, 'X: y', answer(-400, 'enable_network: no network is available')], 123, qr/enable_network: no network/],
    moved  => [[302, 'Location: http://127.0.0.1:1/', ''], 123, qr/\(HTTP 302\)/],
    html   => [[200, 'X: y', '<html>welcome</html>'], 121, qr/the answer is not from Cellblock/],
);
for (sort keys %final) {
    my ($action, $code, $says) = @{ $final{$_} };
    ($exit, $out, $err, $done) = through([$action, 'relay']);
    is "$exit $out", "$code ", "$_: exit code $code" or diag $err;
    like $err, $says, '... with the reason';
    unlike $done, qr/ /, '... and nothing is sent again';
}

# --- a service that cannot be reached ----------------------------------------------------------------------------------------

($exit, undef, $err) = command([$cellblock, '-u', 'http://127.0.0.1:1', '--retry', '1', 'run', 'one.py'], dir => $dir, env => { HOME => $dir });
is $exit, 122, 'nothing listens: exit code 122';
like $err, qr/trying again for up to 1 s\ncellblock: nothing was run: http:\/\/127\.0\.0\.1:1: /, '... after a second try';

# --- files of a service that is not to be trusted ---------------------------------------------------------------------------------

my $result = { stdout => '', stderr => '', error => '', exit_code => 0, signal => undef, status => 'ok', truncated => JSON::PP::false, denied => [], usage => {} };
for ('../out', '/tmp/cellblock-out', 'a/../../out', '..', '.', '', 'a//b', "a/./b", "a\0b", 'a/') {
    my %data = (%$result, files => [{ path => $_, size => 1, content => 'x', encoding => 'utf-8' }], collect => { complete => JSON::PP::true, reason => undef });
    my $flaky = Flaky->new($cb, [200, 'X: y', json->encode({ code => 0, message => 'success', data => \%data })]);
    ($exit, undef, $err) = command([$cellblock, '-u', $flaky->{url}, 'run', '-c', '*', '-d', 'below', 'one.py'], dir => $dir, env => { HOME => $dir });
    is $exit, 125, 'a file named "' . s/\0/\\0/r . '" is not written';
    like $err, qr/is not written: the name leads out/, '... and stderr says so';
}
is_deeply [map { s{.*/}{}r } glob "$dir/* $dir/below/*"], ['below', 'one.py'], '... and nothing is there';
ok !-e '/tmp/cellblock-out', '... nor outside';

$cb->finish;
done_testing;
