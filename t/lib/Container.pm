# Container.pm - a plain container for a test: t/container/plain.c, and a configuration for level chroot in it.
#
#   my $container = Container->new;       # or the test file is skipped
#   command([$container->plain, ...]);
#   my $cb = Cellblock->start(own => 1, inside => [$container->plain], conf => [$container->conf]);
package Container;
use strict;
use warnings;

use Cellblock qw(command root skip_all);
use File::Temp qw(tempdir);

use constant CELLS => 8;

sub new {
    my ($class) = @_;
    skip_all('needs root') if $> != 0;
    skip_all('needs a C compiler') if system('command -v cc >/dev/null') != 0;
    my $self = bless { folder => tempdir('cellblock-chroot-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, $class;
    chmod 0755, $self->{folder};
    my ($made, undef, $messages) = command(['cc', '-o', $self->plain, root() . '/t/container/plain.c']);
    die "t/container/plain.c: $messages" if $made != 0;
    my ($works, undef, $why) = command([$self->plain, 'true']);
    skip_all("no container of our own can be had: $why") if $works != 0;
    # Level chroot knows its own by their uid, so two runners on a host must not share any.
    $self->{first_uid} = 40_000_000 + 10_000 * int rand 1000;
    return $self;
}

sub plain { return "$_[0]{folder}/plain" }
sub trees { return "$_[0]{folder}/trees" }

# Changes of the shipped configuration; see Cellblock::write_configuration.
sub conf {
    my ($self) = @_;
    my ($c, $p) = ('cellblock.conf', 'languages/python3.conf');
    my $libraries = join '", "', glob '/lib/*-linux-gnu';
    return (
        [$c, qr/level = "namespaces"/, 'level = "chroot"'],
        [$c, qr/#chroot_dir = .*;/,    'chroot_dir = "' . $self->trees . '";'],
        [$c, qr/cgroup = "required"/,  'cgroup = "off"'],
        [$c, qr/first_uid = \d+/,      "first_uid = $self->{first_uid}"],
        [$c, qr/cells = 32/,           'cells = ' . CELLS],
        [$c, qr/processes = \{ default = 1; maximum = 1;/, 'processes = { default = 1; maximum = 64;'],
        [$p, qr/armed = 1;/,           'armed = 0;'],
        [$p, qr/armed = 8/,            'armed = 2'],
        [$p, qr/armed = 3/,            'armed = 0'],
        # A whole /usr/lib would take its time.
        ['languages/bash.conf', qr/^root = .*/m, "root = [\"$libraries\", \"?/lib64\", \"/usr/bin\", \"/bin\"];"],
        ['languages/perl.conf', qr/^root = \[.*?\];/ms, "root = [\"$libraries\", \"?/lib64\", \"?/usr/share/perl\", \"?/usr/share/perl5\"];"],
        ['languages/c.conf',    qr/^root = .*/m, "root = [\"$libraries\", \"?/lib64\", \"/usr/bin\", \"/bin\", \"/usr/lib/gcc\", \"/usr/include\"];"],
    );
}

1;
