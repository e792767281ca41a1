/*
 * Find the files that Node needs. `node -` runs this from its standard input. It prints lines of a
 * word and a value:
 *
 *     version 20.1.2       of Node
 *     bind /usr/lib/...    a directory or file that its programs need, for a read-only bind mount
 */
'use strict';
const fs = require('fs');
const path = require('path');

const found = new Set();

function add(place) {
	if (place && fs.existsSync(place))
		found.add(path.normalize(place));
}

console.log('version', process.versions.node);
add(process.argv0);
add(process.execPath);
for (const line of fs.readFileSync('/proc/self/maps', 'utf8').split('\n')) {
	const file = line.slice(line.indexOf('/'));
	if (file.includes('.so'))
		add(path.dirname(file));
	if (file.includes('/ld-'))
		add(file);
}
for (const place of ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1', '/etc/ld.so.cache', process.env.NODE_ICU_DATA,
	process.config.variables.icu_data_path, '/etc/ssl/openssl.cnf'])
	add(place);
// require() looks for installed packages here. Debian keeps parts of Node itself in the first
// directory.
for (const place of ['/usr/share/nodejs', '/usr/lib/nodejs', '/usr/share/node_modules', '/usr/lib/node_modules',
	'/usr/local/lib/node_modules', path.join(path.dirname(process.execPath), '../lib/node_modules')])
	add(place);
for (const place of (process.env.NODE_PATH || '').split(':'))
	add(place);
if (fs.existsSync('/etc/alternatives') && [...found].some((place) => place.startsWith('/usr/lib')))
	add('/etc/alternatives');

// A directory includes all of its entries, so they need no lines of their own.
const kept = [];
for (const place of [...found].sort()) {
	if (!kept.some((parent) => place.startsWith(`${parent}/`))) {
		kept.push(place);
		console.log('bind', place);
	}
}
