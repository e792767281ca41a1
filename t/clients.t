# The clients in clients/: all of them do the same with the same service. t/clients has the programs
# that make the calls.
use strict;
use warnings;
use Cellblock qw(command eventually json root slurp spew);
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use Flaky;
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start(own => 1, keys => { small => { key => 'the-small-key', settings => "running = 1;\nwaiting = 0;" } });
my $root = root();
my $dir = tempdir(CLEANUP => 1);

my %client = (
    'Python'         => ['/usr/bin/python3', "$root/t/clients/cases.py", 'sync'],
    'Python asyncio' => ['/usr/bin/python3', "$root/t/clients/cases.py", 'async'],
    'Node.js'        => ['node', "$dir/cases.mjs", "$root/clients/javascript/cellblock.js"],
);
spew("$dir/cases.mjs", slurp("$root/t/clients/cases.js"));
my %env = (PYTHONPATH => "$root/clients/python", PYTHONDONTWRITEBYTECODE => 1, NODE_EXTRA_CA_CERTS => "$cb->{dir}/cert.pem");
my ($node_missing) = command(['node', '--version']);
delete $client{'Node.js'} if $node_missing;

# Make calls; returns a list of what they returned.
sub calls {
    my ($name, $url, $list, %option) = @_;
    my ($exit, $out, $err) = command([@{ $client{$name} }, $url, $option{key} // $cb->{key}, $option{retry} // 30, json->encode($list)],
        env => { %env, %{ $option{env} || {} } }, seconds => 60);
    is "$exit $err", '0 ', "$name: no complaint";
    return map { json->decode($_) } split /\n/, $out;
}

sub answer { my ($code, $message) = @_; return json->encode({ code => $code, message => $message, data => undef }) }
my %one = (language => 'python3', code => 'print("ran")');

for my $name (sort keys %client) {
    subtest $name => sub {
        # --- what a service does --------------------------------------------------------------------------------------

        my @all = calls($name, $cb->{url}, [
            [run => {%one}],
            [run => { language => 'python3', code => 'import sys, os; print(sys.argv[1:], sys.stdin.read(), os.environ["A"]); open("out", "wb").write(open("in", "rb").read())',
                args => ["\x{e9}"], stdin => "in\x{4e2d}", env => { A => 'b' }, bytes => { in => [0, 255, 10] }, collect => ['out'] }],
            [run => { language => 'python3', code => 'exit(3)' }],
            [run => { %one, limits => { wall_ms => 0 } }],
            [run => { %one, language => 'klingon' }],
            [run => { %one, queue_timeout_ms => 5000 }],
            [languages => {}], [capabilities => {}], [dependencies => { language => 'python3' }], [health => {}], [ready => {}],
        ]);
        is $all[0]{value}{stdout}, "ran\n", 'a run';
        is $all[1]{value}{stdout}, "['\x{e9}'] in\x{4e2d} b\n", 'arguments, input and environment';
        is_deeply $all[1]{value}{files}, { out => [0, 255, 10] }, 'bytes go there and come back';
        ok !$all[2]{value}{ok}, 'a program that fails is a result';
        is "$all[3]{error} $all[3]{status} $all[3]{has_id}", 'RequestError 400 1', 'a bad limit is an error of the request';
        like $all[3]{message}, qr/^limits\.wall_ms: /, '... that names the field';
        like $all[4]{message}, qr/^unsupported language/, '... and so is an unknown language';
        is $all[5]{value}{stdout}, "ran\n", 'a run with a timeout of the queue';
        ok scalar(grep { $_->{name} eq 'python3' } @{ $all[6]{value} }), 'languages';
        is $all[7]{value}{level}, $cb->get('/v1/sandbox/capabilities')->{data}{level}, 'capabilities';
        is ref $all[8]{value}, 'ARRAY', 'dependencies';
        is_deeply [@all[9, 10]], [{ value => JSON::PP::true }, { value => JSON::PP::true }], 'health and readiness';

        # --- files and events -----------------------------------------------------------------------------------------

        my $id = 'sha256:' . sha256_hex("\0\xff\n");
        @all = calls($name, $cb->{url}, [
            [put_file => { content => [0, 255, 10] }], [get_file => { id => $id }],
            [run => { language => 'python3', code => 'print(open("in", "rb").read())', files => [{ path => 'in', id => $id }] }],
            [delete_file => { id => $id }], [get_file => { id => $id }], [put_file => { content => [] }],
            [events => { language => 'python3', code => "print('h\x{e9}')" }],
            [events => { %one, tests => [{ id => 'a', expected => 'ran' }, { id => 'b', expected => 'x' }] }],
            [events => { %one, language => 'klingon' }],
        ]);
        is $all[0]{value}, $id, 'a file is stored' or diag explain $all[0];
        is_deeply $all[1]{value}, [0, 255, 10], '... and comes back';
        is $all[2]{value}{stdout}, "b'\\x00\\xff\\n'\n", '... and a run has it';
        is $all[3]{value}, JSON::PP::true, '... and is removed';
        is "$all[4]{error} $all[4]{status}", 'NotFound 404', '... and is gone';
        is $all[5]{value}, 'sha256:' . sha256_hex(''), 'an empty file';
        my @events = grep { $_->{event} ne 'heartbeat' } @{ $all[6]{value} };
        is join(' ', map { $_->{event} } @events), 'queued started stdout result', 'the events of a run';
        is $events[2]{data}, "h\x{e9}\n", '... with its output';
        is $events[3]{data}{status}, 'ok', '... and its result';
        is join(' ', map { $_->{event} eq 'test' ? "$_->{data}{id} $_->{data}{verdict}" : $_->{event} } @{ $all[7]{value} }),
            'queued a accepted b wrong_answer result', 'the events of tests';
        is "$all[8]{error} $all[8]{status}", 'RequestError 400', 'a request with events may be refused';

        my ($over_tls) = calls($name, $cb->{tls_url} =~ s/127\.0\.0\.1/localhost/r, [[run => {%one}]], env => { CELLBLOCK_CA => "$cb->{dir}/cert.pem" });
        is $over_tls->{value}{stdout}, "ran\n", 'over TLS';
        my ($distrusted) = calls($name, $cb->{tls_url} =~ s/127\.0\.0\.1/localhost/r, [[run => {%one}]], env => { NODE_EXTRA_CA_CERTS => '/dev/null' });
        is $distrusted->{error}, 'Unreachable', 'a certificate that is not trusted' or diag explain $distrusted;
        my ($unauthorized) = calls($name, $cb->{url}, [[run => {%one}]], key => 'a-wrong-key');
        is "$unauthorized->{error} $unauthorized->{status}", 'AuthError 401', 'a wrong key';

        # --- what is sent again, and what is not ---------------------------------------------------------------------

        my $busy = [503, 'Retry-After: 1', answer(-503, 'busy: no cell came free in time')];
        my $flaky = Flaky->new($cb, $busy, [429, 'Retry-After: 1', answer(-429, 'too many requests')], 'relay');
        my $begin = time;
        my ($ran) = calls($name, $flaky->{url}, [[run => {%one}]]);
        is join(' ', $ran->{value}{stdout} // explain($ran), $flaky->done), "ran\n 503 429 relayed", 'after 503 and 429 the run is sent again';
        cmp_ok time - $begin, '>=', 2, '... and each Retry-After was waited for';

        $flaky = Flaky->new($cb, [503, 'Retry-After: 100', answer(-503, 'stops')], 'relay');
        my ($late) = calls($name, $flaky->{url}, [[run => {%one}]]);
        is "$late->{error} $late->{retry_after} " . join(' ', $flaky->done), 'Busy 100 503', 'a Retry-After beyond the patience is not waited for';
        ok !$late->{may_have_run}, '... and nothing was run';

        my %final = (
            cut => ['cut', 'Lost'], half => ['half', 'Lost'], lost => [[500, 'X: y', answer(-500, 'lost: the run may have begun')], 'Lost'],
            fault => [[500, 'X: y', answer(-500, 'internal error')], 'ServiceError'],
            other => [[503, 'Retry-After: 1', '<html>overloaded</html>'], 'ServiceError'],
            gateway => [[502, 'X: y', '<html>bad gateway</html>'], 'ServiceError'],
            html => [[200, 'X: y', '<html>welcome</html>'], 'ServiceError'],
        );
        for (sort keys %final) {
            $flaky = Flaky->new($cb, $final{$_}[0], 'relay');
            my ($error) = calls($name, $flaky->{url}, [[run => {%one}]]);
            is $error->{error}, $final{$_}[1], "$_: $final{$_}[1]" or diag explain $error;
            ok $error->{may_have_run}, '... the run may have begun';
            unlike join(' ', $flaky->done), qr/ /, '... and is not sent again';
        }
        $flaky = Flaky->new($cb, 'cut', [502, 'X: y', ''], 'half', 'relay');
        my $half = Flaky->new($cb, 'half');
        my ($none) = calls($name, $half->{url}, [[events => {%one}]]);
        is $none->{error}, 'Lost', 'events that are cut' or diag explain $none;
        my $first_busy = Flaky->new($cb, $busy, 'relay');
        my ($again) = calls($name, $first_busy->{url}, [[events => {%one}]]);
        is $again->{value}[-1]{event}, 'result', 'events after 503' or diag explain $again;
        my ($list) = calls($name, $flaky->{url}, [[languages => {}]]);
        is ref $list->{value}, 'ARRAY', 'a request that only reads is sent again after each of these' or diag explain $list;
        $flaky = Flaky->new($cb, $busy, 'relay');
        my ($unwell) = calls($name, $flaky->{url}, [[health => {}]]);
        is "$unwell->{error} " . join(' ', $flaky->done), 'Busy 503', 'health is asked once';

        $flaky = Flaky->new($cb, 'silent');
        $begin = time;
        my ($slow) = calls($name, $flaky->{url}, [[run => { %one, client_timeout => 0.5 }]]);
        is $slow->{error}, 'Lost', 'no answer in time: the run may have begun';
        like $slow->{message}, qr/the time is up/, '... and the message says why';
        my ($nobody) = calls($name, 'http://127.0.0.1:' . $cb->free_port, [[run => {%one}]], retry => 0.5);
        is $nobody->{error}, 'Unreachable', 'nothing listens';
        ok !$nobody->{may_have_run}, '... so nothing was run';

        # --- connections -----------------------------------------------------------------------------------------------

        $flaky = Flaky->new($cb, 'relay');
        @all = calls($name, $flaky->{url}, [map { [run => {%one}] } 1 .. 5]);
        is scalar(grep { $_->{value}{stdout} eq "ran\n" } @all), 5, 'five runs';
        my $connections = $flaky->done; # Node.js may open a second one before it sees that the first is free
        cmp_ok $connections, '<=', $name eq 'Node.js' ? 2 : 1, '... over a connection that is kept';
    };
}

# --- an end of the client ends the run -----------------------------------------------------------------------------------------

my ($exit, $out, $err) = command(['/usr/bin/python3', '-c', <<'END', $cb->{url}, 'the-small-key'], env => \%env, seconds => 60);
import asyncio, sys, time
from cellblock import AsyncClient, Client
async def main():
    async with AsyncClient(sys.argv[1], sys.argv[2]) as client:
        task = asyncio.create_task(client.run("python3", "import time; time.sleep(50)", limits={"wall_ms": 60000}))
        await asyncio.sleep(0.2)
        task.cancel()
        begin = time.monotonic()
        print((await client.run("python3", "print('after')")).stdout, end="")  # the key may run one at a time
        print(time.monotonic() - begin < 30)
asyncio.run(main())
# Threads share a client.
import threading
with Client(sys.argv[1], sys.argv[2]) as client:
    said = []
    threads = [threading.Thread(target=lambda n=n: said.append(client.run("python3", f"print({n})").stdout)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(sorted(said) == [f"{n}\n" for n in range(8)])
END
is "$exit $err", '0 ', 'no complaint';
is $out, "after\nTrue\nTrue\n", 'a task that is cancelled ends its run; threads share a client, and wait for their turn';

# --- the examples of the README files ------------------------------------------------------------------------------------------------

# Run each example, and compare its output with the comments behind its print statements.
sub examples {
    my ($readme, $fence, $mark, $argv, $suffix) = @_;
    my $number = 0;
    for my $text (slurp("$root/$readme") =~ /```$fence\n(.*?)```/sg) {
        $number++;
        my @expected = $text =~ /^.*(?:print\(|console\.log\().*$mark +(.*?)$/mg;
        spew("$dir/example$suffix", $text);
        my ($code, $said, $complaint) = command([@$argv, "$dir/example$suffix"], dir => $dir,
            env => { %env, CELLBLOCK_URL => $cb->{url}, CELLBLOCK_API_KEY => $cb->{key} });
        is "$code $complaint", '0 ', "$readme, example $number: no complaint";
        is_deeply [split /\n/, $said], \@expected, "$readme, example $number: its output is as its comments say" or diag $said;
    }
    cmp_ok $number, '>=', 4, "$readme has examples";
    return;
}
examples('clients/python/README.md', 'python', '#', ['/usr/bin/python3'], '.py');
SKIP: {
    skip 'node is not installed', 1 if $node_missing;
    spew("$dir/$_", slurp("$root/clients/javascript/$_")) for 'cellblock.js', 'cellblock.d.ts';
    examples('clients/javascript/README.md', 'js', '//', ['node'], '.mjs');
}

# --- other versions of Python; the types ------------------------------------------------------------------------------------------------

for my $python (grep { -x } map { ("/usr/bin/python3.$_", "/usr/local/bin/python3.$_", glob "/root/.pyenv/versions/3.$_.*/bin/python3") } 8 .. 14) {
    my ($code, $said, $complaint) = command([$python, '-c', 'import asyncio, cellblock; print(cellblock.Client().run("python3", "print(1)").stdout, end=""); '
        . 'print(asyncio.run(cellblock.AsyncClient().run("python3", "print(2)")).stdout, end="")'], env => { %env, CELLBLOCK_URL => $cb->{url}, CELLBLOCK_API_KEY => $cb->{key} });
    is "$code $said", "0 1\n2\n", "$python" or diag $complaint;
}
SKIP: {
    my ($code, undef, $complaint) = command(['npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', "$dir/types", 'typescript@5'], seconds => 120);
    skip 'typescript cannot be had from the npm registry', 2 if $node_missing || $code;
    spew("$dir/good.ts", qq(import { Cellblock, RequestError, type RunRequest } from "./cellblock.js";\n)
        . qq(const request: RunRequest = { language: "c", code: "x", limits: { wall_ms: 1 }, files: { a: new Uint8Array(1), b: "text" } };\n)
        . qq(const client = new Cellblock({ url: "http://x" });\nclient.run(request, { queueTimeout: 1 }).then((r) => r.usage.wall_ms + r.stdout.length);\n)
        . qq(client.putFile("x").then((id) => client.getFile(id));\nclient.languages().then((all) => all[0]?.aliases.join());\nexport const f = (e: unknown) => e instanceof RequestError ? e.mayHaveRun : e;\n));
    my @tsc = ("$dir/types/node_modules/.bin/tsc", '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom');
    my ($good, $said) = command([@tsc, "$dir/good.ts"], dir => $dir, seconds => 120);
    is $good, 0, 'the types are right' or diag $said;
    spew("$dir/bad.ts", qq(import { Cellblock } from "./cellblock.js";\nnew Cellblock().run({ code: "x", limits: { wall: 1 } });\n));
    (my $bad, $said) = command([@tsc, "$dir/bad.ts"], dir => $dir, seconds => 120);
    like $said, qr/bad\.ts\(2,/, '... and find what is wrong';
}

$cb->finish;
done_testing;
