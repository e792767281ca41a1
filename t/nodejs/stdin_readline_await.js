const rl = require('readline').createInterface({ input: process.stdin, crlfDelay: Infinity }); (async () => { let n = 0; for await (const l of rl) console.log(n++, l); })();
