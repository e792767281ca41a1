proc fail {} {
	error boom
}

fail
