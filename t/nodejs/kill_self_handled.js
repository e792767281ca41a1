process.on('SIGTERM', (s, n) => { console.log('got', s, n); process.exit(0); }); process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1000);
