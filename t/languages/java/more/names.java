/*
 * public class Comment { public static void main(String[] args) { } }
 */
class First {
    public static class Inner {
        static String name() {
            return "inner";
        }
    }

    static void main(int number) {
        System.out.println("not this one");
    }
}

@FunctionalInterface
interface Namer {
    String name();
}

public abstract class Names {
    public static void main(final String[] args) {
        Namer namer = First.Inner::name;
        System.out.println(namer.name() + " " + new Exception().getStackTrace()[0]);
    }
}
