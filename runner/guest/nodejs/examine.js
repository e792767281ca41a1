// Requires packages in a thread of its own, and reports which of their files do nothing at their
// load but define things (shelf.js). A file that does more, and all that require it, are loaded by
// each program itself:
//
// - it reads the clock, draws a random number, or asks for the pid, the host's name, or the like
// - it begins something that goes on: a timer, a promise, a handle
// - it changes an object of Node or of the language, or listens to process
// - it is compiled (a .node file), or fails
//
// The variables of the environment that a file reads are reported with their values.
'use strict';
const { parentPort, workerData: names } = require('worker_threads');
const Module = require('module');
const async_hooks = require('async_hooks');
const crypto = require('crypto');
const os = require('os');
const performance_hooks = require('perf_hooks');

const FILES_MAX = 4000;
const goes_on = 'it goes on after its load';

const records = new Map(); // file -> what is known of it
const running = []; // the records of the files that are being loaded, the innermost last
const order = []; // files, by the ends of their loads
const promises = new Map(); // id of a promise -> the records of the files that were being loaded
// The names that are known. The last one is that of Node's own fetch, when it is first looked at.
const globals = new Set([...Reflect.ownKeys(globalThis), Symbol.for('undici.globalDispatcher.1')]);
const whys = []; // names of packages that are not good, with reasons

// The directory of a package -> things that it does, and that a run cannot tell from its own doing.
const harmless = {
	// It counts calls of its functions within 16 ms, and was loaded longer ago than that.
	'/lodash/': ['it calls now'],
	// It tries whether a Request takes a stream, and drops both.
	'/axios/': [goes_on],
};

function spoil(why, records_of = running) {
	for (const record of records_of) {
		if (!Object.entries(harmless).some(([place, list]) => record.file.includes(`/node_modules${place}`) && list.includes(why)))
			record.why ??= why;
	}
}

// ---- what a file may not do ----------------------------------------------------------------------

function spoil_call(owner, name) {
	const original = owner[name];
	const property = Reflect.getOwnPropertyDescriptor(owner, name);
	if (typeof original !== 'function' || property?.configurable === false)
		return;
	const watched = function (...args) {
		spoil(`it calls ${name}`);
		return new.target ? Reflect.construct(original, args, new.target === watched ? original : new.target) : Reflect.apply(original, this, args);
	};
	Object.setPrototypeOf(watched, original);
	for (const key of Reflect.ownKeys(original)) {
		if (!Object.hasOwn(watched, key) || key === 'prototype')
			Reflect.defineProperty(watched, key, Reflect.getOwnPropertyDescriptor(original, key));
	}
	Object.defineProperty(owner, name, { configurable: true, enumerable: property?.enumerable ?? false, writable: true, value: watched });
}

function spoil_get(owner, name) {
	const value = owner[name];
	Object.defineProperty(owner, name, { configurable: true, enumerable: true, get() {
		spoil(`it reads process.${name}`);
		return value;
	}, set() {
		spoil(`it sets process.${name}`);
	} });
}

