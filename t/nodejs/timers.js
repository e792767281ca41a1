const t = Date.now(); setTimeout((a) => { console.log(a, Date.now() - t >= 599); }, 600, 'arg'); let n = 0; const i = setInterval(() => { if (++n === 3) { clearInterval(i); console.log('cleared'); } }, 2); require('timers/promises').setTimeout(300, 'v').then(console.log);
setTimeout(() => {}, 100000).unref();
