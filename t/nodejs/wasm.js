const bytes = Buffer.from('AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags=', 'base64');
console.log(new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add(2, 3)); WebAssembly.instantiate(bytes).then((m) => { console.log('async', m.instance.exports.add(4, 5)); WebAssembly.compile(Buffer.from('nonsense')).catch((e) => console.log(e.name)); });
