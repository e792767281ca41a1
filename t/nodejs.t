# A Node.js program behaves in a cell as under a bare Node.js: same output, same errors, same exit
# status.
#
# Every program of t/nodejs/ and of the table below runs twice: cold, by `node main.js` in an empty
# directory, and by the service. stdout, stderr, exit code and signal must be equal, apart from the
# name of the directory.
use strict;
use warnings;
use Cellblock qw(command envelope_ok missing prefix skip_all slurp spew);
use Comparison qw(same_as_cold);
use Encode qw(decode encode_utf8);
use File::Basename qw(basename);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

my $node = $ENV{CELLBLOCK_TEST_NODE} // '/usr/bin/node';
skip_all("no $node") if !-x $node;
skip_all('built without the headers of Node.js') if !$ENV{CELLBLOCK_TEST_URL} && !-e prefix() . '/lib/cellblock/nodejs/engine.so';
my $cb = Cellblock->start(conf => [['languages/nodejs.conf', qr{"/usr/bin/node"}, "\"$node\""]]);

sub run_node {
    my ($code, %field) = @_;
    return $cb->run(language => 'nodejs', code => $code, %field);
}

my $cold_version = (command([$node, '-p', 'process.version']))[1];
is run_node('console.log(process.version)')->{data}{stdout}, $cold_version, "the service runs the Node.js that it is compared with ($node)";
my ($major, $minor) = $cold_version =~ /v(\d+)\.(\d+)/;
my $detects_modules = $major > 22 || ($major == 22 && $minor >= 7);

# A cell has this where it has fewer processors than the host.
$ENV{processors} = run_node('if ("OMP_NUM_THREADS" in process.env) console.log("OMP_NUM_THREADS=" + process.env.OMP_NUM_THREADS)')->{data}{stdout} =~ s/\n//r;

# A program's cold run: (stdout, stderr, exit code, signal). Its directory has a name as long as
# that of a cell's, since Node.js breaks lines. Its streams are pipes, since Node.js writes to files
# in another way. Arguments: the program's directory, its name, node, "mount" or "directory", the
# directory to run in, and the program's arguments.
my $script = <<'END';
if [[ $4 == mount ]]; then
	mount -t tmpfs cold "$5" || exit 125
else
	find "$5" -mindepth 1 -delete || exit 125
fi
home=$5 node=$3 name=$2
cp "$1/$2" "$home" && cd "$home" || exit 125
shift 5
{
	{
		env -i HOME="$home" LANG=C.UTF-8 LOGNAME=user LSAN_OPTIONS=detect_leaks=0 $processors PATH=/usr/local/bin:/usr/bin:/bin SHELL=/bin/sh TMPDIR=/tmp USER=user "$node" "$name" "$@" 2>&3 | cat >&4
		exit ${PIPESTATUS[0]}
	} 3>&1 | cat >&2
	exit ${PIPESTATUS[0]}
} 4>&1
END

# The directory is a tmpfs over /mnt in a mount namespace, or, where no namespace can be made (in a
# chroot), a new directory in /.
my @apart = grep { (command([@$_, 'true']))[0] == 0 } ['unshare', '-m'], ['unshare', '-Urm'];
my $home = @apart ? '/mnt' : short_directory();

sub short_directory {
    for my $path (map {"/b$_"} 10 .. 99) {
        return $path if mkdir $path, 0755;
    }
    return skip_all('no mount namespace, and no place in /');
}
END { remove_tree($home) if !@apart && defined $home }

sub cold {
    my ($source, $stdin, $name, @args) = @_;
    my $dir = tempdir(CLEANUP => 1);
    spew("$dir/$name", $source);
    my ($exit, $out, $err) = command([@{ $apart[0] || [] }, 'bash', '-c', $script, 'cold', $dir, $name, $node, @apart ? 'mount' : 'directory',
        $home, @args], piped => $stdin);
    s{$home\b}{/box}g for $out, $err;
    my $signal = $exit > 128 ? $exit - 128 : 0;
    return (same_form(decode('UTF-8', $out)), same_form(decode('UTF-8', $err)), $signal ? -1 : $exit, $signal ? signal_name($signal) : undef);
}

