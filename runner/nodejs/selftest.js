console.log(Math.random(), require('crypto').randomBytes(8).toString('hex'));
process.exitCode = 42;
