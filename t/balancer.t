# contrib/nginx/balancer.conf: what it sends to a second node, and what it must not. The nodes are
# stand-ins that answer, refuse, cut the connection or are away, as t/balancer/nodes.py is told.
use strict;
use warnings;
use Cellblock qw(command eventually json root skip_all slurp spew);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use Test::More;

skip_all('needs root') if $> != 0;
for (['nginx', '-v'], ['ip', '-V'], ['unshare', '--net', 'true']) {
    my ($exit, undef, $err) = command($_);
    skip_all("$_->[0]: " . ($err =~ /(.+)/ ? $1 : "exit $exit")) if $exit != 0;
}
if (!$ENV{CELLBLOCK_TEST_BALANCER}) {
    $ENV{CELLBLOCK_TEST_BALANCER} = 1;
    exec 'unshare', '--net', $^X, (map {"-I$_"} @INC), $0 or die "unshare: $!";
}
for (['link', 'set', 'lo', 'up'], map { ['address', 'add', "192.0.2.1$_/32", 'dev', 'lo'] } 1 .. 3) {
    my ($exit, undef, $err) = command(['ip', @$_]);
    die "ip @$_: $err" if $exit;
}

my $dir = tempdir('cellblock-balancer-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my @pids;
END { my $status = $?; kill 'TERM', @pids; waitpid $_, 0 for @pids; $? = $status }

sub start {
    my (@words) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) { exec @words or POSIX::_exit(127) }
    push @pids, $pid;
    return;
}

