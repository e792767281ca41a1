use strict;
use warnings;

sub fail { die "boom" }

fail();
