import { noSuchName } from 'fs';
console.log(noSuchName);
