# Layers that an operator may switch off: the capabilities report it, and runs work with the
# remaining layers.
use strict;
use warnings;
use Cellblock qw(envelope_ok);
use Test::More;

my @optional = qw(cgroup landlock);

sub layers { return $_[0]->get('/v1/sandbox/capabilities')->{data}{layers} }

my %program = (
    python3 => 'print("out")',
    bash    => 'echo out',
    nodejs  => 'console.log("out")',
    perl    => 'print "out\n"',
    c       => "#include <stdio.h>\nint main(void) { puts(\"out\"); }",
);

# --- all layers ----------------------------------------------------------------------------------------------------------------

my $cb = Cellblock->start;
my $layers = layers($cb);
is_deeply [grep { !$layers->{$_}{in_force} } sort keys %$layers], [], 'shipped configuration: every layer is in force';
is_deeply [grep { !$layers->{$_}{required} } sort keys %$layers], ['proc'], 'shipped configuration: every layer is required, except a procfs';
like $layers->{landlock}{detail}, qr/\AABI [1-9]\d*: files/, 'shipped configuration: Landlock\'s ABI is reported';
is $cb->run(code => <<'PYTHON')->{data}{stdout}, "13\n", 'with Landlock an ioctl of a device is denied' if $layers->{landlock}{detail} =~ /ioctl/;
import fcntl, termios
with open('/dev/null', 'rb', buffering=0) as device:
    try: fcntl.ioctl(device, termios.TIOCGWINSZ, bytes(8))
    except OSError as e: print(e.errno)
PYTHON
$cb->finish;

# --- without the optional layers ---------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, conf => [map { ['cellblock.conf', qr/^\t$_ = "required";/m, "\t$_ = \"off\";"] } @optional]);
$layers = layers($cb);
for (@optional) {
    ok !$layers->{$_}{in_force}, "$_ = \"off\": not in force";
    ok !$layers->{$_}{required}, "$_ = \"off\": not required";
}
is_deeply [grep { !$layers->{$_}{in_force} } sort keys %$layers], [sort @optional], 'all other layers are in force';
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
for my $language (sort keys %program) {
  SKIP: {
        skip $missing{$language}, 2 if Cellblock::missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        my $r = $cb->run(language => $language, code => $program{$language});
        envelope_ok($r, 200, 0, "$language runs without the optional layers");
        is $r->{data}{stdout}, "out\n", "$language: the output is right";
    }
}
my $r = $cb->run(code => 'x = bytearray(300000000)', limits => { memory_bytes => 100000000 });
like $r->{data}{error}, qr/^MemoryError/m, 'without control groups rlimits limit the memory' or diag $r->{body};
$r = $cb->run(code => "import fcntl, termios\nwith open('/dev/null', 'rb', buffering=0) as d:\n    try: fcntl.ioctl(d, termios.TIOCGWINSZ, bytes(8))\n    except OSError as e: print(e.errno)");
is $r->{data}{stdout}, "25\n", 'without Landlock an ioctl of a device is allowed';
$cb->finish;
done_testing;
