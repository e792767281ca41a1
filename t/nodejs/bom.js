console.log('bom'); null.x;
