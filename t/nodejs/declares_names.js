const fs = 1, lib = 2, code = 3, path = 4, Module = 5, turn = 6, imports = 7, engine = 8; function parseInt(x) { return 'mine' + x; } var global2 = global;
console.log(fs, lib, code, path, Module, turn, imports, engine, parseInt(1));
