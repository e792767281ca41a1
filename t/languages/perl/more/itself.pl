# The program's view of itself is that of a program started by hand.
print "$0 ", __FILE__, ' ', __LINE__, ' ', time - $^T < 2 ? 'new' : 'old', "\n";
print <DATA>;
eval { die { code => 5 } };
print "caught $@->{code}\n";
eval { die "text\n" };
print "caught $@";
local $SIG{__WARN__} = sub { print "warned: $_[0]" };
warn 'x';
print join(',', map { $_ * 2 } grep { $_ % 2 } 1 .. 5), "\n";
our @caller = caller;
print scalar(@caller), " callers\n";
END { print "at the end $?\n" }
__DATA__
data
