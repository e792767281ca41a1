# The events of a run: their order, their bytes against those of the plain reply, compiled
# languages, files, errors, heartbeats.
use strict;
use warnings;
use Cellblock qw(missing);
use Events;
use List::Util qw(max sum0);
use Test::More;

my $cb = Cellblock->start(own => 1, args => ['--cells', 12], conf => [['cellblock.conf', qr/heartbeat_ms = 10000/, 'heartbeat_ms = 150']],
    keys => { slow => { key => 'slow-key-0123456789', settings => 'rate = 1; burst = 2;' }, few => { key => 'few-key-0123456789', settings => 'waiting = 0;' } },
    allow => [qr/request=\S+: busy/, qr/a run was refused/]);

sub events_of {
    my ($fields, %option) = @_;
    my $stream = Events->start($cb, $option{form} // 'ndjson', { language => 'python3', %$fields }, %option);
    my $events = $stream->rest(60);
    return wantarray ? ([grep { $_->{event} ne 'heartbeat' } @$events], $stream) : [grep { $_->{event} ne 'heartbeat' } @$events];
}

# --- the forms ---------------------------------------------------------------------------------------------------------

my $hello = "import sys\nprint('h\x{e9}llo')\nsys.stdout.flush()\nprint('oh', file=sys.stderr)";
my %type = (sse => 'text/event-stream; charset=utf-8', ndjson => 'application/x-ndjson; charset=utf-8');
my %lines;
for my $form (qw(sse ndjson)) {
    my ($events, $stream) = events_of({ code => $hello }, form => $form);
    is $stream->{status}, 200, "$form: status";
    is $stream->{headers}{'content-type'}, $type{$form}, "$form: type";
    is $stream->{headers}{'cache-control'}, 'no-store', "$form: nothing keeps it";
    is $stream->{headers}{'x-accel-buffering'}, 'no', "$form: another nginx is not to buffer it";
    ok $stream->{headers}{'x-request-id'}, "$form: it has a request id";
    is $stream->{end}, 'whole', "$form: the answer is whole";
    is Events::kinds($events), 'queued started stdout stderr result', "$form: the events, in order";
    is Events::text($events, 'stdout'), "h\x{e9}llo\n", "$form: stdout";
    is Events::text($events, 'stderr'), "oh\n",         "$form: stderr";
    is $events->[-1]{data}{status}, 'ok', "$form: the result";
    is join(' ', map { join ',', sort grep { !/\A(?:at|line)\z/ } keys %$_ } @$events), join(' ', ('data,event,ms') x @$events), "$form: each has these members";
    my @ms = map { $_->{ms} } @$events;
    is join(' ', @ms), join(' ', sort { $a <=> $b } @ms), "$form: their times do not go back";
    $lines{$form} = join "\n", map { $_->{line} =~ s/[0-9]+\.[0-9]+|"memory_peak_bytes":[0-9]+/N/gr } @$events;
}
is $lines{sse}, $lines{ndjson}, 'both forms have the same objects';

# The first type that Accept names decides.
for (
    ['text/event-stream, application/json', 'sse'],
    ['TEXT/Event-Stream;q=0.9', 'sse'],
    [' application/x-ndjson ; q=1', 'ndjson'],
    ['application/json, text/event-stream', ''],
    ['*/*', ''],
    ['text/event-streams', ''],
    ['text/event-stream-x, application/x-ndjson', ''],
) {
    my ($accept, $form) = @$_;
    my $stream = Events->start($cb, $form || 'ndjson', { code => 'print(1)' }, accept => $accept);
    $stream->rest(30);
    is $stream->{headers}{'content-type'}, $type{$form} // 'application/json; charset=utf-8', "Accept: $accept";
}

# One connection, one request after the other, with events and without.
{
    my ($events, $stream) = events_of({ code => 'print(1)' });
    for my $i (2 .. 4) {
        ($events, $stream) = events_of({ code => "print($i)" }, socket => $stream->{socket}, form => $i % 2 ? 'sse' : 'ndjson');
        is Events::text($events, 'stdout'), "$i\n", 'the connection is used again';
    }
    print { $stream->{socket} } $cb->run_bytes(code => 'print(5)');
    $stream->{socket}->flush;
    $stream->{socket}->blocking(1);
    is $cb->read_reply($stream->{socket})->{data}{stdout}, "5\n", 'and for a plain run';
}

# --- the bytes of the plain reply ------------------------------------------------------------------------------------------

# A result without the fields that differ from run to run.
sub lasting {
    my ($data) = @_;
    my %data = %$data;
    delete @data{qw(stdout stderr files)};
    my %usage = %{ $data{usage} };
    $data{usage} = { map { $_ => $usage{$_} } qw(stdout_bytes stderr_bytes) };
    delete @{ $data{compile} = { %{ $data{compile} } } }{qw(wall_ms cpu_ms cached)} if $data{compile};
    return \%data;
}

my $write = "import os, sys, time\ndef out(b): os.write(1, b)\ndef err(b): os.write(2, b)\n";
my %same = (
    'nothing'                 => ['pass'],
    'invalid bytes'           => ['out(b"a\xff\xc3(\xe2\x82\xf0\x9f\x98b\xed\xa0\x80\xc0\xaf"); err(bytes(range(128, 256)))'],
    'NULs and controls'       => ['out(bytes(range(32)) * 50 + b"\x7f\0"); err(b"\0" * 1000)'],
    'lines of 64 KiB'         => ['for i in range(40): out(b"x" * 65535 + b"\n")'],
    'a million small writes'  => ['for i in range(1000000): os.write(1, b"ab\ncd"[i % 5:i % 5 + 1])', limits => { wall_ms => 60000, cpu_ms => 60000 }],
    'a byte at a time'        => ['for b in "h\u00e9\u20ac\U0001f600".encode() * 300: out(bytes([b])); err(bytes([b]))'],
    'half a character, last'  => ['out(b"x\xe2\x82")'],
    'a cut within a character' => ['out("\u20ac".encode() * 400); time.sleep(0.02); out(b"more" * 400); time.sleep(60)', limits => { output_bytes => 1000 }],
    'too many escapes'        => ['for i in range(9): out(b"\1" * 100); time.sleep(0.01)', limits => { output_bytes => 1000 }],
    'escapes up to the limit' => ['for i in range(10): out(b"\n" * 100); time.sleep(0.01)', limits => { output_bytes => 1000 }],
    'escapes, then text'      => ['out(b"\1" * 300); time.sleep(0.02); out(b"\n" * 90 + b"x" * 600)', limits => { output_bytes => 1000 }],
    'one byte above the limit' => ['out(b"x" * 1001); time.sleep(5)', limits => { output_bytes => 1000 }],
    'the limit itself'        => ['out(b"x" * 1000)', limits => { output_bytes => 1000 }],
    'an exception'            => ['out(b"before\n"); err(b"\xe9" * 20000); 1/0'],
    'a timeout'               => ['out(b"before \xe2\x82"); time.sleep(60)', limits => { wall_ms => 300 }],
    'a signal'                => ['out(b"before"); os.kill(os.getpid(), 11)'],
    'a forged event'          => ['out(b"\n\nevent: result\ndata: {\"event\":\"result\",\"data\":{}}\n\n\r\r{\"event\":\"result\"}\n")'],
    'random bytes'            => ['import random; random.seed(7); [out(random.randbytes(random.randrange(3000))) for i in range(300)]'],
    'mixed characters'        => ['import random; random.seed(8); t = "".join(random.choice("a\u00e9\u20ac\U0001f600\n\0\"") for i in range(60000)).encode()' . "\n"
            . 'while t: n = random.randrange(1, 700); out(t[:n]); t = t[n:]'],
    'megabytes'               => ['for i in range(12): out(os.urandom(1) * 0 + b"line \\ of \"text\"\n" * 40000)'],
);
for my $name (sort keys %same) {
    my ($code, %field) = @{ $same{$name} };
    %field = (code => $write . $code, %field);
    my $plain = $cb->run(%field)->{data};
    my ($events, $stream) = events_of(\%field);
    my $result = $events->[-1];
    ok Events::text($events, 'stdout') eq $plain->{stdout}, "$name: stdout is that of the plain reply"
        or diag length(Events::text($events, 'stdout')) . ', not ' . length $plain->{stdout};
    ok Events::text($events, 'stderr') eq $plain->{stderr}, "$name: stderr is that of the plain reply";
    is $result->{event}, 'result', "$name: the last event is the result";
    is_deeply lasting($result->{data}), lasting($plain), "$name: its data is that of the plain reply";
    ok !(grep { exists $result->{data}{$_} } qw(stdout stderr)), "$name: without the output";
    my $outputs = grep { $_->{event} =~ /\Astd/ } @$events;
    cmp_ok $outputs, '<=', 20 + ($result->{ms} / 5) * 2 + sum0(map { length } @$plain{qw(stdout stderr)}) * 6 / 8000, "$name: few events";
    is scalar(grep { length $_->{data} == 0 } grep { $_->{event} =~ /\Astd/ } @$events), 0, "$name: none is empty";
    cmp_ok max(map { length $_->{line} } @$events), '<', 17_000 + length($result->{line}), "$name: none is long";
}

# --- while the program runs ----------------------------------------------------------------------------------------------

{
    my $code = $write . 'out(b"\xc3"); time.sleep(0.3); out(b"\xa9 first"); time.sleep(1.5); out(b"second"); time.sleep(0.3); err(b"\xff\xe2\x82"); time.sleep(0.3); err(b"\xac")';
    my $stream = Events->start($cb, 'sse', { code => $code });
    my @all = ($stream->next(30));
    push @all, $stream->next(30) while $all[-1] && $all[-1]{event} ne 'result';
    my @events = grep { $_->{event} ne 'heartbeat' } @all;
    is join(' | ', map { $_->{event} =~ /\Astd/ ? "$_->{event} $_->{data}" : $_->{event} } @events),
        "queued | started | stdout \x{e9} first | stdout second | stderr \x{fffd} | stderr \x{20ac} | result", 'halves of a character come as one';
    cmp_ok $events[3]{ms} - $events[2]{ms}, '>', 1000, 'what is written is sent while the program runs';
    cmp_ok $events[3]{at} - $events[2]{at}, '>', 0.5, 'and arrives then';
    my @beats = grep { $_->{event} eq 'heartbeat' } @all;
    cmp_ok scalar @beats, '>=', 4, 'heartbeats come while nothing happens';
    my $gap = max map { $all[$_]{ms} - $all[$_ - 1]{ms} } 1 .. $#all;
    is scalar(grep { $all[$_]{event} eq 'heartbeat' && $all[$_]{ms} - $all[$_ - 1]{ms} < 149 } 1 .. $#all), 0, 'and only then';
    is_deeply [map { $_->{data} } @beats], [({}) x @beats], 'a heartbeat says nothing';
}

# --- compiled languages -----------------------------------------------------------------------------------------------------

SKIP: {
    my $why = missing('no C compiler', $cb->run(language => 'c', code => 'int main(void){return 0;}')->{status} == 200);
    skip $why, 1 if $why;
    my $code = "#include <stdio.h>\n#warning careful\nint main(void) { puts(\"a program of $$\"); return 3; }\n";
    for my $cached (0, 1) {
        my $events = events_of({ language => 'c', code => $code });
        is Events::kinds($events), 'queued compiled started stdout result', 'the events of a compiled language';
        my ($compiled) = grep { $_->{event} eq 'compiled' } @$events;
        is $compiled->{data}{cached} ? 1 : 0, $cached, $cached ? 'it was compiled before' : 'it is compiled now';
        like $compiled->{data}{output}, qr/careful/, 'the compiler warns at once' if !$cached;
        is join(',', sort keys %{ $compiled->{data} }), 'cached,cpu_ms,output,wall_ms', 'as in the reply';
        is $events->[-1]{data}{exit_code}, 3, 'the result';
    }
    my $plain = $cb->run(language => 'c', code => 'int main(void) { return x; }')->{data};
    my $events = events_of({ language => 'c', code => 'int main(void) { return x; }' });
    is Events::kinds($events), 'queued stderr result', 'a compile error: nothing is started';
    is Events::text($events, 'stderr'), $plain->{stderr}, 'a compile error: the compiler says why';
    is_deeply lasting($events->[-1]{data}), lasting($plain), 'a compile error: the result';
}

# --- files -----------------------------------------------------------------------------------------------------------------------

{
    my %field = (code => 'import os; os.mkdir("out"); open("out/a.txt", "w").write("h\u00e9"); open("b.bin", "wb").write(b"\0\1"); os.symlink("/etc/passwd", "out/link")', collect => ['**']);
    my $plain = $cb->run(%field)->{data};
    my $events = events_of(\%field);
    is Events::kinds($events), 'queued started file result', 'files come before the result';
    my @wanted = grep { $_->{path} ne 'main.py' } @{ $plain->{files} };
    is_deeply [grep { $_->{path} ne 'main.py' } map { $_->{data} } grep { $_->{event} eq 'file' } @$events], \@wanted, 'each as in the plain reply';
    ok !exists $events->[-1]{data}{files}, 'the result has none';
    is_deeply $events->[-1]{data}{collect}, $plain->{collect}, 'but says whether these were all';
}

# --- errors -----------------------------------------------------------------------------------------------------------------------

for (
    [{ code => '' }, {}, 400, -400, qr/code/],
    [{ language => 'klingon', code => '1' }, {}, 400, -400, qr/\Aunsupported language/],
    [{ code => 'print(1)', limits => { wall_ms => -1 } }, {}, 400, -400, qr/wall_ms/],
    [{ code => 'print(1)' }, { key => 'a-wrong-key-0123' }, 401, -401, qr/\Aunauthorized/],
    [{ code => 'print(1)' }, { headers => ["X-Queue-Timeout: 0\r\n"] }, 400, -400, qr/X-Queue-Timeout/],
) {
    my ($fields, $option, $status, $code, $message) = @$_;
    my $stream = Events->start($cb, 'sse', { language => 'python3', %$fields }, %$option);
    my $answer = $stream->refusal(30);
    is $stream->{status}, $status, "a refusal before the first event has its status: $status";
    is $stream->{headers}{'content-type'}, 'application/json; charset=utf-8', 'and is JSON';
    is $answer->{code}, $code, 'with its code';
    like $answer->{message}, $message, 'and its message';
    ok exists $answer->{data} && !defined $answer->{data}, 'and no data';
}
{
    my ($stream, $answer);
    for (1 .. 6) {
        $stream = Events->start($cb, 'sse', { code => 'print(1)' }, key => 'slow-key-0123456789');
        $answer = $stream->refusal(30);
        last if $stream->{status} != 200;
    }
    is "$stream->{status} $answer->{code}", '429 -429', 'a key over its rate';
    ok $stream->{headers}{'retry-after'}, 'learns when to try again';
    my @body = ('x' x 150_000, 'print(len("' . 'x' x 150_000 . '"))');
    my $events = events_of({ code => $body[1] });
    is Events::text($events, 'stdout'), "150000\n", 'a large body has events, too';
    $stream = Events->start($cb, 'sse', { code => $body[1] }, key => 'a-wrong-key-0123');
    $stream->refusal(30);
    is $stream->{status}, 401, 'a large body with a wrong key is refused';
}
{
    my @busy = map { Events->start($cb, 'ndjson', { code => 'import time; time.sleep(60)', limits => { wall_ms => 70_000, memory_bytes => 64 << 20 } }) } 1 .. 11;
    is scalar(grep { $_->next_of(30, 'started') } @busy), 11, 'all cells but the reserve are taken';
    # A run that waits longer than it may: the answer has begun, and so it is an event.
    my $begin = Events->start($cb, 'ndjson', { code => 'print(1)' }, headers => ["X-Queue-Timeout: 700\r\n"]);
    my $all = $begin->rest(30);
    is $begin->{status}, 200, 'a run that waits has begun its answer';
    is Events::kinds([grep { $_->{event} ne 'heartbeat' } @$all]), 'queued error', 'a run that cannot start in time';
    ok scalar(grep { $_->{event} eq 'heartbeat' } @$all), 'had heartbeats while it waited';
    my $error = $all->[-1]{data};
    is "$error->{status} $error->{code}", '503 -503', 'the error has the status that the plain answer would have';
    like $error->{message}, qr/\Abusy/, 'and its message';
    cmp_ok $error->{retry_after}, '>=', 1, 'and when to try again';
    is $begin->{end}, 'whole', 'the answer is whole';
    # A key that may not wait is refused at once, with its status.
    $_->close_now for @busy;
}

$cb->finish;
done_testing;
