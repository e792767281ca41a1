# cellblock-top: one frame as text, the screen in a terminal of 80 by 24, its keys, and its errors.
use strict;
use warnings;
use Cellblock qw(command eventually missing prefix);
use IPC::Open2 qw(open2);
use Test::More;

my $top = prefix() . '/bin/cellblock-top';
if (my $why = missing('cellblock-top was built without ncurses', -x $top)) { plan skip_all => $why }
my $cb = Cellblock->start(own => 1, args => ['--workers', 2]);
my @top = ($top, '--url', $cb->{url});

# --- one frame ----------------------------------------------------------------------------------------------------------

$cb->run(code => 'print(1)') for 1 .. 5;
my @sleepers = map { $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)', limits => { wall_ms => 60000 })) } 1 .. 3;
ok eventually(20, sub { $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_runs_running\{language="python3"\} 3$/m }), 'three programs run';
# The cell of an earlier run may still be emptied, so a frame is printed until only the sleepers
# have cells.
my ($exit, $out, $err);
eventually(20, sub { ($exit, $out, $err) = command([@top, '--once', '--interval', '0.2']); $out =~ /running 3\b.*^python3 +serving +3 .*^server +3 /ms });
is "$exit $err", '0 ', 'one frame is printed';
like $out, qr/\Acellblock [0-9.]+  \Q$cb->{url}\E  level \w+  up 0d 00:\d\d:\d\d\n/, 'the first line says which service this is';
like $out, qr/^Cells +32: .* running 3\b/m, 'the cells by state';
like $out, qr/^Queue +0 of 256 /m, 'the queue';
like $out, qr/^Runs +\d+\.\d\/s .* \d+ in all$/m, 'the runs';
like $out, qr/^python3 +serving +3 +0 +\d+ +\d+ +\d+\.\d/m, 'a line for Python';
like $out, qr/^server +3 +0 +\d+\.\d/m, 'a line for the key';
is +(grep { length > 80 } split /\n/, $out), 0, 'no line is wider than 80 columns';
unlike $out, qr/[^\x20-\x7e\n]/, 'it is plain text';

# Rates and quantiles, while programs run.
my $sent = 0;
my $pid = fork // die "fork: $!";
if (!$pid) {
    $cb->many(1, sub { return $sent++ < 100000 ? { code => 'pass' } : undef }, sub { }, 60);
    POSIX::_exit(0);
}
ok eventually(30, sub { (undef, $out) = command([@top, '--once']); $out =~ /^python3 .* [1-9]\d*\.\d +\d+\.\d +\d+\.\dm?s +\d+\.\dm?s +\d+$/m }),
    'with runs there are rates and quantiles' or diag $out;
kill 'KILL', $pid;
waitpid $pid, 0;

# --- the screen -----------------------------------------------------------------------------------------------------------

SKIP: {
    my $why = missing('no script(1)', grep { -x "$_/script" } split /:/, $ENV{PATH});
    skip $why, 6 if $why;
    local @ENV{qw(TERM LINES COLUMNS)} = ('xterm', 24, 80);
    my $child = open2(my $from, my $to, 'script', '-qec', "stty rows 24 cols 80; exec @top", '/dev/null');
    my $screen = '';
    $from->blocking(0);
    my $shows = sub {
        my ($pattern) = @_;
        return eventually(20, sub { sysread $from, $screen, 65536, length $screen; $screen =~ $pattern });
    };
    ok $shows->(qr/LANGUAGE +STATE.*python3.*KEY .*server.*order \(runs\/s\)/s), 'it draws both tables and the foot' or diag $screen;
    syswrite $to, 's';
    ok $shows->(qr/errors\/s/), 's changes the order' or diag $screen;
    syswrite $to, 'S';
    ok $shows->(qr/errors\/s.*\e\[24;\d+Hrun/s), 'S changes it back' or diag $screen;
    my $before = length $screen;
    $cb->run(code => 'print(1)') for 1 .. 3;
    ok eventually(20, sub { sysread $from, $screen, 65536, length $screen; length $screen > $before + 50 }), 'it is drawn anew each second';
    unlike $screen, qr/\e\[(?:2[5-9]|[3-9]\d|\d{3,});/, 'nothing is drawn below line 24';
    syswrite $to, 'q';
    ok eventually(20, sub { waitpid($child, POSIX::WNOHANG()) == $child }), 'q ends it';
    is $?, 0, 'with status 0';
}
close $_ for @sleepers;

# --- errors ---------------------------------------------------------------------------------------------------------------

($exit, $out, $err) = command([@top]);
is $exit, 1, 'without a terminal: exit 1';
like $err, qr/no terminal; --once/, 'and a hint';
($exit, $out, $err) = command([$top, '--once', '--url', 'http://127.0.0.1:1']);
is $exit, 1, 'nothing listens: exit 1';
like $err, qr{\Acellblock-top: http://127\.0\.0\.1:1: .*refused$}, 'and the reason';
($exit, $out, $err) = command([$top, '--once', '--url', "$cb->{url}/elsewhere"]);
like $err, qr/HTTP status 404/, 'another path: the status';
for (['--url', 'ftp://x'], ['--interval', '0'], ['--interval', 'x'], ['x'], ['--nonsense']) {
    ($exit, $out, $err) = command([$top, @$_]);
    is $exit, 2, "@$_: exit 2";
    like $err, qr/usage:/, "@$_: the usage";
}
like +(command([$top, '--version']))[1], qr/\Acellblock-top [0-9.]+\n\z/, '--version';
like +(command([$top, '--help']))[1], qr/--once/, '--help';

$cb->finish;
done_testing;
