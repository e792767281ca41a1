// Prepares a zygote, as the body of a function (process, turn, warn, watched, imports). Returns the
// function that each guest calls before its run comes. This code is in no module, so programs
// cannot find it.
'use strict';
const Module = process.mainModule.constructor;
const require = Module.createRequire('/box/');
const fs = require('fs');

// The modules of Node that short programs use.
const builtins = ['assert', 'assert/strict', 'async_hooks', 'buffer', 'child_process', 'crypto', 'dgram', 'diagnostics_channel', 'dns',
	'dns/promises', 'events', 'fs', 'fs/promises', 'http', 'http2', 'https', 'net', 'os', 'path', 'path/posix', 'perf_hooks',
	'querystring', 'readline', 'readline/promises', 'stream', 'stream/consumers', 'stream/promises', 'stream/web',
	'string_decoder', 'timers', 'timers/promises', 'tls', 'tty', 'url', 'util', 'util/types', 'v8', 'vm', 'worker_threads',
	'zlib'];

// The packages of the operator's set.
const set = '/packages/nodejs/package.json';

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

function take_turn() {
	process._tickCallback();
	pause(1);
	turn();
}

function packages_of_set() {
	try {
		return Object.keys(JSON.parse(fs.readFileSync(set, 'utf8')).dependencies ?? {});
	} catch {
		return []; // there is no set
	}
}

// Put packages on the shelf (shelf.js).
function fill_shelf() {
	const names = [...new Set([...imports, ...packages_of_set()])].filter((name) => !Module.isBuiltin(name));
	for (const name of imports.filter(Module.isBuiltin))
		require(name);
	if (names.length === 0)
		return undefined;
	const { fill, opened: open } = require('/box/shelf.js');
	forget('/box/shelf.js');
	const opened = open(fill(names, new Set(imports), take_turn, warn));
	Module._cache = Object.assign(watched(opened.put_back), Module._cache);
	return opened;
}

const shelf = fill_shelf();
if (process.env.HTTP_PROXY) {
	require('/box/proxy.js');
	forget('/box/proxy.js');
}
for (let i = 0; i < 3; i++)
	warm_up();
/^/.exec(''); // clears RegExp.$1 and the other results of the last match

shelf?.begin();

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
begin_guest.missing_need = function missing_need(needs) {
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

return begin_guest;

function begin_guest(rehearses) {
	shelf?.begin_guest();
	if (!rehearses)
		return;
	const module = new Module('/box/main.js');
	module.filename = '/box/main.js';
	module.paths = [];
	fs.readFileSync('/dev/null', 'utf8');
	module._compile('console.log(1)\n', '/box/main.js');
	process._tickCallback();
}
