// Tests the features that a fork could have broken. Prints random numbers and exits with status 42,
// or prints the failure.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const vm = require('vm');
const { Worker } = require('worker_threads');

const add = Buffer.from('AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags=', 'base64');
const waiting = new Set();

function step(name, promise) {
	waiting.add(name);
	promise.then(() => waiting.delete(name), (error) => {
		console.log(`${name}: ${error && error.message}`);
		process.exit(1);
	});
}

function once(start) {
	return new Promise((resolve, reject) => {
		start((error, value) => (error ? reject(error) : resolve(value)));
	});
}

process.on('exit', () => {
	if (waiting.size > 0) {
		console.log(`did not finish: ${[...waiting].join(', ')}`);
		process.exitCode = 1;
	} else if (process.exitCode === 42) {
		console.log(Math.random(), vm.runInNewContext('Math.random()'), crypto.randomBytes(8).toString('hex'));
	}
});
setTimeout(() => process.exit(1), 10000).unref();

step('WebAssembly', WebAssembly.instantiate(add).then(({ instance }) => assert.strictEqual(instance.exports.add(2, 3), 5)));
step('full garbage collection', once((done) => {
	let garbage = [];
	for (let i = 0; i < 300000; i++)
		garbage.push({ i });
	garbage = null;
	require('v8').setFlagsFromString('--expose-gc');
	vm.runInNewContext('gc')();
	require('v8').setFlagsFromString('--no-expose-gc');
	done();
}));
step('fs.promises', fs.promises.readFile('/box/selftest.js').then((text) => assert(text.length > 1000)));
step('thread pool', once((done) => crypto.pbkdf2('a', 'b', 10, 8, 'sha1', done)));
step('zlib', once((done) => require('zlib').gzip('text', done)));
step('timers', once((done) => {
	const begin = performance.now();
	setTimeout(() => done(performance.now() - begin < 18 ? new Error('fired early') : null), 20);
}));
step('worker_threads', once((done) => {
	const worker = new Worker('require("worker_threads").parentPort.postMessage(process.execArgv.length)', { eval: true });
	worker.on('message', (count) => done(count === 0 ? null : new Error('has extra arguments')));
	worker.on('error', done);
}));
step('fetch', fetch('data:,x').then((reply) => reply.text()).then((text) => assert.strictEqual(text, 'x')));
assert(process.uptime() < 5, 'process.uptime() counts from the start of the zygote');
process.exitCode = 42;
