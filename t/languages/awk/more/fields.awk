BEGIN { FS = ","; OFS = ";" }
NR == 1 { $2 = "changed"; print; next }
{ count[$1] += $2 }
END {
	print "a", count["a"]
	print "b", count["b"]
	printf "%d %s %.2f\n", NR, substr("hello", 2, 3), 3.14159
}
