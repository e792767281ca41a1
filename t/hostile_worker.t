# A worker that an attacker has taken over breaks every rule of the protocol. It loses its
# connection. The runs of others continue, the runner keeps no descriptor and no memory of it, and
# the log is not flooded.
use strict;
use warnings;
use Cellblock qw(command eventually process_status root skip_all slurp);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

skip_all('needs root, to be the user of the workers') if $> != 0;
my $dir = tempdir('cellblock-hostile-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my ($failed, undef, $said) = command(['cc', '-O1', '-I' . root() . '/common', '-I' . root() . '/t/lib', '-o', "$dir/worker", root() . '/t/hostile/worker.c', root() . '/common/fdpass.c']);
skip_all("a C compiler is needed: $said") if $failed;

my $cb = Cellblock->start(own => 1);
my ($broker) = $cb->pids('broker');
my ($worker) = $cb->pids('worker');
my ($uid) = split /\s+/, process_status($worker)->{Uid};
my ($socket) = grep {/runner\.sock\z/} $cb->sockets;
ok $broker && $socket, 'the broker and its socket were found' or BAIL_OUT('there is no broker to attack');

my @languages = map { $_->{name} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
my ($python) = grep { $languages[$_] eq 'python3' } 0 .. $#languages;

sub descriptors { my @all = glob "/proc/$_[0]/fd/*"; return scalar @all }
sub memory_kb { return (process_status($_[0])->{VmRSS} // '') =~ /(\d+)/ ? $1 : 0 }
sub lines { return scalar(() = (slurp("$cb->{dir}/log/runner.log") // '') =~ /\n/g) }

# An attack, and its expected output: d is a connection that was closed, r a run that got its
# result.
my @attacks = (
    ['garbage',          qr/^disconnected 500 of 500$/],
    ['empty',            qr/^sent 500$/],
    ['many_descriptors', qr/^disconnected 246 of 246$/],
    ['kinds',            qr/^d{40} r$/],
    ['out_of_turn',      qr/^d{18}$/],
    ['twice',            qr/^disconnected$/],
    ['never_reads',      qr/^cut off 10 of 10$/],
    ['flood',            qr/^answered 20000 of 20000$/],
    ['connections',      qr/^holds (?:[1-9]|[1-3]\d|4[0-4])$/],
    ['lying_jobs',       qr/^xrxrrxx$/], # x: the guest reports a job that it cannot read
    ['packs',            qr/^d{7} x{5}r$/],
    ['leave',            qr/^left 200 runs$/],
    ['followed',         qr/^q(?:sr|r) left 200 runs$/],
);
$cb->run(code => 'print(1)') for 1 .. 20;
# A question for a compiled program wakes its language, which has descriptors from then on.
$cb->run(language => $_, code => '0') for @languages;
$cb->processes_at_rest;
my $lines = lines();
for (@attacks) {
    my ($name, $prints) = @$_;
    $cb->processes_at_rest;
    my ($open, $memory) = (descriptors($broker), memory_kb($broker));
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$dir/out" or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        exec 'setpriv', '--reuid', $uid, '--clear-groups', 'timeout', 100, "$dir/worker", $socket, $python, $name or POSIX::_exit(127);
    }
    # Meanwhile others run, with the same run numbers as those that the attack cancels.
    my ($right, $runs) = (0, 0);
    my $ended = eventually(110, sub {
        my $r = $cb->run(code => 'print(6 * 7)');
        $runs++;
        $right++ if $r->{status} == 200 && $r->{data}{stdout} eq "42\n";
        return waitpid($pid, POSIX::WNOHANG()) == $pid;
    });
    is $?, 0, "$name: the attack was carried out" or diag slurp("$dir/out");
    kill 'KILL', $pid if !$ended;
    like slurp("$dir/out"), $prints, "$name: the runner reacted as expected";
    is $right, $runs, "$name: $runs simultaneous runs of others succeed";
    $cb->processes_at_rest;
    # An armed cell has three descriptors; a leak would have hundreds.
    ok eventually(10, sub { descriptors($broker) < $open + 20 }), "$name: no descriptor is kept" or diag descriptors($broker) . ", not $open";
    # AddressSanitizer keeps freed memory for a while.
    cmp_ok memory_kb($broker) - $memory, '<', 1024, "$name: no memory is kept" if !$cb->sanitized;
}
is +($cb->pids('broker'))[0], $broker, 'the broker was never restarted';
cmp_ok lines() - $lines, '<', 150, 'the log is not flooded';
like $cb->log_text, qr/worker $_, and was disconnected/, "the log says: $_" for '\d+ broke the protocol', '\d+ connected too often';

$cb->finish;
done_testing;
