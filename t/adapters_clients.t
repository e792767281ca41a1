# The adapters with the clients of the services that they stand for, from pip and npm.
use strict;
use warnings;
use Cellblock qw(command json skip_all spew);
use File::Temp ();
use Test::More;

my $dir = File::Temp::tempdir('cellblock-clients-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# Install packages, or say why that is impossible here.
sub missing_clients {
    my ($exit, undef, $err) = command(['python3', '-m', 'venv', "$dir/venv"], seconds => 60);
    return "python3 -m venv: $err" if $exit;
    ($exit, undef, $err) = command(["$dir/venv/bin/pip", 'install', '-q', '--disable-pip-version-check', '--retries', 0, '--timeout', 10,
        'sandbox-fusion==0.3.7', 'aiopyston==1.2.1'], seconds => 240);
    return "pip: $err" if $exit;
    ($exit, undef, $err) = command(['npm', 'install', '--silent', '--no-audit', '--no-fund', '--fetch-retries=0', '--prefix', $dir, 'piston-client@1.0.2'],
        seconds => 120);
    return "npm: $err" if $exit;
    return;
}

my $why = missing_clients();
plan skip_all => "no clients from the registries: $why" if $why; # not in CI either: it may have no network

my $cb = Cellblock->start(
    own  => 1,
    conf => [
        ['cellblock.conf', qr/protocols = \[\]/,      'protocols = ["piston", "sandboxfusion"]'],
        ['cellblock.conf', qr/#local_key = "trainer"/, 'local_key = "trainer"'],
    ],
    keys => { trainer => { key => 'trainer-key-1' } },
);

# Run a program of a client, which prints one value of JSON.
sub client {
    my ($argv, $name, $program) = @_;
    spew("$dir/$name", $program);
    my ($exit, $out, $err) = command([@$argv, "$dir/$name"], seconds => 120,
        env => { URL => $cb->{url}, SANDBOX_FUSION_ENDPOINT => $cb->{url}, KEYED => "$cb->{url}/k/$cb->{key}" });
    is $exit, 0, "$name ends well" or diag $err;
    return eval { json->decode($out) } // {};
}

subtest 'sandbox-fusion' => sub {
    my $got = client(["$dir/venv/bin/python"], 'fusion.py', <<'END');
import json, os
from sandbox_fusion import RunCodeRequest, run_code, run_concurrent, set_sandbox_endpoint, summary_run_code_result, SummaryMapping
words = SummaryMapping(Success='good', Failed='bad', RunTimeout='slow', CompileFailed='compiler')
def said(**fields):
    result = run_code(RunCodeRequest(**fields), max_attempts=3)
    return [summary_run_code_result(result, words), result.run_result.stdout if result.run_result else None, result.files]
set_sandbox_endpoint(os.environ['URL'])
got = {'local': said(code='print(input())', language='python', stdin='x'),
       'exit': said(code='raise SystemExit(1)', language='python'),
       'slow': said(code='while True: pass', language='python', run_timeout=0.3)}
set_sandbox_endpoint(os.environ['KEYED'])
got['files'] = said(code='open("b", "w").write(open("a").read() * 2)', language='python', files={'a': 'YWI='}, fetch_files=['b'])
got['many'] = [r.run_result.stdout for r in run_concurrent(run_code, args=[[RunCodeRequest(code=f'print({i})', language='python')] for i in range(40)])]
print(json.dumps(got))
END
    is_deeply $got->{local}, ['good', "x\n", {}], 'a run without a key, from this host';
    is_deeply $got->{exit}, ['bad', '', {}], 'an exit code';
    is_deeply $got->{slow}, ['slow', '', {}], 'a timeout';
    is_deeply $got->{files}, ['good', '', { b => 'YWJhYg==' }], 'files, with a key in the path';
    is_deeply $got->{many}, [map {"$_\n"} 0 .. 39], 'many at the same time';
};

subtest 'aiopyston' => sub {
    my $got = client(["$dir/venv/bin/python"], 'pyston_client.py', <<'END');
import asyncio, json, os
from pyston import File, PystonClient
async def main():
    client = PystonClient(base_url=os.environ['KEYED'] + '/api/v2/piston/')
    run = await client.execute('py', [File('import sys; print(input(), sys.argv[1:])')], stdin='x', args=['a'])
    got = {'languages': sorted(await client.languages()), 'output': str(run), 'language': run.langauge, 'code': run.run_stage.code}
    try:
        await client.execute('klingon', [File('x')])
    except Exception as error:
        got['error'] = str(error)
    await client.close_session()
    print(json.dumps(got))
asyncio.run(main())
END
    ok scalar(grep { $_ eq 'python' } @{ $got->{languages} || [] }), 'the list of languages';
    is_deeply [@$got{qw(output language code)}], ["x ['a']\n", 'python', 0], 'a run';
    like $got->{error} // '', qr/klingon-\* runtime is unknown/, 'an error';
};

subtest 'piston-client' => sub {
    my $got = client(['node'], 'client.mjs', <<'END');
import piston from 'piston-client';
const client = piston({ server: process.env.KEYED });
const one = await client.execute('python', 'import sys; print(sys.argv[1:])');
const two = await client.execute({ language: 'python', files: [{ name: 'x.py', content: 'import sys; sys.exit(int(input()))' }], stdin: '3', args: [] });
console.log(JSON.stringify({ count: (await client.runtimes()).length, output: one.run.output, code: two.run.code, error: await client.execute('klingon', 'x') }));
END
    cmp_ok $got->{count} // 0, '>', 5, 'the list of runtimes';
    is_deeply [@$got{qw(output code)}], ["['1', '2', '3']\n", 3], 'runs';
    is_deeply $got->{error}, { message => 'version is required as a string' }, 'an error';
};

ok index($cb->log_text, $cb->{key}) < 0, 'no log has the key';
$cb->finish;
done_testing;
