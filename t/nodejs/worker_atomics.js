const { Worker } = require('worker_threads');
const sab = new SharedArrayBuffer(8), a = new Int32Array(sab);
new Worker(`const { workerData } = require('worker_threads'); const a = new Int32Array(workerData);
setTimeout(() => { Atomics.store(a, 0, 42); Atomics.notify(a, 0); }, 20);`, { eval: true, workerData: sab });
console.log(Atomics.wait(a, 0, 0, 5000), a[0]); console.log(Atomics.wait(a, 1, 0, 10));
