const x = await Promise.resolve(5);
console.log(x);
export default x;
