import fs from 'fs';
process.exitCode = 4;
process.on('exit', (c) => console.log('exit', c));
