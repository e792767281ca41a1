chomp(my $first = <STDIN>);
print "first: $first\n";
local $/;
my $rest = <>;
print length $rest, "\n";
print "eof\n" if eof STDIN;
