const fs = require('fs'); const { Worker } = require('worker_threads');
fs.writeFileSync('w.js', `const { parentPort } = require('worker_threads');
parentPort.on('message', (n) => { parentPort.postMessage(n * 2); if (n === 3) parentPort.close(); });`);
const w = new Worker('./w.js'); let sum = 0;
w.on('message', (n) => { sum += n; }); w.on('exit', (c) => { fs.unlinkSync('w.js'); console.log(sum, c); });
for (const n of [1, 2, 3]) w.postMessage(n);
