# The shelf of Python's zygotes: modules that are imported already, and that a program finds as
# after a cold start.
#
# Each program runs twice in cells of one instance: in a guest of a zygote with a shelf, and in an
# interpreter that is started for the run. What a program can see of its modules must be equal, for
# each module of the shelf alone and for random groups, except what is listed here with its reason.
use strict;
use warnings;
use Cellblock qw(missing root slurp);
use Test::More;

# Lines of t/python_shelf/dump.py that may differ, and why.
my @may_differ = (
    [qr/^sys path_importer_cache /,               'directories that no import has had to read'],
    [qr/^(?:_frozen_importlib|importlib\._bootstrap) _find_and_load /, 'the function that puts modules back'],
    [qr/^re _cache2? /,                            'patterns that modules of the shelf have compiled'],
    [qr/^lxml\._elementpath _cache /,             'paths that modules of the shelf have compiled'],
    [qr/^cython_runtime cline_in_traceback /,     'set by the first traceback through code of Cython'],
    [qr/^(?:threading|multiprocessing\.\w+) _dangling /, 'a set that a weak reference keeps'],
    [qr/^threading _shutdown_locks /,             'the lock of a timer that matplotlib has had'],
    [qr/^sysconfig _CONFIG_VARS(?:_INITIALIZED)? /, 'a cache that a module of the shelf has filled'],
    [qr/^platform _uname_cache /,                 'the zygote has another name than the cell, so this cache is emptied'],
    [qr/^platform _sys_version_cache /,           'a cache that modules of the shelf have filled'],
    [qr/^logging (?:\[|_handlerList )/,           'logging knows the loggers of modules of the shelf'],
    [qr/^logging _startTime /,                    'the time of the import'],
    [qr/^\w+ _\w+_addr /,                         'addresses'],
    [qr/^encodings _cache /,                      'codecs that modules of the shelf have looked up, before Python 3.10'],
    [qr/^(?:six\.moves|_cython_\w+|typing (?:Match|Pattern|_lazy_annotationlib)) /, 'names that other modules of the shelf have asked for'],
);

# The Python to test.
my $python = $ENV{CELLBLOCK_TEST_PYTHON} // '/usr/bin/python3';
my ($home) = $python =~ m{\A(?!/usr/)(.*)/bin/};

my $cold = <<'CONF';
name = "coldpython";
main_file = "main.py";
start = "cold";
run = ["/usr/bin/python3", "main.py"];
version = ["/usr/bin/python3", "--version"];
root = ["/usr", "?/bin", "/lib", "?/lib64", "?/etc/mime.types", "?/etc/alternatives", "?/etc/fonts", "?/etc/matplotlibrc"];
policy = "program";
CONF
$cold =~ s{"/usr/bin/python3"}{"$python"}g;
$cold =~ s{^root = \[}{root = ["$home", }m if $home;
my $cb = Cellblock->start(own => 1,
    conf => [
        ['languages/coldpython.conf', undef, $cold],
        ['languages/python3.conf', qr{^interpreter = "/usr/bin/python3"}m, "interpreter = \"$python\""],
    ]);

# Run programs in both ways. Calls $then with the name and the two replies of each.
sub both_ways {
    my ($programs, $then) = @_;
    my @left = map { my $p = $_; map { { language => $_, code => $p->[1], of => $p->[0] } } qw(coldpython python3) } @$programs;
    my %got;
    $cb->many(4, sub {
        my $next = shift @left or return;
        return { language => $next->{language}, code => $next->{code}, limits => { wall_ms => 60_000 } };
    }, sub { my ($request, $reply) = @_; $got{ $request->{code} }{ $request->{language} } = $reply->{data} }, 600);
    $then->($_->[0], @{ $got{ $_->[1] } }{qw(coldpython python3)}) for @$programs;
    return;
}

sub lines_of {
    my ($data) = @_;
    my $text = ($data->{stdout} // '') . ($data->{stderr} // '');
    $text =~ s/0x[0-9a-f]{6,}/0xADDRESS/g;
    $text =~ s/^(order .*?) __mp_main__/$1/m; # multiprocessing's second name for __main__ comes after it, not before
    return grep { my $line = $_; !grep { $line =~ $_->[0] } @may_differ } split /\n/, $text;
}

# The order of modules in sys.modules depends on what C code has imported first.
sub compare_unordered {
    my ($name, @data) = @_;
    for my $data (@data) {
        $data->{stdout} =~ s/^order (.*)/'order ' . join ' ', sort split ' ', $1/me;
        $data->{stdout} = join "\n", sort split /\n/, $data->{stdout};
    }
    return compare($name, @data);
}

sub compare {
    my ($name, @data) = @_;
    my ($cold_lines, $lines) = map { [lines_of($_)] } @data;
    my $is_equal = @$cold_lines && "@$cold_lines" eq "@$lines";
    ok $is_equal, $name or do {
        my %of = map { $_ => 1 } @$lines;
        my %of_cold = map { $_ => 1 } @$cold_lines;
        diag join "\n", (map { "- $_" } grep { !$of{$_} } @$cold_lines), map { "+ $_" } grep { !$of_cold{$_} } @$lines;
    };
    return;
}

# --- every module alone, and groups of them --------------------------------------------------------

my $dump = slurp(root() . '/t/python_shelf/dump.py');
my ($imports) = slurp(root() . '/etc/languages/python3.conf') =~ /name = "shelf";\s*imports = \[(.*?)\]/s;
my @packages = qw(dateutil.parser jinja2 requests yaml numpy pandas httpx socks bs4 lxml.etree PIL.Image openpyxl
    kiwisolver cycler pyparsing packaging.version dateutil.rrule matplotlib.pyplot);
my %is_package = map { $_ => 1 } @packages;
my %never = map { $_ => 1 } slurp(root() . '/runner/guest/python3/never_shelved.txt') =~ /^(\w+)\s/mg;
my %wanted = map { $_ => 1 } ($imports // '') =~ /"\??([\w.]+)"/g;
# All other modules of the standard library, too: what they import may be on the shelf. Those with a
# name of their own for C code are reached through their public ones. And these look at sysconfig at
# their import, whose variables a module of the shelf has read already.
my %asks_sysconfig = map { $_ => 1 } qw(cgitb ensurepip pydoc);
$wanted{$_} = 1 for grep { !/^_/ && !$asks_sysconfig{$_} } split ' ', $cb->run(language => 'coldpython', code => 'import sys; print(*getattr(sys, "stdlib_module_names", ()))')->{data}{stdout};
my %works;
my @tried = grep { !$is_package{$_} && !$never{$_} } sort keys %wanted;
$cb->many(4, sub { my $name = shift @tried // return; return { language => 'coldpython', code => "import $name" } },
    sub { my ($request, $reply) = @_; $works{ $request->{code} } = $reply->{data}{status} eq 'ok' }, 600);
my @modules = grep { $works{"import $_"} } sort keys %wanted;
cmp_ok scalar @modules, '>', 120, 'the shelf has the modules of the standard library';
# The same groups each time, unless others are wanted: what fails must be a fault of the change.
my $seed = $ENV{CELLBLOCK_SEED} // 1;
srand $seed;
diag "CELLBLOCK_SEED=$seed";
my @groups = map { [map { $modules[rand @modules] } 0 .. 2 + rand 6] } 1 .. 60;
my $program_of = sub { join('', map { "import $_\n" } @_) . $dump };
both_ways([(map { ["import $_", $program_of->($_)] } @modules), map { ["import @$_", $program_of->(@$_)] } @groups], \&compare);

# Packages that are not the standard library's, where they are installed: alone, and in groups.
my @there;
for my $package (@packages) {
    SKIP: {
        my $why = missing("$package is not installed", $cb->run(language => 'coldpython', code => "import $package")->{data}{status} eq 'ok');
        skip $why, 1 if $why;
        push @there, $package;
        both_ways([["import $package", $program_of->($package)]], \&compare_unordered);
    }
}
# Those of one zygote together: docs/languages.md says what differs after a finder of six's.
my @sets = grep { @$_ } [grep { /^(?:numpy|pandas)$/ } @there], [grep { !/^(?:numpy|pandas)$/ } @there];
my @mixed = map { my $set = $_; map { [(map { $set->[rand @$set] } 0 .. 1 + rand 3), map { $modules[rand @modules] } 0 .. 1 + rand 3] } 1 .. 10 } @sets;
both_ways([map { ["import @$_", $program_of->(@$_)] } @mixed], \&compare_unordered);
is $cb->run(code => "import numpy\na = numpy.ones((300, 300))\nprint((a @ a)[0, 0])")->{data}{stdout} // '', "300.0\n", 'numpy computes with the threads of OpenBLAS'
    if $cb->run(code => 'import numpy')->{data}{status} eq 'ok';

# --- programs that look at, or change, the import of modules ----------------------------------------

my @programs = (
    ['matplotlib makes its files' => <<'PYTHON'],
import os
import matplotlib.pyplot
for place in "/box", "/tmp":
    for directory, directories, files in os.walk(place):
        # Programs that matplotlib starts make files of their own.
        print(directory, sorted(set(directories) - {"fontconfig"}), [(name, os.path.getsize(f"{directory}/{name}")) for name in sorted(files) if name != "main.py"])
        directories[:] = sorted(set(directories) - {"fontconfig"})
import threading
print(threading.Thread().name, os.environ.get("MPLCONFIGDIR"), len(matplotlib.font_manager.fontManager.ttflist))
PYTHON
    ['matplotlib reads a file of its configuration' => <<'PYTHON'],
import os
os.makedirs("/box/.config/matplotlib")
open("/box/.config/matplotlib/matplotlibrc", "w").write("lines.linewidth: 7")
import matplotlib.pyplot
print(matplotlib.rcParams["lines.linewidth"], matplotlib.matplotlib_fname())
PYTHON
    ['matplotlib reads a file of the working directory' => <<'PYTHON'],
open("matplotlibrc", "w").write("lines.linewidth: 8")
import matplotlib.pyplot
print(matplotlib.rcParams["lines.linewidth"])
PYTHON
    ['matplotlib reads a style of the program' => <<'PYTHON'],
import os
os.makedirs("/box/.config/matplotlib/stylelib")
open("/box/.config/matplotlib/stylelib/mine.mplstyle", "w").write("lines.linewidth: 9")
import matplotlib.pyplot
print("mine" in matplotlib.style.available)
PYTHON
    ['a list of fonts that is there is read' => <<'PYTHON'],
import glob, os
os.makedirs("/box/.cache/matplotlib")
for number in range(300, 500):
    open(f"/box/.cache/matplotlib/fontlist-v{number}.json", "w").write("{}")
import matplotlib.font_manager
print(sorted((os.path.getsize(name), name) for name in glob.glob("/box/.cache/matplotlib/*"))[-1][1])
PYTHON
    ['matplotlib is told of another directory' => <<'PYTHON'],
import os
os.environ["MPLCONFIGDIR"] = "/tmp/m"
import matplotlib.pyplot
print(sorted(os.listdir("/tmp/m")), os.path.exists("/box/.config"))
PYTHON
    ['a file of the same name comes first' => <<'PYTHON'],
import os
with open("colorsys.py", "w") as f: f.write("mine = 1\n")
with open("re.py", "w") as f: f.write("from sre_mine import *\nI = 1\n")
with open("sre_mine.py", "w") as f: f.write("mine = 2\n")
import colorsys, re
print(colorsys.mine, colorsys.__file__, re.mine, re.__file__)
try:
    import textwrap
except AttributeError as e:
    print(e)
PYTHON
    ['a package of the same name comes first' => <<'PYTHON'],
import os
os.makedirs("json")
open("json/__init__.py", "w").write("mine = 1\n")
import json
print(json.mine, json.__path__)
PYTHON
    ['a directory without a package does not' => <<'PYTHON'],
import os
os.makedirs("json")
import json
print(json.dumps([1]), json.__file__)
PYTHON
    ['a directory of sys.path comes first' => <<'PYTHON'],
import os, sys
os.makedirs("/tmp/lib")
open("/tmp/lib/csv.py", "w").write("mine = 1\n")
sys.path.insert(0, "/tmp/lib")
import csv, json
print(csv.mine, json.__file__)
PYTHON
    ['sys.path without the library' => <<'PYTHON'],
import sys
sys.path[:] = []
try:
    import json
except ImportError as e:
    print(e)
PYTHON
    ['a finder sees every import' => <<'PYTHON'],
import sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        print("find", name)
sys.meta_path.insert(0, Finder)
import textwrap
print("textwrap" in sys.modules)
PYTHON
    ['no finder, no module' => <<'PYTHON'],
import sys
sys.meta_path.clear()
try:
    import json
except ImportError as e:
    print(e)
PYTHON
    ['another __import__' => <<'PYTHON'],
import builtins
original = builtins.__import__
def traced(name, *rest):
    print("import", name)
    return original(name, *rest)
builtins.__import__ = traced
import string
PYTHON
    ['a tracer sees the lines of a module' => <<'PYTHON'],
import sys
seen = set()
def tracer(frame, event, arg):
    seen.add(frame.f_code.co_filename.rpartition("/")[2])
sys.settrace(tracer)
import colorsys
sys.settrace(None)
print("colorsys.py" in seen)
PYTHON
    ['a module that was removed is executed again' => <<'PYTHON'],
import sys, json
first = json
del sys.modules["json"]
import json
print(json is first, json.decoder is first.decoder)
del sys.modules["json.decoder"], sys.modules["json"]
import json
print(json.decoder is first.decoder)
PYTHON
    ['a module that was replaced is used' => <<'PYTHON'],
import sys, types
sys.modules["re"] = fake = types.ModuleType("re")
try:
    import textwrap
except AttributeError as e:
    print(e)
sys.modules["csv"] = None
try:
    import csv
except ImportError as e:
    print(e)
PYTHON
    ['reload' => <<'PYTHON'],
import importlib, json, logging
json.mine = 1
json.dumps = None
again = importlib.reload(json)
print(again is json, json.mine, json.dumps([1]), json.__spec__, json.__loader__)
PYTHON
    ['find_spec does not import' => <<'PYTHON'],
import importlib.util, sys
print(importlib.util.find_spec("decimal"), "decimal" in sys.modules, importlib.util.find_spec("no_such"))
import decimal
print(decimal.__spec__, decimal.__file__, decimal.__cached__, decimal.__package__)
PYTHON
    ['attributes of packages' => <<'PYTHON'],
import sys
import xml
print([k for k in vars(xml) if k[0] != "_"])
import xml.dom
print([k for k in vars(xml) if k[0] != "_"])
import xml.etree.ElementTree
print([k for k in vars(xml) if k[0] != "_"], [k for k in vars(xml.etree) if k[0] != "_"])
import concurrent.futures, email, urllib, importlib, logging
print(*(sorted(vars(m)) for m in (concurrent, email, urllib, importlib, logging)))
try:
    print(email.message)
except AttributeError as e:
    print(e)
import email.message
print(email.message)
PYTHON
    ['from package import module' => <<'PYTHON'],
from xml.dom import minidom
from concurrent import futures
from os import path
from email.mime import text
from importlib import util
print(minidom, futures, path, text, util)
try:
    from xml import no_such
except ImportError as e:
    print(e)
try:
    import xml.no_such
except ImportError as e:
    print(e)
PYTHON
    ['import_module and __import__' => <<'PYTHON'],
import importlib
print(importlib.import_module("xml.sax.handler"), __import__("xml.dom.minidom"), importlib.import_module(".dom", "xml"))
print(__import__("email.policy", fromlist=["x"]))
PYTHON
    ['the order of functions at the end' => <<'PYTHON'],
import atexit
atexit.register(print, "first")
import logging
class Handler(logging.Handler):
    def close(self):
        print("closed")
        super().close()
logging.getLogger().addHandler(Handler())
atexit.register(print, "last")
PYTHON
    ['warnings' => <<'PYTHON'],
import warnings
print(warnings.filters, warnings.onceregistry)
import imp, asyncore
warnings.warn("mine")
PYTHON
    ['pickle' => <<'PYTHON'],
import pickle
data = b"cfractions\nFraction\n(I1\nI2\ntR."
import sys
print("fractions" in sys.modules, pickle.loads(data), "fractions" in sys.modules)
import decimal, datetime, collections
print(pickle.loads(pickle.dumps([decimal.Decimal(1), datetime.date(2000, 1, 1), collections.OrderedDict(a=1)])))
PYTHON
    ['isinstance' => <<'PYTHON'],
import numbers, decimal, fractions, collections.abc, io, pathlib, os
print(isinstance(decimal.Decimal(1), numbers.Number), isinstance(fractions.Fraction(1), numbers.Rational))
print(isinstance(pathlib.Path("x"), os.PathLike), isinstance(open(os.devnull), io.TextIOBase))
PYTHON
    ['threads import at the same time' => <<'PYTHON'],
import threading
def work(name): results.append(__import__(name).__name__)
results = []
names = "json csv decimal logging sqlite3 uuid tempfile fractions".split()
threads = [threading.Thread(target=work, args=(n,)) for n in names for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results))
PYTHON
    ['an import in a function' => <<'PYTHON'],
import datetime
print(datetime.datetime.strptime("2000-01-02", "%Y-%m-%d"), "\N{LATIN SMALL LETTER A}", "\u00fc.de".encode("idna"))
PYTHON
    ['a module runs as a program' => "import runpy\nrunpy.run_module('colorsys', run_name='x')\nrunpy.run_module('platform', run_name='__main__', alter_sys=True)\n"],
    ['sources are found' => <<'PYTHON'],
import inspect, json, traceback
print(inspect.getsourcefile(json), len(inspect.getsource(json.dumps)))
try:
    json.loads("{")
except ValueError:
    traceback.print_exc()
json.loads("[")
PYTHON
    ['a variable that is set before the import' => <<'PYTHON'],
import os
os.environ["PY_SAX_PARSER"] = "mine"
import xml.sax
print(xml.sax.default_parser_list)
PYTHON
    ['the collector' => <<'PYTHON'],
import gc
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks)
PYTHON
);
both_ways(\@programs, \&compare);

# --- what the cold start reads in the run ------------------------------------------------------------

is $cb->run(code => 'import xml.sax; print(xml.sax.default_parser_list)', env => { PY_SAX_PARSER => 'mine' })->{data}{stdout}, "['mine']\n",
    'a module reads a variable of the request at its import';
my %keys;
$keys{ $cb->run(code => 'import multiprocessing.process as p; print(p.current_process().authkey.hex())')->{data}{stdout} }++ for 1 .. 6;
is scalar keys %keys, 6, 'the key of multiprocessing differs from run to run';
for my $numbers ('import random; print(random.random())', 'import uuid; print(uuid.uuid4())', 'import secrets; print(secrets.token_hex())',
    'import tempfile; print(tempfile.mktemp())', 'import numpy; print(numpy.random.random(), numpy.random.default_rng().random())') {
    my %seen;
    my $reply = $cb->run(code => $numbers);
    next if $reply->{data}{status} ne 'ok' && $numbers =~ /numpy/;
    $seen{ $cb->run(code => $numbers)->{data}{stdout} }++ for 1 .. 6;
    is scalar keys %seen, 6, "differs from run to run: $numbers";
}
like $cb->run(code => "import platform, socket, os\nprint(platform.node() == os.uname().nodename == socket.gethostname())")->{data}{stdout}, qr/True/, 'the name of the host is the cell\'s';

# --- the zygote's memory ------------------------------------------------------------------------------

my $mapped = 0;
my %processes = $cb->processes;
for my $pid (grep { $processes{$_}{cmdline} =~ /zygote python3/ } keys %processes) {
    my $maps = slurp("/proc/$pid/maps") // next;
    $mapped++ if $maps =~ /memfd:zygote/;
    is join("\n", $maps =~ /^\S+ .w.s .*$/mg), '', "zygote $pid shares no memory that its guests can write to";
}
cmp_ok $mapped, '>', 0, 'the arenas of a zygote with a shelf are a mapping of a file';
my $near = $cb->run(code => <<'PYTHON')->{data}{stdout};
import json
kept = [bytes(16 * size) for size in range(1, 29) for _ in range(20)]
places = sorted(map(id, kept))
print(sum(abs(place - places[len(places) // 2]) < 2**20 for place in places) * 100 // len(places))
PYTHON
cmp_ok $near, '>', 95, 'small objects of a run lie side by side, most of them in percent';
$cb->finish;
done_testing;
