# Host.pm - compares the resources of an instance on the host with an earlier state: processes,
# descriptors, mounts, control groups, ipc, files.
#
#   my $host = Host->new($cellblock);   # after each language has run once
#   my @complaints = $host->changes;    # waits until there are none, for a while
package Host;
use strict;
use warnings;

use Cellblock qw(eventually process_status slurp);
use File::Find ();
no warnings 'File::Find'; # about directories that an ordinary user may not read

my $cells = 32;

# The host uids of the cells: all uids of the runner's user namespace except the first, which is the
# runner's.
sub uids_of_cells {
    my ($broker) = @_;
    my %uids;
    for (split /\n/, slurp("/proc/$broker/uid_map") // '') {
        my ($inside, $outside, $count) = split;
        $uids{ $outside + $_ } = 1 for ($inside == 0 ? 1 : 0) .. $count - 1;
    }
    return \%uids;
}

sub new {
    my ($class, $cellblock) = @_;
    my $self = bless { cellblock => $cellblock }, $class;
    $cellblock->processes_at_rest;
    $self->{uids} = uids_of_cells($cellblock->pids('broker'));
    $self->{groups} = [grep { m{/cellblock[^/]*\z} } $cellblock->cgroups];
    # Cells may still be arming: wait until nothing changes for a second.
    my $same = 0;
    eventually(30, sub {
        my ($last, $now) = ($self->{was} // {}, $self->look);
        $same = join("\n", map {"$_ $last->{$_}"} sort keys %$last) eq join("\n", map {"$_ $now->{$_}"} sort keys %$now) ? $same + 1 : 0;
        $self->{was} = $now;
        select undef, undef, undef, 0.2;
        return $same >= 5;
    });
    $self->{first} = { %{ $self->{kinds} } };
    return $self;
}

# Name => number or text.
sub look {
    my ($self) = @_;
    my $cb = $self->{cellblock};
    my %now;
    my $is_of_a_cell = sub { $self->{uids}{ $_[0] // 0 } };

    # Processes by role, and the open descriptors of ours. Four kinds of descriptor are no leak:
    # compiled programs that the broker caches; the network namespaces of cells, made at their first
    # use; pidfds of inits, which a warden keeps until the
    # number of their cell is used again; and connections of workers to the broker, which each makes
    # at its first request.
    my %pids = $cb->roles;
    for my $role ('runner parent', qw(runner broker warden zygote init guest worker), 'worker parent') {
        $now{"processes: $role"} = @{ $pids{$role} //= [] };
        next if $role eq 'guest' || $role eq 'init';
        for my $pid (@{ $pids{$role} }) {
            my @open = grep { defined && !m{\A(?:/memfd:program|net:\[)} } map { readlink } glob "/proc/$pid/fd/*";
            my $pidfds = grep { $_ eq 'anon_inode:[pidfd]' } @open;
            my %kinds;
            $kinds{ s/\[?\d+\]?//gr }++ for @open;
            $self->{kinds}{$pid} = join ', ', map {"$kinds{$_} $_"} grep { !m{cgroup} } sort keys %kinds;
            my $sockets = $role =~ /broker|worker/ ? grep {/\Asocket:/} @open : 0;
            $now{"descriptors of $role $pid"} = @open - $pidfds - $sockets;
            $now{"too many pidfds in $role $pid"} = $pidfds > $cells + 8 ? 'yes' : 'no';
            $now{"too many sockets in $role $pid"} = $sockets > ($role eq 'worker' ? 5 : $cells + 24 + @{ $pids{worker} // [] }) ? 'yes' : 'no';
        }
    }
    $now{'zombies'} = grep { (process_status($_) // { State => '' })->{State} =~ /\AZ/ } children($pids{broker}[0] // 0);
    $now{'mounts of the host'} = grep {/cellblock/} split /\n/, slurp('/proc/self/mountinfo') // '';
    $now{"mounts of warden $_"} = () = (slurp("/proc/$_/mountinfo") // '') =~ /\n/g for @{ $pids{warden} };

    # The next runs do not pay for memory that the kernel holds for runs that have ended.
    for my $group (map { glob "$_/cell-*" } @{ $self->{groups} }) {
        my $bytes = slurp("$group/memory.kmem.usage_in_bytes") // ((slurp("$group/memory.stat") // '') =~ /^(?:kernel|slab) (\d+)/m)[0] // 0;
        push @{ $now{'cells with much of the kernel\'s memory'} }, $group =~ s{.*/}{}r if $bytes > 8 << 20;
    }
    $_ = join ' ', @{ $_ // [] } for $now{'cells with much of the kernel\'s memory'};

    for my $top (@{ $self->{groups} }) {
        my @groups = grep { -d } glob "$top/*";
        $now{"control groups in $top"} = @groups;
        next if $top ne $self->{groups}[0];
        $now{"processes in $top"} += () = (slurp("$_/cgroup.procs") // '') =~ /\n/g for $top, @groups;
    }

    # Nothing else on the host belongs to a uid of a cell.
    $now{"System V $_ of cells"} = grep { grep { $is_of_a_cell->($_) } split } split /\n/, slurp("/proc/sysvipc/$_") // '' for qw(shm msg sem);
    my @files;
    File::Find::find({ no_chdir => 1, wanted => sub { push @files, $_ if $is_of_a_cell->((lstat)[4]) } }, grep { -d } '/dev/shm', '/dev/mqueue', '/var/tmp');
    for my $path (glob '/tmp/{*,.[!.]*}') { push @files, $path if $is_of_a_cell->((lstat $path)[4]) }
    $now{'files of cells'} = join ' ', sort @files;
    my @state;
    File::Find::find({ no_chdir => 1, wanted => sub { push @state, $_; $File::Find::prune = 1 if m{/(?:log|live|nginx)\z} } }, $cb->{dir});
    $now{'files of the instance'} = join ' ', sort @state;
    return \%now;
}

# An armed cell may have a few descriptors more in the broker than the one before it. A leak would
# add up.
sub is_the_same {
    my ($name, $was, $now) = @_;
    return $was eq $now || $name =~ /\Adescriptors of broker/ && $was =~ /\A\d+\z/ && $now =~ /\A\d+\z/ && abs($now - $was) <= 4;
}

# The descriptors of a process at first and now, by kind.
sub explain {
    my ($self, $pid) = @_;
    return '' if !$self->{kinds}{$pid};
    return "\n    first: " . ($self->{first}{$pid} // '') . "\n    now:   $self->{kinds}{$pid}";
}

sub children {
    my ($parent) = @_;
    return map { split } map { slurp($_) // '' } glob "/proc/$parent/task/*/children";
}

sub changes {
    my ($self) = @_;
    my @changes;
    eventually(8, sub {
        my ($was, $now) = ($self->{was}, $self->look);
        my %all = (%$was, %$now);
        @changes = map { "$_: " . ($was->{$_} // 'none') . ' before, ' . ($now->{$_} // 'none') . ' now' . (/(\d+)\z/ ? $self->explain($1) : '') }
            grep { !is_the_same($_, $was->{$_} // '', $now->{$_} // '') } sort keys %all;
        select undef, undef, undef, 0.1 if @changes;
        return !@changes;
    });
    return @changes;
}

1;
