process.on('exit', () => process.exit(8));
