# A limit of the bytes that are read from the host's disks, which an operator gives the group that
# the runner is started in, holds for all programs together: they inherit it. Here it is one of the
# controller io of version 2, or of blkio of version 1.
use strict;
use warnings;
use Cellblock qw(slurp spew);
use File::Path qw(make_path);
use Test::More;
use Time::HiRes qw(time);

use constant BYTES => 4 << 20; # a second

my $mounts    = slurp('/proc/mounts');
my $ours      = slurp('/proc/self/cgroup');
my ($blkio)   = $mounts =~ /^\S+ (\S+) cgroup (?:\S*,)?blkio\b/m;
my ($unified) = $mounts =~ /^\S+ (\S+) cgroup2 /m;
undef $unified if $unified && (slurp("$unified/cgroup.controllers") // '') !~ /\bio\b/;

# In version 2 the runner makes its cells' groups beside the group that it is started in, so the
# limit is one of the group above.
my ($home, $group, $inner, $limit, $charged, $read);
if ($unified) {
    $home  = $unified . ($ours =~ /^0::(.*)$/m)[0] . '/cgroup.procs';
    $group = "$unified/test-io-$$";
    ($inner, $limit, $charged, $read) = ("$group/inner", "$group/io.max", "$group/io.stat", qr/\brbytes=(\d+)/);
    spew("$unified/cgroup.subtree_control", '+cpu +io +memory +pids');
}
elsif ($blkio) {
    $home  = $blkio . ($ours =~ /^\d+:(?:[^:]*,)?blkio\b[^:]*:(.*)$/m)[0] . '/cgroup.procs';
    $group = "$blkio/test-io-$$";
    ($inner, $limit, $charged, $read) = ($group, "$group/blkio.throttle.read_bps_device", "$group/blkio.throttle.io_service_bytes", qr/^\S+ Read (\d+)$/m);
}
else { plan skip_all => 'no hierarchy has the controller io of version 2 or blkio of version 1' }

# A limit is one of a whole disk.
make_path($inner);
for my $disk (map { slurp($_) =~ s/\n//r } glob '/sys/block/*/dev') {
    # A disk that is not there, such as a free loop device, cannot be limited.
    eval { spew($limit, $unified ? "$disk rbps=" . BYTES : "$disk " . BYTES) };
}
spew("$inner/cgroup.procs", $$);

sub leave {
    spew($home, $$);
    rmdir for $inner, $group;
    return;
}
END { leave() if $group && -d $group }

sub bytes_read {
    my $sum = 0;
    $sum += $_ for slurp($charged) =~ /$read/g;
    return $sum;
}

my $cb = Cellblock->start(own => 1);

# A file that is mapped somewhere stays in the cache: so there may be several attempts.
my @files = grep { -f && !-l && -s($_) > 3 * BYTES && -s($_) < 10 * BYTES } glob '/usr/bin/* /usr/lib/*/*';
my ($wrong, $bytes, $seconds) = ('no file is large enough', 0, 1);
for my $file (@files[0 .. ($#files < 9 ? $#files : 9)]) {
    system('dd', "if=$file", 'iflag=nocache', 'count=0', 'status=none') == 0 or BAIL_OUT('dd');
    my ($began, $before) = (time, bytes_read());
    my $r = $cb->run(code => "print(len(open('$file', 'rb').read()))", limits => { wall_ms => 60000 });
    ($bytes, $seconds) = (bytes_read() - $before, time - $began);
    note "$file: $bytes bytes from the disk in $seconds s";
    $wrong = ($r->{data}{stdout} // '') eq (-s $file) . "\n" ? '' : $r->{body};
    last if $wrong || $bytes > 2 * BYTES;
}
is $wrong, '', 'a program reads a file';
cmp_ok $bytes, '>', 2 * BYTES, 'from the disk, which is charged to the group';
cmp_ok $bytes / $seconds, '<', 1.5 * BYTES, 'no faster than the limit says';

$cb->finish;
leave();
ok !-d $group, 'nothing is left in the group';
done_testing;
