# API keys: who is let in, what a key may have, and the operator's tool for them.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually json prefix slurp spew);
use IO::Select;
use Test::More;
use Time::HiRes qw(time);

my %key = (
    plain   => { key => 'key-of-plain-1' },
    narrow  => { key => 'key-of-narrow-1', settings => "languages = [\"python\", \"bash\"];\nlimits = { wall_ms = 3000; output_bytes = 1000; };\nnetwork = \"none\";" },
    gone    => { key => 'key-of-gone-1', settings => 'expires = "2020-01-01";' },
    later   => { key => 'key-of-later-1', settings => 'expires = "2090-01-01T12:00:00Z";' },
    'a.b_C-' => { key => 'key-of-odd-name-1' },
);
my $cb = Cellblock->start(own => 1, keys => \%key, conf => [['cellblock.conf', qr/cells = 32/, 'cells = 18'], ['cellblock.conf', qr/queue_ms = 10000/, 'queue_ms = 10000']]);
my $program = prefix() . '/bin/cellblock-key';
my $conf = "$cb->{dir}/conf/cellblock.conf";

sub run_as {
    my ($headers, %field) = @_;
    return $cb->request('POST', '/v1/sandbox/run', key => undef, headers => { 'Content-Type' => 'application/json', %$headers },
        content => json->encode({ language => 'python3', code => 'print(1)', %field }));
}

sub with_key {
    my ($name, %field) = @_;
    return run_as({ 'X-Api-Key' => $key{$name}{key} }, %field);
}

# --- who is let in ------------------------------------------------------------------------------------------------------

my @in = (
    ['X-Api-Key',                  { 'X-Api-Key' => 'key-of-plain-1' }],
    ['Authorization: Bearer',      { Authorization => 'Bearer key-of-plain-1' }],
    ['a scheme in other letters',  { Authorization => 'bEARER  key-of-plain-1' }],
    ['X-Api-Key beside another Authorization', { 'X-Api-Key' => 'key-of-plain-1', Authorization => 'Basic eDp5' }],
    ['a name with all characters', { 'X-Api-Key' => 'key-of-odd-name-1' }],
    ['a key that expires later',   { 'X-Api-Key' => 'key-of-later-1' }],
);
envelope_ok(run_as($_->[1]), 200, 0, "let in: $_->[0]") for @in;

my @out = (
    ['no key',                    {}],
    ['a wrong key',               { 'X-Api-Key' => 'key-of-plain-2' }],
    ['other letters',             { 'X-Api-Key' => 'KEY-of-plain-1' }],
    ['the beginning of a key',    { 'X-Api-Key' => 'key-of-plain-' }],
    ['a longer key',              { 'X-Api-Key' => 'key-of-plain-11' }],
    ['the name of a key',         { 'X-Api-Key' => 'plain' }],
    ['the digest of a key',       { 'X-Api-Key' => slurp("$cb->{dir}/conf/keys/plain.conf") =~ /"(\w{64})"/ ? $1 : 'none' }],
    ['a key without its scheme',  { Authorization => 'key-of-plain-1' }],
    ['a key of another scheme',   { Authorization => 'Basic key-of-plain-1' }],
    ['a scheme without a key',    { Authorization => 'Bearer ' }],
    ['a wrong key beside a right one', { 'X-Api-Key' => 'wrong', Authorization => 'Bearer key-of-plain-1' }],
    ['a long key',                { 'X-Api-Key' => 'x' x 3000 }],
);
for (@out) {
    my $r = run_as($_->[1]);
    envelope_ok($r, 401, -401, "kept out: $_->[0]");
    is $r->{json}{message}, 'unauthorized: a valid X-Api-Key header is required', "kept out: $_->[0]: message";
}
my $expired = with_key('gone');
envelope_ok($expired, 401, -401, 'kept out: an expired key');
is $expired->{json}{message}, 'unauthorized: this key has expired', 'who has the right key learns that it has expired';
envelope_ok($cb->get($_, key => 'wrong'), 401, -401, "a wrong key: $_")
    for qw(/v1/sandbox/languages /v1/sandbox/capabilities /v1/sandbox/nowhere);
envelope_ok($cb->get($_), 404, -404, "no client reaches $_") for qw(/.key /.unauthorized /.unauthorized?expired /.error/401);

# --- what a key may have ---------------------------------------------------------------------------------------------------

envelope_ok(with_key('narrow', language => 'bash', code => 'echo 1'), 200, 0, 'a language of the key');
my $r = with_key('narrow', language => 'perl', code => '1');
envelope_ok($r, 400, -400, 'a language of others');
is $r->{json}{message}, 'language: this key may not use perl, only: bash, python3', 'a language of others: message';
$r = with_key('narrow', limits => { wall_ms => 3001 });
envelope_ok($r, 400, -400, 'a limit above that of the key');
is $r->{json}{message}, 'limits.wall_ms: must be an integer from 1 to 3000 for this key', 'a limit above that of the key: message';
envelope_ok(with_key('plain', limits => { wall_ms => 3001 }), 200, 0, 'the same limit of another key');
$r = with_key('narrow', code => 'print("x" * 2000)');
is_deeply [length $r->{data}{stdout}, $r->{data}{status}], [1000, 'output_limit'], 'a limit that was not asked for is the key\'s';
$r = with_key('narrow', code => 'import time; time.sleep(20)');
like $r->{data}{error}, qr/error: timeout \(3000 ms\)|error: timeout \(3 s\)/, 'the time of the key';

