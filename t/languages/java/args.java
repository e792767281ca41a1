class Helper {
    static void print(String text) {
        System.out.println(text);
    }
}

public class Arguments {
    public static void main(String... args) {
        for (String arg : args)
            Helper.print(arg);
    }
}
