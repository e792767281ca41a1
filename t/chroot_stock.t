# Level chroot: trees that were made in advance, as an image has them (isolation.chroot_stock).
use strict;
use warnings;
use Cellblock qw(command eventually runner_program slurp spew write_configuration);
use Container;
use File::Temp qw(tempdir);
use Test::More;

use constant TREES => 5;

my $container = Container->new;
my $stock = "$container->{dir}/stock";
my ($c, $p) = ('cellblock.conf', 'languages/python3.conf');

# Of /usr, as little as Python needs.
my @left_out = ('/usr/[!bl]*', '/usr/local', '/usr/lib[3x]*', '/usr/lib/[!apx]*', '/usr/lib/p[!y]*', '/usr/lib/*-linux-gnu/*', '/usr/lib/python3/*',
    map {"/usr/lib/python3.*/$_"} qw(config-* idlelib lib2to3 test tkinter unittest/test distutils/tests pydoc_data));
my @small = (
    (grep { !($_->[0] eq $p && $_->[2] eq 'root = [];') && $_->[0] =~ /\A(?:\Q$c\E|\Q$p\E)\z/ } $container->conf),
    [$c, qr/chroot_leave_out = \[[^]]*\]/, 'chroot_leave_out = [' . join(', ', map {"\"$_\""} @left_out) . ']'],
    [$c, qr/#chroot_stock = "[^"]*"/, "chroot_stock = \"$stock\""],
);

sub make_stock {
    my ($trees, @changes) = @_;
    my $dir = tempdir('conf-XXXXXX', DIR => $container->{dir});
    write_configuration("$dir/conf", [$c, qr{worker_user = "[^"]*"}, 'worker_user = "nobody"'], @small, @changes);
    return command([$container->plain, runner_program(), '-c', "$dir/conf/cellblock.conf", '--make-stock', $trees], seconds => 300);
}

sub entries { my ($tree) = @_; return join ' ', sort map { s{.*/}{}r } glob "$tree/* $tree/.[!.]*" }

# --- making it ---------------------------------------------------------------------------------------------------------

for my $number (qw(0 -1 4097 5x x)) {
    my ($exit, undef, $err) = make_stock($number);
    is $exit, 2, "--make-stock $number: refused";
    like $err, qr/^--make-stock: must be a number from 1 to 4096$/m, '... and it says what is allowed';
}
my ($exit, $out, $err) = make_stock(TREES);
is $exit, 0, '--make-stock: exit 0' or BAIL_OUT($err);
like $out, qr/^a tree has \d+ links, 0 copies and \d+ directories$/m, '... and it says how large a tree is';
is join(' ', map { entries("$stock/$_") } 0 .. TREES - 1), join(' ', ('usr') x TREES), 'each tree has /usr and nothing else';
my ($python) = glob '/usr/bin/python3.*[0-9]';
is +(stat "$stock/4/$python")[1], (stat $python)[1], 'a file of it is a link to the host\'s';
is sprintf('%o', (stat $stock)[2] & 07777), '700', 'only root may enter the stock';

# --- using it ----------------------------------------------------------------------------------------------------------

sub service {
    return Cellblock->start(own => 1, inside => [$container->plain], conf => [@small, @_],
        allow => [qr/no tree of the stock can be taken/, qr/reaper died/, qr/warden died/, qr/zygote died/, qr/a cell could not be made/, qr/a run could not start/]);
}

my $cb = service();
like $cb->log_text, qr/^.*python3: its first tree is number 0 of the stock/m, 'the first tree is of the stock';
unlike $cb->log_text, qr/its first tree has/, '... and no tree was made';
my $list = 'import os; print(sorted(os.listdir("/")), sorted(os.listdir("/tmp")), sorted(os.listdir("/box")))';
my $r = $container->python($cb, $list);
like $r->{stdout}, qr/'box'.*'etc'.*'tmp'.*'usr'.*\] \[\] \['main\.py'\]$/, 'a run has a root, and an empty /tmp' or diag explain $r;
is $r->{isolation}, 'chroot', '... at level chroot';
is $container->python($cb, 'open("/tmp/mine", "w").write("x"); import pwd, os; print(pwd.getpwuid(os.getuid()).pw_name)')->{stdout}, "user\n", 'a run has a name, and writes a file';
like $container->python($cb, $list)->{stdout}, qr/'usr'.*\] \[\] \['main\.py'\]$/, 'nothing of it is left for the next run';
like $container->python($cb, "open('/usr/bin/new', 'w')")->{error}, qr/Permission denied/, 'a run cannot write below /usr';
like $container->python($cb, "import os; os.unlink('/usr/bin/env')")->{error}, qr/Permission denied/, '... nor remove a file';
is $container->python($cb, "import os; print(os.path.exists('$stock'), os.path.exists('/proc/1'))")->{stdout}, "False False\n", '... nor see the stock';

