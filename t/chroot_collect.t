# Level chroot: files that a request brings, and files that it asks for. The cell's reaper has a
# collector look at them.
use strict;
use warnings;
use Cellblock qw(eventually);
use Container;
use Test::More;

my $container = Container->new;
my $cb = $container->service;

sub contents { my ($r) = @_; return { map { $_->{path} => $_->{content} // "[$_->{reason}]" } @{ $r->{data}{files} || [] } } }

my $r = $cb->run(code => 'open("out", "w").write(open("d/in").read() * 2)', files => { 'd/in' => 'x' }, collect => ['out', 'd/**']);
is_deeply contents($r), { out => 'xx', 'd/in' => 'x' }, 'files in, and files out' or diag $r->{body};
ok $r->{data}{collect}{complete}, 'all of them';
is_deeply contents($cb->run(code => "open('f$_', 'w').write('$_')", collect => ['f*'])), { "f$_" => $_ }, "run $_ has its own file" for 1 .. 5;
$r = $cb->run(code => <<'END', collect => ['*', 'out/**', 'shutdir/*']);
import os
os.symlink("/etc/passwd", "link"); os.symlink("/", "out")
try: os.mkfifo("pipe")
except OSError: open("pipe", "w").close()
open("shut", "w").write("x"); os.chmod("shut", 0)
os.mkdir("shutdir"); open("shutdir/x", "w").close(); os.chmod("shutdir", 0)
os.remove("main.py")
END
my $got = contents($r);
like delete $got->{pipe}, qr/\A(?:\[fifo\])?\z/, 'a pipe';
is_deeply $got, { link => '[symlink]', out => '[symlink]', shut => '[unreadable]', shutdir => '[unreadable]' }, 'what is no file, or cannot be read'
    or diag $r->{body};
$r = $cb->run(code => "import os\nopen('f', 'w').write('left')\nif os.fork() == 0:\n    while True: open('g', 'a').write('x')\nimport time; time.sleep(.2)",
    collect => ['f'], limits => { processes => 4 });
is_deeply contents($r), { f => 'left' }, 'another process still writes files' or diag $r->{body};
$r = $cb->run(code => "open('f', 'w').write('left')\nwhile True: pass", collect => ['f'], limits => { wall_ms => 500 });
is_deeply [$r->{data}{status}, contents($r)], ['timeout', { f => 'left' }], 'after a timeout' or diag $r->{body};
$r = $cb->run(main => 'app/a.py', files => { 'app/a.py' => 'import b', 'app/b.py' => 'print(1)' });
is $r->{data}{stdout}, "1\n", 'several source files' or diag $r->{body};
ok eventually(20, sub { $cb->run(code => 'import os; print(os.listdir("."))')->{data}{stdout} eq "['main.py']\n" }), 'later runs find none of it';

$cb->finish;
done_testing;
