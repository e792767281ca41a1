# The shelf of Node's zygotes: packages that are required already, and that a program finds as after
# a cold start.
#
# Each program runs twice in cells of one instance: in a guest of a zygote with a shelf, and by a
# node that is started for the run. Both must print the same, whatever a package does at its load.
use strict;
use warnings;
use Cellblock qw(eventually prefix skip_all spew);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $node = $ENV{CELLBLOCK_TEST_NODE} // '/usr/bin/node';
skip_all("no $node") if !-x $node;
skip_all('built without the headers of Node.js') if !-e prefix() . '/lib/cellblock/nodejs/engine.so';

# --- packages --------------------------------------------------------------------------------------

my $modules = tempdir('cellblock-modules-XXXXXX', DIR => '/var/tmp', CLEANUP => 1) . '/node_modules';
my %package = (
    'plain/index.js'     => "'use strict';\nexports.a = require('./lib/a');\nexports.b = require('./lib/b');\nexports.data = require('./data.json');\nexports.count = 0;\nexports.main = require.main;\n",
    'plain/lib/a.js'     => "exports.before = 1;\nconst b = require('./b');\nexports.b = b;\nexports.Class = class Plain {};\n",
    'plain/lib/b.js'     => "exports.a = require('./a');\nexports.path = require('path').join(__dirname, 'x');\n",
    'plain/data.json'    => "{\"k\": [1, 2]}",
    'user/index.js'      => "const plain = require('plain');\nmodule.exports = class extends require('events') { get plain() { return plain; } };\n",
    'clock/index.js'     => "exports.time = Date.now();\n",
    'clocked/index.js'   => "exports.clock = require('clock');\nexports.plain = require('plain');\n",
    'random/index.js'    => "exports.number = Math.random();\nexports.bytes = require('crypto').randomBytes(8).toString('hex');\n",
    'mode/index.js'      => "exports.mode = process.env.MODE;\nexports.has = 'MODE' in process.env;\n",
    'variables/index.js' => "exports.names = Object.keys(process.env).sort();\n",
    'args/index.js'      => "exports.args = process.argv.slice(2);\n",
    'patch/index.js'     => "Array.prototype.last = function () { return this[this.length - 1]; };\n",
    'global/index.js'    => "globalThis.__global ??= { made: true };\nexports.global = globalThis.__global;\n",
    'timer/index.js'     => "setTimeout(() => console.log('timer'), 1);\n",
    'later/index.js'     => "exports.when = 'at once';\nPromise.resolve().then(() => { exports.when = 'later'; console.log('later'); });\n",
    'listener/index.js'  => "process.on('exit', () => console.log('exit'));\n",
    'printer/index.js'   => "console.log('loaded');\n",
    'fails/index.js'     => "require('plain');\nthrow new Error('no');\n",
    'captures/index.js'  => "const { Map } = globalThis;\nexports.name = new Map().constructor.name;\n",
    'optional/index.js'  => "try { exports.other = require('no-such-package'); } catch (e) { exports.code = e.code; }\n",
    'pid/index.js'       => "exports.pid = process.pid;\n",
    'exports/package.json' => "{\"name\": \"exports\", \"exports\": {\".\": \"./main.js\", \"./sub\": \"./sub.js\"}}",
    'exports/main.js'    => "exports.sub = require('./sub');\n",
    'exports/sub.js'     => "exports.id = module.id;\n",
);
for my $file (sort keys %package) {
    my ($directory) = "$modules/$file" =~ m{(.*)/};
    make_path($directory);
    spew("$modules/$file", $package{$file});
}
system 'chmod', '-R', 'a+rX', $modules =~ s{/node_modules\z}{}r;
my @names = sort keys %{ { map { m{^([^/]+)/} ? ($1 => 1) : () } keys %package } };

