# --check-config checks what the start checks: users, directories, policies, interpreters and the
# paths of their roots. A line for each file; a warning where the start leaves a language out; a
# mistake, with its file and line, where the start would end.
use strict;
use warnings;
use Cellblock qw(command runner_program slurp spew write_configuration);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $runner = runner_program();
my $me = getpwuid $>;
my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';
my $b = 'languages/bash.conf';

# Only these two languages, which every host of the tests has.
sub check {
    my (@changes) = @_;
    my $dir = tempdir(CLEANUP => 1);
    write_configuration($dir, [$c, qr/worker_user = "[^"]*"/, "worker_user = \"$me\""]);
    make_path("$dir/keys");
    spew("$dir/keys/alice.conf", 'sha256 = "' . 'a' x 64 . "\";\n");
    for my $file (glob "$dir/languages/*.conf") {
        unlink $file if $file !~ m{/(?:python3|bash)\.conf\z};
    }
    for (@changes) {
        my ($file, $pattern, $replacement) = @$_;
        my $text = slurp("$dir/$file") // '';
        $text =~ s/$pattern/$replacement/ or die "$file has nothing like $pattern";
        spew("$dir/$file", $text);
    }
    return ($dir, command([$runner, '--check-config', '-c', "$dir/$c"]));
}

# The line of $text in a file.
sub line_of {
    my ($file, $text) = @_;
    my $whole = slurp($file);
    my $at = index $whole, $text;
    return $at < 0 ? undef : 1 + (() = substr($whole, 0, $at) =~ /\n/g);
}

my ($dir, $exit, $out, $err) = check();
is $exit, 0, 'a good configuration: exit 0' or diag $err;
is $err, '', 'nothing on stderr';
like $out, qr{^\Q$dir/$c\E: good$}m, 'a line for the main file';
like $out, qr{^\Q$dir/$p\E: good: version 3\.\d+}m, 'a line for a language with a driver, with its version';
like $out, qr{^\Q$dir/$b\E: good: version 5\.}m, 'a line for a language without one';
like $out, qr{^\Q$dir\E/seccomp/worker\.conf: good$}m, 'a line for a policy that is no language\'s';
like $out, qr{^\Q$dir\E/keys: good: 1 key$}m, 'a line for the keys';
like $out, qr/^Good: 2 of 2 languages are available, 0 warnings$/m, 'the sum';
if ($>) {
    like $out, qr/^Not checked, because that needs root: .*first_uid/m, 'it says what was not checked without root';
} else {
    unlike $out, qr/^Not checked/m, 'as root everything is checked';
}

