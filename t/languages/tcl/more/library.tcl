puts [lsort -integer {10 9 1}]
puts [dict get {a 1 b 2} b]
puts [format %05.2f 3.14159]
puts [clock format 0 -gmt 1 -format %Y-%m-%d]
puts [string length größe][string toupper größe]
puts [regexp -inline {(\w)(\d)} "x a1"]
set f [file tempfile name]
puts $f kept
close $f
set f [open $name]
puts [read $f]
puts "$env(HOME) [info script] $argv0 $argc [info level]"
puts [encoding system]
