const zlib = require('zlib'); const z = zlib.gzipSync('hello '.repeat(1000)); console.log(zlib.gunzipSync(z).length);
zlib.deflate(Buffer.alloc(100000, 'ab'), (e, b) => zlib.inflate(b, (e2, c) => {
	console.log(e, b.length < 2000, c.length);
	zlib.brotliCompress('x'.repeat(1000), (e3, d) => console.log(zlib.brotliDecompressSync(d).length));
}));