# Name, change, file, text in the line that is blamed (undef: no line), pattern of the message.
my @mistakes = (
    ['a worker user that does not exist', [$c, qr/worker_user = "[^"]*"/, 'worker_user = "nobody-here"'], $c, 'worker_user =',
        qr/runner\.worker_user: there is no user "nobody-here"$/],
    ['a drivers directory that does not exist', [$c, qr/\A/, qq(drivers = "/nowhere";\n)], $c, 'drivers =', qr{drivers: /nowhere: No such file or directory$}],
    ['a drivers directory that is a file', [$c, qr/\A/, qq(drivers = "/etc/passwd";\n)], $c, 'drivers =', qr{drivers: /etc/passwd: Not a directory$}],
    ['a socket in no directory', [$c, qr/socket = "[^"]*"/, 'socket = "/nowhere/at/all.sock"'], $c, 'socket =', qr{runner\.socket: /nowhere: No such file}],
    ['a policy that does not exist', [$b, qr/policy = "[^"]*"/, 'policy = "nope"'], $b, 'policy =', qr{policy "nope": \S+/seccomp/nope\.conf: No such file or directory$}],
    ['a policy that is not for a language', [$b, qr/policy = "[^"]*"/, 'policy = "relay"'], 'seccomp/relay.conf', undef, qr/has no calls for zygotes/],
    ['a driver that does not exist', [$p, qr/driver = "[^"]*"/, 'driver = "cobol"'], $p, 'driver =', qr/driver "cobol" is unknown; allowed: python3, nodejs$/],
    ['an empty language file', [$b, qr/.*/s, ''], $b, undef, qr/name is missing/],
    ['a key with a mistake', ['keys/alice.conf', qr/sha256/, 'md5'], 'keys/alice.conf', 'md5', qr/unknown key "md5"; allowed: /],
    ['no worker policy', [$c, qr/policies = "[^"]*"/, 'policies = "languages"'], $b, 'policy =', qr/policy "\w+": .*No such file/],
);
for (@mistakes) {
    my ($name, $change, $file, $at, $says) = @$_;
    ($dir, $exit, $out, $err) = check($change);
    is $exit, 1, "$name: exit 1" or diag "$out$err";
    my $place = "$dir/$file";
    my $line = defined $at ? ':' . line_of($place, $at) : qr/(?::\d+)?/;
    my ($first) = $err =~ m{^(\Q$place\E$line: .*)$}m;
    like $first // $err, $says, "$name: file, line and reason";
}

# Two mistakes are both reported.
($dir, $exit, $out, $err) = check($mistakes[0][1], $mistakes[4][1]);
is $exit, 1, 'two mistakes: exit 1';
like $err, qr/nobody-here.*\n.*policy "nope"/, 'two mistakes: both are reported';

# A program that the probe's uid cannot reach.
my $private = tempdir(CLEANUP => 1);
chmod 0755, $private;
make_path("$private/closed/bin");
spew("$private/closed/bin/python3", "#!/bin/sh\necho version 1.2\n");
chmod 0755, "$private/closed/bin/python3";
chmod 0600, "$private/closed" if $> == 0;

my @warnings = (
    ['an interpreter that does not exist', [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/usr/bin/python9"'], $p, 'interpreter =',
        qr{python3 is not available: /usr/bin/python9: No such file or directory$}],
    ['an interpreter of another language', [$p, qr/interpreter = "[^"]*"/, 'interpreter = "/bin/sh"'], $p, 'interpreter =',
        qr{python3 is not available: /bin/sh is no interpreter for this driver: running probe\.py, it exited with code \d+}],
    ['a root entry that does not exist', [$p, qr/^more_root = \[\]/m, "more_root = [\"/usr/lib\",\n\"/nowhere\"]"], $p, '"/nowhere"', qr{python3 is not available: bind /nowhere: No such file}],
    ['a program that does not exist', [$b, qr{^run = \["[^"]*"}m, 'run = ["/usr/bin/nosh"'], $b, 'run =', qr{bash is not available: /usr/bin/nosh: No such file}],
    ['a version command that does not exist', [$b, qr{^version = \["[^"]*"}m, 'version = ["/usr/bin/nosh"'], $b, 'version =',
        qr{bash is not available: cannot execute /usr/bin/nosh as uid \d+: No such file or directory$}],
    ['a version command that prints nothing', [$b, qr{^version = .*}m, 'version = ["/bin/true"];'], $b, 'version =', qr{/bin/true does not print its version: it prints nothing$}],
    $> ? () : ['an interpreter below a private directory', [$p, qr/interpreter = "[^"]*"/, "interpreter = \"$private/closed/bin/python3\""], $p, 'interpreter =',
        qr{cannot execute \Q$private\E/closed/bin/python3 as uid 2000000: Permission denied: \Q$private\E/closed has the mode 0600 and belongs to uid 0$}],
);
for (@warnings) {
    my ($name, $change, $file, $at, $says) = @$_;
    ($dir, $exit, $out, $err) = check($change);
    is $exit, 0, "$name: exit 0, as the start leaves the language out";
    is $err, '', "$name: nothing on stderr";
    my ($line) = $out =~ m{^(\Q$dir/$file\E:\d+: warning: .*)$}m;
    like $line // $out, $says, "$name: the reason";
    like $line // $out, qr{\A\Q$dir/$file\E:\Q${\line_of("$dir/$file", $at)}\E: }, "$name: the line";
    like $out, qr/^Good: 1 of 2 languages are available, 1 warning$/m, "$name: the sum";
}

# The start ends where no language is available.
($dir, $exit, $out, $err) = check($warnings[0][1], $warnings[3][1]);
is $exit, 1, 'no language: exit 1';
like $err, qr{^\Q$dir/$c\E(?::\d+)?: languages: none is available$}m, 'no language: the reason';

# Without keys, workers do not start, or let nobody in. The key is made after this check.
($dir) = check();
unlink "$dir/keys/alice.conf";
($exit, $out, $err) = command([$runner, '--check-config', '-c', "$dir/$c"]);
is $exit, 0, 'no key: exit 0';
like $out, qr{^\Q$dir/$c\E(?::\d+)?: warning: keys\.directory: \Q$dir\E/keys has no key}m, 'no key: a warning';
rmdir "$dir/keys";
($exit, $out, $err) = command([$runner, '--check-config', '-c', "$dir/$c"]);
is $exit, 0, 'no directory of keys: exit 0';
like $out, qr{^\Q$dir/$c\E(?::\d+)?: warning: keys\.directory: \Q$dir\E/keys: No such file}m, 'no directory of keys: a warning';

# A file that sets nothing is valid, and rarely meant.
($dir, $exit, $out, $err) = check();
spew("$dir/$c", "# nothing\n");
($exit, $out, $err) = command([$runner, '--check-config', '-c', "$dir/$c"]);
like $out, qr{^\Q$dir/$c\E: warning: the file sets nothing, so every key has its default$}m, 'an empty file: a warning';

done_testing;
