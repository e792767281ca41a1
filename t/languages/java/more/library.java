package org.example;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.LocalDate;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

sealed interface Shape permits Circle, Square {
}

record Circle(double radius) implements Shape {
}

record Square(double side) implements Shape {
}

enum Color {
    RED, GREEN
}

public class Library {
    private static String describe(Shape shape) {
        if (shape instanceof Circle c)
            return "circle " + c.radius();
        return shape.toString();
    }

    public static void main(String[] args) throws Exception {
        var count = List.of("a b a c b a".split(" ")).stream()
            .collect(Collectors.groupingBy(Function.identity(), TreeMap::new, Collectors.counting()));
        System.out.println(count);
        System.out.println(describe(new Circle(1.5)) + " " + describe(new Square(2)));
        System.out.println(IntStream.rangeClosed(1, 10).filter(n -> n % 3 == 0).boxed().toList());
        System.out.println(BigInteger.TWO.pow(100));
        System.out.println(LocalDate.of(2024, 2, 28).plusDays(2));
        Files.writeString(Path.of("note.txt"), "kept");
        System.out.println(Files.readString(Path.of("note.txt")) + " " + Path.of("").toAbsolutePath());
        var digest = MessageDigest.getInstance("SHA-256").digest("x".getBytes(StandardCharsets.UTF_8));
        System.out.println(HexFormat.of().formatHex(digest).substring(0, 16));
        System.out.println(Pattern.compile("(\\d+)-(\\d+)").matcher("1-2").replaceAll("$2.$1"));
        System.out.println(String.format("%.3f %s", Math.PI, Color.valueOf("GREEN")));
        System.out.println("""
            grüß %d""".formatted("grüß".length()));
        try {
            Object nothing = null;
            nothing.toString();
        } catch (NullPointerException e) {
            System.out.println("caught");
        }
    }
}
