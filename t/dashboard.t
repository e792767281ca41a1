# The Grafana dashboard: Grafana can import it, and a real Prometheus that reads a real service has
# data for every one of its queries.
use strict;
use warnings;
use Cellblock qw(command eventually json missing root slurp spew);
use File::Temp ();
use HTTP::Tiny;
use Test::More;

my $dashboard = json->decode(slurp(root() . '/etc/grafana/cellblock.json'));

# --- the JSON -----------------------------------------------------------------------------------------------------------

is $dashboard->{uid}, 'cellblock', 'it has an id of its own';
ok !defined $dashboard->{id}, 'and none of a database, so that it can be imported';
cmp_ok $dashboard->{schemaVersion}, '>=', 36, 'its schema is that of Grafana 9';
my %variables = map { $_->{name} => $_ } @{ $dashboard->{templating}{list} };
is join(' ', sort keys %variables), 'datasource instance', 'it asks for the data source and the instance';
my @panels = grep { $_->{type} ne 'row' } @{ $dashboard->{panels} };
my (%ids, %place);
for my $panel (@{ $dashboard->{panels} }) {
    ok !$ids{ $panel->{id} }++, "$panel->{title}: its id is its own";
    like $panel->{type}, qr/\A(?:row|stat|timeseries)\z/, "$panel->{title}: a kind of panel that Grafana has by itself";
    my $at = $panel->{gridPos};
    cmp_ok $at->{x} + $at->{w}, '<=', 24, "$panel->{title}: is within 24 columns";
    my @taken = grep { $place{$_}++ } map { my $y = $_; map {"$_,$y"} $at->{x} .. $at->{x} + $at->{w} - 1 } $at->{y} .. $at->{y} + $at->{h} - 1;
    is scalar @taken, 0, "$panel->{title}: covers no other panel";
}
for my $panel (@panels) {
    is $panel->{datasource}{uid}, '${datasource}', "$panel->{title}: uses the chosen data source";
    cmp_ok scalar @{ $panel->{targets} }, '>', 0, "$panel->{title}: has a query";
}

# --- real data ----------------------------------------------------------------------------------------------------------

if (my $why = missing('no prometheus (Debian: prometheus)', grep { -x "$_/prometheus" } split /:/, $ENV{PATH})) {
    done_testing;
    diag $why;
    exit;
}
my $cb = Cellblock->start(own => 1, args => ['--workers', 2]);
my $dir = File::Temp->newdir;
my $port = $cb->free_port;
my ($target) = $cb->{url} =~ m{//(.*)};
my $jobs = join '', map {"  - job_name: $_->[0]\n    metrics_path: $_->[1]\n    static_configs: [{targets: ['$target']}]\n"}
    ['cellblock', '/v1/sandbox/metrics'], ['cellblock-keys', '/v1/sandbox/metrics/keys'];
spew("$dir/prometheus.yml", "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n$jobs");
my $pid = fork // die "fork: $!";
if (!$pid) {
    open STDOUT, '>', "$dir/log" or POSIX::_exit(126);
    open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
    no warnings 'exec';
    exec 'prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data", "--web.listen-address=127.0.0.1:$port";
    POSIX::_exit(127);
}
END { my $status = $?; if ($pid && $$ != $pid) { kill 'KILL', $pid; waitpid $pid, 0 } $? = $status }

my $http = HTTP::Tiny->new(timeout => 20);

# The series that a query returns, or undef with $@.
sub query {
    my ($expr) = @_;
    my $r = $http->post_form("http://127.0.0.1:$port/api/v1/query", { query => $expr });
    my $answer = eval { json->decode($r->{content}) };
    if (!$answer || $answer->{status} ne 'success') { $@ = $r->{content}; return }
    return $answer->{data}{result};
}

ok eventually(60, sub { my $up = query('sum(up)'); $up && @$up && $up->[0]{value}[1] == 2 }), 'Prometheus reads both pages'
    or diag slurp("$dir/log");
my $has_c = $cb->get('/v1/sandbox/languages')->{body} =~ /"name":"c",.*?"available":true/;

# Some of all that there is: runs of several languages and statuses, denied calls, compilations.
sub work {
    $cb->run(code => 'sum(range(100000))');
    $cb->run(code => "import socket\ntry: socket.socket()\nexcept OSError: raise SystemExit(1)");
    $cb->run(language => 'c', code => 'int main(void) { return 0; }') if $has_c;
    return;
}
for my $panel (@panels) {
    for my $one (@{ $panel->{targets} }) {
        my $expr = $one->{expr} =~ s/\$__rate_interval/20s/gr =~ s/\$__range/5m/gr =~ s/\$instance/.*/gr;
        my $series;
        ok eventually(40, sub { work(); $series = query($expr); !$series || @$series }) && $series, "$panel->{title}: Prometheus has data for: $one->{expr}"
            or diag $@;
    }
}

$cb->finish;
done_testing;
