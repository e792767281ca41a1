process.stdout.on('finish', () => console.error('finish')); process.stdout.end('bye\n'); try { process.stdout.write('more'); } catch (e) { console.error(e.message); }
process.stdout.on('error', (e) => console.error(e.code));
