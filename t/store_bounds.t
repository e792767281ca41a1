# The bounds of the store: its size, a full disk, the time to live, runs that have files of it; and
# its own walls.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually missing process_status);
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IPC::Open3 ();
use Socket qw(AF_UNIX SOCK_SEQPACKET pack_sockaddr_un);
use Test::More;

my $other = 'another-key-for-the-store';
my $cb = Cellblock->start(own => 1, allow => [qr/507|store/], keys => { other => $other }, conf => [
    ['cellblock.conf', qr/store_bytes = 2147483648/, 'store_bytes = 8388608'],
    ['cellblock.conf', qr/store_run_bytes = \d+/, 'store_run_bytes = 4000000'],
]);
my $files = '/v1/sandbox/files';
my $dir = "$cb->{dir}/store";

sub put {
    my ($content, %option) = @_;
    return $cb->request('PUT', $files, content => $content, %option);
}
sub id_of { return 'sha256:' . sha256_hex($_[0]) }
sub has { my ($content, %option) = @_; return $cb->request('HEAD', "$files/" . id_of($content), %option)->{status} == 200 }
sub figure {
    my ($name) = @_;
    return $cb->get('/v1/sandbox/metrics')->{body} =~ /^cellblock_store_$name (\d+)$/m ? $1 : undef;
}
sub store_pid {
    my %mine = $cb->processes;
    my ($pid) = grep { $mine{$_}{comm} eq 'store' } keys %mine;
    return $pid;
}
sub reload {
    my ($exit, $out, $err) = Cellblock::command([Cellblock::root() . '/script/server', '--reload', '--dir', $cb->{dir}], seconds => 120);
    return $exit == 0 || diag "$out$err" && 0;
}

# --- the whole of it -----------------------------------------------------------------------------------------------------------

my @mega = map { chr(65 + $_) x 1_000_000 } 0 .. 9;
put($_) for @mega[0 .. 4];
put($_, key => $other) for @mega[5 .. 6];
is figure('files'), 7, 'seven files of two keys';
put('y' x 1_500_000, key => $other);
ok !has($mega[0]), 'the store is full: the key that has most loses the file that it has not used for longest';
is_deeply [map { has($_) || 0 } @mega[1 .. 4]], [1, 1, 1, 1], 'the store is full: and no other';
is_deeply [map { has($_, key => $other) || 0 } @mega[5 .. 6]], [1, 1], 'the store is full: the other key has all of its own';
cmp_ok figure('evicted_total'), '>=', 1, 'metrics: evictions';
cmp_ok figure('bytes'), '<=', 8_388_608, 'metrics: no more than the bound';

# At the same time: the sum stays within the bound.
my ($sent, @bad) = (0);
my @pid;
for my $n (1 .. 6) {
    my $child = fork // die "fork: $!";
    if (!$child) {
        delete $cb->{http};
        my $ok = 1;
        for my $i (1 .. 6) {
            my $status = put("$n-$i-" . 'z' x 900_000, key => $n % 2 ? $cb->{key} : $other)->{status};
            $ok &&= $status == 200 || $status == 507 || $status == 429;
        }
        POSIX::_exit($ok ? 0 : 1);
    }
    push @pid, $child;
}
my $most = 0;
while (@pid) {
    my $bytes = figure('bytes');
    $most = $bytes if $bytes > $most;
    @pid = grep { my $ended = waitpid($_, POSIX::WNOHANG()) == $_; push @bad, $_ if $ended && $?; !$ended } @pid;
}
is_deeply \@bad, [], 'uploads at the same time: each is stored, or told why not';
cmp_ok $most, '<=', 8_388_608, 'uploads at the same time: never more than the bound';
ok eventually(10, sub { figure('uploads') == 0 }), 'uploads at the same time: all have ended';

# --- runs that have files of the store -------------------------------------------------------------------------------------------

