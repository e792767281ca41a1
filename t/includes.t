# The trust map: which part of the source may know which other part. A directory of runner/ is a
# process, or a moment of one, with rights of its own (runner/README.md). A file that includes the
# header of another directory can call code that was written for other rights.
#
# This reads the #include lines and the lists of sources in Makefile.am. Nothing is built.
use strict;
use warnings;
use Cellblock qw(slurp spew);
use File::Find ();
use File::Temp qw(tempdir);
use Test::More;

my @parts = qw(broker check door guest kernel relay start warden);

# A part of the tree, the parts that it must not include, and why. "runner" is runner/*.h and
# runner/*.c; "main" is runner/main.c.
my @rules = (
    ['common', ['fcgi', 'runner', @parts], 'it is linked into every program, and knows none'],
    ['fcgi',   ['runner', @parts], 'the worker reads the requests of strangers, and has no code with rights'],
    ['runner', ['fcgi', @parts], 'messages and paths, for every process of the runner'],
    ['kernel', ['fcgi', 'runner', grep { $_ ne 'kernel' } @parts], 'system calls without any policy of ours'],
    ['guest',  ['fcgi', qw(broker check door relay start warden)], 'it is loaded into interpreters, and ends as a stranger'],
    ['relay',  ['fcgi', qw(broker check door guest start warden)], 'it reads the bytes of strangers, on the host'],
    ['door',   ['fcgi', qw(broker check guest start warden)], 'it stays on the host, with no rights; it forks the relay'],
    ['warden', ['fcgi', qw(broker check door relay start)], 'it makes cells, and needs no other process\'s code'],
    ['broker', ['fcgi', qw(check door relay start)], 'the rights of the start are gone when it serves'],
    ['start',  ['fcgi', 'check'], 'it makes the other processes; its rights end with it'],
    ['check',  ['fcgi'], 'the tools of the command line; they try what the start does'],
    ['main',   ['fcgi', qw(broker door guest relay warden)], 'options alone: it hands over to start/ and check/'],
);

# A list of Makefile.am with its variables replaced, the paths that may be in it, and why.
my $in_interpreters = qr{^(?:common|runner/guest|runner/kernel)/|^runner/(?:messages|paths)\.h\z};
my @lists = (
    ['common_sources',         qr{^common/},        'both programs link it'],
    ['worker_sources',         qr{^fcgi/},          'the worker'],
    ['status_sources',         qr{^fcgi/},          'the status process'],
    ['top_sources',            qr{^top/},           'a client of the metrics, and nothing else'],
    ['command_sources',        qr{^command/},       'a client of the routes, and nothing else'],
    ['cellblock_fcgi_SOURCES', qr{^(?:common|fcgi)/}, 'the worker links nothing from runner/'],
    (map { ["${_}_sources", qr{^runner/$_/}, "the sources of one process: runner/$_/"] } qw(broker check door kernel relay start warden)),
    ['runner_shared_sources',  qr{^runner/[^/]+\z}, 'known to all processes of the runner'],
    ['guest_sources',          $in_interpreters,    'linked into objects that interpreters load'],
    ['_cellblock_abi3_so_SOURCES', $in_interpreters, 'loaded by Python'],
    ['hook_so_SOURCES',        $in_interpreters,    'loaded by any interpreter'],
    ['start_so_SOURCES',       $in_interpreters,    'loaded by Node.js'],
    ['engine_so_SOURCES',      $in_interpreters,    'loaded by Node.js'],
    ['t_fuzz_from_worker_SOURCES', qr{^(?!runner/(?:start|check|door|relay)/|runner/main\.c)}, 'the broker alone, without the start'],
);

sub sources {
    my ($root) = @_;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ if /\.(?:c|h|cc)\z/ && -f } }, map {"$root/$_"} qw(common fcgi runner));
    return sort map { s{^\Q$root\E/}{}r } @found;
}

# The part of the tree that a path is in.
sub part_of {
    my ($path) = @_;
    return 'main' if $path eq 'runner/main.c';
    return $path =~ m{^runner/([^/]+)/} ? $1 : $path =~ m{^([^/]+)/} ? $1 : '';
}

# Returns the path of a header of ours that a file includes, or nothing for a header of the system.
sub resolve {
    my ($exists, $from, $header) = @_;
    my ($beside) = $from =~ m{^(.*)/};
    for my $directory ($beside, $from =~ /^fcgi/ ? 'fcgi' : (), 'common', 'runner', 'fcgi') {
        my $path = "$directory/$header";
        1 while $path =~ s{[^/]+/\.\./}{};
        return $path if $exists->{$path};
    }
    return;
}

