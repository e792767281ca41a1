# Container.pm - a plain container for a test, by t/container/plain.c, and level chroot in it.
#
#   my $container = Container->new;       # or the test file is skipped
#   command([$container->plain, ...]);
#   my $cb = Cellblock->start(own => 1, inside => [$container->plain], conf => [$container->conf]);
package Container;
use strict;
use warnings;

use Cellblock qw(command process_status root skip_all slurp spew);
use File::Temp qw(tempdir);
use Test::More ();

use constant CELLS => 8;

sub new {
    my ($class) = @_;
    skip_all('needs root') if $> != 0;
    skip_all('needs a C compiler') if system('command -v cc >/dev/null') != 0;
    my $self = bless { dir => tempdir('cellblock-chroot-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, $class;
    chmod 0755, $self->{dir};
    my ($made, undef, $messages) = command(['cc', '-o', $self->plain, root() . '/t/container/plain.c']);
    die "t/container/plain.c: $messages" if $made != 0;
    my ($works, undef, $why) = command([$self->plain, 'true']);
    skip_all("a container cannot be made here: $why") if $works != 0;
    # Level chroot kills by uid, so two runners on a host must not share any.
    $self->{lock} = bless {}, 'Cellblock'; # keeps the range locked
    $self->{first_uid} = $self->{lock}->free_uids;
    return $self;
}

sub plain { return "$_[0]{dir}/plain" }
sub trees { return "$_[0]{dir}/trees" }

# The headers that C programs of the tests include. A whole /usr/include can have tens of thousands
# of files, to which each cell would have links.
sub headers {
    my ($self) = @_;
    my %lines = map { $_ => 1 } map { (slurp($_) // '') =~ /^\s*(#include <\S+>)/mg } glob root() . '/t/{attacks/*.pm,attacks/*/*,chroot*.t}';
    spew("$self->{dir}/all.c", join "\n", '#define _GNU_SOURCE', (sort keys %lines), '');
    my (undef, $made) = command(['cc', '-M', '-MG', "$self->{dir}/all.c"]);
    my %files = map { $_ => 1 } $made =~ m{(/usr/include/[^/\s]+)\s}g;
    return sort(keys %files), glob('/usr/include/*-linux-gnu'), grep { -d } map {"/usr/include/$_"} qw(arpa asm asm-generic linux netinet sys);
}

# Changes of the shipped configuration; see Cellblock::write_configuration.
sub conf {
    my ($self) = @_;
    my ($c, $p) = ('cellblock.conf', 'languages/python3.conf');
    my $libraries = join '", "', glob '/lib/*-linux-gnu';
    my $headers = join '", "', $self->headers;
    return (
        [$c, qr/level = "namespaces"/, 'level = "chroot"'],
        [$c, qr/#chroot_dir = .*;/,    'chroot_dir = "' . $self->trees . '";'],
        [$c, qr/cgroup = "required"/,  'cgroup = "off"'],
        [$c, qr/first_uid = \d+/,      "first_uid = $self->{first_uid}"],
        [$c, qr/cells = 32/,           'cells = ' . CELLS],
        [$c, qr/processes = \{ maximum = \d+;/, 'processes = { default = 1; maximum = 64;'],
        (map { [$p, qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3),
        [$p, qr/armed = 6/,            'armed = 2'],
        [$p, qr/armed = 3/,            'armed = 0'],
        # A tree of a whole /usr would take seconds.
        (map { [$_, qr/^#root = \[\];/m, 'root = [];'] } $p, 'languages/nodejs.conf'),
        ['languages/bash.conf', qr/\z/, "\nroot = [\"$libraries\", \"?/lib64\", \"/usr/bin\", \"/bin\"];"],
        ['languages/perl.conf', qr/\z/, "\nroot = [\"$libraries\", \"?/lib64\", \"?/usr/share/perl\", \"?/usr/share/perl5\"];"],
        ['languages/c.conf',    qr/\z/, "\nroot = [\"$libraries\", \"?/lib64\", \"/usr/bin\", \"/bin\", \"/usr/lib/gcc\", \"$headers\"];"],
    );
}

# The service in the container, at level chroot. The log may report the deaths that a test causes.
sub service {
    my ($self, @conf) = @_;
    return Cellblock->start(own => 1, inside => [$self->plain],
        conf => [$self->conf, @conf],
        allow => [qr/keeper died/, qr/reaper died/, qr/the broker died/, qr/a cell could not be made/, qr/a run could not start/, qr/zygote died/, qr/warden died/]);
}

# Run a Python program. Returns the data of the reply.
sub python {
    my ($self, $cb, $code, %field) = @_;
    my $r = $cb->run(code => $code, %field);
    Test::More::diag($r->{body}) if $r->{status} != 200;
    return $r->{data} || {};
}

# Send $count equal runs at the same time. Returns their replies.
sub at_once {
    my ($self, $cb, $count, @run) = @_;
    my @replies;
    my $left = $count;
    $cb->many($count, sub { $left-- > 0 ? {@run} : undef }, sub { push @replies, $_[1] }, 60);
    return @replies;
}

# --- the processes of a service in the container, by uid: cells come first, then as many reapers --------------------------

# Pids whose real uid is above first_uid + $from, at most first_uid + $to.
sub _pids_of_uids {
    my ($self, $from, $to) = @_;
    my @found;
    for my $pid (map { s{/proc/}{}r } glob '/proc/[0-9]*') {
        my $status = process_status($pid) // next;
        my ($uid) = split ' ', $status->{Uid};
        push @found, $pid if $uid > $self->{first_uid} + $from && $uid <= $self->{first_uid} + $to;
    }
    return @found;
}

# pid => 1
sub processes_of_cells { my ($self) = @_; return map { ($_ => 1) } $self->_pids_of_uids(0, CELLS) }
sub reapers            { my ($self) = @_; return $self->_pids_of_uids(CELLS, 2 * CELLS) }

sub children_of {
    my ($self, $pid) = @_;
    my %all = Cellblock::all_processes();
    return map { $all{$_} } sort { $a <=> $b } grep { $all{$_}{ppid} == $pid } keys %all;
}

# The broker is the runner's child that has an interpreter for a child.
sub broker {
    my ($self, $cb) = @_;
    my %mine = $cb->processes;
    for my $one (values %mine) {
        my $parent = $mine{ $one->{ppid} } or next;
        next if grep { $_->{comm} =~ /\A(?:supervisord|python)/ } $one, $parent;
        return $one->{pid} if grep { $_->{comm} =~ /python/ } $self->children_of($one->{pid});
    }
    return;
}

# The zygotes of Python.
sub zygotes {
    my ($self, $cb) = @_;
    return grep { (process_status($_) // { Uid => '' })->{Uid} =~ /\A0\b/ }
        map { $_->{pid} } grep { $_->{comm} =~ /python/ && $_->{comm} !~ /\Awarden/ } $self->children_of($self->broker($cb) // 0);
}

# A warden holds CAP_CHOWN, which zygotes and launchers lack.
sub wardens {
    my ($self, $cb) = @_;
    return grep { my $s = process_status($_); $s && $s->{Uid} =~ /\A0\b/ && hex($s->{CapPrm}) & 1 }
        map { $_->{pid} } $self->children_of($self->broker($cb) // 0);
}

1;
