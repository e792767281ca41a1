# Languages: the same programs in each of them, and languages that sleep, wake up or are missing.
#
# t/languages/NAME/ has a program for each row of %common below: hello.EXT, stdin.EXT, ..., with the
# extension of the language's main_file. Its expect.json overrides a row, by the name of the
# program:
#   skip       the reason why there is no such program
#   fields     fields of the request, instead of the usual ones
#   stdout, exit_code, status (one or a list), stderr (a pattern)
# The programs in more/ succeed and print the contents of NAME.out. Their stdin is NAME.in, and more
# fields of the request are in NAME.json, if these are there.
use strict;
use warnings;
use Cellblock qw(envelope_ok eventually json missing process_status root slurp);
use Encode qw(decode_utf8);
use File::Basename qw(basename);
use Test::More;
use Time::HiRes qw(time);

my $MB = 1 << 20;
my %common = (
    hello  => { stdout => "hello\n" },
    stdin  => { fields => { stdin => "one\ntwo\n" }, stdout => "ONE\nTWO\n" },
    args   => { fields => { args => ['a b', "\x{fc}", '--x'] }, stdout => "a b\n\x{fc}\n--x\n" },
    error  => { status => [qw(exit signal)], wrong => qr/\A0\z/ },
    exit   => { status => 'exit', exit_code => 7 },
    memory => { fields => { limits => { memory_bytes => 64 * $MB, wall_ms => 30_000, cpu_ms => 30_000 } }, status => 'memory_limit' },
    time   => { fields => { limits => { wall_ms => 300, cpu_ms => 300 } }, status => [qw(timeout cpu_limit)] },
);

# The output of a program never contains our names or the place of our installation.
my @ours = (qr/cellblock/i, qr/\Q@{[Cellblock::prefix()]}\E/, qr/hook\.so/);

# A language that sleeps after a second, and one whose interpreter is missing.
my $restless = <<'CONF';
name = "restless";
aliases = ["fidgety"];
main_file = "restless.pl";
start = "zygote";
run = ["/usr/bin/perl", "restless.pl"];
version = ["/usr/bin/perl", "-e", "print $^V"];
root = ["/lib", "?/lib64", "/usr/lib", "/usr/share/perl"];
policy = "program";
idle_s = 1;
armed = 2;
CONF
my $absent = <<'CONF';
name = "absent";
aliases = ["gone"];
main_file = "main.x";
start = "zygote";
run = ["/usr/bin/no-such-interpreter", "main.x"];
version = ["/usr/bin/no-such-interpreter", "--version"];
policy = "program";
CONF

