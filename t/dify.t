# Dify's client: its requests, the result that it reads from a reply, and the replies that it counts
# as failures.
#
# Its Python node appends a wrapper to the user's main(). Inputs come as base64 of JSON; the result
# is JSON between two marks. The client reads everything between the first and the last mark of
# stdout. Any text in data.error fails the node. The tests below send and read in the same way.
use strict;
use warnings;
use Cellblock qw(command envelope_ok json missing spew);
use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
use File::Temp;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

my $cb = Cellblock->start;
my $mark = '<<RESULT>>';

# The request of a code node.
sub node {
    my ($main, $inputs, %more) = @_;
    my $encoded = encode_base64(json->encode($inputs), '');
    my $code = <<"PYTHON";
$main

import json
from base64 import b64decode

inputs = json.loads(b64decode('$encoded').decode('utf-8'))
output = main(**inputs)
output_json = json.dumps(output, indent=4)
print(f'''$mark\{output_json}$mark''')
PYTHON
    return (language => 'python3', code => $code, preload => '', enable_network => JSON::PP::true, %more);
}

# The client's reading of a reply: (result, undef) or (undef, the reason why the node fails).
sub taken {
    my ($r) = @_;
    return (undef, "HTTP $r->{status}: $r->{body}") if $r->{status} != 200;
    return (undef, "code $r->{json}{code}: $r->{json}{message}") if $r->{json}{code} != 0;
    return (undef, $r->{data}{error}) if $r->{data}{error} ne '';
    my ($result) = $r->{data}{stdout} =~ /\Q$mark\E(.*)\Q$mark\E/s or return (undef, 'no result');
    return (json->decode(encode_utf8($result)), undef);
}

