# A Python program behaves in a cell as under a bare Python: same output, same errors, same exit
# status.
#
# Every program of t/python/ and of the table below runs twice: cold, by `python3 main.py` in an
# empty directory, and by the service. stdout, stderr, exit code and signal must be equal, apart
# from the name of the directory.
use strict;
use warnings;
use Cellblock qw(command envelope_ok missing slurp);
use ColdPython qw(cold_python cold_result same_form);
use Comparison qw(same_as_cold);
use Encode qw(decode);
use File::Basename qw(basename);
use Test::More;

my $python = $ENV{CELLBLOCK_TEST_PYTHON} // '/usr/bin/python3';
my $cb = Cellblock->start(conf => [['languages/python3.conf', qr{^interpreter = "/usr/bin/python3"}m, "interpreter = \"$python\""]]);

my $cold_python = cold_python($python, $cb->run(code => $ColdPython::facts));
is $cold_python->{cwd}, '/box', 'the working directory is /box';
my $cold_version = (command([$python, '-c', 'import platform; print(platform.python_version(), end="")']))[1];
is $cold_python->{version}, $cold_version, "the service runs the Python that it is compared with ($python)";

my $lines = "one\nzwei \xc3\xa9\nthree";

# name, source (bytes), stdin (bytes), arguments
my @cases = map {
    my $name = basename($_, '.py');
    [$name, slurp($_), $name =~ /\A(?:input|stdin)_(?!empty)/ ? $lines : '']
} sort glob Cellblock::root() . '/t/python/*.py';
push @cases, (
    ['arguments',            'import sys; print(sys.argv, sys.orig_argv[1:])', '', '-x', '', 'a b', "\xc3\xa9"],
    ['argument --help',      "import argparse\nargparse.ArgumentParser().parse_args()", '', '--help'],
    ['white space only',     "\n \n"],
    ['a comment only',       '# nothing'],
    ['no newline at the end', 'print(1)'],
    ['CRLF lines',           "def f():\r\n    return '''a\r\nb'''\r\nprint(repr(f()), f.__code__.co_firstlineno)\r\n1/0\r\n"],
    ['CR lines',             "x = 1\rprint(x)\r"],
    ['a form feed',          "x = 1\n\x0cprint(x)\n"],
    ['a byte order mark',    "\xef\xbb\xbfprint('with a BOM')\n1/0\n"],
    ['a UTF-8 cookie',       "# -*- coding: utf-8 -*-\nprint('\xc3\xa9', len('\xc3\xa9'))\n1/0 # \xc3\xa9\n"],
    ['unicode names',        "gr\xc3\xb6\xc3\x9fe = 5\nprint(gr\xc3\xb6\xc3\x9fe, '\xf0\x9f\x98\x80')\nprint(unbekannt\xc3\xa9)\n"],
    ['a bad character',      "x = 5\nprint(x) \xe2\x82\xac\n"],
    ['a no-break space',     "print\xc2\xa0(1)\n"],
    ['line separators',      "s = 'a\xe2\x80\xa8b\x0cc\x1dd'\nprint(ascii(s))\n1/0\n"],
    ['a NUL in a string',    "print('a\0b')\nprint(2)\n"],
    ['a NUL in a comment',   "print(1) # \0\nprint(2)\n"],
    ['a NUL at the end',     "print(1)\n\0"],
    ['a NUL at the start',   "\0print(1)\n"],
    ['a very long line',     'x = [' . '1,' x 200_000 . "]\nprint(len(x), sum(x))\n"],
    ['a very long line that fails', 'x = "' . 'y' x 50_000 . "\" + 1\n"],
    ['many lines',           join('', map {"x$_ = $_\n"} 1 .. 20_000) . "print(x20000)\n1/0\n"],
    ['nested deeply',        '(' x 300 . ')' x 300],
    ['nested too deeply to run', 'x = ' . '-' x 100_000 . '1'],
    ['backslash at the end', 'x = 1 + \\'],
    ['a shebang',            "#!/bin/false\nprint(1)\n"],
    ['an interactive prompt', ">>> print(1)\n"],
);

