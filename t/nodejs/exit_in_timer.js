setTimeout(() => process.exit(6), 5); setInterval(() => {}, 1);