function watch_calls() {
	// A Date of a given time says nothing of the clock.
	const Clock = Date;
	globalThis.Date = new Proxy(Clock, {
		apply(target, self, args) {
			spoil('it reads the clock');
			return Reflect.apply(target, self, args);
		},
		construct(target, args, made) {
			if (args.length === 0)
				spoil('it reads the clock');
			return Reflect.construct(target, args, made);
		},
	});
	spoil_call(Clock, 'now');
	spoil_call(Math, 'random');
	for (const name of ['randomBytes', 'randomFillSync', 'randomFill', 'randomInt', 'randomUUID', 'getRandomValues', 'generateKeyPairSync'])
		spoil_call(crypto, name);
	for (const name of ['getRandomValues', 'randomUUID'])
		spoil_call(Object.getPrototypeOf(globalThis.crypto ?? crypto.webcrypto), name);
	for (const name of ['hostname', 'networkInterfaces', 'uptime', 'freemem', 'loadavg', 'userInfo', 'cpus', 'availableParallelism', 'tmpdir', 'homedir'])
		spoil_call(os, name);
	spoil_call(Object.getPrototypeOf(performance_hooks.performance), 'now');
	for (const name of ['hrtime', 'uptime', 'memoryUsage', 'cpuUsage', 'resourceUsage', 'chdir', 'umask', 'on', 'once', 'addListener',
		'prependListener', 'emitWarning', 'exit', 'kill', 'binding', 'dlopen', 'getuid', 'setUncaughtExceptionCaptureCallback'])
		spoil_call(process, name);
	for (const name of ['pid', 'ppid', 'title', 'stdin'])
		spoil_get(process, name);
	for (const stream of [process.stdout, process.stderr]) // pipes, as in a run
		spoil_call(stream, 'write');
	for (const name of ['log', 'error', 'warn', 'info', 'debug', 'trace', 'time'])
		spoil_call(console, name);
	for (const name of ['queueMicrotask', 'fetch', 'setTimeout', 'setInterval', 'setImmediate'])
		spoil_call(globalThis, name);
	async_hooks.createHook({
		init(id, type) {
			// A promise that nothing waits for is a value like others.
			if (type === 'PROMISE')
				promises.set(id, [...running]);
			else
				spoil(`it begins something: ${type}`);
		},
		before(id) {
			spoil(goes_on, promises.get(id));
		},
	}).enable();
}

// ---- what it reads -------------------------------------------------------------------------------

function watch_surroundings() {
	const all = process.env;
	delete all.UV_USE_IO_URING; // gone before guests run
	const note = (name) => {
		if (typeof name !== 'string')
			return;
		for (const record of running)
			record.variables[name] = all[name] ?? null;
	};
	process.env = new Proxy(all, {
		get(target, name) {
			note(name);
			return target[name];
		},
		has(target, name) {
			note(name);
			return name in target;
		},
		getOwnPropertyDescriptor(target, name) {
			note(name);
			return Reflect.getOwnPropertyDescriptor(target, name);
		},
		ownKeys(target) {
			for (const record of running)
				record.reads_all_variables = true;
			return Reflect.ownKeys(target);
		},
		set(target, name) {
			spoil(`it sets ${String(name)}`);
			return true;
		},
		deleteProperty(target, name) {
			note(name);
			if (name in target)
				spoil(`it deletes ${String(name)}`);
			return true;
		},
	});
	const { argv } = process;
	Object.defineProperty(process, 'argv', { configurable: true, enumerable: true, get() {
		for (const record of running)
			record.needs_no_args = true;
		return argv;
	} });
}

// ---- what it changes -----------------------------------------------------------------------------

// Modules of Node that warn or change others when they are required.
const unwanted = ['cluster', 'domain', 'inspector', 'inspector/promises', 'module', 'process', 'punycode', 'repl', 'sys', 'trace_events', 'wasi'];

function shared_objects() {
	const found = new Set();
	const add = (value) => {
		if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
			found.add(value);
			const prototype = typeof value === 'function' ? Reflect.getOwnPropertyDescriptor(value, 'prototype')?.value : undefined;
			if (prototype)
				found.add(prototype);
		}
	};
	const add_all = (owner) => {
		add(owner);
		for (const key of Reflect.ownKeys(owner))
			add(Reflect.getOwnPropertyDescriptor(owner, key).value);
	};
	add_all(globalThis);
	add_all(Module);
	for (const name of Module.builtinModules) {
		if (!name.startsWith('_') && !unwanted.includes(name))
			add_all(require(name));
	}
	for (const volatile of [Module._cache, Module._pathCache, process.env])
		found.delete(volatile);
	return found;
}

function values_of(owner) {
	return new Map(Reflect.ownKeys(owner).map((key) => [key, Reflect.getOwnPropertyDescriptor(owner, key)]));
}

// Node defines some properties when they are first read.
function is_same(owner, old, now) {
	if (old?.get !== undefined && now?.get === undefined)
		return Object.is(Reflect.apply(old.get, owner, []), now?.value);
	return Object.is(old?.get ?? old?.value, now?.get ?? now?.value);
}

