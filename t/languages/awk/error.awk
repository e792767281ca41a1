BEGIN {
	print (1;
}
