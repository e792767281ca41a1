# The metrics: Prometheus' text, checked by promtool; the figures of runs, refusals, denied calls
# and compilations; and the addresses that may read them.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually missing process_status spew);
use File::Temp ();
use Test::More;

# No key has all cells, so some runs wait for as long as the test looks.
my $cb = Cellblock->start(own => 1, args => ['--workers', 2], conf => [['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 60000']]);

# All samples of a page: "name{labels}" => value.
sub samples {
    my ($path) = @_;
    my $r = $cb->get($path // '/v1/sandbox/metrics', key => undef);
    return map { /\A(cellblock_\w+(?:\{.*\})?) (\S+)\z/ ? ($1 => $2) : () } split /\n/, $r->{body};
}

# How much each sample has grown since %$before.
sub grown {
    my ($before, %now) = @_;
    return map { $_ => $now{$_} - ($before->{$_} // 0) } grep { $now{$_} != ($before->{$_} // 0) } keys %now;
}

sub promtool_is_content {
    my ($text, $name) = @_;
    my $file = File::Temp->new;
    my ($exit, $out, $err) = command(['promtool', 'check', 'metrics'], stdin => spew("$file", $text));
    is "$exit $out$err", '0 ', $name;
}

# --- the text -----------------------------------------------------------------------------------------------------------

my $python = 'language="python3"';
my %before = samples();
my $page = $cb->get('/v1/sandbox/metrics', key => undef);
is $page->{status}, 200, 'the metrics need no key on this host';
is $page->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'their type is that of Prometheus';
is $before{'cellblock_runner_up'}, 1, 'the runner answers';
ok +(grep {/\Acellblock_build_info\{version="[0-9.]+",level="\w+"\}\z/} keys %before), 'they say which version answers';
cmp_ok abs($before{cellblock_start_time_seconds} - time), '<', 300, 'and when the runner started';
is $before{cellblock_cells_configured}, 32, 'the number of cells';
my $cells = 0;
$cells += $before{$_} for grep {/\Acellblock_cells\{state=/} keys %before;
is $cells, 32, 'each cell is in one state';
is $before{"cellblock_language_state{$python,state=\"serving\"}"}, 1, 'Python serves';
cmp_ok $before{"cellblock_zygotes{$python}"}, '>=', 1, 'it has zygotes';
cmp_ok $before{"cellblock_zygote_oldest_age_seconds{$python}"}, '>', 0, 'with an age';

# --- runs ---------------------------------------------------------------------------------------------------------------

$cb->run(code => 'print(1)') for 1 .. 3;
$cb->run(code => 'raise SystemExit(3)');
$cb->run(code => 'import time; time.sleep(60)', limits => { wall_ms => 300 });
my %grown = grown(\%before, samples());
is $grown{"cellblock_runs_total{$python,status=\"ok\"}"}, 3, 'three runs ended ok';
is $grown{"cellblock_runs_total{$python,status=\"exit\"}"}, 1, 'one with an exit code';
is $grown{"cellblock_runs_total{$python,status=\"timeout\"}"}, 1, 'one at its time limit';
for my $time (qw(queue spawn wall cpu)) {
    is $grown{"cellblock_run_${time}_seconds_count{$python}"}, 5, "$time: five runs are in the histogram";
    is $grown{"cellblock_run_${time}_seconds_bucket{$python,le=\"+Inf\"}"}, 5, "$time: and in its last bucket";
}
cmp_ok $grown{"cellblock_run_wall_seconds_sum{$python}"}, '>', 0.3, 'the times are in seconds';
cmp_ok $grown{"cellblock_run_wall_seconds_bucket{$python,le=\"0.25\"}"} // 0, '<=', 4, 'the run that met its limit is in a bucket above 0.25 s';
cmp_ok $grown{"cellblock_zygote_forks_total{$python}"} // 0, '>=', 1, 'guests were forked for them';

# --- denied calls -------------------------------------------------------------------------------------------------------

%before = samples();
$cb->run(code => "import socket\nfor _ in range(4):\n    try: socket.socket()\n    except OSError: pass");
%grown = grown(\%before, samples());
is $grown{'cellblock_denied_calls_total{call="socket"}'}, 4, 'denied calls are counted by name';

# --- refusals and runs that wait ------------------------------------------------------------------------------------------

%before = samples();
my @sleepers = map { $cb->connect_raw($cb->run_bytes(code => 'import time; time.sleep(60)', limits => { wall_ms => 60000 })) } 1 .. 40;
my %now;
ok eventually(30, sub { %now = samples(); $now{"cellblock_runs_running{$python}"} == 28 && $now{"cellblock_runs_queued{$python}"} == 12 }),
    'runs that run and wait are shown: those of one key have all cells but the reserve';
my %keys = samples('/v1/sandbox/metrics/keys');
is $keys{'cellblock_key_running{key="server"}'}, 28, 'for their key, too: those that run';
is $keys{'cellblock_key_waiting{key="server"}'}, 12, '... and those that wait';
close $_ for @sleepers;
ok eventually(30, sub { %now = samples(); $now{"cellblock_runs_running{$python}"} + $now{"cellblock_runs_queued{$python}"} == 0 }),
    'until their clients have gone';
%grown = grown(\%before, %now);
is $grown{"cellblock_runs_total{$python,status=\"cancelled\"}"}, 40, 'such runs are cancelled';

# --- compiled programs ----------------------------------------------------------------------------------------------------

SKIP: {
    my $why = missing('no C compiler', $cb->get('/v1/sandbox/languages')->{body} =~ /"name":"c",.*?"available":true/);
    skip $why, 6 if $why;
    %before = samples();
    $cb->run(language => 'c', code => "int main(void) { return 0; }\n") for 1 .. 3;
    $cb->run(language => 'c', code => "int main(void) { nonsense }\n");
    %now = samples();
    %grown = grown(\%before, %now);
    is $grown{'cellblock_compilations_total{language="c",status="ok"}'}, 1, 'the source was compiled once';
    is $grown{'cellblock_compile_cache_hits_total{language="c"}'}, 2, 'and found twice';
    is $grown{'cellblock_compile_cache_misses_total{language="c"}'}, 2, 'two sources were not found';
    is $grown{'cellblock_runs_total{language="c",status="ok"}'}, 3, 'the program ran three times';
    is $grown{'cellblock_compilations_total{language="c",status="exit"}'}, 1, 'the compiler rejected the other';
    cmp_ok $now{cellblock_compile_cache_bytes}, '>', 1000, 'the program takes room in the cache';
}

# --- processes that die ---------------------------------------------------------------------------------------------------

%before = samples();
kill 'KILL', ($cb->pids('zygote'))[0];
ok eventually(20, sub { %grown = grown(\%before, samples()); grep {/\Acellblock_zygote_deaths_total/} keys %grown }), 'the death of a zygote is counted';
kill 'KILL', ($cb->pids('warden'))[0];
ok eventually(20, sub { %grown = grown(\%before, samples()); grep {/\Acellblock_warden_deaths_total/} keys %grown }), 'the death of a warden is counted';
ok eventually(60, sub { $cb->get('/readyz', key => undef)->{status} == 200 }), 'others are started';

# --- keys -----------------------------------------------------------------------------------------------------------------

%before = samples('/v1/sandbox/metrics/keys');
envelope_ok($cb->run(code => 'sum(range(1000000))'), 200, 0, 'a run') for 1 .. 4;
%grown = grown(\%before, samples('/v1/sandbox/metrics/keys'));
is $grown{'cellblock_key_runs_total{key="server"}'}, 4, 'the runs of a key are counted';
cmp_ok $grown{'cellblock_key_cpu_seconds_total{key="server"}'}, '>', 0, 'and their CPU time';
is +(grep { index($cb->get($_, key => undef)->{body}, $cb->{key}) >= 0 } qw(/v1/sandbox/metrics /v1/sandbox/metrics/keys)), 0, 'no page has a key itself';
unlike $page->{body}, qr/key=/, 'the page of the service has no names of keys';

# --- who may read them ----------------------------------------------------------------------------------------------------

# The TLS port listens on all addresses: a request to another address of this host comes from there.
my ($address) = `hostname -I` =~ /(\d+\.\d+\.\d+\.\d+)/;
SKIP: {
    skip 'this host has no other address', 4 if !$address;
    for my $path (qw(/v1/sandbox/metrics /v1/sandbox/metrics/keys)) {
        my ($exit, $out) = command(['curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}', "https://$address:$cb->{tls_port}$path"]);
        is $out, 404, "$path does not exist for other addresses";
        ($exit, $out) = command(['curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}', "https://127.0.0.1:$cb->{tls_port}$path"]);
        is $out, 200, "$path is there for this host, over TLS too";
    }
}

# --- promtool -------------------------------------------------------------------------------------------------------------

SKIP: {
    my $why = missing('no promtool (Debian: prometheus)', grep { -x "$_/promtool" } split /:/, $ENV{PATH});
    skip $why, 2 if $why;
    promtool_is_content($cb->get($_, key => undef)->{body}, "promtool has no complaint about $_") for qw(/v1/sandbox/metrics /v1/sandbox/metrics/keys);
}

# --- a new runner ---------------------------------------------------------------------------------------------------------

%before = samples();
is +(command(['supervisorctl', '-c', "$cb->{dir}/supervisord.conf", 'restart', 'runner'], seconds => 90))[0], 0, 'the runner is restarted';
ok eventually(30, sub { %now = samples(); ($now{cellblock_start_time_seconds} // 0) > $before{cellblock_start_time_seconds} }),
    'the time of the start is the new runner\'s';
is $now{"cellblock_runs_total{$python,status=\"ok\"}"}, 0, 'and its counters begin at 0';

$cb->finish;
done_testing;