sub signal_name {
    my ($number) = @_;
    my ($name) = grep { POSIX->can($_) && POSIX->can($_)->() == $number } qw(SIGHUP SIGINT SIGABRT SIGKILL SIGSEGV SIGUSR1 SIGPIPE SIGALRM SIGTERM SIGTRAP);
    return $name;
}

# The pid differs.
sub same_form {
    my ($text) = @_;
    $text =~ s/\x{fffd}+/\x{fffd}/g;
    $text =~ s{^\(node:\d+\)}{(node:PID)}mg;
    $text =~ s{^ *\d+: 0x[0-9a-f]+ .*\n}{}mg; # the native stack
    return $text;
}

my $lines = "one\nzwei \xc3\xa9\nthree";

# name, source (bytes), stdin (bytes), arguments
my @cases = map {
    my $name = basename($_, '.js');
    [$name, slurp($_), $name =~ /\A(?:stdin|readable)_(?!empty)/ ? $lines : '']
} sort glob Cellblock::root() . '/t/nodejs/*.js';
push @cases, (
    ['arguments',       'console.log(process.argv)', '', '-x', '', 'a b', "\xc3\xa9", '--inspect', '-r', 'x'],
    ['white space',     "\n \n"],
    ['many lines',      join('', map {"var x$_ = $_;\n"} 1 .. 20_000) . "console.log(x20000);\nnull.x;\n"],
    ['a very long line', 'const x = [' . '1,' x 200_000 . "];\nconsole.log(x.length);\n"],
    ['nested too deeply', '(' x 100_000],
    ['invalid UTF-8',   "console.log('\xff\xfe', 'a\xc3');\n"],
);

