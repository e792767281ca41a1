'use strict';
const Module = process.mainModule.constructor;
const require = Module.createRequire('/box/');
function warm() {
	Module._load('/box/warm.js', null, false);
	delete Module._cache['/box/warm.js'];
	for (const key of Object.keys(Module._pathCache))
		if (key.includes('/box/warm.js')) delete Module._pathCache[key];
}
for (const name of imports) {
	try {
		require(name);
	} catch (error) {
		process._rawDebug(`zygote: require ${name}: ${error.message}`);
	}
}
process.stdout;
process.stderr;
for (let i = 0; i < 3; i++) {
	warm();
	process._tickCallback();
	turn();
}
/^/.exec('');
