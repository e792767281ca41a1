console.log('a');
const s = `x
y`;
console.log(JSON.stringify(s));
throw 1;
