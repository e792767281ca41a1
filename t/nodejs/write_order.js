const fs = require('fs'); console.log('a'); fs.writeSync(1, 'b\n'); process.stdout.write('c\n', () => console.log('cb')); console.error('err'); fs.writeFileSync(1, 'd\n'); process.stdout.end('e\n');
