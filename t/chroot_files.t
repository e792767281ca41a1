# Level chroot: files that a run leaves behind, and its limit on disk space.
use strict;
use warnings;
use Cellblock qw(eventually);
use Container;
use File::Find ();
use Test::More;

my $container = Container->new;
my $cb = $container->service;

sub left_files {
    my @left;
    no warnings 'File::Find'; # about files that vanish during the search
    File::Find::find({ no_chdir => 1, wanted => sub { push @left, $_ if m{/tree-\d+/(?:box|tmp)/(?!main\.py\z)} } }, $container->trees);
    return @left;
}

is $container->python($cb, <<'PYTHON')->{stdout}, "left\n", 'a run leaves all kinds of files behind';
import os
for top in ".", "/tmp":
    os.chdir(top)
    open("file", "w").write("secret")
    os.symlink("/usr", "link"); os.symlink("nowhere", "broken"); os.link("file", "hard")
    try: os.mkfifo("fifo")
    except OSError: pass
    os.mkdir("shut"); open("shut/in", "w"); os.mkdir("shut/deep"); os.chmod("shut/deep", 0); os.chmod("shut", 0)
    os.mkdir("0"); os.mkdir("0/0"); os.mkdir("0/1"); os.mkdir("sticky"); open("sticky/x", "w"); os.chmod("sticky", 0o1000)
    for i in range(40):
        os.mkdir("d"); os.chdir("d")
    os.chdir("/box")
os.chmod("/tmp", 0); os.chmod("/box", 0)
print("left")
PYTHON
ok eventually(5, sub { !left_files() }), 'the files of a run are gone after it' or diag join "\n", left_files();
ok -e '/usr/bin', 'the targets of its symbolic links are still there';
is $container->python($cb, 'import os; print(os.listdir("/tmp"), os.listdir("."), oct(os.stat("/tmp").st_mode))')->{stdout}, "[] ['main.py'] 0o40700\n",
    'the next run finds no file of an earlier one' for 1 .. 3;

my $mib = 1 << 20;
my %full = (
    'one file'   => 'f = open("x", "wb")' . "\nwhile True: f.write(bytes(1 << 20)); f.flush()",
    'many files' => "import time\nfor i in range(60): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))\ntime.sleep(10)",
    'many names' => "import time\nfor i in range(6000): open(f'/tmp/{i}', 'w')\ntime.sleep(10)",
    'nested directories' => "import os, time\nfor i in range(100): os.mkdir('d'); os.chdir('d')\ntime.sleep(10)",
);
is $container->python($cb, $full{$_}, limits => { disk_bytes => 8 * $mib, wall_ms => 9000 })->{status}, 'disk_limit', "disk: $_" for sort keys %full;
is $container->python($cb, 'import os; f = os.open("x", os.O_CREAT | os.O_RDWR); import ctypes; print(ctypes.CDLL(None).fallocate(f, 1, 0, ctypes.c_long(1 << 40)), os.fstat(f).st_blocks)')->{stdout},
    "-1 0\n", 'disk: fallocate allocates nothing';
is $container->python($cb, <<'PYTHON')->{stdout}, "22 22 0 0\n", 'disk: no write waits for the disk, and no run flushes it';
import ctypes, os
def opened(flags):
    try: return os.close(os.open("y", os.O_CREAT | os.O_WRONLY | flags)) or 0
    except OSError as e: return e.errno
print(opened(os.O_SYNC), opened(os.O_DSYNC), opened(os.O_APPEND), ctypes.CDLL(None).fsync(-1))
PYTHON

$cb->finish;
ok eventually(10, sub { !glob $container->trees . "/*" }), 'stop: no tree is left';
ok eventually(5, sub { !$container->processes_of_cells }), 'stop: no process of a cell is left';
ok eventually(5, sub { !$container->reapers }), 'stop: no reaper is left';
done_testing;