put($mega[0]);
put($mega[0], key => $other);
my %slow = (code => 'import time; time.sleep(6); print(len(open("a").read()))', files => { a => id_of($mega[0]) });
my @running = map { $cb->connect_raw($cb->run_bytes(%slow)) } 1 .. 2;
ok eventually(10, sub { figure('run_bytes') == 2_000_000 }), 'two runs have a file each';
my $r = $cb->run(%slow);
envelope_ok($r, 503, -503, 'more than the half of a key');
like $r->{json}{message}, qr/\Abusy: runs in progress have as much of the store as they may\z/, 'more than the half of a key: the message';
ok $r->{headers}{'retry-after'}, 'more than the half of a key: when to try again';
my $body = Cellblock::json()->encode({ language => 'python3', code => 'print(len(open("a").read()))', files => { a => id_of($mega[0]) } });
is $cb->post($body, key => $other)->{data}{stdout}, "1000000\n", 'another key has its own half';
is $cb->read_reply($_)->{data}{stdout}, "1000000\n", 'the first runs end well' for @running;
ok eventually(10, sub { figure('run_bytes') == 0 }), 'nothing is counted after the runs';
is $cb->run(%slow, code => 'print(len(open("a").read()))')->{data}{stdout}, "1000000\n", 'there is room again';
put('w' x 2_500_000);
$r = $cb->run(code => 'print(1)', files => { a => id_of('w' x 2_500_000) });
is $r->{json}{message}, 'files: those in the store have 2500000 bytes together; a request may have 2000000 from there', 'more than any run may have';

# --- its walls -----------------------------------------------------------------------------------------------------------------

my $status = process_status(store_pid());
is_deeply [@$status{qw(NoNewPrivs Seccomp CapEff)}], [1, $cb->sanitized ? 0 : 2, '0' x 16], 'the store has no privilege, and a filter';
like $cb->log_text, qr/cellblock-store.*Landlock: in force/, 'the store has Landlock, too';
my @stat = stat $dir;
is sprintf('%o', $stat[2] & 07777), '700', 'nobody else may enter its directory';
is_deeply [map { sprintf '%o', (stat)[2] & 07777 } (glob "$dir/keys/*/*")[0]], ['400'], 'nobody may write its files';

