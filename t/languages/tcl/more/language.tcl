proc fib {n} { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
puts [fib 15]
puts [catch {error boom} message]$message
try { error x } on error e { puts "caught $e" } finally { puts finally }
oo::class create Point {
	variable x
	constructor {value} { set x $value }
	method get {} { return $x }
}
puts [[Point new 5] get]
coroutine next apply {{} { yield; foreach i {1 2 3} { yield $i } }}
puts "[next] [next]"
after 10 { set done 1 }
vwait done
puts done
puts [expr {2 ** 100}]