my $imports = join ', ', map {"\"$_\""} @names;
my $cold = <<"CONF";
name = "coldnode";
main_file = "main.js";
start = "cold";
run = ["$node", "main.js"];
version = ["$node", "--version"];
more_root = ["$modules"];
env = ["NODE_PATH=$modules"];
policy = "nodejs";
CONF
my $cb = Cellblock->start(own => 1, allow => [qr/a zygote cannot require/],
    conf => [
        ['languages/coldnode.conf', undef, $cold],
        ['languages/nodejs.conf', qr{"/usr/bin/node"}, "\"$node\""],
        ['languages/nodejs.conf', qr{^more_root = \[\]}m, "more_root = [\"$modules\"]"],
        ['languages/nodejs.conf', qr{^env = \[\]}m, "env = [\"NODE_PATH=$modules\"]"],
        ['languages/nodejs.conf', qr{imports = \[\]}, "imports = [$imports]"],
    ]);
ok eventually(60, sub { $cb->run(language => 'nodejs', code => '1')->{data} }), 'a zygote serves';

# --- programs --------------------------------------------------------------------------------------

# Prints all that a program can see of the modules that it has.
my $dump = <<'JS';
function shown(value, depth = 0) {
	if (typeof value === 'function')
		return `function ${value.name}`;
	if (typeof value !== 'object' || value === null)
		return String(value);
	if (depth > 3)
		return '...';
	return `{${Object.keys(value).map((key) => `${key}: ${shown(value[key], depth + 1)}`)}}`;
}
function dump() {
	for (const [file, m] of Object.entries(require.cache)) {
		console.log(file, m.id, m.loaded, m.filename, m.path, m.paths.join(), m.children.map((child) => child.id).join(), m === module || shown(m.exports));
		console.log('parent', m.parent?.id);
	}
	console.log(Object.keys(globalThis).join());
	console.log(process.eventNames().join(), Object.keys(require.extensions).join(), 'last' in [], process.exitCode);
}
JS

