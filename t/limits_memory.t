# usage.memory_peak_bytes is the run's own, whatever ran in its cell before, and is what time(1)
# reports outside; usage.processes_peak is right. Prints the table of docs/run.md (prove -v).
use strict;
use warnings;
use Cellblock qw(command missing skip_all spew);
use File::Temp ();
use Test::More;

skip_all('no /usr/bin/time') if !-x '/usr/bin/time';
my $MB = 1 << 20;

# Few cells, so that a run comes into one that a big run has used: any of them.
my $cb = Cellblock->start(own => 1, conf => [
    ['cellblock.conf', qr/cells = 32;/, 'cells = 4;'],
    (map { ['languages/python3.conf', qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 2),
    ['languages/python3.conf', qr/armed = 6;/, 'armed = 1;'],
    ['languages/python3.conf', qr/armed = 3;/, 'armed = 1;'],
]);

my $c = <<'C';
#include <stdlib.h>
#include <string.h>
int main(void) { char *volatile p = malloc(%1$d << 20); memset(p, 1, %1$d << 20); return p[%1$d << 19] - 1; }
C
my $cpp = <<'CPP';
#include <vector>
int main() { std::vector<char> v(%1$d << 20, 'x'); return v[%1$d << 19] - 'x'; }
CPP
my $go = "package main\nfunc main() { b := make([]byte, %1\$d << 20); for i := range b { b[i] = 1 }; if b[len(b) / 2] != 1 { panic(0) } }\n";
my $rust = "fn main() { let v = vec![1u8; %1\$d << 20]; let one = unsafe { std::ptr::read_volatile(&v[v.len() / 2]) }; std::process::exit(one as i32 - 1); }\n";
my $fortran = "program big\n  integer(1), allocatable :: a(:)\n  allocate(a(%1\$d * 1048576))\n  a = 1\n  a(77) = 2\n  print *, sum(int(a))\nend program\n";

# These begin as a copy of an interpreter that has started. Pages of its files that the run itself
# never touches are not shown to be its own, and the kernel cannot tell how many it would have read.
my %shared = (python3 => 2 * $MB, php => 12 * $MB);

# Language, MB, program.
my @programs = (
    ['c', 1, $c], ['c', 10, $c], ['c', 100, $c], ['c', 500, $c],
    ['cpp', 20, $cpp], ['cpp', 200, $cpp],
    ['go', 50, $go], ['rust', 30, $rust], ['fortran', 80, $fortran],
    ['python3', 1, 'x = bytearray(%1$d << 20)'],
    ['python3', 10, 'x = b"x" * (%1$d << 20)'],
    ['python3', 100, 'x = [bytes(1 << 20) + b"x" for i in range(%1$d)]'],
    ['python3', 400, 'x = b"x" * (%1$d << 20)'],
    ['nodejs', 20, 'const b = Buffer.alloc(%1$d << 20, 1)'],
    ['nodejs', 150, 'const b = Buffer.alloc(%1$d << 20, 1)'],
    ['perl', 50, 'my $x = "x" x (%1$d << 20);'],
    ['ruby', 40, 'x = "x" * (%1$d << 20)'],
    ['php', 60, '<?php ini_set("memory_limit", -1); $x = str_repeat("x", %1$d << 20);'],
    ['lua', 30, 'local x = string.rep("x", %1$d << 20)'],
    ['awk', 16, 'BEGIN { x = "x"; while (length(x) < %1$d * 1048576) x = x x }'],
    ['bash', 25, 'x=$(head -c $((%1$d << 20)) /dev/zero | tr "\0" x); echo ${#x}'],
);
my %compile = (
    c => ['main.c', 'gcc -O2 -o main main.c'], cpp => ['main.cpp', 'g++ -O2 -o main main.cpp'],
    go => ['main.go', 'go build -o main main.go'], rust => ['main.rs', 'rustc -O -o main main.rs'],
    fortran => ['main.f90', 'gfortran -O2 -o main main.f90'],
);
my %run = (
    python3 => ['/usr/bin/python3'], nodejs => ['/usr/bin/node'], perl => ['/usr/bin/perl'], ruby => ['/usr/bin/ruby'],
    php => ['/usr/bin/php'], lua => ['/usr/bin/lua5.4'], awk => ['/usr/bin/awk', '-f'], bash => ['/usr/bin/bash'],
);

# The peak of a program outside, in bytes; undef: it cannot run here.
sub outside {
    my ($language, $code) = @_;
    my $dir = File::Temp->newdir;
    my @command = @{ $run{$language} || ['./main'] };
    my ($file, $compiler) = @{ $compile{$language} || ['main'] };

    spew("$dir/$file", $code);
    if ($compiler) {
        my ($exit) = command(['sh', '-c', $compiler], dir => "$dir", env => { GO111MODULE => 'off', GOFLAGS => '' });
        return if $exit;
    } else {
        return if !-x $command[0];
        push @command, $file;
    }
    my ($exit, undef, $err) = command(['/usr/bin/time', '-f', 'peak %M', @command], dir => "$dir");
    return $exit == 0 && $err =~ /^peak (\d+)$/m ? $1 * 1024 : undef;
}

my %languages = map { $_->{name} => $_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
my %limits = (memory_bytes => 700 * $MB);
my $big = 'x = bytearray(b"x") * (100 << 20); open("/tmp/left", "wb").write(bytes(40 << 20))';

# All cells at once.
sub run_big {
    my $left = 4;
    $cb->many(4, sub { $left-- > 0 ? { code => $big, limits => \%limits } : undef }, sub { });
    return;
}

note sprintf '%-8s %6s %14s %14s %7s', qw(language MB outside here ratio);
for (@programs) {
    my ($language, $size, $form) = @$_;
    my $code = sprintf $form, $size;
    my $name = "$language, $size MB";
    SKIP: {
        my $cold = $languages{$language} ? outside($language, $code) : undef;
        if (my $why = missing("$language cannot run here", defined $cold)) { skip $why, 1 }
        $cb->run(language => $language, code => $code, limits => \%limits) if $compile{$language}; # compiled, and kept
        run_big();
        my $d = $cb->run(language => $language, code => $code, limits => \%limits)->{data};
        my $here = $d->{usage}{memory_peak_bytes};
        note sprintf '%-8s %6d %14d %14d %7.3f', $language, $size, $cold, $here, $here / $cold;
        is $d->{status}, 'ok', "$name: it runs" or diag $d->{error};
        skip 'a build with sanitizers needs memory of its own', 1 if $cb->sanitized;
        my $tenth = $cold / 10;
        my $is_near = $here <= $cold + $tenth && $here >= $cold - $tenth - ($shared{$language} // 0);
        $cold > 8 * $MB ? ok($is_near, "$name: as outside, within a tenth") : cmp_ok($here, '<', 4 * $MB, "$name: small");
        diag "outside $cold, here $here" if $cold > 8 * $MB && !$is_near;
    }
}

# --- programs that are forked from an interpreter which has imported more ----------------------------

my %imports = (
    'json' => 'import json; json.dumps([1])',
    'json, and 50 MB' => 'import json; x = b"x" * (50 << 20)',
    '50 MB, and json then' => "x = b'x' * (50 << 20)\nimport json\njson.dumps([1])",
    'dataclasses, typing' => 'import dataclasses, typing',
    'threading' => 'import threading; t = threading.Thread(target=print); t.start(); t.join()',
    'sqlite3' => 'import sqlite3; sqlite3.connect(":memory:").execute("select 1")',
    'asyncio' => 'import asyncio; asyncio.run(asyncio.sleep(0))',
    'urllib.request' => 'import urllib.request',
    'jinja2' => 'import jinja2; jinja2.Template("{{ a }}").render(a=1)',
    'requests' => 'import requests',
    'numpy' => 'import numpy; numpy.arange(10).sum()',
    'pandas' => 'import pandas; pandas.DataFrame({"a": [1, 2]}).describe()',
);
for my $name (sort keys %imports) {
    SKIP: {
        my $cold = outside(python3 => $imports{$name});
        if (my $why = missing("$name is not installed", defined $cold)) { skip $why, 1 }
        run_big();
        my $d = $cb->run(code => $imports{$name}, limits => \%limits)->{data};
        my $here = $d->{usage}{memory_peak_bytes};
        note sprintf '%-24s %14d %14d %7.3f', $name, $cold, $here, $here / $cold;
        is $d->{status}, 'ok', "import $name: it runs" or diag $d->{error};
        skip 'a build with sanitizers needs memory of its own', 1 if $cb->sanitized;
        # The kernel charges a group in steps of up to half a megabyte.
        cmp_ok abs($here - $cold), '<', $cold / 10 + $MB, "import $name: as outside, within a tenth and a step" or diag "outside $cold, here $here";
    }
}
# The program shares the tally of its memory with the service, and can write to it.
for my $lie ('0, 0', '1, 1 << 60', '(1 << 64) - 1, 0') {
    my $d = $cb->run(limits => \%limits, code => <<"PYTHON")->{data};
import ctypes, json, struct
found = [line.split()[0] for line in open("/proc/self/maps") if "memfd:memory" in line]
for place in found:
    first, end = (int(part, 16) for part in place.split("-"))
    ctypes.memmove(first, struct.pack("=QQ", $lie), 16)
x = b"x" * (60 << 20)
print(len(found))
PYTHON
    is $d->{stdout}, "1\n", "a program finds its tally, and writes to it ($lie)";
    cmp_ok $d->{usage}{memory_peak_bytes}, '>', 60 * $MB, 'and cannot hide what it has';
    cmp_ok $d->{usage}{memory_peak_bytes}, '<=', $limits{memory_bytes}, 'nor have more than its limit';
}

run_big();
my $nothing = $cb->run(language => 'c', code => "int main(void) { return 0; } // $$\n")->{data};
cmp_ok $nothing->{usage}{memory_peak_bytes}, '<', 4 * $MB, 'a program that does nothing, after big ones and its compiler' or diag $nothing->{usage}{memory_peak_bytes}
    if !$cb->sanitized;
my $files = $cb->run(code => 'open("/tmp/f", "wb").write(bytes(1 << 20) * 1) and [open("/tmp/f", "ab").write(bytes(1 << 20)) for i in range(49)]')->{data};
cmp_ok $files->{usage}{memory_peak_bytes}, '>', 50 * $MB, 'files of the run count as its memory';
my $both = $cb->run(limits => { processes => 4 }, code => "import os, time\nif os.fork() == 0:\n  x = b'x' * (40 << 20)\n  time.sleep(.3)\n  os._exit(0)\nx = b'x' * (40 << 20)\nos.wait()")->{data};
cmp_ok $both->{usage}{memory_peak_bytes}, '>', 80 * $MB, 'processes at the same time count together';

# --- the number of processes and threads ---------------------------------------------------------

my $threads = "import threading\nall = threading.Event()\nt = [threading.Thread(target=all.wait) for i in range(%d)]\n[x.start() for x in t]\nall.set()\n[x.join() for x in t]";
# Somebody else is charged for pages of files that the host has in its cache.
SKIP: {
    my @libraries = grep { -s > 4096 } glob '/usr/lib/*-linux-gnu/lib*.so.*';
    my $bytes = 0;
    $bytes += -s for @libraries;
    skip 'the host has few libraries', 2 if $bytes < 100 * $MB;
    open my $cat, '-|', 'cat', @libraries or die "cat: $!\n";
    my $unused;
    1 while read $cat, $unused, $MB;
    close $cat;
    my $r = $cb->run(limits => { memory_bytes => 48 * $MB }, code => <<'PYTHON');
import glob, mmap, os
maps = []
for name in glob.glob("/usr/lib/*-linux-gnu/lib*.so.*"):
    with open(name, "rb") as file:
        if os.fstat(file.fileno()).st_size > 4096:
            maps.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    sum(maps[-1][::4096])
    if sum(map(len, maps)) > 90 << 20: break
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 80 << 10)
PYTHON
    is $r->{data}{stdout}, "True\n", 'a program maps more of shared files than it may have memory' or diag $r->{body};
    cmp_ok $r->{data}{usage}{memory_peak_bytes}, '<=', 48 * $MB, 'and its peak is within its limit';
}

my $probe = $cb->run(code => 'print(1)')->{data}{usage}{processes_peak};
SKIP: {
    if (my $why = missing('the kernel does not count them', defined $probe)) { skip $why, 1 }
    my @peaks;
    for my $count (30, 3, 0, 7, 1) {
        # It is null rather than wrong, where the group could not be made anew.
        push @peaks, map { $cb->run(code => sprintf $threads, $count)->{data}{usage}{processes_peak} // 'null' } 1 .. 6;
    }
    is "@peaks", join(' ', (31) x 6, (4) x 6, (1) x 6, (8) x 6, (2) x 6), 'each run has its own peak, whatever ran before';
}

$cb->finish;
done_testing;
