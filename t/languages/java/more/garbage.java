// Two gigabytes of garbage, little of it alive at the same time: the collector keeps the heap far below the limit.
public class Main {
    public static void main(String[] args) {
        byte[][] alive = new byte[32][];
        long sum = 0;
        for (int i = 0; i < 20000; i++) {
            byte[] more = new byte[100_000];
            more[i % more.length] = 1;
            alive[i % alive.length] = more;
            sum += more[i % more.length];
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 2_000_000; i++)
            text.append(i % 10);
        System.out.println(sum + " " + text.length());
    }
}
