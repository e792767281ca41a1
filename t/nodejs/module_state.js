console.log(__filename, __dirname, module.id, module.filename, module.loaded, module.children, module.paths, module.parent);
console.log(Object.keys(require.cache), require.main.filename, process.mainModule === module, require.resolve('fs'));
console.log(Object.keys(require('module')._pathCache), process._preload_modules, require.extensions);
console.log(this === module.exports, arguments.length, typeof arguments[1]);
