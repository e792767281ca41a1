const fs = require('fs'); fs.mkdirSync('sub'); process.chdir('sub'); console.log(process.cwd()); process.chdir('..'); fs.rmdirSync('sub'); console.log(process.cwd(), require('path').resolve('x'));
