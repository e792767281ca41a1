const fs = require('fs/promises'); (async () => { await fs.writeFile('x.txt', 'text'); console.log(await fs.readFile('x.txt', 'utf8'), (await fs.stat('x.txt')).size, (await fs.readdir('.')).sort());
await fs.rm('x.txt'); try { await fs.readFile('nope'); } catch (e) { console.log(e.code, e.message); } })();
