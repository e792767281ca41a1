process.emitWarning('careful', 'MyWarning', 'W1'); new Buffer(1); process.on('warning', (w) => console.log(w.name));
