while (my $line = <STDIN>) {
	print uc $line;
}
