import fs from 'fs';
import { join } from 'node:path';
console.log(join('a', 'b'), typeof fs.readFileSync, typeof require, import.meta.url, this);
