gets stdin first
puts [string reverse $first]
puts [string length [read stdin]]
puts [eof stdin]
