const t = process.hrtime.bigint(); setTimeout(() => { const d = Number(process.hrtime.bigint() - t) / 1e6; console.log(d >= 28 && d < 500); }, 30);
