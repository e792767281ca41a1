# script/server: options, two instances side by side, start and stop.
use strict;
use warnings;
use Cellblock qw(command eventually prefix root slurp spew);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

my $server = root() . '/script/server';

# --- options ----------------------------------------------------------------------------------------------------------------

my ($exit, $out, $err) = command([$server, '--help']);
is $exit, 0, '--help: exit 0';
like $out, qr/^\s+$_\b/m, "--help lists $_" for qw(--dir --port --tls-port --cells --workers --rate --rootless --without --prefix --detach --stop --help);

my @bad = (
    [['--colour'],                    qr/--colour/],
    [['extra'],                       qr/extra/],
    [['--port'],                      qr/--port/],
    [['--port', '0'],                 qr/--port.*1 to 65535/],
    [['--port', '65536'],             qr/--port.*1 to 65535/],
    [['--port', '12x'],               qr/--port.*1 to 65535/],
    [['--port', '-1'],                qr/--port.*1 to 65535/],
    [['--port=8194', '--tls-port=8194'], qr/must differ/],
    [['--workers', '0'],              qr/--workers/],
    [['--cells', '5000'],             qr/--cells.*1 to 4096/],
    [['--dir', ''],                   qr/--dir/],
    [['--without', 'seccomp'],       qr{--without: must be cgroup or uid_per_cell}],
);
for (@bad) {
    my ($arguments, $says) = @$_;
    ($exit, $out, $err) = command([$server, @$arguments]);
    is $exit, 2, "bad: @$arguments: exit 2";
    like $err, $says, "bad: @$arguments: the message names the mistake";
    like $err, qr/^usage: /m, "bad: @$arguments: the usage is printed";
}
my $empty = tempdir(CLEANUP => 1);
my @refused = (
    ['no instance to stop',  ['--stop', '--dir', $empty],                            {}, qr/no instance in \Q$empty\E/],
    ['a directory with a quote', ['--dir', "$empty/a'b"],                            {}, qr/--dir/],
    ['an empty prefix',    ['--prefix', $empty, '--dir', $empty],                  {}, qr/\Q$empty\E/],
    ['a key too short',      ['--dir', $empty], { CELLBLOCK_API_KEY => 'short' },        qr/CELLBLOCK_API_KEY.*8 to 200/],
    ['a key with a quote',   ['--dir', $empty], { CELLBLOCK_API_KEY => 'abcdefgh"; x' }, qr/CELLBLOCK_API_KEY.*allowed/],
);
for (@refused) {
    my ($name, $arguments, $env, $says) = @$_;
    ($exit, $out, $err) = command([$server, @$arguments], env => $env);
    is $exit, 1, "$name: exit 1";
    like $err, $says, "$name: the message says why";
}

# --- two instances side by side ------------------------------------------------------------------------------------------------

