console.log(require('fs').readFileSync(__filename, 'utf8') === require('fs').readFileSync('main.js', 'utf8'), require('fs').statSync(__filename).size);
