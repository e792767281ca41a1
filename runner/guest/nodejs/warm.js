// Does a little of everything that a short program does first. Guests inherit the results, and the
// output is discarded. Nothing here may draw a random number: all guests of a zygote would share
// it.
console.log(1, 'a', [1, 2], { a: 1 });
console.error('x');
class Warm {
	constructor(value) {
		this.value = value;
	}

	get twice() {
		return this.value * 2;
	}
}
try {
	null.value;
} catch (error) {
	String(error.stack);
	console.error(error);
}
JSON.stringify(JSON.parse('{"a":[1,2,{"b":null}]}'));
setTimeout(() => {}, 0);
setImmediate(() => {});
Promise.resolve(1).then((x) => x + 1);
(async () => {
	await null;
})();
process.nextTick(() => {});
module.exports = new Warm(1).twice;