my @two = map { Cellblock->start(own => 1, allow => [qr/exited on signal 9|\[alert\]/]) } 1, 2;
my @ranges;
for my $n (0, 1) {
    my ($one, $other) = @two[$n, 1 - $n];
    like $one->{said}, qr/Hello from Python \d+\.\d+/, "instance $n: the demo run is printed";
    like $one->{said}, qr/^  stdout: Hello from Python \d/m, "instance $n: the output of the demo run has a line of its own";
    like $one->{said}, qr{\Q$one->{dir}\E/api_key}, "instance $n: the file with the key is printed";
    unlike $one->{said}, qr/\Q$one->{key}\E/, "instance $n: the key is not";
    my ($line) = $one->{said} =~ /^Try:\n(.*?)\n\n/ms;
    my (undef, $reply) = command(['bash', '-c', $line], env => { https_proxy => '', HTTPS_PROXY => '' });
    like $reply, qr/"stdout":\s*"42\\n"/, "instance $n: the printed command works as it is" or diag $line;
    like $one->{said}, qr{https://localhost:$one->{tls_port}}, "instance $n: the address is printed";
    is $one->run(code => "print('instance $n')")->{data}{stdout}, "instance $n\n", "instance $n: a run succeeds";
    is $one->request('GET', '/v1/sandbox/languages', key => $other->{key})->{status}, 401, "instance $n: the other instance's key is rejected";
    is slurp("$one->{dir}/api_key"), "$one->{key}\n", "instance $n: the key is in its directory";
    my ($broker) = $one->pids('broker');
    push @ranges, [split ' ', (slurp("/proc/$broker/uid_map") =~ /^(\s*0 .*)$/m)[0]];
    is sprintf('%o', (stat "$one->{dir}/$_")[2] & 077), 0, "instance $n: only root can read $_" for qw(api_key conf/keys conf/keys/server.conf tls log);
}
{
    my ($low, $high) = sort { $a->[1] <=> $b->[1] } @ranges;
    cmp_ok $low->[1] + $low->[2], '<=', $high->[1], 'the instances have different host uids' or diag "@$low, @$high";
}
my @uids = map {
    my %uid = map { (Cellblock::process_status($_) // {})->{Uid} // '' => 1 } grep { $_ } map { $_->pids('runner'), $_->pids('broker'), $_->pids('guest') } $_;
    \%uid;
} @two;
ok keys %{ $uids[0] } > 1, 'the cells of an instance have uids';
is join(' ', grep { $uids[1]{$_} } keys %{ $uids[0] }), '', 'and no other instance has one of them on the host';
($exit, $out, $err) = $two[0]->up;
is $exit, 1, 'a second start in the same directory fails';
like $err, qr/served already|--stop/, 'a second start in the same directory: the message says why';
{
    my $busy = tempdir(CLEANUP => 1);
    ($exit, $out, $err) = command([$server, '--detach', '--prefix', prefix(), '--dir', $busy, '--port', $two[0]{port}, '--tls-port', $two[1]{tls_port}]);
    is $exit, 1, 'a start on a port in use fails';
    like $err, qr/$two[0]{port} is in use/, 'a start on a port in use: the message names the port';
}
is $_->run(code => 'print(1)')->{status}, 200, 'both instances continue to serve' for @two;

$two[0]->finish;
is $two[1]->run(code => 'print("still")')->{data}{stdout}, "still\n", 'an instance continues when the other one ends';
($exit, $out, $err) = $two[0]->down;
is $exit, 0, 'a second --stop succeeds';

# --- state is kept from one start to the next -------------------------------------------------------------------------------------

my $one = $two[1];
my $certificate = slurp("$one->{dir}/tls/cert.pem");
($exit) = $one->down;
is $exit, 0, 'the service stops';
is $one->get('/health', key => undef)->{status}, 599, 'after the stop nothing listens on the port';
my $conf = "$one->{dir}/conf/cellblock.conf";
my $text = slurp($conf);
$text =~ s/(wall_ms = \{ default = )15000/${1}777/ or die 'no wall_ms';
spew($conf, $text);
($exit, $out, $err) = $one->up('--workers', 3, '--cells', 24, '--rate', 77);
is $exit, 0, 'the service starts again' or diag "$out$err";
is slurp("$one->{dir}/tls/cert.pem"), $certificate, 'the certificate is kept';
is $one->get('/v1/sandbox/capabilities')->{data}{limits}{wall_ms}{default}, 777, 'a change of the configuration takes effect';
is scalar(my @workers = $one->pids('worker')), 3, '--workers sets the number of workers';
like slurp("$one->{dir}/live/conf/cellblock.conf"), qr/^\s*cells = 24;/m, '--cells sets the number of cells';
is $one->run(code => 'print(1)')->{headers}{'x-ratelimit-limit'}, 78, '--rate sets the rate of the keys';

# --- supervisord dies ---------------------------------------------------------------------------------------------------------------

my $supervisor = slurp("$one->{dir}/supervisord.pid");
kill 9, $supervisor;
ok eventually(5, sub { !-d '/proc/' . ($supervisor =~ s/\s//gr) }), 'supervisord is killed';
my %before = $one->processes;
ok keys %before > 0, 'supervisord is killed: other processes remain';
$one->finish; # --stop finds and ends these processes

# --- in the foreground -------------------------------------------------------------------------------------------------------------

for my $signal (qw(INT TERM)) {
    my $new = bless { %$one, dir => tempdir('cellblock-test-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, 'Cellblock';
    chmod 0755, $new->{dir};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$new->{dir}/said";
        open STDERR, '>&', \*STDOUT;
        $SIG{INT} = 'DEFAULT';
        exec $server, '--prefix', prefix(), '--dir', $new->{dir}, '--port', $new->{port}, '--tls-port', $new->{tls_port}
            or POSIX::_exit(127);
    }
    ok eventually(60, sub { (slurp("$new->{dir}/said") // '') =~ /Ctrl-C stops it/ }), "foreground: the output says how to stop it";
    $new->{key} = slurp("$new->{dir}/api_key") =~ s/\n//r;
    is length $new->{key}, 48, 'foreground: a key was made';
    is $new->run(code => 'print(2)')->{data}{stdout}, "2\n", 'foreground: a run succeeds';
    my %were = $new->processes;
    kill $signal, $pid;
    ok eventually(30, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }), "foreground: SIG$signal ends it";
    is $?, 0, "foreground: SIG$signal: exit 0";
    ok eventually(5, sub { my %now = $new->processes; !%now }), "foreground: SIG$signal: no process is left";
    is join(' ', $new->sockets), '', "foreground: SIG$signal: no socket is left";
}

done_testing;
