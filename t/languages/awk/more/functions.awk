function fact(n) {
	return n < 2 ? 1 : n * fact(n - 1)
}
BEGIN {
	print fact(10)
	n = split("a b c", parts, " ")
	print n, parts[3], length("text"), index("hello", "l")
	text = "aaa"
	print gsub(/a/, "b", text), text
	print match("foo123", /[0-9]+/), RSTART, RLENGTH
	print toupper("x") tolower("Y"), sprintf("%03d", 7)
	delete parts[1]
	print (1 in parts), (2 in parts)
	print ENVIRON["HOME"], ARGC
	print "to a file" > "file"
	close("file")
	getline line < "file"
	print line
	print "to stderr" > "/dev/stderr"
}
