(async () => { let d = ''; for await (const c of process.stdin) d += c; console.log(d.length, d); })();