# Beside other tests a compiler may need several times its usual time.
my @patient = map { ["languages/$_.conf", qr/^compile = \{\n/m, "compile = {\n\tlimits = { wall_ms = 120000; };\n"] }
    grep { slurp(root() . "/etc/languages/$_.conf") =~ /^compile = \{\n(?!.*^\s*limits = \{ wall_ms.*^\};)/ms }
    map { basename($_, '.conf') } glob root() . '/etc/languages/*.conf';

my $cb = Cellblock->start(own => 1,
    conf => [@patient, ['languages/restless.conf', undef, $restless], ['languages/absent.conf', undef, $absent]]);

# The pids of the instance whose command line matches.
sub processes_of {
    my ($pattern) = @_;
    my %mine = $cb->processes;
    return grep { $mine{$_}{cmdline} =~ $pattern } sort { $a <=> $b } keys %mine;
}

# --- the list ------------------------------------------------------------------------------------------------------

my %listed = map { $_->{name} => $_ } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
ok $listed{python3}{available}, 'Python is available';
ok !$listed{absent}{available}, 'a language without an interpreter is not available';
like $listed{absent}{reason}, qr{/usr/bin/no-such-interpreter: No such file}, 'a language without an interpreter has a reason';
for my $name (qw(absent gone)) {
    my $r = $cb->run(language => $name, code => '1');
    envelope_ok($r, 400, -400, "$name: a run is rejected");
    like $r->{json}{message}, qr/\Aunsupported language/, "$name: the message says that it is unsupported";
}

# --- languages that are not used ----------------------------------------------------------------------------------------------

is scalar(processes_of(qr/restless/)), 0, 'an unused language has no process';
my $at_rest = $cb->processes_at_rest;
for my $name (qw(restless fidgety)) {
    is $cb->run(language => $name, code => 'print "up\n"')->{data}{stdout}, "up\n", "$name: its first run succeeds";
    cmp_ok scalar(processes_of(qr/restless/)), '>', 0, 'a used language has processes';
    ok eventually(20, sub { !processes_of(qr/restless/) && keys %{ { $cb->processes } } <= $at_rest }), 'a language has no process after idle_s';
}
is $cb->get('/health', key => undef)->{status}, 200, 'the service is healthy while a language sleeps';

# --- the programs of every language ----------------------------------------------------------------------------------------

my @runs; # {name, fields, expect}

sub source {
    my ($path) = @_;
    return decode_utf8(slurp($path) // die "$path: $!");
}

# The programs of one language.
sub add_language {
    my ($dir) = @_;
    my $name = basename($dir);
    my $main = (slurp(root() . "/etc/languages/$name.conf") // '') =~ /^main_file = "([^"]+)"/m ? $1 : die "no etc/languages/$name.conf";
    my ($ext) = $main =~ /\.([^.]+)\z/;
    my $special = -e "$dir/expect.json" ? json->decode(slurp("$dir/expect.json")) : {};
    my @unknown = grep { !$common{$_} } keys %$special;
    is "@unknown", '', "$name: expect.json names only programs that run";
    for my $what (sort keys %common) {
        my %expect = (stdout => undef, exit_code => undef, stderr => undef, status => 'ok', %{ $common{$what} }, %{ $special->{$what} || {} });
        next if $expect{skip};
        push @runs, { name => "$name: $what", main => $main, expect => \%expect,
            fields => { language => $name, code => source("$dir/$what.$ext"), %{ $expect{fields} || {} } } };
    }
    for my $program (sort glob "$dir/more/*.$ext") {
        my ($base) = $program =~ /(.*)\.\Q$ext\E\z/;
        push @runs, { name => "$name: " . basename($base), main => $main,
            expect => { status => 'ok', exit_code => 0, stdout => source("$base.out") },
            fields => { language => $name, code => source($program), -e "$base.in" ? (stdin => source("$base.in")) : (),
                -e "$base.json" ? %{ json->decode(slurp("$base.json")) } : () } };
    }
}

# Compare a reply with the expected one. Returns the differences.
sub wrongs {
    my ($expect, $data) = @_;
    my %status = map { $_ => 1 } ref $expect->{status} ? @{ $expect->{status} } : $expect->{status};
    my @wrong;
    push @wrong, "status is $data->{status}" if !$status{ $data->{status} };
    push @wrong, 'exit code' if defined $expect->{exit_code} && $data->{exit_code} != $expect->{exit_code};
    push @wrong, 'exit code' if $expect->{wrong} && $data->{exit_code} =~ $expect->{wrong};
    push @wrong, 'stdout' if defined $expect->{stdout} && $data->{stdout} ne $expect->{stdout};
    push @wrong, "stderr is not like $expect->{stderr}" if defined $expect->{stderr} && $data->{stderr} !~ $expect->{stderr};
    for my $ours (@ours) {
        push @wrong, "there is $ours in it" if "$data->{stdout}$data->{stderr}" =~ $ours;
    }
    return @wrong;
}

my @here;
for my $dir (grep { -d } sort glob root() . '/t/languages/*') {
    my $name = basename($dir);
    my $language = $listed{$name};
    SKIP: {
        my $why = $language ? "$name: $language->{reason}" : "$name is not configured";
        skip $why, 1 if missing($why, $language && $language->{available});
        push @here, $name;
        like $language->{version}, qr/\A\d+(?:\.\d+)*\z/, "$name: the version is a number";
        add_language($dir);
    }
}
# The message of an error names the main file, unless expect.json says otherwise.
for my $run (@runs) {
    $run->{expect}{stderr} //= qr/\Q$run->{main}\E/ if $run->{name} =~ /: error\z/;
    $run->{expect}{stderr} = qr/$run->{expect}{stderr}/ if defined $run->{expect}{stderr};
}
my @todo = 0 .. $#runs;
my %number; # of the fields of a run
$cb->many(3, sub {
    my $next = shift @todo;
    return if !defined $next;
    $number{ $runs[$next]{fields} } = $next;
    return $runs[$next]{fields};
}, sub {
    my ($fields, $reply) = @_;
    $runs[$number{$fields}]{reply} = $reply;
}, 300);
for my $run (@runs) {
    my $data = $run->{reply}{data};
    if (!$data) {
        fail "$run->{name}: $run->{reply}{status} " . substr $run->{reply}{body}, 0, 300;
        next;
    }
    my @wrong = wrongs($run->{expect}, $data);
    is "@wrong", '', $run->{name} or diag json->encode($data);
}

# --- arguments and environment -----------------------------------------------------------------------------------------------

my %is_here = map { $_ => 1 } @here;
my %environment = (
    bash  => 'echo "$GREETING $1 $HOME"',
    perl  => 'print "$ENV{GREETING} $ARGV[0] $ENV{HOME}\n";',
    php   => '<?php echo getenv("GREETING"), " $argv[1] ", getenv("HOME"), "\n";',
    tcl   => 'puts "$env(GREETING) [lindex $argv 0] $env(HOME)"',
    lua   => 'print(os.getenv("GREETING") .. " " .. arg[1] .. " " .. os.getenv("HOME"))',
    ruby  => 'puts "#{ENV["GREETING"]} #{ARGV[0]} #{Dir.home}"',
    r     => 'cat(Sys.getenv("GREETING"), commandArgs(TRUE)[1], Sys.getenv("HOME")); cat("\n")',
    awk   => 'BEGIN { print ENVIRON["GREETING"], ARGV[1], ENVIRON["HOME"]; exit }',
);
for my $name (grep { $is_here{$_} } sort keys %environment) {
    for my $round (1, 2) {
        my $data = $cb->run(language => $name, code => $environment{$name}, args => ["first$round"], env => { GREETING => "\x{bf}qu\x{e9}?" })->{data};
        is $data->{stdout}, "\x{bf}qu\x{e9}? first$round /box\n", "$name: arguments and environment reach the program, round $round" or diag json->encode($data);
    }
}

# --- random numbers --------------------------------------------------------------------------------------------------

my %random = (
    perl    => 'print rand, "\n";',
    php     => '<?php echo mt_rand(), " ", rand(), " ", random_int(0, PHP_INT_MAX), " ", lcg_value(), " ", uniqid(), "\n";',
    tcl     => 'puts [expr {rand()}]',
    lua     => 'print(math.random(1 << 60))',
    ruby    => 'puts rand(2**60)',
    r       => 'cat(runif(3), "\n")',
    bash    => 'echo $RANDOM $RANDOM $RANDOM $SRANDOM',
    sqlite3 => 'SELECT random(), hex(randomblob(8));',
);
for my $name (grep { $is_here{$_} } sort keys %random) {
    my %seen;
    my $n = $name eq 'r' ? 3 : 6;
    $seen{ $cb->run(language => $name, code => $random{$name})->{data}{stdout} // '' }++ for 1 .. $n;
    is scalar(keys %seen), $n, "$name: random numbers differ from run to run";
}

# --- all at once -----------------------------------------------------------------------------------------------------------------

my @mixed = map { my $run = $_; ({ %{ $run->{fields} } }) x 5 } grep { $_->{name} =~ /: hello\z/ } @runs;
@mixed = map { $mixed[ ($_ * 7) % @mixed ] } 0 .. $#mixed if @mixed % 7;
my (%good, @bad);
$cb->many(6, sub { shift @mixed }, sub {
    my ($fields, $reply) = @_;
    if (($reply->{data}{stdout} // '') eq "hello\n") { $good{ $fields->{language} }++ }
    else { push @bad, "$fields->{language}: $reply->{status} $reply->{body}" }
}, 120);
is_deeply \@bad, [], 'simultaneous runs of all languages are right';
is_deeply [sort keys %good], [sort @here], 'simultaneous runs succeed in every language';

# --- a zygote that is killed ------------------------------------------------------------------------------------------------------

SKIP: {
    skip 'needs PHP', 1 if !$is_here{php};
    $cb->run(language => 'php', code => '<?php');
    my %zygote = map { $_ => 1 } $cb->pids('zygote');
    my ($old) = grep { $zygote{$_} } processes_of(qr/\Acellblock: zygote php\b/);
    ok $old, 'PHP has a zygote' or skip 'there is no zygote to kill', 1;
    kill 9, $old;
    ok eventually(10, sub { !-e "/proc/$old" || (process_status($old) // { State => 'Z' })->{State} =~ /\AZ/ }), 'the zygote of PHP is killed';
    for (1 .. 5) {
        is $cb->run(language => 'php', code => '<?php echo "still here\n";')->{data}{stdout}, "still here\n", 'PHP continues to serve';
    }
    my $new = eventually(10, sub {
        my %now = map { $_ => 1 } $cb->pids('zygote');
        my ($found) = grep { $now{$_} && $_ != $old } processes_of(qr/\Acellblock: zygote php\b/);
        return $found;
    });
    ok $new, 'PHP has a new zygote';
}

$cb->finish;

# --- many languages, few cells -----------------------------------------------------------------------------------------------------

# Together they want more armed cells than there are. Each has descriptors of its own in the runner.
my @many = map { "many$_" } 1 .. 40;
my $spare = $restless =~ s/^start = .*/start = "spare";/mr =~ s/^idle_s = .*/idle_s = 300;/mr =~ s/^aliases.*//mr;
$cb = Cellblock->start(own => 1, args => ['--workers', 4], conf => [
    ['cellblock.conf',         qr/cells = 32/,  'cells = 3'],
    ['languages/python3.conf', qr/^idle_s = 0/m, 'idle_s = 300'],
    map { my $name = $_; ["languages/$name.conf", undef, $spare =~ s/restless/$name/r] } @many,
]);
my @unserved;
for my $round (1, 2) {
    my @names = @many;
    $cb->many(4, sub { my $name = shift @names // return; return { language => $name, code => "print '$name'" } }, sub {
        my ($fields, $reply) = @_;
        push @unserved, "$fields->{language}: $reply->{status} $reply->{body}" if ($reply->{data}{stdout} // '') ne $fields->{language};
    }, 60);
}
is "@unserved[0 .. ($#unserved < 3 ? $#unserved : 3)]", '', 'forty languages are served with three cells';
$cb->finish;
done_testing;
