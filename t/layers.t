# Walls that an operator may do without: what the capabilities say then, and that runs are right with those that are left.
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

# --- all of them ----------------------------------------------------------------------------------------------------------------

my $cb = Cellblock->start;
my $layers = layers($cb);
is_deeply [grep { !$layers->{$_}{in_force} } sort keys %$layers], [], 'as it is shipped: every layer is in force';
is_deeply [grep { !$layers->{$_}{required} } sort keys %$layers], [], 'and required';
like $layers->{landlock}{detail}, qr/\AABI [1-9]\d*: files/, 'the ABI of Landlock is told';
is $cb->run(code => <<'PYTHON')->{data}{stdout}, "13\n", 'Landlock is in force: a device may not be asked' if $layers->{landlock}{detail} =~ /ioctl/;
import fcntl, termios
with open('/dev/null', 'rb', buffering=0) as device:
    try: fcntl.ioctl(device, termios.TIOCGWINSZ, bytes(8))
    except OSError as e: print(e.errno)
PYTHON
$cb->finish;

# --- without those that can be left out ---------------------------------------------------------------------------------------

$cb = Cellblock->start(own => 1, conf => [map { ['cellblock.conf', qr/^\t$_ = "required";/m, "\t$_ = \"off\";"] } @optional]);
$layers = layers($cb);
for (@optional) {
    ok !$layers->{$_}{in_force}, "$_ = \"off\": not in force";
    ok !$layers->{$_}{required}, "$_ = \"off\": nor required";
}
is_deeply [grep { !$layers->{$_}{in_force} } sort keys %$layers], [sort @optional], 'all others are in force';
my %missing = map { $_->{name} => $_->{reason} } grep { !$_->{available} } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
for my $language (sort keys %program) {
  SKIP: {
        skip $missing{$language}, 2 if Cellblock::missing("$language: " . ($missing{$language} // ''), !defined $missing{$language});
        my $r = $cb->run(language => $language, code => $program{$language});
        envelope_ok($r, 200, 0, "$language runs without them");
        is $r->{data}{stdout}, "out\n", "$language: its output";
    }
}
my $r = $cb->run(code => 'x = bytearray(300000000)', limits => { memory_bytes => 100000000 });
like $r->{data}{error}, qr/^MemoryError/m, 'memory is limited by rlimits' or diag $r->{body};
$r = $cb->run(code => "import fcntl, termios\nwith open('/dev/null', 'rb', buffering=0) as d:\n    try: fcntl.ioctl(d, termios.TIOCGWINSZ, bytes(8))\n    except OSError as e: print(e.errno)");
is $r->{data}{stdout}, "25\n", 'and without Landlock a device may be asked';
$cb->finish;
done_testing;
