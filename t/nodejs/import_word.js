// import export await
const s = 'import x from y; export default 1; await z';
console.log(s, typeof require);