// The names of the properties that are not as they were.
function changes_of(owner, old) {
	const now = values_of(owner);
	return [...new Set([...old.keys(), ...now.keys()])].filter((key) =>
		!is_same(owner, old.get(key), now.get(key)) && !(owner === globalThis && globals.has(key)));
}

// ---- the examination -----------------------------------------------------------------------------

// A name that a file adds to the global object is put back with it.
function note_globals(record) {
	for (const name of Reflect.ownKeys(globalThis)) {
		if (globals.has(name))
			continue;
		if (typeof name === 'symbol')
			record.why ??= `it adds ${String(name)} to the global object`;
		globals.add(name);
		(record.globals ??= []).push(name);
	}
}

function watch_loads() {
	const { load } = Module.prototype;
	Module.prototype.load = function (file) {
		const record = { file, module: this, why: undefined, variables: {}, needs_no_args: false, reads_all_variables: false, globals: undefined, loads: [] };
		running.at(-1)?.loads.push(file); // an ES module's imports are not among its children
		records.set(file, record);
		if (!/\.(?:js|cjs|mjs|json)$/.test(file))
			record.why = 'it is no JavaScript';
		running.push(record);
		try {
			return load.call(this, file);
		} catch (error) {
			record.why = 'it fails';
			throw error;
		} finally {
			running.pop();
			order.push(file);
			note_globals(record);
		}
	};
}

function needs_of(record) {
	return [...new Set([...record.module.children.map((child) => child.filename), ...record.loads])];
}

// A file is good if all that it requires is.
function is_good(file, seen = new Set()) {
	if (seen.has(file))
		return true;
	seen.add(file);
	const record = records.get(file);
	return record !== undefined && record.why === undefined && record.module.loaded
		&& needs_of(record).every((need) => is_good(need, seen));
}

// Why it is not: the file of which that is the fault, and what it does.
function why_not(file, seen = new Set()) {
	const record = records.get(file);
	seen.add(file);
	if (record === undefined || record.why !== undefined)
		return `${file}: ${record?.why ?? 'it is not loaded'}`;
	return needs_of(record).filter((need) => !seen.has(need)).map((need) => why_not(need, seen)).find(Boolean);
}

// Require one package. Whatever it has changed, its files are not good.
async function examine(name, require_from_box, objects) {
	const before = new Map([...objects].map((owner) => [owner, values_of(owner)]));
	const first = order.length;
	try {
		require_from_box(name);
	} catch (error) {
		whys.push([name, String(error.message).split('\n')[0]]);
		return;
	}
	const changed = [...before].flatMap(([owner, values]) => changes_of(owner, values));
	if (process.exitCode !== undefined)
		changed.push('exitCode');
	if (changed.length > 0) {
		for (const file of order.slice(first))
			records.get(file).why ??= `it changes ${String(changed[0])} of an object that all share`;
	}
	await end_of_turn();
	const file = require_from_box.resolve(name);
	if (!is_good(file))
		whys.push([name, why_not(file)]);
}

const { setImmediate: end_of_turn } = require('timers/promises');

async function examine_all() {
	void globalThis.Response; // Node's own fetch is loaded when it is first looked at
	await end_of_turn();
	const objects = shared_objects();
	const require_from_box = Module.createRequire('/box/');
	watch_loads();
	watch_surroundings();
	watch_calls();
	for (const name of names) {
		await examine(name, require_from_box, objects);
		if (order.length > FILES_MAX)
			break;
	}
	parentPort.postMessage({
		files: order.filter((file) => is_good(file)).map((file) => {
			const record = records.get(file);
			const { variables, needs_no_args, reads_all_variables, globals } = record;
			return [file, {
				needs: needs_of(record),
				variables: Object.keys(variables).length > 0 ? variables : undefined,
				needs_no_args,
				reads_all_variables,
				globals,
			}];
		}),
		whys,
	});
}

examine_all();
