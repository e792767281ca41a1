my @all;
push @all, "x" x 1_000_000 while 1;