# --- how long a request may wait ---------------------------------------------------------------------------------------------------

for my $timeout ('0', '-1', '1.5', 'soon', '10001', '99999999999999999999', '1 2') {
    $r = run_as({ 'X-Api-Key' => 'key-of-plain-1', 'X-Queue-Timeout' => $timeout });
    envelope_ok($r, 400, -400, "X-Queue-Timeout: $timeout");
    is $r->{json}{message}, 'X-Queue-Timeout: must be an integer from 1 to 10000 (ms)', "X-Queue-Timeout: $timeout: message";
}
envelope_ok(run_as({ 'X-Api-Key' => 'key-of-plain-1', 'X-Queue-Timeout' => 10000 }), 200, 0, 'X-Queue-Timeout: 10000');
$r = with_key('plain');
is $r->{headers}{'x-ratelimit-limit'}, 5001, 'X-RateLimit-Limit';
like $r->{headers}{'x-ratelimit-remaining'} // '', qr/\A\d+\z/, 'X-RateLimit-Remaining';
like $r->{headers}{'x-ratelimit-reset'} // '', qr/\A\d+\z/, 'X-RateLimit-Reset';

# --- who guesses is slowed, and nobody else -------------------------------------------------------------------------------------------

my $begin = time;
my @sockets = map { $cb->connect_raw("GET /v1/sandbox/languages HTTP/1.1\r\nHost: x\r\nX-Api-Key: guess-$_\r\n\r\n") } 1 .. 25;
my $slowest = 0;
for (1 .. 10) {
    my $start = time;
    is with_key('plain')->{status}, 200, 'during guesses: a run';
    $slowest = time - $start if time - $start > $slowest;
}
my $quick = time - $begin;
is join(' ', map { $cb->read_reply($_)->{status} } @sockets), join(' ', (401) x 25), 'all guesses are answered with 401';
my $spent = time - $begin;
cmp_ok $spent, '>', 2, '25 guesses of one address take over 2 s';
cmp_ok $slowest, '<', $spent, 'during guesses: no run waits for them';
close $_ for @sockets;

# --- what the logs and files have -----------------------------------------------------------------------------------------------------

ok eventually(5, sub { $cb->log_text =~ /"key":"a\.b_C-","route":"\/v1\/sandbox\/run","http":200,/ }), 'the log has the name of the key';
like $cb->log_text, qr/"key":"gone","route":"[^"]+","http":401,"outcome":"unauthorized",/, 'the log has the name of an expired key';
my $all = $cb->log_text . join '', map { slurp($_) } glob("$cb->{dir}/conf/keys/* $cb->{dir}/*.conf $cb->{dir}/live/conf/keys/*");
unlike $all, qr/key-of-|guess-/, 'no key is in the logs or the configuration';
unlike $all, qr/\Q$cb->{key}\E/, 'nor is that of script/server';
for my $file (glob "$cb->{dir}/live/conf/keys/*.conf") {
    my @stat = stat $file;
    is sprintf('%o', $stat[2] & 07777), '640', 'a file in force is not for others';
    is getgrgid($stat[5]), $> ? getgrgid($)) : 'cellblock-fcgi', 'but for the workers';
}

# The memory of a worker that has served a key has no copy of it.
SKIP: {
    my ($why) = Cellblock::missing('only root reads the memory of a worker', $> == 0);
    skip $why, 1 if $why;
    skip 'sanitizers keep freed memory, and map terabytes', 1 if $cb->sanitized;
    my @workers = $cb->pids('worker');
    my $mark = 'mark-' . join '', map { chr 97 + int rand 26 } 1 .. 20;
    $cb->write_key(marked => $mark);
    is with_key('plain', code => 'print(1)')->{status}, 200, 'a run before';
    run_as({ 'X-Api-Key' => $mark }) for 1 .. 3;
    run_as({ Authorization => "Bearer $mark" }) for 1 .. 3;
    my $copies = 0;
    for my $pid (@workers) {
        my $maps = slurp("/proc/$pid/maps") // next;
        open my $memory, '<:raw', "/proc/$pid/mem" or next;
        for ($maps =~ /^([0-9a-f]+-[0-9a-f]+) rw/mg) {
            no warnings 'portable';
            my ($from, $to) = map {hex} split /-/;
            sysseek $memory, $from, 0;
            my $left = $to - $from;
            while ($left > 0 && sysread $memory, my $piece, $left > 1 << 20 ? 1 << 20 : $left) {
                $copies++ while $piece =~ /\Q$mark\E/g;
                $left -= length $piece;
            }
        }
    }
    is $copies, 0, 'no copy of a key stays in the memory of a worker';
    unlink "$cb->{dir}/conf/keys/marked.conf";
}

# --- the tool ---------------------------------------------------------------------------------------------------------------------------

