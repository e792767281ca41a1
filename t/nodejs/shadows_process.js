var process = { x: 1 }; console.log(process.x, typeof globalThis.process.exit);
