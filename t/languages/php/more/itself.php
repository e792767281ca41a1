<?php
declare(strict_types=1);
namespace App;

enum Suit: string { case Hearts = "H"; }
final class Point { public function __construct(public readonly int $x = 0) {} }
function gen() { yield 1; yield from [2, 3]; return 4; }
register_shutdown_function(function () { echo "end\n"; });
echo implode(",", iterator_to_array(gen(), false)), " ", Suit::from("H")->name, " ", (new Point(3))->x, "\n";
try {
    intdiv(1, 0);
} catch (\DivisionByZeroError $e) {
    echo get_class($e), " ", basename($e->getFile()), ":", $e->getLine(), "\n";
}
echo basename(__FILE__), " ", __DIR__, " ", __LINE__, "\n";
$fiber = new \Fiber(function () { echo \Fiber::suspend("a"), "\n"; });
echo $fiber->start(), "\n";
$fiber->resume("b");
echo match (true) { default => "matched" }, "\n";
fwrite(STDERR, "to stderr\n");
?>
text after