# Messages of a worker that was taken over: the store closes the connection, and serves the others.
SKIP: {
    skip $_, 1 for grep {$_} missing('only root can send as another user', $> == 0);
    my $say = sub {
        my ($uid, $message) = @_;
        pipe my $in, my $out or die "pipe: $!";
        my $child = fork // die "fork: $!";
        if (!$child) {
            ($(, $)) = ($stat[5], "$stat[5] $stat[5]") if $uid;
            ($<, $>) = ($uid, $uid) if $uid;
            socket my $socket, AF_UNIX, SOCK_SEQPACKET, 0 or POSIX::_exit(2);
            connect $socket, pack_sockaddr_un("$dir/socket") or POSIX::_exit(3);
            send $socket, $message, 0;
            my $got = recv $socket, my $reply, 65536, 0;
            syswrite $out, length($reply // '') . "\n";
            POSIX::_exit(0);
        }
        close $out;
        my $line = IO::Select->new($in)->can_read(20) ? <$in> : "no end\n";
        waitpid $child, 0;
        chomp $line;
        return $line;
    };
    my $message = sub { my ($kind, $count, $key, $digest) = @_; return pack 'L L Q Q a32 a64', $kind, $count, 0, 0, $digest // '', $key };
    my $digest = pack 'H*', sha256_hex($mega[0]);
    cmp_ok $say->($stat[4], $message->(4, 0, '')), '>', 100, 'a question of a worker: the answer';
    is $say->(0, $message->(4, 0, '')), 0, 'another user, even root, gets no answer';
    is $say->($stat[4], $_->[1]), 0, $_->[0] for
        ['no message', 'x'],
        ['a kind that is none', $message->(9, 0, 'server')],
        ['a key with a path', $message->(2, 0, '../keys/server', $digest)],
        ['a key that begins with a dot', $message->(2, 0, '..', $digest)],
        ['a key without an end', $message->(2, 0, 'a' x 64, $digest)],
        ['more ids than there are', $message->(1, 5, 'server')],
        ['too many ids', $message->(1, 1001, 'server') . "\0" x (1001 * 32)],
        ['two names for a file', $message->(3, 2, 'server')],
        ['a name of nobody', $message->(5, 0, '..', $digest)],
        ['nothing to keep', $message->(3, 0, 'server')];
    is length $say->($stat[4], $message->(5, 0, 'server', $digest)), 3, 'the id of a file is no name: there is an answer';
    is $cb->run(code => 'print(open("a").read(1))', files => { a => id_of($mega[0]) })->{data}{stdout}, "A\n", 'after that runs are served';
}

# --- a full disk ------------------------------------------------------------------------------------------------------------------

SKIP: {
    skip $_, 1 for grep {$_} missing('a small disk: only root can mount one', $> == 0);
    my ($exit) = Cellblock::command(['mount', '-t', 'tmpfs', '-o', "size=3m,mode=700,uid=$stat[4],gid=$stat[5]", 'cellblock-store-test', $dir]);
    skip $_, 1 for grep {$_} missing('a small disk: mount fails here', $exit == 0);
    ok reload(), 'a store on a small disk';
    ok eventually(20, sub { (figure('up') // 0) == 1 && !has($mega[0]) }), 'it is empty';
    is put($mega[0])->{status}, 200, 'a file that fits';
    $r = put('f' x 4_000_000);
    envelope_ok($r, 507, -507, 'a full disk');
    is $r->{json}{message}, 'insufficient storage: the disk of this server is full', 'a full disk: the message';
    is_deeply [glob "$dir/tmp/*"], [], 'a full disk: nothing is left';
    ok has($mega[0]), 'a full disk: the other file is there';
    is put($mega[1])->{status}, 200, 'a full disk: what fits is stored';
    my $free = eventually(30, sub { Cellblock::command(['umount', '-l', $dir]); !grep {/cellblock-store-test/} Cellblock::host_mounts() });
    ok $free, 'unmount';
}

# --- the time to live -------------------------------------------------------------------------------------------------------------

my $conf = "$cb->{dir}/conf/cellblock.conf";
Cellblock::spew($conf, Cellblock::slurp($conf) =~ s/store_s = 86400/store_s = 3/r);
ok reload(), 'a short time to live';
ok eventually(20, sub { (figure('up') // 0) == 1 }), 'the store serves';
is put('short-lived')->{status}, 200, 'a file';
ok has('short-lived'), 'it is there';
ok eventually(60, sub { figure('files') == 0 }), 'files that nobody uses go';
cmp_ok figure('expired_total'), '>=', 1, 'metrics: expired files';
ok !has('short-lived'), 'it has gone';

# --- none --------------------------------------------------------------------------------------------------------------------------

Cellblock::spew($conf, Cellblock::slurp($conf) =~ s/store_bytes = 8388608/store_bytes = 0/r);
ok reload(), 'no store';
ok eventually(20, sub { put('x')->{status} == 404 }), 'PUT: there is none';
is put('x')->{json}{message}, 'not found: this server keeps no files', 'PUT: the message';
$r = $cb->run(code => 'print(1)', files => [{ path => 'a', id => id_of('x') }]);
is $r->{json}{message}, 'files[0].id: this server keeps no files; send the content instead', 'a run that names an id';
$r = $cb->run(code => 'print(1)', collect => ['*'], collect_as => 'id');
is $r->{json}{message}, 'collect_as: must be "content"; this server keeps no files', 'a run that wants an id';
is figure('up'), undef, 'metrics: there is none';

$cb->finish;
done_testing;
