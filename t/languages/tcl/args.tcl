foreach one $argv {
	puts $one
}
