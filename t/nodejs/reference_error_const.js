console.log(a);
const a = 1;
