using System;

static class Program
{
    public static void Main(string[] args)
    {
        foreach (string argument in args)
            Console.WriteLine(argument);
    }
}
