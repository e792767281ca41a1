// Packages that the zygote has required ahead of its runs. They are out of require.cache, so a
// program finds none of them there. When it requires one, the module is put back, together with all
// that a cold start would have loaded, in the same order.
//
// examine.js has required them before, in a thread of its own, and says which of their files do
// something at their load that belongs into the run. Those, and all that require one of them, are
// not put on the shelf. fill() returns the function that engine.cc calls when Node looks for a
// module that is not in require.cache.
'use strict';
const Module = require('module');
const { Worker } = require('worker_threads');

const EXAMINER = '/box/examine.js';
const EXAMINE_MS = 30_000;

// The properties that a program may replace, and with which a load would go otherwise.
const machinery = [
	[Module, ['_load', '_resolveFilename', '_findPath', '_resolveLookupPaths', '_nodeModulePaths', '_cache', 'wrap', 'wrapper']],
	[Module.prototype, ['load', 'require', '_compile']],
	[Module._extensions, ['.js', '.json', '.node']],
];

function names_of_variables() {
	return Object.keys(process.env).sort().join('\0');
}

function snapshot() {
	const found = [];
	for (const [owner, names] of machinery) {
		for (const name of names)
			found.push([owner, name, owner[name]]);
	}
	for (const name of Object.getOwnPropertyNames(globalThis)) {
		const property = Object.getOwnPropertyDescriptor(globalThis, name);
		if ('value' in property)
			found.push([globalThis, name, property.value]);
	}
	return found;
}

// The findings of examine.js: [[file, { variables, needs_no_args, ... }], ...], in the order of the
// ends of the loads.
function examine(names, wait) {
	const worker = new Worker(EXAMINER, { workerData: names, stdout: true, stderr: true });
	let files = [], whys = [], problem, is_over = false;
	worker.on('message', (message) => {
		({ files, whys } = message);
	});
	worker.on('error', (error) => {
		problem = String(error);
	});
	worker.on('exit', () => {
		is_over = true;
	});
	const end = Date.now() + EXAMINE_MS;
	while (!is_over && Date.now() < end)
		wait();
	if (!is_over) {
		files = [];
		problem = 'the examination of packages takes too long';
		worker.terminate();
		while (!is_over)
			wait();
	}
	return { files, whys, problem };
}

// module.parent is kept under a name of Node's own.
const { set: set_parent } = Object.getOwnPropertyDescriptor(Module.prototype, 'parent');

// The log says why one of the `wanted` names is not on the shelf.
function fill(names, wanted, wait, warn) {
	const { files, whys, problem } = examine(names, wait);
	if (problem)
		warn(`packages cannot be examined: ${problem}`);
	for (const [name, why] of whys.filter(([name]) => wanted.has(name)))
		warn(`a zygote cannot require ${name}: ${why}`);
	const books = new Map();
	const paths = { ...Module._pathCache };
	// Relative to its directory nothing is found, so Node remembers nothing about /box.
	const parent = new Module('/', undefined);
	parent.filename = '/-';
	parent.path = '/-';
	parent.paths = [];
	// libuv must not look at this variable while it is away, so all of this is synchronous.
	const io_uring = process.env.UV_USE_IO_URING;
	delete process.env.UV_USE_IO_URING;
	for (const [file, record] of files) {
		try {
			Module._load(file, parent, false);
			const found = Object.entries(Module._pathCache).filter(([key]) => !(key in paths) && !key.startsWith('/'));
			Object.assign(paths, Module._pathCache);
			books.set(file, { ...record, module: Module._cache[file], found, is_out: false });
		} catch (error) {
			warn(`a zygote cannot require ${file}: ${String(error.message).split('\n')[0]}`);
		}
	}
	if (io_uring !== undefined)
		process.env.UV_USE_IO_URING = io_uring;
	for (const [file, book] of books) {
		delete Module._cache[file];
		book.globals = book.globals?.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
		for (const [name] of book.globals ?? [])
			delete globalThis[name];
		for (const [key] of [...book.found, [`${file}\0`]])
			delete Module._pathCache[key];
		set_parent.call(book.module, undefined);
	}
	return books;
}

// The function that is called, in a guest, with the name of a file that is not in require.cache.
function opened(books) {
	let fresh, variables;

	function is_fresh() {
		return fresh.every(([owner, name, value]) => Object.is(owner[name], value));
	}

	function has_same_surroundings(book) {
		return (!book.needs_no_args || process.argv.length === 2)
			&& !book.globals?.some(([name]) => Object.hasOwn(globalThis, name))
			&& (!book.variables || Object.entries(book.variables).every(([name, value]) => process.env[name] === (value ?? undefined)))
			&& (!book.reads_all_variables || names_of_variables() === variables);
	}

	// Add to `plan` the files that a load of this one would load, in order. Returns false if a
	// load would end differently.
	function add(file, plan, requirer) {
		if (plan.has(file))
			return true;
		const book = books.get(file);
		const there = Object.hasOwn(Module._cache, file) ? Module._cache[file] : undefined;
		if (there !== undefined)
			return there === book?.module;
		if (book === undefined || book.is_out || !has_same_surroundings(book))
			return false;
		plan.set(file, { book, requirer });
		return book.needs.every((need) => add(need, plan, book.module));
	}

	// The innermost module that is being loaded.
	function requirer_now() {
		let module = process.mainModule;
		for (let next = module; next !== undefined; next = module.children.findLast((child) => !child.loaded && child !== module))
			module = next;
		return module;
	}

	function put_back(file) {
		const plan = new Map();
		if (!books.has(file) || !is_fresh() || !add(file, plan, requirer_now()))
			return undefined;
		for (const [name, { book, requirer }] of plan) {
			book.is_out = true;
			for (const [key, property] of book.globals ?? [])
				Object.defineProperty(globalThis, key, property);
			Module._cache[name] = book.module;
			set_parent.call(book.module, requirer);
			for (const [key, found] of book.found)
				Module._pathCache[key] = found;
		}
		return books.get(file).module;
	}

	return { put_back, begin, begin_guest };

	// The zygote is as its guests will find it.
	function begin() {
		fresh = snapshot();
	}

	// A guest waits for its run, which may bring variables.
	function begin_guest() {
		variables = names_of_variables();
	}
}

module.exports = { fill, opened };
