const { port1, port2 } = new MessageChannel(); port1.on('message', (m) => { console.log(m); port1.close(); }); port2.postMessage({ a: [1n] }); const b = new BroadcastChannel('x'); b.close();
