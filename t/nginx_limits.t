# Attacks on nginx from outside: connections, disk space, log lines, rates.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json slurp);
use IO::Select;
use IO::Socket::INET;
use POSIX qw(EAGAIN);
use Test::More;
use Time::HiRes qw(time);

my $other = 'other-key-0123456789';
my $cb = Cellblock->start(own => 1, args => ['--connections', 48, '--workers', 12],
    # We take all of the space of nginx's files, and nginx reports that.
    allow => [qr{\[crit\].* pwritev?\(\) "\S*/tmp/(?:body|fastcgi)/\d+" failed \(28: No space left on device\)}],
    keys => { other => $other, map { $_ => "$_-key-0123456789" } qw(third fourth fifth) });
my $host = "Host: x\r\n";
my $mine = "${host}X-Api-Key: $cb->{key}\r\n";
local $SIG{PIPE} = 'IGNORE';

# A connection from an address of its own: the limits by address count it apart from the others.
my $next_address = 10;
sub address { return '127.0.0.' . $next_address++ }

sub connect_from {
    my ($address, $bytes, %option) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $cb->{port}, LocalAddr => $address, Timeout => 30,
        %option) or die "connect: $!";
    # Bytes that do not fit into the socket's buffer are not sent: nginx has answered before.
    $socket->blocking(0);
    syswrite $socket, $bytes;
    return $socket;
}

# The bytes that arrive on a socket in $seconds, or until it is closed, or $enough->() is true of
# them. The second value says whether it was closed.
sub arrives {
    my ($socket, $seconds, $enough) = @_;
    my ($in, $end) = ('', time + $seconds);
    while ((my $left = $end - time) > 0) {
        IO::Select->new($socket)->can_read($left) or last;
        my $got = sysread $socket, $in, 65536, length $in;
        return ($in, 1) if defined $got ? $got == 0 : $! != EAGAIN;
        return ($in, 0) if $enough && $enough->($in);
    }
    return ($in, 0);
}

# The status of each answer in what has arrived.
sub statuses {
    my ($in) = @_;
    return $in =~ m{HTTP/1\.1 (\d+) }g;
}