# Tell each node how to behave from now on.
sub nodes_are {
    my @words = @_;
    spew("$dir/$_", $words[$_ - 1]) for 1 .. 3;
    eventually(20, sub { !grep { (slurp("$dir/$_.is") // '') ne ($words[$_ - 1] eq 'gone' ? 'gone' : 'here') } 1 .. 3 }) or die 'the nodes do not come up';
    spew("$dir/log", '');
    return;
}

spew("$dir/$_", 'ok') for 1 .. 3;
start('/usr/bin/python3', '-B', root() . '/t/balancer/nodes.py', $dir);
my $conf = slurp(root() . '/contrib/nginx/balancer.conf') =~ s{/var/log/nginx/cellblock\.log}{$dir/access.log}r;
# A node that could not be connected to is left alone for so long; here each check is on its own.
$conf =~ s/fail_timeout=5s/fail_timeout=1s/g;
spew("$dir/balancer.conf", $conf);
my $paths = join "\n", map {"${_}_temp_path $dir/$_;"} qw(client_body proxy fastcgi uwsgi scgi);
spew("$dir/nginx.conf", "pid $dir/pid;\nerror_log $dir/error.log;\nworker_processes 1;\nevents {}\nhttp {\n$paths\ninclude $dir/balancer.conf;\n}\n");
start('nginx', '-c', "$dir/nginx.conf", '-g', 'daemon off;');

my $http = HTTP::Tiny->new(timeout => 60);
sub ask {
    my ($method, $path, %option) = @_;
    my $r = $http->request($method, "http://127.0.0.1:8080$path", { headers => { 'Content-Type' => 'application/json', %{ $option{headers} || {} } }, ($method eq 'POST' ? (content => $option{content} // '{}') : ()) });
    return { %$r, node => $r->{headers}{'x-cellblock-node'}, json => eval { json->decode($r->{content}) } };
}
sub run { return ask('POST', '/v1/sandbox/run', @_) }
sub lines { return split /\n/, slurp("$dir/log") }

nodes_are('ok', 'ok', 'ok');
ok eventually(60, sub { ask('GET', '/readyz')->{status} == 200 }), 'it serves';

# --- all is well ------------------------------------------------------------------------------------------------------------

nodes_are('ok', 'ok', 'ok');
my %seen;
for (1 .. 12) {
    my $r = run();
    $seen{ $r->{node} }++;
    is $r->{status}, 200, 'a run is answered' if $_ == 1;
}
is_deeply [sort keys %seen], ['node-1', 'node-2', 'node-3'], 'each node is asked, and named';
is scalar(lines()), 12, '... once for a run';
my %connections = map { (split)[3] => 1 } lines();
cmp_ok scalar(keys %connections), '<=', 6, 'connections are kept';
is run(headers => { 'X-Request-Id' => 'client-id-1' })->{json}{data}, 'client-id-1', "the client's id of a request goes to the node";
like run(headers => { 'X-Request-Id' => 'no id' })->{json}{data}, qr/\A[0-9a-f]{32}\z/, '... if it is well-formed';
is ask('GET', "/v1/sandbox/$_")->{status}, 404, "$_: each node has its own" for 'files/0123', 'dependencies/update';

# --- a node that refuses: nothing was run -------------------------------------------------------------------------------

for my $busy (1 .. 3) {
    nodes_are(map { $_ == $busy ? 'busy' : 'ok' } 1 .. 3);
    my @replies = map { run() } 1 .. 6;
    is join(' ', map { $_->{status} } @replies), join(' ', (200) x 6), "node-$busy refuses: another one answers";
    is scalar(grep { $_->{node} eq "node-$busy" } @replies), 0, '... and is named';
    my $asked = grep {/^$busy /} lines();
    cmp_ok $asked, '>', 0, '... it was asked';
    is scalar(lines()), 6 + $asked, '... and each refusal led to one more attempt';
}
nodes_are(('busy') x 3);
my $r = run();
is $r->{status}, 503, 'all refuse: 503';
is scalar(lines()), 2, '... after two attempts';
nodes_are(('busy') x 3);
is run(content => ' ' x 200_000)->{status}, 503, 'a large body:';
is scalar(lines()), 1, '... is sent once';
nodes_are(('rate') x 3);
is run()->{status}, 429, '429 is the answer';
is scalar(lines()), 1, '... of one node';

# --- a node that has the request and does not answer: the run may have begun -----------------------------------------

nodes_are(('cut') x 3);
$r = run(headers => { 'X-Request-Id' => 'client-id-2' });
is $r->{status}, 500, 'the connection is cut: 500';
like $r->{json}{message}, qr/\Alost: .*client-id-2\z/, '... lost, with the id of the request';
is $r->{headers}{'retry-after'}, undef, '... which does not invite to try again';
like $r->{node}, qr/\Anode-\d\z/, '... and the node is named';
is scalar(lines()), 1, '... no other node got it';
eventually(5, sub { nodes_are(('cut') x 3); run(content => ' ' x 200_000)->{status} == 500 });
is scalar(lines()), 1, 'the same for a large body';

# --- nodes that are away ----------------------------------------------------------------------------------------------------

for my $gone (1 .. 3) {
    nodes_are(('ok') x 3);
    eventually(20, sub { my %all = map { run()->{node} // '' => 1 } 1 .. 6; keys %all == 3 }); # all are asked again
    nodes_are(map { $_ == $gone ? 'gone' : 'ok' } 1 .. 3);
    my @replies = map { run() } 1 .. 6;
    is join(' ', map { $_->{status} } @replies), join(' ', (200) x 6), "node-$gone is away: the others answer";
    is scalar(lines()), 6, '... each run once';
}
nodes_are(('gone') x 3);
ok eventually(20, sub { $r = run(); $r->{status} == 503 }), 'all are away: 503';
is $r->{json}{code}, -503, '... in the envelope of the service';
is $r->{headers}{'retry-after'}, 1, '... which invites to try again';
is scalar(lines()), 0, '... and nobody got the run';

nodes_are(('ok') x 3);
ok eventually(20, sub { my %all = map { run()->{node} // '' => 1 } 1 .. 6; keys %all == 3 }), 'they are back: all are asked again';
unlike slurp("$dir/error.log"), qr/\[(?:alert|emerg|crit)\]/, 'nothing bad is in the log';

done_testing;
