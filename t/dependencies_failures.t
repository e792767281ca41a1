# Builds of packages that fail: a limit, a full disk, a death, no network. Each keeps the set in
# use, leaves nothing of the new one, and its reply says why.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually skip_all slurp spew);
use Packages qw(wheel);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

skip_all('bubblewrap makes no cell here')
    if (command([qw(bwrap --unshare-all --ro-bind / / true)]))[0] != 0;

my $archives = tempdir('cellblock-archives-XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $archives;
wheel($archives, 'cbgood', '1.0', 'cbgood.py' => "NAME = 'good'\n");
wheel($archives, 'cblarge', '1.0', 'cblarge.py' => '#' x (6 << 20));

# A source package, whose own code builds it.
sub source_package {
    my ($name, $code) = @_;
    my $source = tempdir(CLEANUP => 1);
    mkdir "$source/$name-1.0";
    spew("$source/$name-1.0/setup.py", "$code\nimport setuptools\nsetuptools.setup(name='$name', version='1.0')\n");
    command(['tar', '-C', $source, '-czf', "$archives/$name-1.0.tar.gz", "$name-1.0"]);
    return;
}
# Ends when the test makes the file "go"; the test sees by its process that it has begun.
source_package('cbwaits', <<"END");
import os, time
until = time.monotonic() + 60
while not os.path.exists("$archives/go") and time.monotonic() < until:
    time.sleep(0.02)
raise SystemExit("cbwaits has ended")
END
source_package('cbgreedy', "x = bytearray(600 << 20)");
source_package('cbcrowd', <<'END');
import os, signal
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(80 << 20)
        x[::4096] = b"x" * len(x[::4096])
        signal.pause()
signal.pause()
END

my $cb = Cellblock->start(own => 1,
    conf => [
        ['cellblock.conf', qr{#archives = "/srv/wheels"}, qq(archives = "$archives")],
        # Nobody listens there.
        ['cellblock.conf', qr{#index_url = "[^"]*"}, 'index_url = "http://127.0.0.1:1/simple"'],
        ['cellblock.conf', qr/(?<=\n)\tmemory_bytes = 2147483648;/, "\tmemory_bytes = 200000000;"],
    ],
    allow => [qr/Traceback/, qr/deps/]);
my $sets = "$cb->{dir}/dependencies/python3";
my $config = "$cb->{dir}/live/conf/cellblock.conf";
my $shipped = slurp($config);

sub name_packages {
    spew("$cb->{dir}/live/conf/dependencies/python3/requirements.txt", join '', map {"$_\n"} @_);
    return;
}

sub configure {
    my ($pattern, $text) = @_;
    my $changed = $shipped =~ s/$pattern/$text/r;
    die "the configuration has no $pattern" if $changed eq $shipped;
    return spew($config, $changed);
}

# The archives are enough, except where the network is the subject.
sub offline { return configure(qr/(?<=\n)\tnetwork = "host";/, "\tnetwork = \"none\";") }

sub refresh { return $cb->get('/v1/sandbox/dependencies/refresh?language=python3') }

# The same in a child. Returns its pid and the file that gets the reply.
sub refresh_meanwhile {
    my $reply = File::Temp->new;
    my $pid = fork // die "fork: $!";
    return ($pid, $reply) if $pid;
    { no warnings 'exec'; exec 'curl', '-s', '-m', '120', '-o', "$reply", '-H', "X-Api-Key: $cb->{key}", "$cb->{url}/v1/sandbox/dependencies/refresh?language=python3" }
    POSIX::_exit(1);
}

# The pids of the processes whose command line matches.
sub pids_of {
    my ($pattern) = @_;
    my %all = Cellblock::all_processes();
    return grep { $all{$_}{cmdline} =~ $pattern } keys %all;
}

sub installers { return pids_of(qr{^/usr/bin/bwrap .*\Q$cb->{dir}\E}) }
sub server { return (pids_of(qr{cellblock-deps -c \Q$cb->{dir}\E.*--serve}))[0] }
sub is_waiting { return !!grep { (slurp("/proc/$_/cmdline") // '') =~ /setup\.py/ } pids_of(qr/setup\.py/) }

sub python {
    my $reply = $cb->run(code => $_[0]);
    return ($reply->{data}{stdout} // $reply->{body}) . ($reply->{data}{error} // '');
}

sub failure_ok {
    my ($reply, $pattern, $name) = @_;
    envelope_ok($reply, 422, -422, $name);
    like $reply->{json}{message}, qr/^the build failed, and the old set stays in use: /, "$name: the reply says what happened";
    like $reply->{json}{message}, $pattern, "$name: and why";
    return old_set_ok($name);
}

sub old_set_ok {
    my ($name) = @_;
    is python('import cbgood; print(cbgood.NAME)'), "good\n", "$name: runs have the old set";
    my ($current) = readlink "$sets/current";
    my @left = grep { $_ ne $current } map { m{([^/]+)\z} } glob "$sets/set-*";
    return is "@left", '', "$name: nothing of the new set is left";
}

offline();
name_packages('cbgood');
envelope_ok(refresh(), 200, 0, 'a good build');
is python('import cbgood; print(cbgood.NAME)'), "good\n", 'a good build: runs have the set';

subtest 'limits' => sub {
    name_packages('cbgreedy');
    failure_ok(refresh(), qr/exit status 1; it got no more memory than dependencies\.memory_bytes, 200000000\n.*MemoryError/s, 'one process with too much memory');
    name_packages('cbcrowd');
    failure_ok(refresh(), qr/it took more memory than dependencies\.memory_bytes, 200000000 \(190\.7 MiB\)/, 'many processes with too much memory');
    ok eventually(10, sub { !installers() }), 'many processes with too much memory: all of them are dead' or diag join ' ', installers();
    name_packages('cbwaits');
    spew($config, slurp($config) =~ s/build_ms = 900000;/build_ms = 3000;/r);
    failure_ok(refresh(), qr/it took longer than dependencies\.build_ms, 3000 \(3 s\)/, 'a build that takes too long');
    offline();
};

subtest 'no network' => sub {
    spew($config, $shipped);
    name_packages('cbnowhere');
    failure_ok(refresh(), qr/Connection refused.*No matching distribution found for cbnowhere/s, 'no network');
    offline();
};

subtest 'a full disk' => sub {
    return plan skip_all => 'needs root' if $> != 0;
    my @owner = (stat $sets)[4, 5];
    # As much as the set in use has, and half of the next one.
    command(['cp', '-a', "$sets", "$cb->{dir}/kept"]);
    my $size = (split ' ', (command(['du', '-sk', $sets]))[1])[0] + 3000;
    my ($exit, undef, $why) = command(['mount', '-t', 'tmpfs', '-o', "size=${size}k,mode=0755,uid=$owner[0],gid=$owner[1]", 'full', $sets]);
    return plan skip_all => "no file system can be mounted: $why" if $exit != 0;
    command(['cp', '-a', "$cb->{dir}/kept/.", $sets]);
    name_packages('cblarge');
    my $reply = refresh();
    envelope_ok($reply, 422, -422, 'a full disk');
    like $reply->{json}{message}, qr/No space left on device/, 'a full disk: the reply says so';
    is join(' ', map { m{([^/]+)\z} } glob "$sets/set-*"), readlink "$sets/current", 'a full disk: nothing of the new set is left';
    # Lazily: the runner has noticed the change of its set, and uses the one on this disk.
    is((command(['umount', '-l', $sets]))[0], 0, 'the disk is taken away');
    command(['rm', '-rf', "$cb->{dir}/kept"]);
    old_set_ok('a full disk');
};

subtest 'a killed installer' => sub {
    name_packages('cbwaits');
    my ($pid, $file) = refresh_meanwhile();
    ok eventually(30, sub { is_waiting() }), 'the installer runs';
    kill 9, installers();
    waitpid $pid, 0;
    my $reply = Cellblock::json()->decode(slurp("$file") || '{}');
    is $reply->{code}, -422, 'a killed installer: the code';
    like $reply->{message} // '', qr/it was killed by signal 9/, 'a killed installer: the reply says so';
    ok eventually(10, sub { !is_waiting() }), 'a killed installer: what it had started is dead';
    old_set_ok('a killed installer');
};

subtest 'a killed cellblock-deps' => sub {
    name_packages('cbwaits', '# once more');
    my ($pid, $file) = refresh_meanwhile();
    ok eventually(30, sub { is_waiting() }), 'the installer runs';
    my $server = server();
    ok $server && kill(9, $server), 'cellblock-deps is killed';
    waitpid $pid, 0;
    my $reply = Cellblock::json()->decode(slurp("$file") || '{}');
    is $reply->{code}, -503, 'a killed cellblock-deps: the code of the reply' or diag slurp("$file");
    ok eventually(10, sub { !is_waiting() }), 'a killed cellblock-deps: its installer is dead';
    is python('import cbgood; print(cbgood.NAME)'), "good\n", 'a killed cellblock-deps: runs have the old set';
    name_packages('cbgood', '# another text');
    ok eventually(30, sub { $cb->get('/v1/sandbox/dependencies')->{status} == 200 }), 'it is started again';
    envelope_ok(refresh(), 200, 0, 'the next refresh works');
    is scalar(grep { !-d "$_/lib" } glob "$sets/set-*"), 0, 'what the dead one had begun is removed';
};

subtest 'two refreshes of requirements that fail' => sub {
    name_packages('cbwaits', '# two of them');
    my @first = refresh_meanwhile();
    ok eventually(30, sub { is_waiting() }), 'the first one builds';
    my @second = refresh_meanwhile();
    my $server = server();
    ok eventually(30, sub { (slurp('/proc/locks') // '') =~ /^\d+: -> FLOCK .* $server /m }), 'the second one waits for it';
    spew("$archives/go", '');
    my @messages = map { waitpid $_->[0], 0; (Cellblock::json()->decode(slurp("$_->[1]") || '{}'))->{message} } \@first, \@second;
    like $messages[0], qr/cbwaits has ended/, 'the first one has the reason';
    is $messages[1], $messages[0], 'the second one has the same, without a build of its own';
};

name_packages('cbgood');
spew($config, $shipped);
$cb->finish;
done_testing;
