import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;

interface Step {
    long of(long n);
}

class Threads {
    public static void main(String[] args) throws Exception {
        AtomicLong sum = new AtomicLong();
        Thread[] threads = new Thread[16];
        for (int i = 0; i < threads.length; i++) {
            long n = i + 1;
            threads[i] = new Thread(() -> {
                for (int k = 0; k < 1000; k++)
                    sum.addAndGet(n);
            });
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
        System.out.println(sum);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        System.out.println(pool.submit(() -> 42).get());
        pool.shutdown();
        System.out.println(LongStream.rangeClosed(1, 100000).parallel().sum());
        Step twice = n -> n * 2;
        System.out.println(CompletableFuture.supplyAsync(() -> twice.of(4)).thenApply(n -> n + 1).get());
    }
}
