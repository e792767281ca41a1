# Level chroot: the /etc of cells, host paths that trees leave out, and packages that are installed
# while a language sleeps.
use strict;
use warnings;
use Cellblock qw(eventually spew slurp);
use Container;
use File::Temp qw(tempdir);
use Test::More;

my $container = Container->new;
my $packages = tempdir('cellblock-packages-XXXXXX', DIR => '/var/lib', CLEANUP => 1); # a tree has a /tmp of its own
chmod 0755, $packages;
for my $directory (map {"$packages/$_"} qw(kept manual)) {
    mkdir $directory or die "$directory: $!";
    chmod 0755, $directory;
}
spew("$packages/kept/old", "old\n");
spew("$packages/manual/page", "page\n");
my $cb = $container->service(
    ['languages/bash.conf', qr/^policy = /m,        "idle_s = 1;\npolicy = "],
    ['languages/bash.conf', qr/"\/usr\/bin", /,     "\"/usr/bin\", \"$packages\", "],
    ['cellblock.conf',      qr/chroot_leave_out = \[/, "chroot_leave_out = [\"$packages/manual\", "],
    ['cellblock.conf',      qr/#timezone = "Etc\/UTC";/, 'timezone = "Asia/Tokyo";'],
);

sub bash {
    my ($code) = @_;
    return $cb->run(language => 'bash', code => $code)->{data}{stdout} // '';
}

# --- names -------------------------------------------------------------------------------------------------------------

like bash('id -un; id -gn; echo $USER $LOGNAME $SHELL $HOME; getent passwd $(id -u) | cut -d: -f1,6,7; cat /etc/timezone'),
    qr{\Auser\nuser\nuser user /bin/sh /box\nuser:/box:/bin/sh\nAsia/Tokyo\n\z}, 'a cell has a user with a name';
is $container->python($cb, 'import pwd, os, getpass; p = pwd.getpwuid(os.getuid()); print(p.pw_name, p.pw_dir, getpass.getuser(), os.path.expanduser("~user"))')->{stdout},
    "user /box user /box\n", 'Python finds the same user';
is bash('cat /etc/shadow /etc/gshadow /etc/ssl/private/* 2>/dev/null; find /etc -name "*shadow*" -o -name "*.key" -o -name "ssh*"'), '', 'there is no secret of the host in /etc';
is bash('echo x >/etc/passwd; echo x >/etc/new; rm /etc/hosts; ls /etc/new; test -s /etc/hosts && echo whole') =~ s/.*denied.*\n//gr, "whole\n", 'a run can change nothing in /etc';

# --- packages ----------------------------------------------------------------------------------------------------------

my $sleeps = sub {
    ok eventually(20, sub { !grep { $_->{comm} =~ /warden bash/ } values %{ { $cb->processes } } }), "$_[0]: the language sleeps" or diag $cb->log_text;
};
is bash("ls $packages"), "kept\n", 'a path that is left out is not in a tree';
my $made = sub { scalar(() = $cb->log_text =~ /bash: its first tree has/g) };
my $before = $made->();
$sleeps->('nothing was installed');
is bash("ls $packages"), "kept\n", 'nothing was installed: the tree is used again';
is $made->(), $before, 'nothing was installed: no tree is made';

$sleeps->('a file was installed');
spew("$packages/kept/new", "new\n");
is bash("cat $packages/kept/*"), "new\nold\n", 'a file that was installed during the sleep is there';
is $made->(), $before + 1, 'a file that was installed: the tree is made anew, once';

$sleeps->('a file was replaced');
spew("$packages/kept/next", "newer\n");
rename "$packages/kept/next", "$packages/kept/new" or die $!;
is bash("cat $packages/kept/*"), "newer\nold\n", 'a file that was replaced is the new one, in trees of cells too' for 1, 2;
ok eventually(20, sub { !glob $container->trees . '/*/bash/*.gone' }), 'trees that are out of date are removed';

$cb->finish;
ok eventually(10, sub { !glob $container->trees . '/*' }), 'stop: no tree is left';
done_testing;
