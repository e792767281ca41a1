setTimeout(() => { console.log('timeout'); setTimeout(() => console.log('second timeout'), 20); setImmediate(() => console.log('immediate')); }, 0);
process.nextTick(() => { console.log('tick'); Promise.resolve().then(() => console.log('micro in tick')); process.nextTick(() => console.log('tick in tick')); });
Promise.resolve().then(() => { console.log('micro'); process.nextTick(() => console.log('tick in micro')); });
queueMicrotask(() => console.log('queued')); (async () => { console.log('async'); await null; console.log('awaited'); })(); console.log('main');
