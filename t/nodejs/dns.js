require('dns').lookup('localhost.invalid', (e) => { console.log(e.code !== undefined); require('dns').promises.resolve4('x.invalid').catch((e) => console.log(typeof e.code)); });
