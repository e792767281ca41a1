console.log(1);
let x = ;
