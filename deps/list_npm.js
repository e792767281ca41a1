// Print the packages that Node programs can require: one JSON array of names and versions. The
// arguments are the directories that Node searches, in its order.
const fs = require("fs");
const path = require("path");

const found = new Map();

function read(directory) {
	try {
		return fs.readdirSync(directory);
	} catch {
		return [];
	}
}

function add(directory) {
	try {
		const { name, version } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
		if (typeof name === "string" && typeof version === "string" && !found.has(name))
			found.set(name, version);
	} catch {
		// Not a package.
	}
}

for (const directory of process.argv.slice(1)) {
	for (const name of read(directory)) {
		if (name.startsWith("@"))
			read(path.join(directory, name)).forEach((inner) => add(path.join(directory, name, inner)));
		else if (!name.startsWith("."))
			add(path.join(directory, name));
	}
}
const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
console.log(JSON.stringify(sorted.map(([name, version]) => ({ name, version }))));