sub lines_of {
    my ($reply) = @_;
    my $text = ($reply->{data}{stdout} // $reply->{body}) . ($reply->{data}{stderr} // '') . ' ' . ($reply->{data}{exit_code} // '');
    $text =~ s/\b(time|number|bytes): [\w.]+/$1: VALUE/g;
    return $text;
}

sub compare {
    my ($name, $code, %field) = @_;
    my ($cold_text, $text) = map { lines_of($cb->run(language => $_, code => $code, %field)) } qw(coldnode nodejs);
    return is $text, $cold_text, $name;
}

compare("require $_", "${dump}try { require('$_'); } catch (e) { console.log(e.message); }\ndump();\n") for @names;
for my $group ('user plain', 'plain user', 'clocked plain', 'plain clocked user', 'global mode patch', 'exports optional captures') {
    compare("require $group", $dump . join('', map {"require('$_');\n"} split ' ', $group) . "dump();\n");
}
my @programs = (
    ['require.cache has nothing before' => "console.log(Object.keys(require.cache), require.cache[require.resolve('plain')], require.resolve('plain') in require.cache, require.cache, Object.prototype.toString.call(require.cache), Object.getPrototypeOf(require.cache));"],
    ['a module that was removed is loaded again' => "const p = require('plain'); const f = require.resolve('plain'); delete require.cache[f]; console.log(require('plain') === p, require('plain').a === p.a, Object.keys(require.cache));"],
    ['a module that was put there is used' => "const f = require.resolve('plain'); require.cache[f] = { id: f, exports: 'mine', loaded: true }; console.log(require('plain'), require('user').name, new (require('user'))().plain);"],
    ['a part that was put there is used' => "const f = require.resolve('plain/lib/b'); require.cache[f] = { id: f, filename: f, exports: 'mine', loaded: true, children: [] }; console.log(require('plain').b, Object.keys(require.cache));"],
    ['a part is required first' => "console.log(require('plain/lib/b').path); ${dump}dump(); require('plain'); dump();"],
    ['a package of the program comes first' => "const fs = require('fs'); fs.mkdirSync('node_modules/plain', { recursive: true }); fs.writeFileSync('node_modules/plain/index.js', 'module.exports = 5'); console.log(require('plain'), Object.keys(require.cache));"],
    ['another loader sees every file' => "const Module = require('module'); const load = Module._load; Module._load = function (...a) { console.log('load', a[0]); return load.apply(this, a); }; require('user');"],
    ['an extension sees every file' => "const js = require.extensions['.js']; require.extensions['.js'] = (m, f) => { console.log(f); js(m, f); }; require('user');"],
    ['a compiler sees every file' => "const Module = require('module'); const c = Module.prototype._compile; Module.prototype._compile = function (text, f) { console.log(f); return c.call(this, text, f); }; require('user');"],
    ['a global that was replaced is used' => "globalThis.Map = class Mine {}; console.log(require('captures').name);"],
    ['a global of its own' => "globalThis.__global = 'mine'; console.log(require('global').global);"],
    ['a variable that is set before' => "process.env.MODE = 'x'; console.log(require('mode'), require('variables').names.includes('MODE'));"],
    ['in a file of its own' => "require('fs').writeFileSync('own.js', 'module.exports = require(\"user\");'); const own = require('./own'); console.log(own.name, module.children.map((m) => m.id), module.children[0].children.map((m) => m.id));"],
    ['from an ES module' => "import { createRequire } from 'module'; const plain = createRequire(import.meta.url)('plain'); console.log(plain.count, plain.a.b === plain.b);"],
    ['import()' => "import(require.resolve('user')).then((m) => console.log(m.default.name, Object.keys(require.cache)));"],
    ['in a thread' => "const { Worker } = require('worker_threads'); require('plain').count = 7; new Worker('console.log(require(\"plain\").count, Object.keys(require.cache))', { eval: true });"],
    ['errors have the stack of the program' => "const { Class } = require('plain').a; try { new Class().x.y; } catch (e) { console.log(e.stack); } require('fails');"],
    ['a package that is missing' => "try { require('no-such'); } catch (e) { console.log(e.code, e.requireStack, e.message); }"],
    ['the exports of a package' => "console.log(require('exports').sub.id, require('exports/sub').id); try { require('exports/other'); } catch (e) { console.log(e.code); }"],
    ['module.parent and require.main' => "console.log(require('plain').main === module, require.main === module, module.children.length);"],
);
compare(@$_) for @programs;
compare('arguments of a request', "console.log(require('args').args, require('plain').count);", args => ['a', 'b']);
compare('variables of a request', "console.log(require('mode'), require('variables').names.includes('MODE'));", env => { MODE => 'y' });

# --- what is on the shelf, and what is not -----------------------------------------------------------

my $reads = "const fs = require('fs'); const read = fs.readFileSync; let n = 0; fs.readFileSync = (...a) => { n++; return read(...a); };\n";
my %read = map { $_ => $cb->run(language => 'nodejs', code => "${reads}try { require('$_'); } catch {} setImmediate(() => { console.log(n); process.reallyExit(0); });")->{data}{stdout} =~ s/^(?:loaded|later)\n//r } @names;
my @on_shelf = grep { $read{$_} =~ /^0\b/ } @names;
is "@on_shelf", 'args captures exports global mode optional plain user variables', 'packages that only define things are on the shelf';
my $log = $cb->log_text;
like $log, qr/a zygote cannot require $_->[0]: .*$_->[1]/, "the log says why $_->[0] is not"
    for [clock => 'calls now'], [random => 'random'], [patch => 'changes last'], [timer => 'setTimeout|begins something'], [later => 'goes on'], [fails => 'no'];

# --- each run has modules of its own ---------------------------------------------------------------

is $cb->run(language => 'nodejs', code => "const p = require('plain'); p.count++; console.log(p.count);")->{data}{stdout}, "1\n", "a run changes its own module, run $_" for 1 .. 3;
my %numbers = map { $cb->run(language => 'nodejs', code => "console.log(require('random').number, require('random').bytes)")->{data}{stdout} => 1 } 1 .. 4;
is scalar keys %numbers, 4, 'random numbers of a package differ from run to run';
$cb->finish;
done_testing;
