import java.util.ArrayList;
import java.util.Arrays;

public class Main {
    public static void main(String[] args) {
        var all = new ArrayList<byte[]>();
        for (;;) {
            byte[] more = new byte[1 << 20];
            Arrays.fill(more, (byte) 1);
            all.add(more);
        }
    }
}