for my $case (@cases) {
    my ($name, $source, $stdin, @args) = @$case;
    my @cold = cold_result($cold_python, $source, $stdin // '', @args);
    my $r = $cb->run(code => decode('UTF-8', $source), stdin => decode('UTF-8', $stdin // ''), args => [map { decode('UTF-8', $_) } @args]);
    same_as_cold($name, $r, \@cold, \&same_form);
}
cmp_ok scalar @cases, '>=', 150, 'at least 150 programs were compared';

# --- a cookie, which names the encoding of a file: a request is text, whatever it says ---------------------------

my @cookies = (
    ['latin-1',                 "# -*- coding: latin-1 -*-\nprint('\x{e9}', len('\x{e9}'))\n",                "\x{e9} 1\n"],
    ['on line two',             "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nprint(ascii('\x{20ac}'))\n", "'\\u20ac'\n"],
    ['ascii',                   "# coding: ascii\nprint('\x{e9}')\n",                                          "\x{e9}\n"],
    ['an unknown encoding',     "# coding: klingon\nprint('\x{e9}', __name__)\n",                              "\x{e9} __main__\n"],
    ['after a byte order mark', "\x{feff}# coding: latin-1\nprint('\x{e9}')\n",                               "\x{e9}\n"],
    ['a word in the program',   "coding = '\x{e9}'\nprint(coding)\n",                                          "\x{e9}\n"],
);
for (@cookies) {
    my ($name, $source, $stdout) = @$_;
    my $d = $cb->run(code => $source)->{data};
    is $d->{stdout}, $stdout, "a cookie changes nothing: $name" or diag $d->{stderr};
}
my $broken = $cb->run(code => "# coding: latin-1\nx = (\n")->{data};
like $broken->{stderr}, qr{File "/box/main\.py", line 2\n    x = \(\n        \^\nSyntaxError: '\(' was never closed\n}, 'a syntax error below a cookie is reported as ever';

# --- the time zone of a run, which its zygote cannot have known -----------------------------------------------------------

my $zones = 'import datetime, os, time; print(time.tzname[0], time.timezone, datetime.datetime.fromtimestamp(1700000000).astimezone().isoformat())';
for (['IST-5:30', "IST -19800 2023-11-15T03:43:20+05:30\n"], ['EST5', "EST 18000 2023-11-14T17:13:20-05:00\n"], ['UTC0', "UTC 0 2023-11-14T22:13:20+00:00\n"]) {
    my ($zone, $stdout) = @$_;
    is $cb->run(code => $zones, env => { TZ => $zone })->{data}{stdout}, $stdout, "env.TZ is the zone of the run: $zone";
}

# --- stdin is a pipe, at its end at once without input --------------------------------------------------------------------

my $watched = <<'PYTHON';
import asyncio, os, select, stat, sys
assert stat.S_ISFIFO(os.fstat(0).st_mode) and not sys.stdin.seekable()
epoll = select.epoll()
epoll.register(0, select.EPOLLIN)
assert epoll.poll(5) and select.select([0], [], [], 5)[0]
async def main():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(len(await reader.read()))
asyncio.run(main())
PYTHON
for (0, 1, 65_536, 65_537, 3_000_000) {
    my $d = $cb->run(code => $watched, stdin => 'x' x $_)->{data};
    is $d->{stdout}, "$_\n", "$_ bytes of stdin come through a pipe" or diag $d->{stderr};
}
my $unread = $cb->run(code => 'print("done")', stdin => 'x' x 3_000_000)->{data};
is "$unread->{status} $unread->{stdout}", "ok done\n", 'a program need not read its stdin';
my $closed = $cb->run(code => 'import os, sys; n = len(os.read(0, 10)); os.close(0); print(n)', stdin => 'x' x 3_000_000)->{data};
is "$closed->{status} $closed->{stdout}", "ok 10\n", 'a program may close its stdin before it has read all';

# --- denied operations, which fail with Python's own errors ------------------------------------------------------------------

my @refused = (
    ['subprocess.run',         'import subprocess; subprocess.run(["/bin/true"])'],
    ['subprocess with a shell', 'import subprocess; subprocess.check_output("true", shell=True)'],
    ['os.fork',                'import os; os.fork()'],
    ['os.posix_spawn',         'import os; os.posix_spawn("/bin/true", ["true"], {})'],
    ['multiprocessing',        'import multiprocessing; multiprocessing.get_context("fork").Process(target=print).start()'],
    ['ProcessPoolExecutor',    'from concurrent.futures import ProcessPoolExecutor as P; P(1).submit(int).result()'],
    ['socket',                 'import socket; socket.socket()', qr/OSError: \[Errno 97\]/],
    ['urlopen',                'import urllib.request; urllib.request.urlopen("http://127.0.0.1:1/")', qr/urlopen error \[Errno 97\]/],
);
for (@refused) {
    my ($name, $code, $error) = @$_;
    my $d = $cb->run(code => $code, limits => { processes => 1 })->{data};
    like $d->{stderr}, $error // qr/PermissionError: \[Errno 1\]|Operation not permitted/, "denied: $name";
    is $d->{exit_code}, 1, "denied: $name: the exception ends the program";
}
my $system = 'import os; print(os.waitstatus_to_exitcode(os.system("echo x")))';
is $cb->run(code => $system, limits => { processes => 1 })->{data}{stdout}, "127\n", 'with limits.processes = 1 os.system starts nothing';
is $cb->run(code => $system)->{data}{stdout}, "x\n0\n", 'by default os.system starts a shell';

# --- random numbers, which a fork server could duplicate -----------------------------------------------------------------

my @random = (
    'import random; print(random.random())',
    'import random; print(random.Random().random())',
    'import random; print(random.sample(range(10**9), 2))',
    'import secrets; print(secrets.token_hex())',
    'import os; print(os.urandom(8).hex())',
    'import uuid; print(uuid.uuid4())',
    'import uuid; print(uuid.uuid1())',
    'import ssl; print(ssl.RAND_bytes(8).hex())',
    'import tempfile; print(tempfile.mktemp())',
    'import numpy; print(numpy.random.rand())',
    'import numpy; print(numpy.random.default_rng().random())',
);
for my $code (@random) {
    my @got;
    $cb->many(4, sub { @got < 12 ? { code => $code } : undef }, sub { push @got, $_[1]{data} });
    SKIP: {
        my $why = missing('numpy is not installed', $got[0]{stderr} !~ /No module named 'numpy'/);
        skip $why, 1 if $why;
        my %values = map { ($_->{stdout} // '') => 1 } @got;
        delete $values{''};
        is scalar keys %values, scalar @got, "differs from run to run: $code" or diag $got[0]{stderr};
    }
}
my %hashes;
my $left = 80;
$cb->many(8, sub { $left-- > 0 ? { code => 'print(hash("x"))' } : undef }, sub { $hashes{ $_[1]{data}{stdout} // '' }++ });
delete $hashes{''};
cmp_ok scalar keys %hashes, '>=', 2, 'zygotes have different hash seeds';

$cb->finish;
done_testing;