my @nodes = (
    # name                  main                                                     inputs            result
    ['a sum',               'def main(a: int, b: int) -> dict: return {"sum": a + b}', { a => 2, b => 40 }, { sum => 42 }],
    ['no inputs',           'def main(): return {"x": None, "l": [], "s": ""}',        {},               { x => undef, l => [], s => '' }],
    ['nested values',       'def main(v): return {"v": v, "n": len(v)}',               { v => { a => [1, 2.5, { b => 'c' }] } }, { v => { a => [1, 2.5, { b => 'c' }] }, n => 1 }],
    ['unicode',             'def main(s): return {"s": s, "r": s[::-1]}',              { s => "\x{e4}\x{20ac}\x{1f600}" }, { s => "\x{e4}\x{20ac}\x{1f600}", r => "\x{1f600}\x{20ac}\x{e4}" }],
    ['unicode as it is', <<'PYTHON',         { s => "\x{65e5}\x{672c}\x{1f600}" }, { s => "\x{65e5}\x{672c}\x{1f600}" }],
def main(s):
    print(s)
    return {'s': s}
PYTHON
    ['quotes and backslashes', 'def main(s): return {"s": s}',                         { s => q('''"""\\n\\'"${x}{y}%s) . "\n\t\r\0\x7f" }, { s => q('''"""\\n\\'"${x}{y}%s) . "\n\t\r\0\x7f" }],
    ['a mark in the result', 'def main(s): return {"s": s}',                           { s => "a${mark}b" }, { s => "a${mark}b" }],
    ['prints before', <<'PYTHON', {},           { a => 1 }],
def main():
    print('some', 'text')
    return {'a': 1}
PYTHON
    ['prints to stderr', <<'PYTHON', {}, { a => 1 }],
import sys
def main():
    print('bad things', file=sys.stderr)
    return {'a': 1}
PYTHON
    ['warns', <<'PYTHON', {}, { a => '\\d' }],
import warnings
def main():
    warnings.warn('careful')
    warnings.warn('old', DeprecationWarning)
    return {'a': '\d'}
PYTHON
    ['an invalid escape', <<'PYTHON',               {},               { a => 2 }],
def main():
    return {'a': len('\d')}
PYTHON
    ['logs', <<'PYTHON', {}, { a => 1 }],
import logging
def main():
    logging.error('not one')
    return {'a': 1}
PYTHON
    ['imports', <<'PYTHON', { t => 'a1b22' }, { n => ['1', '22'], p => 3 }],
import json, re, math, datetime, collections, base64, hashlib, random, time, uuid, itertools
def main(t: str) -> dict:
    return {'n': re.findall('[0-9]+', t), 'p': math.floor(math.pi)}
PYTHON
    ['redefines names', <<'PYTHON', {}, { a => 1 }],
import sys
code = json_ = exec = compile = open = None
b64 = 1
def main():
    return {'a': 1}
PYTHON
    ['classes and globals', <<'PYTHON', {}, { c => 2 }],
counter = 0
class A:
    def f(self):
        global counter
        counter += 1
        return counter
def main():
    A().f()
    return {'c': A().f()}
PYTHON
    ['threads', <<'PYTHON', { n => 5 }, { r => [0, 1, 4, 9, 16] }],
from concurrent.futures import ThreadPoolExecutor
def main(n):
    with ThreadPoolExecutor(8) as p:
        return {'r': list(p.map(lambda x: x * x, range(n)))}
PYTHON
    ['a process', <<'PYTHON', {}, { o => "x\n" }],
import subprocess
def main(): return {'o': subprocess.check_output(['echo', 'x'], text=True)}
PYTHON
    ['asyncio', <<'PYTHON', {}, { r => 5 }],
import asyncio
async def work():
    await asyncio.sleep(0.01)
    return 5
def main():
    return {'r': asyncio.run(work())}
PYTHON
    ['many inputs',         'def main(**kw): return {"n": len(kw), "s": sum(kw.values())}', { map { ("v$_" => $_) } 1 .. 200 }, { n => 200, s => 20100 }],
    ['large inputs',        'def main(s): return {"n": len(s)}',                       { s => 'x' x 3_000_000 }, { n => 3_000_000 }],
    ['Windows lines',       "def main():\r\n    return {'a': 1}\r\n",                  {},               { a => 1 }],
);
for (@nodes) {
    my ($name, $main, $inputs, $result) = @$_;
    my ($got, $failed) = taken($cb->run(node($main, $inputs)));
    is $failed, undef, "$name: no failure" and is_deeply $got, $result, "$name: the result is right";
}

# Results of several MB are legal. JSON::PP would need minutes for them, so Python parses them.
my $read_reply = <<'PYTHON';
import hashlib, json, sys
d = json.load(open(sys.argv[1]))["data"]
s = d["stdout"]
inner = json.loads(s[s.index("<<RESULT>>") + 10:s.rindex("<<RESULT>>")])
print(d["status"], repr(d["error"]), bool(d.get("truncated")), len(inner["s"]), hashlib.sha256(inner["s"].encode()).hexdigest(), end="")
PYTHON
for (['5 MB', 5 << 20, 'x'], ['20 MB', 20 << 20, 'y'], ['8 MB of what JSON escapes', 2 << 20, "\"\n\\\x{e4}"]) {
    my ($name, $count, $unit) = @$_;
    my $whole = $unit x ($count / length $unit);
    my $begin = time;
    my $reply = $cb->http->request('POST', "$cb->{url}/v1/sandbox/run", {
        headers => { 'X-Api-Key' => $cb->{key} },
        content => json->encode({ node('def main(u, n): return {"s": u * n}', { u => $unit, n => $count / length $unit }) }) });
    my $took = time - $begin;
    is $reply->{status}, 200, "$name: the status is 200";
    is $reply->{headers}{'content-length'}, length $reply->{content}, "$name: Content-Length is right";
    my $file = File::Temp->new;
    spew("$file", $reply->{content});
    my (undef, $out, $err) = command(['python3', '-c', $read_reply, "$file"]);
    is $out, "ok '' False " . length($whole) . ' ' . sha256_hex(encode_utf8($whole)), "$name: the result is complete" or diag $err;
    diag sprintf '%s took %.2f s', $name, $took;
}

my @fails = (
    ['an exception', <<'PYTHON',  {}, qr/\Aprocess exited with code 1\n.*Traceback.*"[^"]*main\.py", line 3, in main.*KeyError: 'no'/s],
def main():
    x = {}
    return x['no']
PYTHON
    ['a syntax error', <<'PYTHON',                         {}, qr/SyntaxError/],
def main(:
    pass
PYTHON
    ['missing inputs',      'def main(a, b): return {}',                    { a => 1 }, qr/TypeError: main\(\) missing 1 required positional argument: 'b'/],
    ['a result that is not JSON', 'def main(): return {"s": {1, 2}}',       {}, qr/TypeError: Object of type set is not JSON serializable/],
    ['an exit', <<'PYTHON',          {}, qr/\Aprocess exited with code 2\n/],
import sys
def main(): sys.exit(2)
PYTHON
    ['no such module', <<'PYTHON', {}, qr/ModuleNotFoundError: No module named 'no_such_module'/],
import no_such_module
def main(): return {}
PYTHON
    ['a forbidden thing', <<'PYTHON',             {}, qr/PermissionError/],
import os
def main(): os.chroot('/')
PYTHON
    ['the network', <<'PYTHON', {}, qr/PermissionError|urlopen error/],
import urllib.request
def main(): return {'o': urllib.request.urlopen('http://example.com').read()}
PYTHON
);
for (@fails) {
    my ($name, $main, $inputs, $why) = @$_;
    my $r = $cb->run(node($main, $inputs));
    envelope_ok($r, 200, 0, "$name: the answer is a success");
    like((taken($r))[1] // 'it does not fail', $why, "$name: the node fails and says why");
}

# The template node: Jinja2, with the preload that the client sends.
SKIP: {
    my $there = $cb->run(code => 'import jinja2')->{data}{error} eq '';
    my $why = missing('jinja2 is not installed', $there);
    skip $why, 3 if $why;
    my $template = "Hello {{ name }}\x{1f600}{% for i in items %}\n- {{ i|upper }} '{{ \"q\" }}'{% endfor %}";
    my $encoded = encode_base64(json->encode({ name => "W\x{f6}rld", items => ['a', 'b'] }), '');
    my $coded_template = encode_base64(encode_utf8($template), '');
    my $r = $cb->run(
        enable_network => JSON::PP::true,
        preload => "import jinja2\nfrom base64 import b64decode\n",
        code => <<"PYTHON");
def main(**inputs):
    import jinja2
    template = jinja2.Template(b64decode('$coded_template').decode('utf-8'))
    return template.render(**inputs)

import json
from base64 import b64decode

inputs = json.loads(b64decode('$encoded').decode('utf-8'))
print(f'''$mark\{main(**inputs)}$mark''')
PYTHON
    envelope_ok($r, 200, 0, 'template: the answer is a success');
    is $r->{data}{error}, '', 'template: no failure';
    is $r->{data}{stdout}, "${mark}Hello W\x{f6}rld\x{1f600}\n- A 'q'\n- B 'q'$mark\n", 'template: the text is rendered';
}

# The fields of old clients, in the order and shape in which they send them.
my $old = $cb->post('{"language":"python3","code":"print(1)","preload":"","enable_network":true,"dependencies":[{"name":"requests","version":""}]}');
is $old->{data}{stdout}, "1\n", 'a request with dependencies of an old client runs';
is $old->{data}{error}, '', 'a request with dependencies of an old client has no error';

$cb->finish;
done_testing;
