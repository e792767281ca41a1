# Level chroot, in a plain container: the life of a package. It is installed while the service runs,
# replaced while clients send runs, and removed.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually spew);
use Container;
use File::Temp qw(tempdir);
use Packages qw(wheel);
use POSIX ();
use Test::More;

my $archives = tempdir('cellblock-archives-XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $archives;
wheel($archives, 'cbdemo', "$_.0", 'cbdemo/__init__.py' => "from .other import VERSION as OTHER\nVERSION = $_\n",
    'cbdemo/other.py' => "VERSION = $_\n", 'cbdemo/data.txt' => "data $_\n") for 1, 2;

my $container = Container->new;
my $cb = $container->service(
    ['cellblock.conf', qr{#archives = "/srv/wheels"}, qq(archives = "$archives")],
    ['cellblock.conf', qr/(?<=\n)\tnetwork = "host";/, "\tnetwork = \"none\";"],
    # A cell's tree has a link to each file: fewer cells, and time for them on a busy machine.
    ['cellblock.conf', qr/(?<=\n)\tcells = 8\b/, "\tcells = 3"],
    ['cellblock.conf', qr/(?<=\n)\tqueue_ms = \d+/, "\tqueue_ms = 120000"],
    # A plain container allows no user namespace, and so no bubblewrap.
    ['cellblock.conf', qr/(?<=\n)\tcell = "required";/, "\tcell = \"off\";"],
);

my $program = "import cbdemo, os\nprint(cbdemo.VERSION, cbdemo.OTHER, open(os.path.dirname(cbdemo.__file__) + '/data.txt').read(), end='')";

sub output {
    my $data = $container->python($cb, $program);
    return ($data->{stdout} // '') . ($data->{error} // '');
}

# Name the packages, and have them installed.
sub install {
    my ($text) = @_;
    spew("$cb->{dir}/live/conf/dependencies/python3/requirements.txt", $text);
    return $cb->get('/v1/sandbox/dependencies/refresh?language=python3');
}

like output(), qr/No module named 'cbdemo'/, 'before: the package is not there';
my $reply = install("cbdemo == 1.0\n");
envelope_ok($reply, 200, 0, 'a package is installed while the service runs');
is((grep { $_->{name} eq 'cbdemo' } @{ $reply->{data}{dependencies} })[0]{version}, '1.0', 'the list has it');
is output(), "1 1 data 1\n", 'the next run imports it' or diag $cb->log_text;
like $container->python($cb, "open('/packages/python3/pyvenv.cfg', 'a')")->{error}, qr/Permission denied|Read-only/, 'no run can write to the set';

spew("$cb->{dir}/live/conf/dependencies/python3/requirements.txt", "cbdemo == 2.0\n");
my $pid = fork // die "fork: $!";
if (!$pid) {
    { no warnings 'exec'; exec 'curl', '-sf', '-m', '120', '-o', '/dev/null', '-H', "X-Api-Key: $cb->{key}", "$cb->{url}/v1/sandbox/dependencies/refresh?language=python3" }
    POSIX::_exit(1);
}
my ($left, $ended, %seen);
$cb->many(2, sub {
    $ended ||= waitpid($pid, POSIX::WNOHANG()) == $pid && ($left = 5) && $? == 0;
    return if $ended && --$left <= 0;
    return { code => $program };
}, sub { my (undef, $r) = @_; $seen{ ($r->{data}{stdout} // '') . ($r->{data}{error} // $r->{body}) }++ }, 300);
is_deeply [grep { !/^(1 1 data 1|2 2 data 2)\n\z/ } keys %seen], [], 'a switch under load: each run has the old set or the new one, whole';
ok $seen{"1 1 data 1\n"} && $seen{"2 2 data 2\n"}, 'a switch under load: both were seen' or diag explain \%seen;
is output(), "2 2 data 2\n", 'after it: the new set is in use';

envelope_ok(install("cbmissing\n"), 422, -422, 'a build that fails');
is output(), "2 2 data 2\n", 'a build that fails: the old set stays in use';
envelope_ok(install("# nothing\n"), 200, 0, 'no package is named any more');
ok eventually(60, sub { output() =~ /No module named 'cbdemo'/ }), 'the package is gone';

$cb->finish;
ok eventually(10, sub { !glob $container->trees . '/*' }), 'stop: no tree is left';
done_testing;
