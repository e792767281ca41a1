# The queue of the runner: keys that send much, keys that send little, and how long each of them
# waits. The runs come straight to the runner's socket: each process of t/fair/key.c has the share
# of a key of its own.
use strict;
use warnings;
use Cellblock qw(command eventually process_status root skip_all slurp);
use File::Temp qw(tempdir);
use List::Util qw(max sum0);
use POSIX ();
use Test::More;

skip_all('needs root, to be the user of the workers') if $> != 0;
my $dir = tempdir('cellblock-fair-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my ($failed, undef, $said) = command(['cc', '-O1', '-I' . root() . '/common', '-I' . root() . '/t/lib', '-o', "$dir/key", root() . '/t/fair/key.c', map { root() . "/common/$_" } qw(fdpass.c clock.c)]);
skip_all("a C compiler is needed: $said") if $failed;

my ($cb, $uid, $socket, $python);

sub begin {
    my (@conf) = @_;
    $cb->finish if $cb;
    $cb = Cellblock->start(own => 1, conf => [map { ['cellblock.conf', @$_] } @conf]);
    my ($worker) = $cb->pids('worker');
    ($uid) = split /\s+/, process_status($worker)->{Uid};
    ($socket) = grep {/runner\.sock\z/} $cb->sockets;
    my @languages = map { $_->{name} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    ($python) = grep { $languages[$_] eq 'python3' } 0 .. $#languages;
}

# Let a key send runs. Returns a function that waits for the end, and returns the answers.
my $number = 0;
sub key {
    my ($count, $at_once, $options, $code) = @_;
    my $out = "$dir/out." . ++$number;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $out or POSIX::_exit(126);
        exec 'setpriv', '--reuid', $uid, '--clear-groups', "$dir/key", $socket, $python, $count, $at_once,
            (map {"$_=$options->{$_}"} keys %$options), $code or POSIX::_exit(127);
    }
    return {
        lines => sub { return scalar(() = (slurp($out) // '') =~ /\n/g) },
        end => sub {
            waitpid $pid, 0;
            is $?, 0, "the runs of key $options->{name} were sent" or diag slurp($out);
            my @fields = qw(sent took queued refusal retry_ms rate_left);
            return map { my %answer; @answer{@fields} = split / /; \%answer } split /\n/, slurp($out);
        },
    };
}

sub state_of { my $all = $cb->get('/health', key => undef); return $all->{status} }
sub most_of_99 { my @all = sort { $a <=> $b } map { $_->{took} } @_; return $all[int(0.99 * $#all)] }
sub refused { my $why = shift; return scalar grep { $_->{refusal} == $why } @_ }
use constant { BUSY => 1, RATE => 6, SHARE => 7, TOO_LARGE => 10 };

# --- a flood, and a key with one run at a time ---------------------------------------------------------------------------

begin([qr/cells = 32/, 'cells = 16'], [qr/queue = 256/, 'queue = 1400'], [qr/queue_ms = 10000/, 'queue_ms = 60000']);
my @quiet = key(60, 1, { name => 'light' }, 'pass')->{end}->();
my $flood = key(1000, 1000, { name => 'flood' }, 'import time; time.sleep(0.1)');
ok eventually(30, sub { $flood->{lines}->() > 30 }), 'a thousand runs of one key are on their way';
my @beside = key(60, 1, { name => 'light' }, 'pass')->{end}->();
cmp_ok $flood->{lines}->(), '<', 900, 'most of them wait still when the other key is through' ;
my @flood = $flood->{end}->();
is scalar(grep { $_->{refusal} } @quiet, @beside, @flood), 0, 'none was refused';
# On a slow machine the programs of both compete for the processor: a run of the flood is the unit.
cmp_ok most_of_99(@beside), '<=', 3 * most_of_99(@quiet) + 100, 'the other key waits for nobody'
    or diag sprintf '%.1f ms, and %.1f ms when it was quiet', most_of_99(@beside), most_of_99(@quiet);
cmp_ok max(map { $_->{took} } @flood), '>', 3000, 'the flood waits for itself';

# Where all cells are taken, one run ends before a light one begins.
my @floods = map { key(300, 300, { name => $_ }, 'import time; time.sleep(0.3)') } qw(one two);
ok eventually(30, sub { $_->{lines}->() > 16 }), 'two keys have all cells' for @floods;
@beside = key(20, 1, { name => 'light' }, 'pass')->{end}->();
cmp_ok most_of_99(@beside), '<=', 3 * most_of_99(@quiet) + 2 * 300 + 100, 'a third key waits for the end of a run';
@floods = map { [$_->{end}->()] } @floods;
my @ends = map { max(map { $_->{sent} + $_->{took} } @$_) } @floods;
cmp_ok abs($ends[0] - $ends[1]) / max(@ends), '<', 0.25, 'both had the same share';

# --- weights ---------------------------------------------------------------------------------------------------------------

my %many = map { $_->[0] => key(200, 200, { name => $_->[0], weight => $_->[1] }, 'import time; time.sleep(0.2)') } ['ten', 10], ['thirty', 30];
$many{$_} = [$many{$_}->{end}->()] for keys %many;
my %last = map { my $key = $_; $key => max(map { $_->{sent} + $_->{took} } @{ $many{$key} }) } keys %many;
my $then = scalar grep { $_->{sent} + $_->{took} <= $last{thirty} } @{ $many{ten} };
cmp_ok $then, '>', 30, "a key of a third of the weight has about a third of the cells ($then)";
cmp_ok $then, '<', 110, '... and not more';

# --- rate, shares, deadlines ------------------------------------------------------------------------------------------------

my @rated = key(20, 1, { name => 'rated', rate => 1, burst => 4 }, 'pass')->{end}->();
cmp_ok refused(RATE, @rated), '>=', 12, 'a rate: what is above it is refused';
is scalar(grep { !$_->{refusal} } @rated[0 .. 4]), 5, 'a rate: the burst is taken';
cmp_ok $rated[0]{rate_left}, '==', 4, 'a rate: what is left is told';
cmp_ok((grep { $_->{refusal} } @rated)[0]{retry_ms}, '<=', 1000, 'a rate: so is when to come again');
my @shared = key(10, 10, { name => 'shared', running => 1, waiting => 2 }, 'import time; time.sleep(1)')->{end}->();
is refused(SHARE, @shared), 7, 'one runs, two wait, and the other seven are refused';
cmp_ok max(map { $_->{took} } grep { $_->{refusal} } @shared), '<', 900, 'at once';
my @brief = key(3, 3, { name => 'brief', running => 1, queue_ms => 300 }, 'import time; time.sleep(2)')->{end}->();
is refused(BUSY, @brief), 2, 'what cannot start in its time is refused';
cmp_ok max(map { $_->{took} } grep { $_->{refusal} } @brief), '<', 1900, 'when its time is over';
my @waited = key(1, 1, { name => 'late', queue_ms => 300, waited_us => 400000 }, 'pass')->{end}->();
is refused(BUSY, @waited), 1, 'time before the queue counts';
@waited = key(1, 1, { name => 'waited', waited_us => 400000 }, 'pass')->{end}->();
cmp_ok $waited[0]{queued}, '>=', 400, '... as a wait in the queue, too';

# --- what cannot start in its time, long before that ---------------------------------------------------------------------

begin([qr/cells = 32/, 'cells = 12'], [qr/queue = 256/, 'queue = 1400'], [qr/queue_ms = 10000/, 'queue_ms = 20000']);
my @early = key(400, 400, { name => 'flood' }, 'import time; time.sleep(1)')->{end}->();
my @told = grep { $_->{refusal} } @early;
cmp_ok scalar(@told), '>', 50, 'a queue that is too long: some are refused';
cmp_ok scalar(grep { $_->{took} < 15000 } @told), '>', 50, 'most of them long before their time is over';
is scalar(grep { $_->{refusal} != BUSY } @told), 0, 'as busy';
cmp_ok scalar(grep { $_->{retry_ms} > 0 } @told), '>', 50, 'with a time to come again';
cmp_ok scalar(grep { !$_->{refusal} } @early), '>=', 80, 'those that could start did';

# --- memory ----------------------------------------------------------------------------------------------------------------

begin([qr/cells = 32/, 'cells = 12'], [qr/queue_ms = 10000/, 'queue_ms = 30000'], [qr/^(runner = \{)/m, "runner = {\n\tmemory_bytes = 629145600; # 600 MiB\n"]);
my $large = 256 << 20;
my @memory = key(6, 6, { name => 'large', memory_bytes => $large }, 'import time; time.sleep(0.5)')->{end}->();
is scalar(grep { $_->{refusal} } @memory), 0, 'runs that do not fit into the memory wait';
cmp_ok max(map { $_->{took} } @memory), '>=', 1500, 'two run at a time';
@memory = key(1, 1, { name => 'large', memory_bytes => 601 << 20 }, 'pass')->{end}->();
is refused(TOO_LARGE, @memory), 1, 'one that never fits does not wait';
like $cb->log_text, qr/at most 600 MiB together \(runner\.memory_bytes/, 'the log says how much there is';
# Small runs fill the memory without end, and a large one has its turn.
my $small = key(600, 20, { name => 'small', memory_bytes => 100 << 20 }, 'import time; time.sleep(0.1)');
ok eventually(20, sub { $small->{lines}->() > 20 }), 'small runs come without end';
@memory = key(1, 1, { name => 'large', memory_bytes => 500 << 20 }, 'pass')->{end}->();
is $memory[0]{refusal}, 0, 'a large run has its turn';
cmp_ok $small->{lines}->(), '<', 600, '... before they are through';
is scalar(grep { $_->{refusal} } $small->{end}->()), 0, '... and they go on';

$cb->finish;
done_testing;
