# The packages of runs: named in a requirements file, installed by the real pip and npm, and
# switched to while clients send runs. A build that fails keeps the old set and says why.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually missing skip_all slurp spew);
use Packages qw(tarball wheel);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

skip_all('bubblewrap makes no cell here')
    if (command([qw(bwrap --unshare-all --ro-bind / / true)]))[0] != 0;

my $archives = tempdir('cellblock-archives-XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $archives;
for my $version (1, 2) {
    wheel($archives, 'cbdemo', "$version.0", 'cbdemo/__init__.py' => "VERSION = $version\n", 'cbdemo/data.txt' => "data $version\n",
        'cbdemo/command.py' => "def main():\n    print('command $version')\n",
        'entry_points.txt' => "[console_scripts]\ncbdemo = cbdemo.command:main\n");
}
wheel($archives, 'cbspace_a', '1.0', 'cbspace/a.py' => "NAME = 'a'\n");
wheel($archives, 'cbspace_b', '1.0', 'cbspace/b.py' => "NAME = 'b'\n");
# A package that warns its importer is never on the shelf, and so are all of its parts.
wheel($archives, 'cbwarns', '1.0', 'cbwarns/__init__.py' => "import warnings\nwarnings.warn('old')\n",
    map { ("cbwarns/part$_.py" => "NUMBER = $_\n") } 1 .. 12);
wheel($archives, 'cblarge', '1.0', 'cblarge.py' => '#' x (3 << 20));
# A source package is built by its own code, so this one is an attack on the installer's cell.
my $source = tempdir(CLEANUP => 1);
mkdir "$source/cbattack-1.0";
spew("$source/cbattack-1.0/setup.py", <<'END');
import glob, os, setuptools, socket
seen = []
for path in ["/etc/shadow", "/root", "/home", "/var/lib", "/run", "/proc/1/root/etc/shadow"] + glob.glob("/var/tmp/*/conf"):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).read()
        seen.append(path)
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "22"))), 2)
    seen.append("network")
except OSError:
    pass
others = [pid for pid in os.listdir("/proc") if pid.isdigit() and "supervisord" in open(f"/proc/{pid}/comm").read()]
for place in "/usr", "/etc", "/packages":
    try:
        open(f"{place}/written", "w").close()
        seen.append(f"writes to {place}")
    except OSError:
        pass
raise SystemExit(f"ATTACK seen={seen} processes={others}")
END
command(['tar', '-C', $source, '-czf', "$archives/cbattack-1.0.tar.gz", 'cbattack-1.0']);

