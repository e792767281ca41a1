# A limit of the bytes that are read from the host's disks, which an operator gives the group that
# the runner is started in, holds for all programs together: they inherit it. Here it is one of the
# controller blkio of version 1.
use strict;
use warnings;
use Cellblock qw(slurp spew);
use Test::More;
use Time::HiRes qw(time);

use constant BYTES => 4 << 20; # a second

my ($mount) = map { (split ' ')[1] } grep { /^\S+ \S+ cgroup (?:\S*,)?blkio\b/ } split /\n/, slurp('/proc/mounts');
plan skip_all => 'no hierarchy has the controller blkio of version 1' if !$mount;
my ($home)  = map { "$mount$_" } slurp('/proc/self/cgroup') =~ /^\d+:(?:[^:]*,)?blkio\b[^:]*:(.*)$/m;
my $group   = "$mount/test-io-$$";
my $charged = "$group/blkio.throttle.io_service_bytes";

# A limit is one of a whole disk.
mkdir $group or BAIL_OUT("make $group: $!");
for my $disk (map { slurp($_) =~ s/\n//r } glob '/sys/block/*/dev') {
    # A disk that is not there, such as a free loop device, cannot be limited.
    eval { spew("$group/blkio.throttle.read_bps_device", "$disk " . BYTES) };
}
spew("$group/tasks", $$);

sub leave {
    spew("$home/tasks", $$);
    rmdir $group;
    return;
}
END { leave() if $group && -d $group }

sub bytes_read {
    my $sum = 0;
    $sum += $_ for slurp($charged) =~ /^\S+ Read (\d+)$/mg;
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
