import fs from 'fs';
await Promise.reject(new Error('top level'));
