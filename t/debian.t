# debian/control names the packages that a build needs, as script/packages does.
use strict;
use warnings;
use Cellblock qw(root slurp);
use Test::More;

my ($depends) = slurp(root() . '/debian/control') =~ /^Build-Depends:\n((?: .+\n)+)/m;
my %depends = map { $_ => 1 } $depends =~ /^ ([a-z0-9.+-]+)/mg;
# Every build of a package has these, or debhelper brings them.
my %essential = map { $_ => 1 } qw(autoconf automake g++ gcc libc6-dev make);
my %other_name = ('pkg-config' => 'pkgconf');
for my $line (split /\n/, slurp(root() . '/script/packages')) {
    my ($name) = $line =~ /^build (\S+)/ or next;
    ok $depends{ $other_name{$name} // $name }, "$name is in Build-Depends" if !$essential{$name};
}
done_testing;