# One request on a new connection from an address, and its answer.
sub ask {
    my ($address, $bytes) = @_;
    my ($in) = arrives(connect_from($address, $bytes), 30, sub { $_[0] =~ /\r\n\r\n.+/s });
    my ($head, $body) = split /\r\n\r\n/, $in, 2;
    return {
        status  => (statuses($in))[0] // 0,
        headers => { map { /\A([^:]+):\s*(.*)\z/ ? (lc $1 => $2) : () } split /\r\n/, $head // '' },
        body    => $body,
        json    => scalar eval { json->decode($body) },
    };
}

# The bytes in nginx's files for bodies and replies, which have no names, by its descriptors.
sub temporary_bytes {
    my $sum = 0;
    for my $fd (map { glob "/proc/$_/fd/*" } $cb->pids('nginx')) {
        my $path = readlink $fd // next;
        next if $path !~ m{/tmp/(?:body|fastcgi)/};
        $sum += ((stat $fd)[12] // 0) * 512;
    }
    return $sum;
}

sub size { return -s "$cb->{dir}/log/$_[0]" // 0 }
sub lines_of { return split /^/, slurp("$cb->{dir}/log/$_[0]") // '' }

# --- bodies where none is expected ----------------------------------------------------------------------------------------------

{
    my $from = address();
    for my $route (['POST', '/health', $host], ['GET', '/health', $host], ['POST', '/v1/sandbox/languages', $mine], ['POST', '/nothing', $host]) {
        my ($method, $path, $head) = @$route;
        envelope_ok(ask($from, "$method $path HTTP/1.1\r\n${head}Content-Length: 31000000\r\n\r\n"), 413, -413, "$method $path: no large body");
        envelope_ok(ask($from, "$method $path HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n800\r\n" . 'x' x 2048 . "\r\n"), $path eq '/nothing' ? 404 : 413,
            $path eq '/nothing' ? -404 : -413, "$method $path: no large body in chunks");
    }
    my @open = map { connect_from($from, "POST $_ HTTP/1.1\r\n${host}Content-Length: 31000000\r\n\r\n" . 'x' x 1_000_000) }
        ('/health', '/v1/sandbox/run', '/v1/sandbox/languages', '/nothing') x 2;
    push @open, map { connect_from($from, "POST /v1/sandbox/run HTTP/1.1\r\n${host}${_}Content-Length: 31000000\r\n\r\n" . 'x' x 1_000_000) }
        "X-Api-Key: a-wrong-key-0123\r\n", "Authorization: Bearer a-wrong-key-0123\r\n", "X-Api-Key: short\r\n";
    my @status = map { (statuses((arrives($_, 30, sub { $_[0] =~ /HTTP/ }))[0]))[0] // 0 } @open;
    is_deeply \@status, [(413, 401, 413, 413) x 2, 401, 401, 401], 'large bodies without a key are refused before they have arrived';
    is temporary_bytes(), 0, 'and nothing of them is on the disk';
}

# --- rates -----------------------------------------------------------------------------------------------------------------

# Pipelined on one connection, which costs the client next to nothing.
for (
    ['the health check',     "GET /health HTTP/1.1\r\n$host\r\n",                                            qr/\A200\z/],
    ['paths without a route', "GET /nothing HTTP/1.1\r\n$host\r\n",                                          qr/\A404\z/],
    ['wrong keys',           "GET /v1/sandbox/languages HTTP/1.1\r\n${host}X-Api-Key: a-wrong-key\r\n\r\n",  qr/\A(?:401|429)\z/],
    ['runs without a key',   "POST /v1/sandbox/run HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\n{}",          qr/\A(?:401|429)\z/],
) {
    my ($name, $request, $expected) = @$_;
    my $from = address();
    my ($lines, $begin) = (scalar lines_of('access.log'), time);
    my ($in) = arrives(connect_from($from, $request x 500), 3);
    my @status = statuses($in);
    my $took = time - $begin;
    cmp_ok scalar @status, '>=', 15, "$name, pipelined: the first are answered at once";
    cmp_ok scalar @status, '<=', 25 + 10 * $took, "$name, pipelined: the others have a rate";
    is join(' ', grep { $_ !~ $expected } @status), '', "$name, pipelined: the status is right";
    ok eventually(5, sub { $lines < lines_of('access.log') }), "$name, pipelined: they are in the log";
    cmp_ok lines_of('access.log') - $lines, '<=', 35 + 10 * (time - $begin), "$name, pipelined: the log has no more lines";
    my $quick = time;
    is ask(address(), "GET /health HTTP/1.1\r\n$host\r\n")->{status}, 200, "$name, pipelined: another address is served";
    is $cb->run(code => 'print(1)')->{status}, 200, "$name, pipelined: and so is a key";
}

# Many connections at once, each with a few: more than may wait are refused, and have to connect
# again.
{
    my $from = address();
    my @open = map { connect_from($from, "GET /nothing HTTP/1.1\r\n$host\r\n" x 5) } 1 .. 400;
    my @reply = map { [arrives($_, 0.01, sub { my @all = statuses($_[0]); @all >= 5 })] } @open;
    my ($refused) = grep { $_->[0] =~ m{\AHTTP/1\.1 429 } } @reply;
    ok $refused, 'more requests than may wait are refused';
    like $refused->[0] // '', qr/^Retry-After: \d/mi, 'with Retry-After';
    ok $refused->[1], 'and their connection is closed';
    cmp_ok scalar(grep { $_->[0] =~ m{\AHTTP/1\.1 404 } } @reply), '<=', 60, 'few have been answered';
}

# --- lines of the logs ---------------------------------------------------------------------------------------------------------

{
    my $from = address();
    my ($lines, $errors, $begin) = (scalar lines_of('access.log'), size('nginx.log'), time);
    my @kinds = (
        'GET /' . 'A' x 3900 . " HTTP/1.1\r\n$host\r\n",
        'GET /' . '"' x 3900 . " HTTP/1.1\r\n$host\r\n",
        'GET /' . '%0a%22' x 600 . " HTTP/1.1\r\n$host\r\n",
        'GET /' . 'A' x 8000 . " HTTP/1.1\r\n$host\r\n",
        'A' x 3900 . " /x HTTP/1.1\r\n$host\r\n",
        'POST /v1/sandbox/run?' . 'A' x 3900 . " HTTP/1.1\r\n${host}Content-Length: 99999999\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",
        "TRACE / HTTP/1.1\r\n$host\r\n",
        "\x00\x01\x02" x 100 . "\r\n\r\n",
    );
    for my $round (1 .. 100) {
        my @open = map { connect_from($from, $_) } @kinds;
        arrives($_, 0.05, sub { $_[0] =~ /\r\n\r\n/ }) for @open;
    }
    my $took = time - $begin;
    my @new = lines_of('access.log');
    splice @new, 0, $lines;
    cmp_ok scalar @new, '>=', 10, 'bad requests are in the log';
    # 250: of requests that waited when their clients went away, above
    cmp_ok scalar @new, '<=', 250 + 60 + 20 * $took, 'no more than at a rate';
    my ($longest) = sort { $b <=> $a } map { length } @new;
    is scalar(my @named = grep { m{ method=GET path=/A{199} status=404 } } @new) > 0, 1, 'a path is cut';
    cmp_ok scalar(grep { / path=\S*error/ } @new), '==', 0, 'a line has the path of the client';
    cmp_ok $longest, '<', 650, 'a line has a bounded length';
    is join('', grep { !/\A[\x20-\x7e]+\n\z/ } @new), '', 'a line has printable characters only';
    is size('nginx.log'), $errors, 'the error log has no new line';
}

# --- half requests, slow bodies, readers that do not read ---------------------------------------------------------------------------

{
    my $from = address();
    my ($lines, $begin) = (scalar lines_of('access.log'), time);
    my @half = map { connect_from($from, "GET /health HTTP/1.1\r\nHost: x\r\n") } 1 .. 4300;
    my @slow = map { connect_from($from, "POST /v1/sandbox/run HTTP/1.1\r\n${mine}Content-Length: 1000\r\n\r\n{") } 1 .. 20;
    is ask(address(), "GET /health HTTP/1.1\r\n$host\r\n")->{status}, 200, '4300 half requests: another client is served';
    is $cb->run(code => 'print("meanwhile")')->{data}{stdout}, "meanwhile\n", '4300 half requests: a run is served';
    my $closed = sub {
        my ($open) = @_;
        @$open = grep { my $got = sysread $_, my $byte, 4096; !defined $got && $! == EAGAIN || $got } @$open;
        return !@$open;
    };
    ok eventually(30, sub { $closed->(\@half) }), '4300 half requests: nginx closes their connections' or diag scalar @half;
    ok eventually(30, sub { $closed->(\@slow) }), 'nginx closes the connections of bodies that do not arrive' or diag scalar @slow;
    cmp_ok lines_of('access.log') - $lines, '<=', 60, 'half requests are not in the log';
}
{
    my ($reply) = slurp("$cb->{dir}/site.conf") =~ /fastcgi_max_temp_file_size (\d+)k;/;
    $reply *= 1024;
    is $reply, 4 * (64 << 20) + 2 * (16 << 20) + (10 << 20), 'the bound of a reply follows the configuration';
    my $code = 'import os; b = b"\x01" * (1 << 20); [os.write(1, b) for _ in range(63)]';
    my $run = $cb->run_bytes(code => $code, limits => { output_bytes => 64 << 20 });
    my @open = map { connect_from(address(), $run) } 1 .. 2;
    my $most = 0;
    my $see = sub { my $now = temporary_bytes(); $most = $now if $now > $most; return $now };
    ok eventually(60, sub { $see->() > 16 << 20 }), 'a large reply that is not read goes to a file' or diag $most;
    ok eventually(90, sub { $see->() == 0 }), 'a client that reads nothing is cut' or diag $see->();
    cmp_ok $most, '<=', 2 * ($reply + (1 << 20)), 'the files have stayed below their bound';
    diag "most: $most";

    # 3 MB every 33 s
    my $slow = connect_from(address(), $run);
    my $got = 0;
    ok eventually(60, sub { $got += (sysread $slow, my $part, 1 << 16) // 0; $got >= 3 << 20 }), 'a slow client has read 3 MB';
    ok eventually(90, sub { $see->() == 0 }), 'a slow client is cut';
    my $rest = 0;
    eventually(30, sub { my $n = sysread $slow, my $part, 1 << 16; $rest += $n // 0; defined $n ? $n == 0 : $! != EAGAIN });
    cmp_ok $got + $rest, '<', 32 << 20, 'and has not got the reply';
    is scalar(my @all = grep { $_->{status} == 200 } map { $cb->run(code => 'print(1)') } 1 .. 24), 24, 'no worker is held';
}

# The disk space of all together. A file of ours takes what is left of it.
SKIP: {
    my ($nginx) = $cb->pids('nginx');
    my ($size) = slurp("/proc/$nginx/mountinfo") =~ m{ /\S*/live/tmp rw\S*(?: .*)? - tmpfs cellblock-nginx \S*size=(\d+)k}
        or slurp("/proc/$nginx/mountinfo") =~ m{ /var/lib/cellblock/\S*/tmp rw\S*(?: .*)? - tmpfs cellblock-nginx \S*size=(\d+)k};
    my $why = Cellblock::missing('nginx has no tmpfs', $size);
    skip $why, 6 if $why;
    cmp_ok $size, '<=', 2 << 20, "nginx's files have a bound of $size KiB together";
    my ($temp) = slurp("$cb->{dir}/nginx.conf") =~ m{client_body_temp_path (\S+)/body;};
    my $fill = "/proc/$nginx/root$temp/fill";
    open my $out, '>', $fill or die "$fill: $!";
    1 while (syswrite $out, "\0" x (1 << 20)) // 0;
    is $cb->run(code => 'print("small")')->{data}{stdout}, "small\n", 'with all of it taken, a run is served';
    my $large = json->encode({ language => 'python3', code => 'print(len("' . 'x' x 300_000 . '"))' });
    envelope_ok($cb->post($large), 503, -503, 'a large body is refused');
    my $cut = $cb->run(code => 'print("x" * (16 << 20))');
    isnt length($cut->{data}{stdout} // ''), (16 << 20) + 1, 'a large reply is cut' if $cut->{status} != 200;
    close $out;
    unlink $fill or die "$fill: $!";
    is $cb->post($large)->{data}{stdout}, "300000\n", 'a large body is accepted when there is space again';
    is length($cb->run(code => 'print("x" * (16 << 20))')->{data}{stdout} // ''), (16 << 20) + 1, 'a large reply is sent when there is space again';
}

# --- requests at the same time -------------------------------------------------------------------------------------------------------

{
    my $from = address();
    my $half = sub { my ($key) = @_; "POST /v1/sandbox/run HTTP/1.1\r\n${host}X-Api-Key: $key\r\nContent-Length: 1000\r\n\r\n{" };
    my $languages = sub { my ($key) = @_; "GET /v1/sandbox/languages HTTP/1.1\r\n${host}X-Api-Key: $key\r\n\r\n" };
    my @open = map { my $key = $_; map { connect_from($from, $half->($key)) } 1 .. 60 } $cb->{key}, map {"$_-key-0123456789"} qw(third fourth fifth);
    my $over;
    ok eventually(5, sub { $over = ask($from, $languages->($other)); $over->{status} == 429 }), 'an address has a number of requests at the same time';
    envelope_ok($over, 429, -429, 'one more is answered 429');
    is ask($from, "GET /health HTTP/1.1\r\n$host\r\n")->{status}, 200, 'the health check is not affected';
    is ask(address(), $languages->($cb->{key}))->{status}, 429, 'a key has a number of requests at the same time, from all addresses';
    is ask(address(), $languages->($other))->{status}, 200, 'another key from another address is served';
}

# --- rotation ------------------------------------------------------------------------------------------------------------------------

{
    my ($logger) = grep { $_->{comm} eq 'svlogd' } values %{ { $cb->processes } };
    ok $logger, 'the workers have a logger';
    my @pipes = map {"/proc/$_/fd/2"} $cb->pids('worker');
    ok @pipes > 0 && @pipes == grep({ -p } @pipes), 'the log of a worker is a pipe';
    SKIP: {
        skip 'all processes have one uid', 1 if $>;
        isnt Cellblock::process_status($logger->{pid})->{Uid}, "0\t0\t0\t0", 'the logger is not root';
    }
    my $served = sub {
        my ($name) = @_;
        my ($r) = $cb->run(code => "print('$name')");
        return 0 if ($r->{data}{stdout} // '') ne "$name\n";
        my $id = $r->{headers}{'x-request-id'};
        return eventually(2, sub { grep {/\Q$id\E/} lines_of('worker/current') });
    };
    ok $served->('log'), 'a run is in the log of the workers';
    kill STOP => $logger->{pid};
    is scalar(my @all = grep { $cb->get('/v1/sandbox/languages')->{status} == 200 } 1 .. 800), 800, 'workers serve while their logger has stopped';
    kill CONT => $logger->{pid};
    ok eventually(10, sub { $served->('again') }), 'a run is in the log again';
    kill KILL => $logger->{pid};
    ok eventually(20, sub { $served->('restarted') }), 'a logger that has died is started again';

    open my $pipe, '>', "$cb->{dir}/live/sock/worker-log" or die "worker-log: $!";
    my $line = "forged " . 'x' x 500 . "\n";
    for (1 .. 160_000) { syswrite $pipe, $line }
    close $pipe;
    my $files = sub { my @all = grep {-f} glob "$cb->{dir}/log/worker/*"; @all };
    ok eventually(60, sub { $files->() >= 8 }), 'the log of the workers rotates' or diag join ' ', $files->();
    cmp_ok scalar(my @all_files = $files->()), '<=', 9, 'and the oldest of its files are removed';
    is join(' ', grep { -s > 10 << 20 } $files->()), '', 'none of its files is larger than 10 MB';

    open my $log, '>>', "$cb->{dir}/log/access.log" or die "access.log: $!";
    print {$log} 'x' x 99, "\n" for 1 .. 120_000;
    close $log;
    ok eventually(60, sub { -s "$cb->{dir}/log/access.log.1.gz" }), 'the access log rotates';
    cmp_ok size('access.log'), '<', 1 << 20, 'the new access log is small';
    my $id = $cb->run(code => 'print(1)')->{headers}{'x-request-id'};
    ok eventually(5, sub { grep {/\Q$id\E/} lines_of('access.log') }), 'nginx writes to it';
    is size('logrotate.log'), 0, 'logrotate has no complaint' or diag slurp("$cb->{dir}/log/logrotate.log");
}

$cb->finish;
done_testing;