my $cb = Cellblock->start(own => 1,
    conf => [
        ['cellblock.conf', qr/network = "host";/, 'network = "none";'],
        ['cellblock.conf', qr{#archives = "/srv/wheels"}, qq(archives = "$archives")],
        ['cellblock.conf', qr/(?<=\n)\tbytes = \d+;/, "\tbytes = 2000000;"],
        ['languages/python3.conf', qr/(?="\?requests", "\?yaml", "\?pydantic\.main")/, join '', map {"\"?cbwarns.part$_\", "} 1 .. 12],
    ],
    keys => { plain => 'plain-key-123456' },
    allow => [qr/Traceback/]);

# The requirements in force. An operator edits DIR/conf and reloads.
sub requirements { return "$cb->{dir}/live/conf/dependencies/$_[0]" }

sub refresh {
    my ($language, %option) = @_;
    return $cb->get("/v1/sandbox/dependencies/refresh?language=$language", %option);
}

sub versions {
    my ($reply) = @_;
    return { map { $_->{name} => $_->{version} } @{ $reply->{data}{dependencies} || [] } };
}

sub python {
    my ($code, %field) = @_;
    my $reply = $cb->run(code => $code, %field);
    return ($reply->{data}{stdout} // $reply->{body}) . ($reply->{data}{error} // '');
}

# Send a request in a child, with more arguments for curl. Returns its pid; it exits with 0 after a
# good answer.
sub send_request {
    my ($path, @args) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    { no warnings 'exec'; exec 'curl', '-sf', '-o', '/dev/null', '-H', "X-Api-Key: $cb->{key}", @args, "$cb->{url}/v1/sandbox/dependencies/$path" }
    POSIX::_exit(1);
}

subtest 'without requirements' => sub {
    my $reply = $cb->get('/v1/sandbox/dependencies?language=python3');
    envelope_ok($reply, 200, 0, 'the list');
    ok versions($reply)->{Jinja2}, 'it has the packages of the host';
    envelope_ok($cb->get('/v1/sandbox/dependencies'), 200, 0, 'python3 is the language of a request that names none');
    is_deeply versions(refresh('python3')), versions($reply), 'a refresh has nothing to do';
    ok !-e "$cb->{dir}/dependencies/python3/current", 'and makes no set';
    envelope_ok($cb->get('/v1/sandbox/dependencies?language=nodejs'), 200, 0, 'the list of nodejs');
};

subtest 'a package that cannot be on the shelf' => sub {
    spew(requirements('python3/requirements.txt'), "cbwarns\n");
    envelope_ok(refresh('python3'), 200, 0, 'it is installed');
    my $has_shelf = 'import sys, _frozen_importlib as f; print(type(f._find_and_load).__name__)';
    ok eventually(60, sub { python($has_shelf) =~ /^builtin/ }), 'a zygote has a shelf';
    unlike $cb->log_text, qr/a zygote could not start/, '... and all zygotes start';
    my $reply = $cb->run(code => 'import cbwarns.part7, cbwarns.part12; print(cbwarns.part12.NUMBER)');
    is $reply->{data}{stdout}, "12\n", 'a program imports it' or diag $reply->{body};
    like $reply->{data}{stderr}, qr/UserWarning: old/, '... and is warned';
    spew(requirements('python3/requirements.txt'), "");
    envelope_ok(refresh('python3'), 200, 0, 'it is removed');
};

subtest 'bad requests' => sub {
    for (['bash', qr/^language: bash has no packages/], ['nope', qr/^language: nope/], ['', qr/^language: /]) {
        my $reply = $cb->get("/v1/sandbox/dependencies?language=$_->[0]");
        envelope_ok($reply, 400, -400, "language '$_->[0]'");
        like $reply->{json}{message}, $_->[1], 'the message names it';
    }
    envelope_ok($cb->get('/v1/sandbox/dependencies', key => 'wrong'), 401, -401, 'a wrong key');
    envelope_ok($cb->get('/v1/sandbox/dependencies/refresh', key => 'plain-key-123456'), 403, -403, 'a refresh is for operators');
    envelope_ok($cb->get('/v1/sandbox/dependencies', key => 'plain-key-123456'), 200, 0, 'the list is for all keys');
    envelope_ok($cb->get('/v1/sandbox/dependencies/update'), 405, -405, 'an update is a POST');
    envelope_ok($cb->request('POST', '/v1/sandbox/dependencies/update', content => '[1]'), 400, -400, 'a body that is no object');
    envelope_ok($cb->request('POST', '/v1/sandbox/dependencies/update', content => '{"language": 3}'), 400, -400, 'a language that is no string');
    envelope_ok($cb->request('POST', '/v1/sandbox/dependencies/update', content => $_->[1]), 400, -400, "a body with $_->[0]")
        for ['a NUL only', "\0"], ['a NUL in a name', '{"language": "python3\u0000"}'];
    envelope_ok($cb->request('POST', '/v1/sandbox/dependencies/update', content => 'x' x 5000), 413, -413, 'a long body');
};

subtest 'pip' => sub {
    spew(requirements('python3') . '/requirements.txt', "# one\ncbdemo == 1.0\ncbspace-a\ncbspace-b\n");
    my $reply = refresh('python3');
    envelope_ok($reply, 200, 0, 'refresh');
    is versions($reply)->{cbdemo}, '1.0', 'the reply lists the new package';
    like python('import cbdemo; print(cbdemo.VERSION)'), qr/^1\n/, 'the next run imports it';
    is python("import cbspace.a, cbspace.b\nprint(cbspace.a.NAME + cbspace.b.NAME)"), "ab\n", 'two packages with one namespace';
    is python("import importlib.resources\nprint(importlib.resources.files('cbdemo').joinpath('data.txt').read_text(), end='')"), "data 1\n",
        'a data file';
    is python('import importlib.metadata as m; print([e.value for e in m.distribution("cbdemo").entry_points])'), "['cbdemo.command:main']\n",
        'its metadata';
    is python("import runpy, sys\nsys.argv = ['cbdemo']\nrunpy.run_path('/packages/python3/bin/cbdemo', run_name='__main__')"), "command 1\n", 'a console script';
    like python("open('/packages/python3/lib/x', 'w')"), qr/Read-only file system/, 'no run can write to a set';
    is python("import jinja2; print(jinja2.__name__)"), "jinja2\n", 'the packages of the host stay';
    my $writable = join ' ', (command(['find', "$cb->{dir}/dependencies/python3/set-1", '!', '-type', 'l', '-perm', '/222']))[1];
    is $writable, '', 'nobody can write to a file of the set';
};

subtest 'npm' => sub {
    my $one = tarball($archives, 'cb-one', '1.2.3', {}, 'index.js' => "module.exports = 'one';\n");
    my $esm = tarball($archives, 'cb-esm', '2.0.0', { type => 'module', exports => './index.js' }, 'index.js' => "export default 'esm';\n");
    spew(requirements('nodejs') . '/package.json', Cellblock::json()->encode({ private => \1, dependencies => { 'cb-one' => $one, 'cb-esm' => $esm } }));
    my $reply = refresh('nodejs');
    envelope_ok($reply, 200, 0, 'refresh');
    is versions($reply)->{'cb-one'}, '1.2.3', 'the reply lists the new package';
    my $run = $cb->run(language => 'nodejs', code => "console.log(require('cb-one'));\nimport('cb-esm').then((m) => console.log(m.default));");
    is $run->{data}{stdout}, "one\nesm\n", 'require and import' or diag $run->{body};
    spew(requirements('nodejs') . '/package.json', '{');
    $reply = refresh('nodejs');
    envelope_ok($reply, 422, -422, 'a package.json that is not JSON');
    like $reply->{json}{message}, qr/package\.json: is not a JSON object/, 'the message says so';
    is $cb->run(language => 'nodejs', code => "console.log(require('cb-one'))")->{data}{stdout}, "one\n", 'the old set stays in use';
} if -x '/usr/bin/npm' || missing('npm');

subtest 'failures keep the old set' => sub {
    my $file = requirements('python3') . '/requirements.txt';
    my $before = readlink "$cb->{dir}/dependencies/python3/current";
    for (['no-such-package-cb', qr/No matching distribution found for no-such-package-cb/, 'a package that is not there'],
        ['== 3', qr/Invalid requirement/, 'a line that is no requirement'],
        ['cblarge', qr/dependencies\.bytes|File too large/, 'a set that is too large'],
        ['cbattack', qr/ATTACK seen=\[\] processes=\[\]/, 'the code of a package reaches nothing of the host']) {
        spew($file, "$_->[0]\n");
        my $reply = refresh('python3');
        envelope_ok($reply, 422, -422, $_->[2]);
        like $reply->{json}{message}, $_->[1], "$_->[2]: the reply says why";
        like python('import cbdemo; print(cbdemo.VERSION)'), qr/^1\n/, "$_->[2]: runs have the old set";
    }
    is readlink "$cb->{dir}/dependencies/python3/current", $before, 'no failure has switched';
};

subtest 'a run that needs packages' => sub {
    my $needs = sub {
        my ($language, $dependencies, %field) = @_;
        return $cb->run(language => $language, dependencies => $dependencies, strict => \1, code => 'console.log(1)', %field)->{data} || {};
    };
    my @code = (code => "import sys\nprint(sorted(m for m in ('importlib.metadata', 'json', 're') if m in sys.modules))");
    my %good = (
        'names'                            => ['cbdemo', 'Jinja2'],
        'a name and its version'           => [{ name => 'cbdemo', version => '1.0' }],
        'no version is any version'        => [{ name => 'cbdemo', version => '' }, { name => 'cbdemo', version => undef }],
        'another spelling of a name'       => ['CBspace_A', 'cbspace.b', 'jinja2'],
        'modules of the standard library, which old clients list' => ['json', 'xml', 'math', '_sqlite3'],
    );
    for (sort keys %good) {
        my $data = $needs->('python3', $good{$_}, @code);
        is $data->{stdout}, "[]\n", "$_: the program runs, and finds nothing imported" or diag explain $data;
    }
    my %bad = (
        'a package that is missing'  => [['cbdemo', 'cbother'], 'cbother is not installed'],
        'another version'            => [[{ name => 'cbdemo', version => '2.0' }], 'cbdemo 2.0 is not installed, but 1.0 is'],
        'a version of a module'      => [[{ name => 'json', version => '2.0' }], 'json is not installed'],
    );
    for (sort keys %bad) {
        my $data = $needs->('python3', $bad{$_}[0], preload => 'print("began")', code => 'print("began")');
        is_deeply [@{$data}{qw(status exit_code stdout error)}],
            ['exit', 127, '', "process exited with code 127\nerror: dependencies: $bad{$_}[1]\n"], "$_: nothing of the program runs";
    }
    my $data = $cb->run(code => 'print(1)', dependencies => [{ name => 'cbother', version => '1' }, 3])->{data};
    is $data->{stdout}, "1\n", 'without strict the field is ignored';
    my $reply = $cb->run(code => 'print(1)', dependencies => [3], strict => \1);
    envelope_ok($reply, 400, -400, 'a malformed list');
    like $reply->{json}{message}, qr/^dependencies\[0\]: /, 'the message names the element';
    my $host = versions($cb->get('/v1/sandbox/dependencies?language=python3'));
    my @wrong = grep { $needs->('python3', [{ name => $_, version => $host->{$_} }], code => 'print(1)')->{stdout} ne "1\n" } sort keys %$host;
    is "@wrong", '', 'every package that is listed is installed';
    SKIP: {
        my $why = missing('npm', -x '/usr/bin/npm');
        skip $why, 1 if $why;
        is $needs->('nodejs', ['cb-one', { name => 'cb-esm', version => '2.0.0' }, 'fs'], code => 'console.log(1)')->{stdout}, "1\n",
            'nodejs: packages that are there, and modules of Node itself';
        is $needs->('nodejs', [{ name => 'cb-one', version => '9.0.0' }])->{error},
            "process exited with code 127\nerror: dependencies: cb-one 9.0.0 is not installed, but 1.2.3 is\n", 'nodejs: another version';
        is $needs->('nodejs', ['@cb/none'])->{error},
            "process exited with code 127\nerror: dependencies: \@cb/none is not installed\n", 'nodejs: a package that is missing';
    }
};

subtest 'a switch under load' => sub {
    spew(requirements('python3') . '/requirements.txt', "cbdemo == 2.0\n");
    my ($child, %seen, @bad, $ended) = ();
    $cb->many(8, sub {
        $child //= send_request('refresh?language=python3');
        if (!$ended && waitpid($child, POSIX::WNOHANG()) == $child) {
            is $?, 0, 'refresh';
            $ended = time;
        }
        return if $ended && time > $ended + 1;
        return { code => "import cbdemo\nprint(cbdemo.VERSION, open(cbdemo.__path__[0] + '/data.txt').read())" };
    }, sub {
        my (undef, $reply) = @_;
        my $out = $reply->{data}{stdout} // "$reply->{status} $reply->{body}";
        $seen{$out}++;
        push @bad, $out if $out !~ /^(1 data 1|2 data 2)\n\n\z/;
    }, 200);
    is "@bad[0 .. ($#bad < 3 ? $#bad : 3)]", '', 'each run sees the old set or the new one, whole';
    ok $seen{"1 data 1\n\n"} && $seen{"2 data 2\n\n"}, 'both were seen' or diag explain \%seen;
    like python('import cbdemo; print(cbdemo.VERSION)'), qr/^2\n/, 'the new set is in use';
    like python('import cbspace'), qr/ModuleNotFoundError/, 'a package that is no longer named is gone';
};

subtest 'a switch while the old generation is slow' => sub {
    my ($door) = @{ { $cb->roles }->{runner} };
    my $served = () = slurp("$cb->{dir}/log/runner.log") =~ /generation \d+ serves;/g;
    spew(requirements('python3') . '/requirements.txt', "cbdemo == 1.0\n");
    kill 'STOP', $door;
    my $pid = send_request('refresh?language=python3');
    ok eventually(60, sub { $served < (() = slurp("$cb->{dir}/log/runner.log") =~ /generation \d+ serves;/g) }), 'a new generation serves';
    ok !eventually(1, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }), 'there is no answer while runs may come to the old one';
    kill 'CONT', $door;
    waitpid $pid, 0;
    is $?, 0, 'the answer comes';
    like python('import cbdemo; print(cbdemo.VERSION)'), qr/^1\n/, 'and a run right after it has the new set';
};

subtest 'two updates at once' => sub {
    my @pids = map { send_request('update?language=python3', '-X', 'POST') } 1, 2;
    for (@pids) { waitpid $_, 0; is $?, 0, 'an update is answered' }
    my $log = slurp("$cb->{dir}/log/deps.log");
    like $log, qr/another request has built this set/, 'the second one joined the first';
};

subtest 'the command' => sub {
    my @deps = (Cellblock::prefix() . '/bin/cellblock-deps', '-c', "$cb->{dir}/live/conf/cellblock.conf");
    my ($exit, $out, $err) = command([@deps, 'python3', 'list']);
    is $exit, 0, 'list' or diag $err;
    like $out, qr/^cbdemo 1\.0$/m, 'it prints names and versions';
    is((command([@deps, 'python3', 'check']))[0], 0, 'check: the set fits');
    spew(requirements('python3') . '/requirements.txt', "cbdemo == 2.0\n");
    ($exit, $out, $err) = command([@deps, 'python3', 'check']);
    is $exit, 1, 'check: the requirements have changed';
    like $err, qr/requirements have changed/, 'and it says so';
    ($exit, $out) = command([@deps, 'python3', 'refresh']);
    is $exit, 0, 'refresh';
    ok eventually(30, sub { python('import cbdemo; print(cbdemo.VERSION)') =~ /^2\n/ }), 'runs have the set soon';
    ($exit, undef, $err) = command([@deps, 'bash', 'list']);
    is $exit, 2, 'a language without packages';
    like $err, qr/bash: is no language with packages; those are: nodejs python3/, 'and it names the others';
    is((command([@deps, 'python3', 'nonsense']))[0], 2, 'an unknown word');
    is((command([@deps]))[0], 2, 'no words');
};

subtest 'a list is kept for a moment' => sub {
    my @pids = map { my $pid = fork // die "fork: $!"; if (!$pid) {
        { no warnings 'exec'; exec 'curl', '-sf', '-o', '/dev/null', '-H', "X-Api-Key: $cb->{key}", map { "$cb->{url}/v1/sandbox/dependencies?language=nodejs&n=$_" } 1 .. 50 }
        POSIX::_exit(1) } $pid } 1 .. 8;
    my %seen;
    eventually(60, sub {
        my %all = Cellblock::all_processes();
        $seen{$_} = 1 for grep { $all{$_}{cmdline} =~ m{^/usr/bin/bwrap .*/packages/nodejs} } keys %all;
        return !grep { kill 0, $_ } map { waitpid($_, POSIX::WNOHANG()) == $_ ? () : $_ } @pids;
    });
    cmp_ok scalar keys %seen, '<=', 6, 'a flood of requests starts an interpreter now and then';
};

subtest 'no cell, no installation' => sub {
    my $user = getpwnam 'cellblock-deps' or return plan skip_all => 'the owner of the sets is another user';
    my $file = requirements('python3') . '/requirements.txt';
    my ($before, $current) = (slurp($file), readlink "$cb->{dir}/dependencies/python3/current");
    spew($file, "cbdemo == 1.0\n");
    # A user namespace in which no other can be made, and in which the command has no power.
    my ($exit, undef, $err) = command(['setpriv', '--reuid', 'cellblock-deps', '--regid', 'cellblock-fcgi', '--clear-groups', 'unshare', '--user',
        '--map-current-user', '--keep-caps', 'sh', '-c', 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"', 'sh',
        Cellblock::prefix() . '/bin/cellblock-deps', '-c', "$cb->{dir}/live/conf/cellblock.conf", 'python3', 'refresh']);
    is $exit, 1, 'a cell that cannot be made: exit 1';
    like $err, qr/the build failed.*\nbwrap: /s, 'bubblewrap says why';
    is readlink "$cb->{dir}/dependencies/python3/current", $current, 'the old set stays';
    spew($file, $before);
};

subtest 'the set goes with the last requirement' => sub {
    spew(requirements('python3') . '/requirements.txt', "# nothing\n");
    envelope_ok(refresh('python3'), 200, 0, 'refresh');
    like python('import cbdemo'), qr/ModuleNotFoundError/, 'the package is gone';
    ok !-e "$cb->{dir}/dependencies/python3/current", 'there is no set';
};

subtest 'a killed installer' => sub {
    spew(requirements('python3') . '/requirements.txt', "cbdemo == 2.0\n");
    my $pid = send_request('refresh?language=python3');
    my %all;
    ok eventually(30, sub {
        %all = Cellblock::all_processes();
        my ($bwrap) = grep { $all{$_}{cmdline} =~ m{^/usr/bin/bwrap .*\Q$cb->{dir}\E} } keys %all;
        return $bwrap && kill 9, $bwrap;
    }), 'the installer is killed';
    waitpid $pid, 0;
    my $reply = refresh('python3');
    envelope_ok($reply, 200, 0, 'the next refresh works');
    is versions($reply)->{cbdemo}, '2.0', 'and has the package';
};

$cb->finish;
done_testing;
