console.log('hello', 1, [1, 2], { a: { b: { c: { d: 1 } } } });