is $container->python($cb, 'import fcntl, os; fcntl.flock(os.open("/", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)')->{stderr} =~ /(\w+Error): .*\n\z/ ? $1 : 'locked', 'BlockingIOError',
    'a run cannot have the lock by which its tree is taken';

# More cells than the stock has trees: those that are too many get trees that are made.
my $private = 'import os, time; open("/tmp/mine", "w").close(); time.sleep(1.5); print(os.listdir("/tmp"))';
my @replies = $container->at_once($cb, Container::CELLS, code => $private, limits => { wall_ms => 60000 });
is join('', map { $_->{data}{stdout} } @replies), "['mine']\n" x Container::CELLS, 'runs at the same time have a /tmp each, with too few trees, too';
like $cb->log_text, qr/no tree of the stock can be taken \(all are in use\): one is made/, '... and the log says so';

# A warden that is killed: its successor goes on with the same trees, or others.
my ($warden) = $container->wardens($cb);
kill 'KILL', $warden;
ok eventually(30, sub { my $one = $cb->run(code => 'print(1)'); ($one->{data}{stdout} // '') eq "1\n" }), 'a warden died: runs go on';
is join('', map { $_->{data}{stdout} } $container->at_once($cb, 4, code => $private, limits => { wall_ms => 60000 })), "['mine']\n" x 4, '... each with a /tmp of its own';
unlike $cb->log_text, qr/its first tree has/, '... and the first tree is still of the stock';

$cb->finish;
ok eventually(20, sub { join(' ', map { entries("$stock/$_") } 0 .. TREES - 1) eq join ' ', ('usr') x TREES }), 'after the end, each tree has /usr and nothing else';

# --- when it must not be used --------------------------------------------------------------------------------------------

sub is_not_used {
    my ($name, $says, @changes) = @_;
    my $one = service(@changes);
    like $one->log_text, qr/python3: its trees are made, and none of the stock is used: $says/, "$name: the log says why";
    is $container->python($one, 'print(6 * 7)')->{stdout}, "42\n", "$name: a run has another tree";
    $one->finish;
    return;
}
chmod 0755, $stock;
is_not_used('others may use it', 'others than root may use it');
chmod 0700, $stock;
is_not_used('another list', 'it was made with another isolation\.chroot_leave_out', [$c, qr{"/usr/lib/p\[!y\]\*"}, '"/usr/lib/p[!y]*", "/usr/lib/python3*/ensurepip"']);
is_not_used('a language with its own root', 'the language has a root of its own', grep { $_->[0] eq $p && $_->[2] eq 'root = [];' } $container->conf);
{
    # As an installation changes it: the time of a directory is another one.
    my $stamp = slurp("$stock/stamp");
    substr $stamp, -1, 1, chr(1 ^ ord substr $stamp, -1);
    spew("$stock/stamp", $stamp);
    is_not_used('files were installed', 'files below /usr were installed or removed');
}

done_testing;