sub tool { return command([$program, '-c', $conf, @_]) }

my ($exit, $out, $err) = tool('add', 'new.key', '--weight', 20, '--languages', 'python3,bash', '--limit', 'wall_ms=2000', '--limit', 'cpu_ms=1000',
    '--busy-status', '503', '--expires', '2090-01-01', '--operator', '--network', 'none');
is $exit, 0, 'add' or diag $err;
like $out, qr/\Acb_[A-Za-z0-9_-]{43}\n\z/, 'add: prints the key';
chomp(my $new = $out);
my $file = slurp("$cb->{dir}/conf/keys/new.key.conf");
unlike $file, qr/\Q$new\E/, 'add: the file does not have it';
is sprintf('%o', (stat "$cb->{dir}/conf/keys/new.key.conf")[2] & 07777), '640', 'add: the mode of the file';
($exit, $out) = tool('list');
is $exit, 0, 'list';
like $out, qr/^new\.key weight=20 .* busy_status=503 languages=bash,python3 network=none operator expires=2090-01-01$/m, 'list: a key';
like $out, qr/^gone .* expires=2020-01-01 \(expired\)$/m, 'list: an expired key';
like $out, qr/^server .* operator$/m, 'list: the key of script/server';

my $count = () = glob "$cb->{dir}/conf/keys/* $cb->{dir}/conf/keys/.n*";
my @bad = (
    ['a name that is taken',     ['add', 'plain'],                      1, qr/plain\.conf: there is a key of this name/],
    ['a malformed name',         ['add', '../evil'],                    1, qr/the name of a key has 1 to 63 of/],
    ['a long name',              ['add', 'x' x 64],                     1, qr/the name of a key has 1 to 63 of/],
    ['no name',                  ['add'],                               2, qr/the name of the key is missing/],
    ['an unknown language',      ['add', 'n', '--languages', 'cobol'],  1, qr/languages\[0\]: "cobol" is unknown/],
    ['an unknown proxy',         ['add', 'n', '--network', 'x'],        1, qr/network: there is no proxy "x"/],
    ['an unknown limit',         ['add', 'n', '--limit', 'wall=1'],     1, qr/unknown key "wall" in limits/],
    ['a weight of 0',            ['add', 'n', '--weight', '0'],         1, qr/weight: 0 is out of range; allowed: 1 to 1000/],
    ['a weight in words',        ['add', 'n', '--weight', 'ten'],       1, qr/--weight: ten: must be a whole number/],
    ['a day that is not there',  ['add', 'n', '--expires', '2026-02-30'], 1, qr/expires: "2026-02-30" is malformed/],
    ['a quote',                  ['add', 'n', '--network', 'a"; operator = true; #'], 1, qr/must not contain a quote/],
    ['an empty standard input',  ['add', 'n', '--stdin'],               1, qr/standard input has no key/],
    ['to revoke what is not there', ['revoke', 'nobody'],               1, qr/nobody\.conf: there is no key of this name/],
    ['an option of add',         ['revoke', 'plain', '--operator'],     2, qr/only -c is an option of this command/],
    ['an unknown command',       ['remove', 'plain'],                   2, qr/the command must be add, list or revoke/],
);
for (@bad) {
    my ($name, $arguments, $status, $text) = @$_;
    ($exit, $out, $err) = tool(@$arguments);
    is $exit, $status, "the tool rejects $name";
    like $err, $text, "the tool rejects $name: message";
}
($exit, $out, $err) = command([$program, '-c', $conf, 'add', 'twice', '--stdin'], stdin => spew("$cb->{dir}/second", "$key{plain}{key}\n"));
is $exit, 1, 'the tool rejects a key that another name has';
like $err, qr{/keys/plain\.conf has the same key}, 'the tool rejects a key that another name has: message';
is scalar(() = glob "$cb->{dir}/conf/keys/* $cb->{dir}/conf/keys/.n*"), $count, 'what it rejects leaves no file';
is((tool('revoke', 'plain'))[0], 0, 'revoke');

$cb->down;
($exit, $out, $err) = $cb->up;
is $exit, 0, 'the service starts again' or diag "$out$err";
envelope_ok(run_as({ 'X-Api-Key' => $new }), 200, 0, 'the new key is let in');
envelope_ok(with_key('plain'), 401, -401, 'the revoked one is not');

# --- files with errors --------------------------------------------------------------------------------------------------------------------

$cb->down;
spew("$cb->{dir}/conf/keys/bad.conf", "sha256 = \"" . ('a' x 64) . "\";\nweightt = 10;\n");
($exit, $out, $err) = $cb->up;
isnt $exit, 0, 'a file with an error stops the start';
# script/server checks the copy that the workers are to read.
like $err, qr{/keys/bad\.conf:2: unknown key "weightt"; allowed: sha256, weight, .*\nscript/server: conf/keys: see the line above$}m,
    'a file with an error: message';
unlink "$cb->{dir}/conf/keys/bad.conf";
($exit, $out, $err) = $cb->up;
is $exit, 0, 'without it the service starts' or diag "$out$err";

$cb->finish;
done_testing;
