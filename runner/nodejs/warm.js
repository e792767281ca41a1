console.log(1, 'a', [1, 2], { a: 1 });
console.error('x');
class A { constructor(x) { this.x = x; } get y() { return this.x; } }
try { null.x; } catch (e) { String(e.stack); console.error(e); }
JSON.stringify(JSON.parse('{"a":[1,2,{"b":null}]}'));
setTimeout(() => {}, 0);
setImmediate(() => {});
Promise.resolve(1).then((x) => x + 1);
(async () => { await null; })();
process.nextTick(() => {});
module.exports = new A(1).y;
