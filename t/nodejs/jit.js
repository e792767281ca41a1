function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); } console.log(fib(25)); let s = 0; for (let i = 0; i < 2e6; i++) s = (s + i * 3) | 0; console.log(s);
