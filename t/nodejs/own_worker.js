const { Worker, isMainThread } = require('worker_threads');
const w = new Worker(`const { parentPort, workerData } = require('worker_threads');
parentPort.postMessage([process.execArgv, process.argv, process._preload_modules, Object.keys(require.cache), workerData, Object.keys(process.env).sort(), new Error('w').stack.split('\\n').length]);`, { eval: true, workerData: 7 });
w.on('message', (m) => console.log(m)); w.on('error', (e) => console.log(e)); w.on('exit', (c) => console.log('exit', c));
