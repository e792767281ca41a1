using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

class Program
{
    struct Point
    {
        public int X { get; set; }
        public int Y { get; set; }
        public override string ToString() => $"({X}, {Y})";
    }

    static IEnumerable<int> Squares(int count)
    {
        for (int i = 0; i < count; i++)
            yield return i * i;
    }

    static async Task<int> Later(int value)
    {
        await Task.Delay(5);
        return value * 2;
    }

    static unsafe int Third(int[] numbers)
    {
        fixed (int* first = numbers)
            return *(first + 2);
    }

    static void Main()
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        Console.WriteLine(string.Join(" ", Squares(6).Where(n => n % 2 == 0)));
        Console.WriteLine(BigInteger.Pow(2, 100));
        Console.WriteLine(new Point { X = 1, Y = 2 });
        dynamic number = 20;
        Console.WriteLine(number + 1.5);
        Console.WriteLine(Task.WhenAll(Later(1), Later(2), Later(3)).Result.Sum());
        long sum = 0;
        Parallel.For(0, 100, i => Interlocked.Add(ref sum, i));
        Console.WriteLine(sum);
        Console.WriteLine(Third(new[] { 4, 5, 6 }));
        File.WriteAllText("words.txt", "one two\nthree \u00fc\n", new UTF8Encoding(false));
        Console.WriteLine(Regex.Matches(File.ReadAllText("words.txt"), @"\w+").Count);
        Console.WriteLine(File.ReadAllLines("words.txt")[1]);
        (int low, string high) = (3, "four");
        Console.WriteLine($"{low:D3} {high,6} {1234.5:N2}");
        try
        {
            int[] none = null;
            Console.WriteLine(none.Length);
        }
        catch (NullReferenceException)
        {
            Console.WriteLine("null");
        }
        var threads = Enumerable.Range(0, 20).Select(i => new Thread(() => Interlocked.Increment(ref sum))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Console.WriteLine(sum);
        Console.WriteLine(new DateTime(2024, 2, 29).AddYears(1).ToString("yyyy-MM-dd"));
    }
}
