let r = require; { let require = 5, process = 6, module = 7; console.log(require, process, module); } var console2 = console; var require = r; console2.log(typeof require);