# Every include that breaks a rule, as "file:line: header: why".
sub forbidden_includes {
    my ($root) = @_;
    my @files = sources($root);
    my %exists = map { $_ => 1 } @files;
    my %rule = map { $_->[0] => $_ } @rules;
    my @found;
    for my $file (@files) {
        my $rule = $rule{ part_of($file) };
        if (!$rule) { push @found, "$file:1: a part of the tree without a rule"; next }
        my $line = 0;
        for (split /\n/, slurp("$root/$file")) {
            $line++;
            my ($header) = /^\s*#\s*include\s*"([^"]+)"/ or next;
            my $path = resolve(\%exists, $file, $header) // next;
            my $part = part_of($path);
            push @found, "$file:$line: $header: $rule->[0]/ must not know $part/: $rule->[2]" if grep { $_ eq $part } @{ $rule->[1] };
        }
    }
    return @found;
}

# The lists of Makefile.am, with the variables in them replaced: name => [paths].
sub lists_of {
    my ($root) = @_;
    my $text = slurp("$root/Makefile.am") =~ s/\\\n/ /gr;
    my (%raw, %whole);
    while ($text =~ /^(\w+)[ \t]*(\+?)=[ \t]*(.*)$/mg) { push @{ $raw{$1} }, split ' ', $3 }
    my $expand;
    $expand = sub { map { /^\$\((\w+)\)\z/ ? $expand->(@{ $raw{$1} || [] }) : $_ } @_ };
    $whole{$_} = [$expand->(@{ $raw{$_} })] for keys %raw;
    return %whole;
}

sub wrong_lists {
    my ($root) = @_;
    my %list = lists_of($root);
    my @found;
    for (@lists) {
        my ($name, $allowed, $why) = @$_;
        if (!$list{$name}) { push @found, "Makefile.am: there is no list $name"; next }
        push @found, map {"Makefile.am: $name has $_: $why"} grep { $_ !~ $allowed } @{ $list{$name} };
    }
    my %listed = map { $_ => 1 } map { @{ $list{$_} } } grep {/_(?:SOURCES|sources)\z/} grep { !/^t_/ } keys %list;
    push @found, map {"Makefile.am: $_ is in no list"} grep { !$listed{$_} } sources($root);
    return @found;
}

# --- the tree as it is ---------------------------------------------------------------------------------------------------

my $root = Cellblock::root();
is join("\n", forbidden_includes($root)), '', 'no file includes what it must not know';
is join("\n", wrong_lists($root)), '', "Makefile.am's lists agree with that";

# --- this test can fail --------------------------------------------------------------------------------------------------

my $copy = tempdir('cellblock-includes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
is system('cp', '-r', (map {"$root/$_"} qw(common fcgi runner Makefile.am)), $copy), 0, 'a copy to break';
my @files = sources($copy);

# Add a line to a file of the copy: does a function find that, and only that? Returns its text.
sub is_found {
    my ($file, $more, $check, $name) = @_;
    my $was = slurp("$copy/$file");
    my $line = 1 + ($was =~ tr/\n//);
    my %before = map { $_ => 1 } $check->($copy);
    spew("$copy/$file", $was . $more);
    my @found = grep { !$before{$_} } $check->($copy);
    spew("$copy/$file", $was);
    is scalar @found, 1, $name or diag join "\n", @found;
    return $found[0] // '';
}

for my $rule (@rules) {
    my ($part, $not) = @$rule;
    my ($file) = grep { part_of($_) eq $part && /\.[ch]\z/ } @files;
    for my $other (@$not) {
        my ($header) = grep { part_of($_) eq $other && /\.h\z/ } @files;
        like is_found($file, '#include "' . ($header =~ s{^runner/|^fcgi/}{}r) . "\"\n", \&forbidden_includes, "$part/ includes $other/: found"),
            qr{^\Q$file\E:\d+: .*\b$other/}, "$part/ includes $other/: where";
    }
}
my $runner_source = 'runner/start/start.c';
is_found('Makefile.am', "\nworker_sources += $runner_source\n", sub { grep {/worker_sources/} wrong_lists(@_) }, 'a source of the runner in the worker: found');
is_found('Makefile.am', "\nhook_so_SOURCES += $runner_source\n", \&wrong_lists, 'a source of the start in hook.so: found');
is_found('Makefile.am', "\ndoor_sources += runner/relay/relay.c\n", \&wrong_lists, 'a source of the relay in the list of the door: found');
spew("$copy/runner/door/new.c", "int new;\n");
is join("\n", grep {/new\.c/} wrong_lists($copy)), 'Makefile.am: runner/door/new.c is in no list', 'a source that nobody builds: found';

done_testing;