# Node.js 18 does not show where it keeps its start.
@cases = grep { $_->[0] ne 'performance' } @cases if $major < 20;
for my $case (@cases) {
    my ($name, $source, $stdin, @args) = @$case;
    my $text = decode('UTF-8', $source);
    # An older Node.js recognizes a module only by the name of its file.
    my $main = $name =~ /\Aesm_(?!dynamic|mixed)/ && !$detects_modules ? 'main.mjs' : 'main.js';
    $main = 'main.mjs' if $name eq 'esm_mixed' && !$detects_modules;
    my @cold = cold(encode_utf8($text), $stdin // '', $main, @args);
    my $r = run_node($text, stdin => decode('UTF-8', $stdin // ''), args => [map { decode('UTF-8', $_) } @args]);
    same_as_cold($name, $r, \@cold, \&same_form);
}
cmp_ok scalar @cases, '>=', 130, 'at least 130 programs were compared';

# --- a difference: a bare Node.js loses pending output when process.exit() is called --------------------

my $big = run_node("for (let i = 0; i < 5000; i++) console.log('x'.repeat(1000)); process.exit(3);")->{data};
is length $big->{stdout}, 5_005_000, 'console.log and process.exit: no output is lost';
is $big->{exit_code}, 3, 'console.log and process.exit: the exit code is right';
$big = run_node("process.stdout.write('y'.repeat(5000000)); process.stderr.write('z'.repeat(300000)); process.exit(2);")->{data};
is_deeply [length $big->{stdout}, length $big->{stderr}], [5_000_000, 300_000], 'process.stdout.write and process.exit: no output is lost';

# --- denied operations, which fail with Node.js's own errors -------------------------------------------------------------------

my @refused = (
    ['spawn',     "try { require('child_process').spawn('/bin/true') } catch (e) { console.log(e.code, e instanceof Error) }"],
    ['spawnSync', "console.log(require('child_process').spawnSync('/bin/true').error.code)"],
    ['execSync',  "try { require('child_process').execSync('true') } catch (e) { console.log(e.code) }"],
    ['exec',      "try { require('child_process').exec('true') } catch (e) { console.log(e.code) }"],
    ['fork',      "try { require('child_process').fork('./x.js') } catch (e) { console.log(e.code) }"],
    ['listen',    "require('http').createServer().on('error', (e) => console.log(e.code)).listen(0)"],
    ['connect',   "require('net').connect(80, '127.0.0.1').on('error', (e) => console.log(e.code))"],
    ['udp',       "require('dgram').createSocket('udp4').on('error', (e) => console.log(e.code)).bind()"],
    ['fetch',     "fetch('http://127.0.0.1:8080/').catch((e) => console.log(e.cause.code))"],
    ['inspector', "try { require('inspector').open(0) } catch (e) { console.log(e.code) } console.log('EPERM')"],
);
for (@refused) {
    my ($name, $code) = @$_;
    my $d = run_node($code, limits => { processes => 1 })->{data};
    my $error = $name =~ /\A(?:listen|connect|udp|fetch)\z/ ? 'EAFNOSUPPORT' : 'EPERM|EACCES';
    like $d->{stdout}, qr/^(?:$error)\b/m, "denied: $name" or diag "$d->{stdout}$d->{stderr}";
    is $d->{status}, 'ok', "denied: $name: the program continues";
}

# --- random numbers, which a fork server could duplicate -----------------------------------------------------------------

my @random = (
    'console.log(Math.random())',
    'console.log(require("vm").runInNewContext("Math.random()"))',
    'console.log(globalThis.crypto ? globalThis.crypto.randomUUID() : Math.random())',
    'console.log(require("crypto").randomUUID())',
    'console.log(require("crypto").randomBytes(8).toString("hex"))',
    'console.log(require("crypto").randomInt(2 ** 47))',
    'console.log(require("crypto").webcrypto.getRandomValues(new Uint32Array(2)).join())',
    'console.log(require("fs").mkdtempSync("/tmp/x"))',
    'console.log(require("crypto").generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }))',
    'new (require("worker_threads").Worker)("console.log(Math.random())", { eval: true })',
);
for my $code (@random) {
    my @got;
    $cb->many(4, sub { @got < 12 ? { language => 'nodejs', code => $code } : undef }, sub { push @got, $_[1]{data} });
    my %values = map { ($_->{stdout} // '') => 1 } @got;
    delete $values{''};
    is scalar keys %values, scalar @got, "differs from run to run: $code" or diag $got[0]{stderr};
}
my $two = run_node('const { Worker } = require("worker_threads"); console.log(Math.random()); for (const i of [1, 2]) new Worker("console.log(Math.random())", { eval: true })')->{data}{stdout};
my %of_one = map { $_ => 1 } split /\n/, $two;
is scalar keys %of_one, 3, 'Math.random() differs between the threads of a run' or diag $two;

# --- runs leave nothing behind, have no descriptors of ours, and have limits ---------------------------------------------

run_node('require("fs").writeFileSync("left.js", "x"); require("fs").writeFileSync("/tmp/left", "x"); globalThis.left = 1; process.env.LEFT = 1;');
is run_node('console.log(require("fs").readdirSync(".").join(), require("fs").readdirSync("/tmp").join(), typeof left, process.env.LEFT)')->{data}{stdout},
    "main.js  undefined undefined\n", 'a run finds nothing of an earlier run';
my $open = run_node('const fs = require("fs"); let n = 0; for (let fd = 3; fd < 256; fd++) try { const s = fs.fstatSync(fd); if (s.isSocket() || s.isDirectory() || s.isFile()) n++; } catch {} console.log(n)');
is $open->{data}{stdout}, "0\n", 'no file, directory or socket is open';
my @pipes = map { run_node('const fs = require("fs"); const all = []; for (let fd = 3; fd < 256; fd++) try { const s = fs.fstatSync(fd); if (s.isFIFO()) all.push(s.ino); } catch {} console.log(all.join("\\n"))')->{data}{stdout} } 1, 2;
my %of_first = map { $_ => 1 } split /\n/, $pipes[0];
cmp_ok scalar keys %of_first, '>', 0, 'the event loop has pipes';
is join(' ', grep { $of_first{$_} } split /\n/, $pipes[1]), '', 'two guests share no pipe';
is run_node('console.log(process.uptime() < 1, performance.now() < 1000, process.hrtime().length)')->{data}{stdout}, "true true 2\n", 'the clocks start with the run'
    if $major >= 20;
is run_node('console.log(typeof X)', preload => 'var X = 1;')->{data}{stdout}, "number\n", 'a preload runs before the program';
is run_node('console.log(process.env.A, process.env.TZ, new Date(0).getHours())', env => { A => 'b=c', TZ => 'Asia/Tokyo' })->{data}{stdout},
    "b=c Asia/Tokyo 9\n", 'environment variables reach the program, TZ included';

for (['objects', 'const a = []; for (;;) a.push({ x: a.length, y: [a.length] });'],
    ['strings', 'const a = []; for (;;) a.push(JSON.stringify("y".repeat(100000) + a.length));'],
    ['buffers', 'const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1));'],
    ['an array', 'const a = []; for (;;) a.push(1.5, 2.5, 3.5, 4.5);']) {
    my ($what, $code) = @$_;
    my $d = run_node($code)->{data};
    is $d->{status}, 'memory_limit', "memory: $what" or diag substr $d->{stderr}, 0, 500;
}
is run_node('for (;;);', limits => { wall_ms => 300 })->{data}{status}, 'timeout', 'an endless loop ends by a timeout';

$cb->finish;

# --- without a driver for this Node.js: spare interpreters, one for each program ------------------------

my $bare = tempdir('cellblock-prefix-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $bare;
is +(command(['cp', '-a', prefix() . '/.', $bare]))[0], 0, 'the prefix is copied';
unlink "$bare/lib/cellblock/nodejs/engine.so" or die "engine.so: $!";
$cb = Cellblock->start(own => 1, args => ['--prefix', $bare]);
my @spare = grep { $_->[0] =~ /\A(?:arguments|white space|stdin_.*|class.*|error_.*|exit.*|uncaught.*|unhandled.*|timers?.*|require.*|json.*|worker.*)\z/ } @cases;
for my $case (@spare) {
    my ($name, $source, $stdin, @args) = @$case;
    my $text = decode('UTF-8', $source);
    my $r = run_node($text, stdin => decode('UTF-8', $stdin // ''), args => [map { decode('UTF-8', $_) } @args]);
    same_as_cold("spare: $name", $r, [cold(encode_utf8($text), $stdin // '', 'main.js', @args)], \&same_form);
}
cmp_ok scalar @spare, '>=', 15, 'spare: at least 15 programs were compared';
is run_node('console.log(process.env.A)', env => { A => 'b' })->{data}{stdout}, "b\n", 'spare: an environment variable reaches the program';
my %spare_random = map { run_node('console.log(Math.random())')->{data}{stdout} => 1 } 1 .. 4;
is scalar keys %spare_random, 4, 'spare: Math.random() differs from run to run';
my ($listed) = grep { $_->{name} eq 'nodejs' } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
is $listed->{start}, 'spare', 'spare: the list of languages says so';
ok $listed->{available}, 'spare: the language is available';
like $listed->{reason}, qr/engine\.so/, 'spare: the list says why there is no zygote';
is $cb->get('/v1/sandbox/capabilities')->{data}{languages}{nodejs}, 'spare', 'spare: the capabilities say so';
is $cb->get('/health', key => undef)->{status}, 200, 'spare: the service is healthy';
like $cb->log_text, qr/nodejs: programs are run by interpreters that are started ahead, one for each: .*engine\.so/, 'spare: the log says why';
$cb->finish;
done_testing;
