process.stdin.once('readable', () => { let c; while ((c = process.stdin.read(2)) !== null) console.log(String(c)); process.stdin.on('end', () => console.log('end')); process.stdin.resume(); });
