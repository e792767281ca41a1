// Prepares a zygote, as the body of a function (process, turn, warn, imports). Returns the
// function that each guest calls before its run comes. This code is in no module, so programs
// cannot find it.
'use strict';
const Module = process.mainModule.constructor;
const require = Module.createRequire('/box/');
const fs = require('fs');

// The modules of Node that short programs use.
const builtins = ['assert', 'async_hooks', 'buffer', 'child_process', 'crypto', 'events', 'fs', 'fs/promises',
	'http', 'os', 'path', 'perf_hooks', 'querystring', 'readline', 'stream', 'stream/promises', 'string_decoder',
	'timers/promises', 'url', 'util', 'v8', 'vm', 'worker_threads', 'zlib'];

function forget(file) {
	delete Module._cache[file];
	for (const key of Object.keys(Module._pathCache)) {
		if (key.startsWith(file))
			delete Module._pathCache[key];
	}
}

function pause(ms) {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

// Run a program as Node runs a main module, and then turn the event loop.
function warm_up() {
	Module._load('/box/warm.js', null, false);
	forget('/box/warm.js');
	for (let i = 0; i < 3; i++) {
		process._tickCallback();
		pause(2);
		turn();
	}
	process._tickCallback();
}

for (const name of builtins)
	require(name);
for (const name of imports) {
	try {
		require(name);
	} catch (error) {
		// The zygote serves without the module. A program that requires it gets the same
		// error.
		warn(`a zygote cannot require ${name}: ${error.message.split('\n')[0]}`);
	}
}
if (process.env.HTTP_PROXY) {
	require('/box/proxy.js');
	forget('/box/proxy.js');
}
for (let i = 0; i < 3; i++)
	warm_up();
/^/.exec(''); // clears RegExp.$1 and the other results of the last match

// Where programs find packages, in the order of the search.
const places = [...Module._nodeModulePaths('/box'), ...Module.globalPaths];

function installed_version(name) {
	for (const place of places) {
		try {
			return JSON.parse(fs.readFileSync(`${place}/${name}/package.json`, 'utf8')).version ?? '';
		} catch {
			// Not here.
		}
	}
	return undefined;
}

// The first of these packages, a name and a version or '' by turns, that is missing: a text; or ''.
rehearse.missing_need = function missing_need(needs) {
	for (let i = 0; i < needs.length; i += 2) {
		const [name, version] = [needs[i], needs[i + 1]];
		const installed = installed_version(name);
		// Old clients list modules of Node itself, too.
		if (installed === undefined && (version !== '' || !Module.isBuiltin(name)))
			return `${name} is not installed`;
		if (version !== '' && version !== installed)
			return `${name} ${version} is not installed, but ${installed} is`;
	}
	return '';
};

return rehearse;

function rehearse() {
	const module = new Module('/box/main.js');
	module.filename = '/box/main.js';
	module.paths = [];
	fs.readFileSync('/dev/null', 'utf8');
	module._compile('console.log(1)\n', '/box/main.js');
	process._tickCallback();
}
