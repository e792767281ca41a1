# The configuration: the shipped one is valid, and each mistake is reported with its file, its line
# and the allowed values.
use strict;
use warnings;
use Cellblock qw(command runner_program slurp write_configuration);
use File::Temp qw(tempdir);
use Test::More;

my $runner = runner_program();

# libconfig leaks the string that a syntax error is in; a build with sanitizers would say so.
my $suppressions = File::Temp->new;
print {$suppressions} "leak:libconfig\n";
close $suppressions;
$ENV{LSAN_OPTIONS} = "suppressions=$suppressions:print_suppressions=0";

# Write the shipped configuration with changes and check it. Returns the directory, exit code,
# stdout, stderr.
sub check {
    my (@changes) = @_;
    my $dir = tempdir(CLEANUP => 1);
    # the shipped user may not be there; t/check_config.t is about such things
    write_configuration($dir, ['cellblock.conf', qr/worker_user = "[^"]*"/, 'worker_user = "' . getpwuid($>) . '"'], @changes);
    return ($dir, command([$runner, '--check-config', '-c', "$dir/cellblock.conf"]));
}

my (undef, $exit, $out, $err) = check();
is $exit, 0, 'the shipped configuration is valid' or diag $err;
is $err, '', 'the shipped configuration causes no message';

my $c = 'cellblock.conf';
my $p = 'languages/python3.conf';
my $b = 'languages/bash.conf'; # without a driver
my $g = 'languages/c.conf';    # compiled
my $n = 'languages/nodejs.conf';
my @good = (
    ['one cell and no armed ones',   [$c, qr/cells = 32/, 'cells = 1'], [$p, qr/armed = 6/, 'armed = 0'], (map { [$p, qr/^\t\tarmed = 1;/m, "\t\tarmed = 0;"] } 1 .. 3), [$p, qr/armed = 3/, 'armed = 0'],
        [$n, qr/armed = 4/, 'armed = 0']],
    ['no queue',           [$c, qr/queue = 256/, 'queue = 0']],
    ['the lowest value of a limit',      [$c, qr/wall_ms = \{ default = 15000/, 'wall_ms = { default = 1']],
    ['the highest value of a limit',       [$c, qr/wall_ms = \{ default = 15000; maximum = 120000/, 'wall_ms = { default = 86400000; maximum = 86400000']],
    ['a link',                    [$p, qr/^links = \[\]/m, 'links = ["/proc/self/exe=/usr/bin/python3"]']],
    ['limits of a language',      [$p, qr/^#limits = .*/m, 'limits = { wall_ms = { default = 5; maximum = 50; }; };']],
    ['no cache of compiled programs',  [$c, qr/#?compiled_bytes = \d+/, 'compiled_bytes = 0']],
    ['a language that is always awake',     [$b, qr/^armed = \d+;/m, 'idle_s = 0; armed = 3;']],
    ['a language that sleeps after a second',     [$p, qr/idle_s = 0/, 'idle_s = 1']],
    ['more armed than cells, in a language that sleeps', [$b, qr/^armed = \d+;/m, 'armed = 4096;']],
    ['a spare start',             [$b, qr/start = "cold"/, 'start = "spare"']],
    ['a zygote without a driver', [$b, qr/start = "cold"/, 'start = "zygote"']],
    ['a compiler with limits',    [$g, qr/output = "main";/, 'output = "main"; limits = { wall_ms = 5; processes = 2; };']],
    ['compiler output that another program runs', [$g, qr/^version = /m, "run = [\"/bin/sh\", \"main\"];\nversion = "]],
    ['a proxy',                   [$c, qr/mode = "none"/, 'mode = "proxy"; proxies = ( { name = "all"; address = "127.0.0.1:3128"; } )']],
    ['proxies that no run uses', [$c, qr/mode = "none"/, 'mode = "none"; proxies = ( { name = "a"; address = "[::1]:1"; }, { name = "b"; address = "squid:65535"; } )']],
    ["the host's network",        [$c, qr/mode = "none"/, 'mode = "host"']],
    ['an absolute directory',        [$c, qr{policies = "seccomp"}, 'policies = "/etc"']],
);
for (@good) {
    my ($name, @changes) = @$_;
    my ($dir, $exit, undef, $err) = check(@changes);
    # A directory without policies is a valid configuration that cannot start. Either check may
    # report it.
    next if $name eq 'an absolute directory' && $err =~ m{/etc/\w+\.conf};
    is $exit, 0, "good: $name" or diag $err;
}

# Name, [file, pattern, replacement], pattern of the message. The reported line is that of the
# replacement.
my @bad = (
    ['an unknown key',            [$c, qr/queue = 256;/, "queue = 256;\n\tcolour = 5;"],           qr/colour.*allowed|colour.*known/i, 'colour'],
    ['an unknown group',          [$c, qr/^network = \{/m, "gizmo = { };\nnetwork = {"],            qr/gizmo/],
    ['a key in the wrong group',  [$c, qr/^runner = \{/m, "cells = 5;\nrunner = {"],                qr/cells/],
    ['a text for a number',       [$c, qr/cells = 32/, 'cells = "32"'],                             qr/runner\.cells.*1 to 4096/],
    ['a float for a number',      [$c, qr/cells = 32/, 'cells = 3.5'],                              qr/runner\.cells.*1 to 4096/],
    ['a bool for a number',       [$c, qr/cells = 32/, 'cells = true'],                             qr/runner\.cells.*1 to 4096/],
    ['a number for a text',       [$c, qr/worker_user = "[^"]*"/, 'worker_user = 5'],               qr/runner\.worker_user/],
    ['a number for a group',      [$c, qr/wall_ms = \{[^}]*\}/, 'wall_ms = 5'],                     qr/limits\.wall_ms/],
    ['a group for a number',      [$c, qr/cells = 32/, 'cells = { }'],                              qr/runner\.cells/],
    ['a list for a text',         [$c, qr/languages = "languages"/, 'languages = ["languages"]'],   qr/languages/],
    ['zero cells',                [$c, qr/cells = 32/, 'cells = 0'],                                qr/runner\.cells.*1 to 4096/],
    ['too many cells',            [$c, qr/cells = 32/, 'cells = 4097'],                             qr/runner\.cells.*1 to 4096/],
    ['a negative number',         [$c, qr/cells = 32/, 'cells = -1'],                               qr/runner\.cells.*1 to 4096/],
    ['a uid of the host',         [$c, qr/first_uid = 2000000/, 'first_uid = 0'],                   qr/runner\.first_uid.*10000 to 4000000000/],
    ['the uid of nobody',         [$c, qr/first_uid = 2000000/, 'first_uid = 60000'],              qr/runner\.first_uid: 60000 is too near to 65534, which is nobody; allowed: 10000 to 49146, or 65536 to 4000000000/],
    ['a limit of zero',           [$c, qr/wall_ms = \{ default = 15000/, 'wall_ms = { default = 0'], qr/limits\.wall_ms\.default.*1 to 86400000/],
    ['a negative limit',          [$c, qr/wall_ms = \{ default = 15000/, 'wall_ms = { default = -1'], qr/limits\.wall_ms\.default.*1 to 86400000/],
    ['a limit too large',         [$c, qr/maximum = 120000; \};(?=\s+# Mem)|maximum = 120000/, 'maximum = 86400001'], qr/limits\.wall_ms\.maximum.*86400000/],
    ['a default above its maximum', [$c, qr/wall_ms = \{ default = 15000/, 'wall_ms = { default = 120001'], qr/limits\.wall_ms.*120000/],
    ['an unknown limit',          [$c, qr/^limits = \{/m, "limits = {\n\thappiness = { default = 1; maximum = 2; };"], qr/happiness/, 'happiness'],
    ['an unknown word',           [$c, qr/cgroup = "required"/, 'cgroup = "maybe"'],                qr/isolation\.cgroup.*required.*optional.*off|isolation\.cgroup.*off.*optional.*required/],
    ['an unknown word for uids',  [$c, qr/uid_per_cell = "required"/, 'uid_per_cell = true'],       qr/isolation\.uid_per_cell.*required/],
    ['an unknown network',        [$c, qr/mode = "none"/, 'mode = "wifi"'],                         qr/network\.mode.*none/],
    ['mode proxy without proxies',           [$c, qr/mode = "none"/, 'mode = "proxy"'],                        qr/network\.proxies is missing/],
    ['a proxy given as a URL',          [$c, qr/mode = "none";/, 'mode = "proxy"; proxies = ( { name = "a"; address = "http://squid:3128"; } );'], qr/network\.proxies\[0\]\.address.*HOST:PORT/],
    ['a proxy called none',       [$c, qr/mode = "none";/, 'proxies = ( { name = "none"; address = "squid:3128"; } );'], qr/network\.proxies\[0\]\.name.*not "none"/],
    ['a number for a bool',       [$c, qr/strict = false/, 'strict = 0'],                           qr/network\.strict.*true/],
    ['a relative cgroup',         [$c, qr/#cgroup_parent = .*;/, 'cgroup_parent = "here";'],        qr/cgroup_parent.*absolute/],
    ['a socket path too long',    [$c, qr{socket = "[^"]*"}, 'socket = "/' . 'x' x 120 . '"'],      qr/runner\.socket.*107/],
    ['a duplicate key',               [$c, qr/cells = 32;/, "cells = 32;\n\tcells = 33;"],              qr/./, 'cells = 33'],
    ['bad syntax',                [$c, qr/cells = 32;/, 'cells = = 32;'],                           qr/syntax/],
    ['an unterminated string',            [$c, qr/mode = "none"/, 'mode = "none'],                          qr/./, ''],
    ['no directory of languages',    [$c, qr/languages = "languages"/, 'languages = "nowhere"'],       qr{nowhere}],
    ['a language without a name', [$p, qr/^name = "python3";/m, ''],                                qr/name/, ''],
    ['a bad name',                [$p, qr/^name = "python3"/m, 'name = "../x"'],                    qr/name/],
    ['a duplicate alias',            [$p, qr/aliases = \["python"\]/, 'aliases = ["python", "python"]'], qr/duplicate name "python"/],
    ['an alias equal to the name', [$p, qr/aliases = \["python"\]/, 'aliases = ["python3"]'],        qr/duplicate name "python3"/],
    ['an unknown start',          [$p, qr/start = "zygote"/, 'start = "hot"'],                      qr/start.*zygote/],
    ['a number for a start',      [$p, qr/start = "zygote"/, 'start = 1'],                          qr/start.*"zygote", "spare", "cold"/],
    ['a driver, but no zygote',   [$p, qr/start = "zygote"/, 'start = "cold"'],                     qr/driver.*start = "zygote"/, 'driver = '],
    ['a driver without its interpreter', [$p, qr{^interpreter = .*}m, ''],                          qr/interpreter is missing/, ''],
    ['armed together with warm',         [$p, qr/^idle_s = 0;/m, "idle_s = 0;\narmed = 1;"],               qr/armed.*set of warm/, 'armed = 1;'],
    ['an interpreter without a driver', [$b, qr/^policy = /m, "interpreter = \"/bin/sh\"; policy = "], qr/interpreter.*driver/],
    ['warm sets without a driver',     [$b, qr/^policy = /m, 'warm = ( { name = "a"; } ); policy = '],   qr/warm.*driver/],
    ['nothing to run',            [$b, qr/^run = .*/m, ''],                                         qr/run is missing/, ''],
    ['a program without a path', [$b, qr{^run = \["/usr/bin/bash"}m, 'run = ["bash"'],        qr/run\[0\].*absolute/],
    ['no version',                [$b, qr/^version = .*/m, ''],                                     qr/version is missing/, ''],
    ['a version command without a path', [$b, qr{^version = \["/usr/bin/bash"}m, 'version = ["bash"'], qr/version\[0\].*absolute/],
    ['a compiler, but no cold start', [$g, qr/start = "cold"/, 'start = "spare"'],                  qr/compile.*start = "cold"/, 'compile = {'],
    ['a compiler without a path', [$g, qr{command = \["/usr/bin/gcc"}, 'command = ["gcc"'],   qr/compile\.command\[0\].*absolute/],
    ['a compiler without output', [$g, qr/output = "main";/, ''],                                   qr/compile\.output is missing/, ''],
    ['an output outside of the working directory',       [$g, qr/output = "main";/, 'output = "../main";'],                qr/compile\.output/],
    ['a compiler\'s limit with a maximum', [$g, qr/output = "main";/, 'output = "main"; limits = { wall_ms = { default = 1; maximum = 2; }; };'], qr/compile\.limits\.wall_ms.*whole number/],
    ['an idle_s that is too long',   [$p, qr/idle_s = 0/, 'idle_s = 31536001'],                        qr/idle_s.*0 to 31536000/],
    ['more armed than cells, in a language that is always awake', [$b, qr/^armed = \d+;/m, "idle_s = 0;\narmed = 33;"], qr/armed.*32/, 'armed = 33'],
    ['a compile cache that is too large', [$c, qr/#?compiled_bytes = \d+/, 'compiled_bytes = 1099511627777'], qr/runner\.compiled_bytes.*1099511627776/],
    ['a relative interpreter',    [$p, qr{interpreter = "[^"]*"}, 'interpreter = "python3"'],       qr/interpreter.*absolute/],
    ['a relative root',           [$p, qr/^more_root = \[\]/m, 'more_root = ["opt"]'],                   qr/root.*absolute/],
    ['half a link',               [$p, qr/^links = \[\]/m, 'links = ["/proc/self/exe"]'],            qr/links.*two absolute paths/],
    ['a link to a relative path', [$p, qr/^links = \[\]/m, 'links = ["/proc/self/exe=python3"]'],    qr/links.*two absolute paths/],
    ['a link out of the root',    [$p, qr/^links = \[\]/m, 'links = ["/../x=/y"]'],                  qr/links.*two absolute paths/],
    ['a bad environment',         [$p, qr/^env = \[\]/m, 'env = ["novalue"]'],                      qr/env.*NAME=value/],
    ['more armed than cells',     [$p, qr/armed = 6/, 'armed = 31'],                                qr/armed.*32/, ''],
    ['two warm sets with one name',      [$p, qr/name = "data"/, 'name = "base"'],                       qr/warm\[4\]\.name/, ''],
    ['a warm set without hints',       [$p, qr/hints = \["numpy", [^]]*\];/, ''],                              qr/warm\[4\]\.hints/, ''],
    ['an unknown key in a warm set',   [$p, qr/armed = 6;/, 'armed = 6; legs = 2;'],                     qr/legs/],
    ['a language limit too large', [$p, qr/^#limits = .*/m, 'limits = { wall_ms = { default = 86400001; maximum = 86400001; }; };'], qr/limits\.wall_ms/],
);
for (@bad) {
    my ($name, $change, $says, $at) = @$_;
    my ($dir, $exit, $out, $err) = check($change);
    my ($file, undef, $put) = @$change;
    is $exit, 1, "bad: $name: exit 1";
    like $err, $says, "bad: $name: the message names the mistake";
    is scalar(() = $err =~ /\n/g), 1, "bad: $name: the message is one line" or diag $err;
    # '' is for a mistake that is not in a single line.
    my $line = qr/\d+/;
    if (($at // 'put') ne '') {
        my $text = slurp("$dir/$file");
        my $where = index $text, $at // ($put =~ /\n/ ? (split /\n/, $put)[0] : $put);
        $line = 1 + (() = substr($text, 0, $where) =~ /\n/g);
    }
    like $err, qr{\Q$dir/$file\E:$line: }, "bad: $name: the message begins with FILE:LINE";
}

($exit, $out, $err) = command([$runner, '--check-config', '-c', '/nonexistent/cellblock.conf']);
is $exit, 1, 'a missing file: exit 1';
like $err, qr{/nonexistent/cellblock\.conf.*No such file}, 'a missing file: the message names it';

($exit, $out, $err) = command([$runner, '--no-such-option']);
isnt $exit, 0, 'an unknown option is rejected';
like $err, qr/no-such-option/, 'an unknown option: the message names it';
my %version;
for my $program (qw(cellblock-runner cellblock-fcgi)) {
    for my $option (qw(--version -V)) {
        ($exit, $out, $err) = command([Cellblock::prefix() . "/bin/$program", $option]);
        is $exit, 0, "$program $option: exit 0";
        like $out, qr/\A\Q$program\E \d+\.\d+\.\d+\n\z/, "$program $option";
        $version{ (split ' ', $out)[1] }++;
    }
    ($exit, $out, $err) = command([Cellblock::prefix() . "/bin/$program", '-h']);
    is $exit, 0, "$program -h: exit 0";
    like $out, qr/\Ausage: \Q$program\E .*--version/s, "$program -h";
}
is scalar(keys %version), 1, 'both programs have the same version';

# --explain-policy: each system call with its action, its conditions and its reason.
my @shipped = ('-c', Cellblock::root() . '/etc/cellblock.conf', '--explain-policy');
($exit, $out, $err) = command([$runner, @shipped, 'python3']);
is $exit, 0, '--explain-policy: exit 0' or diag $err;
like $out, qr/^read +allowed +# \S/m, '--explain-policy: an allowed call has a reason';
like $out, qr/^fork +allowed with processes +# \S/m, '--explain-policy: a call that needs a grant';
like $out, qr/^setns +for the zygote +# \S/m, '--explain-policy: a call for zygotes only';
like $out, qr/^openat2 +ENOSYS +# \S/m, '--explain-policy: a call that answers ENOSYS';
like $out, qr/^bpf +ends the process +# \S/m, '--explain-policy: a call that ends the process';
like $out, qr/^socketpair +allowed +arg0=0x1 arg1&0xf=0x1 +# \S/m, '--explain-policy: conditions on arguments';
unlike $out, qr/^mount\b/m, '--explain-policy: a call without a row is not listed';
like $out, qr/^every other call +EPERM/m, '--explain-policy: the last line says what happens to every other call';
($exit, $out, $err) = command([$runner, @shipped, 'none-such']);
is $exit, 1, '--explain-policy with a missing policy: exit 1';
like $err, qr{seccomp/none-such\.conf}, '--explain-policy with a missing policy: the message names it';

# --check-host: a row for each layer, with the host's support for it.
($exit, $out, $err) = do {
    my $dir = tempdir(CLEANUP => 1);
    write_configuration($dir);
    command([$runner, '--check-host', '-c', "$dir/cellblock.conf"]);
};
is $exit, 0, '--check-host: exit 0 on a host with all layers' or diag "$out$err";
like $out, qr/^\W*$_\b/mi, "--check-host: a row for $_"
    for qw(user_namespace uid_per_cell namespaces network root tmpfs cgroup seccomp landlock);

done_testing;
