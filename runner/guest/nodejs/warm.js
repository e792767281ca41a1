// A little of everything that a short program does first, so that guests find it done. Its output goes nowhere. Nothing
// here may draw a random number: what has been drawn in a zygote is the same in all of its guests.
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
