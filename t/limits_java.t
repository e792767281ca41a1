# Java knows the memory limit of its cell: live data fills most of it, garbage costs what it costs
# outside, and want of memory is the memory limit.
use strict;
use warnings;
use Cellblock qw(command json missing skip_all spew);
use File::Temp ();
use List::Util qw(min);
use Test::More;

my $cb = Cellblock->start;
my $MB = 1 << 20;

sub java {
    my ($body, %request) = @_;
    my $code = "import java.util.*;\nimport java.util.concurrent.*;\npublic class Main {\n"
        . "static int down(int n) { return n == 0 ? 0 : 1 + down(n - 1); }\n"
        . "public static void main(String[] args) throws Exception {\n$body\n}\n}\n";
    return $code if delete $request{only_code};
    return $cb->run(language => 'java', code => $code, %request);
}

my $probe = java('System.out.println(Runtime.getRuntime().maxMemory());');
skip_all('no Java here') if ($probe->{json}{message} // '') =~ /unsupported language/;
cmp_ok $probe->{data}{stdout}, '<', 256 * $MB, 'the heap is smaller than the limit';
cmp_ok $probe->{data}{stdout}, '>', 180 * $MB, 'the heap is most of it';
my $more = java('System.out.println(Runtime.getRuntime().maxMemory());', limits => { memory_bytes => 1024 * $MB });
cmp_ok $more->{data}{stdout}, '>', 780 * $MB, 'it follows the limit of the run';

my $live = <<'JAVA';
byte[][] kept = new byte[Integer.parseInt(args[0]) * 16][];
for (int i = 0; i < kept.length * 2; i++) { kept[i % kept.length] = new byte[65536]; kept[i % kept.length][9] = 1; }
System.out.println(kept.length);
JAVA
for my $mb (110, 180) {
    my $r = java($live, args => ["$mb"]);
    is $r->{data}{stdout}, $mb * 16 . "\n", "$mb MiB of live data fit into 256 MiB" or diag $r->{data}{error};
}

my $hog = 'List<byte[]> kept = new ArrayList<>(); while (true) kept.add(new byte[100_000]);';
my $d = java($hog)->{data};
is $d->{status}, 'memory_limit', 'want of memory is the memory limit' or diag json->encode($d);
like $d->{error}, qr/^error: memory limit exceeded \(268435456 bytes\)/m, 'the error names it';
like $d->{stderr}, qr/OutOfMemoryError/, 'stderr is the program\'s';
$d = java("try { $hog } catch (OutOfMemoryError e) { System.out.println(\"caught\"); }")->{data};
is "$d->{status} $d->{stdout}", "ok caught\n", 'a program can catch it';
$d = java('System.err.println("java.lang.OutOfMemoryError"); System.exit(0);')->{data};
is $d->{status}, 'ok', 'the words alone are no limit';

$d = java('System.out.println(down(100_000));')->{data};
is $d->{stdout}, "100000\n", 'a recursion of 100,000 calls';
$d = $cb->run(language => 'java', code => <<'JAVA')->{data};
class Main {
    static int depth;
    static void down() { depth++; down(); }
    public static void main(String[] args) {
        try { down(); } catch (StackOverflowError e) { System.out.println(depth > 100_000 ? "too deep" : depth); }
    }
}
JAVA
is $d->{stdout}, "too deep\n", 'a recursion without end gets a StackOverflowError' or diag $d->{error};
$d = java('try { down(1 << 30); } catch (StackOverflowError e) { System.out.println("over"); }')->{data};
is $d->{stdout}, "over\n", 'one without end is caught' or diag substr $d->{error}, 0, 300;
$d = java(<<'JAVA')->{data};
ExecutorService pool = Executors.newFixedThreadPool(100);
CountDownLatch all = new CountDownLatch(100);
for (int i = 0; i < 100; i++) pool.submit(() -> { all.countDown(); try { all.await(); } catch (InterruptedException e) { } });
all.await(); pool.shutdown(); System.out.println("together");
JAVA
is $d->{stdout}, "together\n", 'a pool of 100 threads' or diag $d->{error};

# Short-lived garbage: CPU time beside a Java that knows no limit, the least of three each.
my $garbage = <<'JAVA';
long sum = 0;
for (int i = 0; i < 12_000_000; i++) { StringBuilder text = new StringBuilder("n" + i); sum += text.reverse().charAt(0); }
System.out.println(sum);
JAVA
SKIP: {
    my $dir = File::Temp->newdir;
    spew("$dir/Main.java", java($garbage, only_code => 1));
    my ($exit) = command(['javac', 'Main.java'], dir => "$dir");
    if (my $why = missing('no javac and time outside', $exit == 0 && -x '/usr/bin/time')) { skip $why, 1 }
    my (@outside, @here);
    for (1 .. 3) {
        my (undef, undef, $err) = command(['/usr/bin/time', '-f', 'cpu %U %S', 'java', '-cp', '.', 'Main'], dir => "$dir");
        push @outside, ($1 + $2) * 1000 if $err =~ /^cpu (\S+) (\S+)$/m;
        push @here, java($garbage)->{data}{usage}{cpu_ms};
    }
    cmp_ok min(@here), '<', 1.5 * min(@outside), 'short-lived garbage costs at most half as much again';
    note sprintf 'CPU time: here %.0f ms, outside %.0f ms', min(@here), min(@outside);
}

$cb->finish;
done_testing;
