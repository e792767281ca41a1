process.exit('abc');
