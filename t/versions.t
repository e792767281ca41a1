# Several versions of a language side by side: each has a file, a name and packages of its own, and
# the name of the family stands for the default.
#
# CELLBLOCK_TEST_PYTHONS names more Pythons, separated by colons. Without it a second language file
# names the same one.
use strict;
use warnings;
use Cellblock qw(command envelope_ok eventually root slurp spew);
use Packages qw(wheel);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $shipped = slurp(root() . '/etc/languages/python3.conf');
my $nodejs = slurp(root() . '/etc/languages/nodejs.conf');

sub version_of {
    my ($interpreter) = @_;
    my ($exit, $out) = command([$interpreter, '-I', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
    die "$interpreter: no version" if $exit != 0;
    chomp $out;
    return $out;
}

my $usual = '/usr/bin/python3';
my $usual_name = 'python' . version_of($usual);
my %other = map { ('python' . version_of($_) => $_) } split /:/, $ENV{CELLBLOCK_TEST_PYTHONS} // '';
delete $other{$usual_name};
$other{'python3.other'} = $usual if !%other;

# The file of another version sleeps until it is used, and keeps little ready.
sub language_file {
    my ($text, $name, $family, $interpreter) = @_;
    $text =~ s/^name = .*/name = "$name";\nfamily = "$family";/m or die;
    $text =~ s/^aliases = .*//m or die;
    $text =~ s{"/usr/bin/(?:python3|node)"}{"$interpreter"}g;
    $text =~ s/^idle_s = \d+;/idle_s = 600;/m or die;
    $text =~ s/^(\t\t)armed = \d+;/$1armed = 1;/mg;
    return $text =~ s/^(\t\t)zygotes = \d+;/$1zygotes = 1;/mgr;
}

my $archives = tempdir('cellblock-archives-XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $archives;
wheel($archives, 'cbdemo', "$_.0", 'cbdemo.py' => "VERSION = $_\n") for 1 .. 2;

my $has_node = -x '/usr/bin/node';
my $cb = Cellblock->start(own => 1,
    conf => [
        ['cellblock.conf', qr{#archives = "/srv/wheels"}, qq(archives = "$archives")],
        ['cellblock.conf', qr/(?<=\n)\tnetwork = "host";/, "\tnetwork = \"none\";"],
        ['languages/python3.conf', qr/^name = "python3";\n/m, "name = \"$usual_name\";\nfamily = \"python3\";\n"],
        ['languages/python3.conf', qr/^aliases = \["python"\]/m, 'aliases = ["python3", "python"]'],
        (map { ["languages/$_.conf", undef, language_file($shipped, $_, 'python3', $other{$_})] } sort keys %other),
        $has_node ? ['languages/nodejs-other.conf', undef, language_file($nodejs, 'nodejs-other', 'nodejs', '/usr/bin/node')] : (),
    ]);

sub output {
    my (%field) = @_;
    my $reply;
    # A language that wakes up may take longer than a run waits, on a busy machine.
    eventually(120, sub { $reply = $cb->run(%field); return $reply->{status} != 503 });
    return ($reply->{data}{stdout} // $reply->{body}) . ($reply->{data}{error} // '');
}

my %listed = map { $_->{name} => $_ } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
is_deeply [sort grep { $listed{$_}{family} eq 'python3' } keys %listed], [sort $usual_name, keys %other], 'the family has all versions';
is_deeply [grep { $listed{$_}{default} && $listed{$_}{family} eq 'python3' } keys %listed], [$usual_name], 'one of them is the default';
is_deeply [grep { $listed{$_}{family} ne $_ } grep { !/^(python|nodejs)/ } keys %listed], [], 'any other language is a family of its own';
ok $listed{$_}{available}, "$_ is available" or diag $listed{$_}{reason} for $usual_name, sort keys %other;

my $print_version = 'import sys; print("%d.%d" % sys.version_info[:2])';
is output(language => $_, code => $print_version), version_of($usual) . "\n", "$_ is the default" for $usual_name, qw(python3 python PYTHON3);
for my $name (sort keys %other) {
    is output(language => $name, code => $print_version), version_of($other{$name}) . "\n", "$name: its version";
    is output(language => $name, code => "import json, decimal, asyncio, dataclasses\nprint(json.dumps([1]), asyncio.run(asyncio.sleep(0, 2)))"), "[1] 2\n", "$name: imports";
    like output(language => $name, code => "def f():\n    1/0\nf()"), qr/Traceback.*"\/box\/main\.py", line 3.*line 2, in f.*ZeroDivisionError/s, "$name: a traceback";
    my %now = map { $_->{name} => $_ } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    is "$now{$name}{start} $now{$name}{reason}", 'zygote ', "$name: it is forked from a zygote";
    like $now{$name}{version}, qr/^\Q@{[ version_of($other{$name}) ]}\E\b/, "$name: the list has its version";
}

SKIP: {
    skip 'bubblewrap makes no cell here', 1 if (command([qw(bwrap --unshare-all --ro-bind / / true)]))[0] != 0;
    my ($name) = sort keys %other;
    subtest 'packages of each version' => sub {
        my %wanted = ($usual_name => '1.0', $name => '2.0');
        for (sort keys %wanted) {
            make_path("$cb->{dir}/live/conf/dependencies/$_");
            spew("$cb->{dir}/live/conf/dependencies/$_/requirements.txt", "cbdemo == $wanted{$_}\n");
            my $reply = $cb->get("/v1/sandbox/dependencies/refresh?language=$_");
            envelope_ok($reply, 200, 0, "$_: refresh");
            my ($package) = grep { $_->{name} eq 'cbdemo' } @{ $reply->{data}{dependencies} };
            is $package->{version}, $wanted{$_}, "$_: the list has its package";
        }
        my $import = "import cbdemo\nprint(cbdemo.VERSION, cbdemo.__file__)";
        like output(language => 'python3', code => $import), qr{^1 /packages/\Q$usual_name\E/}, 'the default has its own set';
        like output(language => $name, code => $import), qr{^2 /packages/\Q$name\E/}, 'the other one has its own';
        my $reply = $cb->get('/v1/sandbox/dependencies');
        is((grep { $_->{name} eq 'cbdemo' } @{ $reply->{data}{dependencies} })[0]{version}, '1.0', 'the list without a language is that of the default');
        is output(language => 'python3', code => 'print(1)', strict => \1, dependencies => [{ name => 'cbdemo', version => '1.0' }]), "1\n",
            'a run of the default finds the package that it needs';
        like output(language => $name, code => 'print(1)', strict => \1, dependencies => [{ name => 'cbdemo', version => '1.0' }]),
            qr/cbdemo 1\.0 is not installed, but 2\.0 is/, 'a run of the other one does not';
    };
}

SKIP: {
    skip 'no Node.js', 2 if !$has_node;
    is output(language => 'nodejs-other', code => 'console.log(6 * 7)'), "42\n", 'another Node.js runs beside the default';
    is_deeply [map { $listed{$_}{default} ? 1 : 0 } qw(nodejs nodejs-other)], [1, 0], 'nodejs is the default of its family';
}
$cb->finish;
done_testing;
