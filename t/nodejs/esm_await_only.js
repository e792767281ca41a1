const x = await new Promise((r) => setTimeout(() => r(6), 5));
console.log(x, typeof require, typeof module);
