import fs from 'fs';
await new Promise(() => {});
console.log('never');
