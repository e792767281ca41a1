# A reload takes new limits, languages and keys while clients send runs, and loses none. A bad
# configuration keeps the old one, and says so. Languages that appear and vanish are noticed.
use strict;
use warnings;
use Cellblock qw(command eventually process_status slurp spew);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $programs = tempdir('cellblock-programs-XXXXXX', DIR => '/var/tmp', CLEANUP => 1); # a cell has a /tmp of its own
chmod 0755, $programs;

# A language of the test's own, whose interpreter comes and goes.
my $own_language = <<"END";
name = "own";
main_file = "main.sh";
start = "cold";
run = ["$programs/own-sh", "main.sh"];
version = ["$programs/own-sh", "--version"];
root = ["/bin", "/lib", "?/lib64", "/usr/bin", "/usr/lib"];
policy = "program";
armed = 0;
END

my $cb = Cellblock->start(own => 1,
    conf => [['languages/own.conf', undef, $own_language]],
    # The bad configurations below.
    allow => [qr{fatal: .*/no/such/group}]);
my $server = Cellblock::root() . '/script/server';
my $conf = "$cb->{dir}/conf/cellblock.conf";

sub reload {
    my ($exit, $out, $err) = command([$server, '--reload', '--dir', $cb->{dir}], seconds => 200);
    return ($exit, "$out$err");
}

sub change {
    my ($file, $pattern, $replacement) = @_;
    my $text = slurp($file);
    $text =~ s/$pattern/$replacement/ or die "$file has nothing like $pattern";
    spew($file, $text);
    return;
}

# 8 clients send runs while $action does its work, and for a second after it. Returns what failed.
sub under_load {
    my ($name, $action) = @_;
    my $begin = time;
    my ($sent, $child, $end, @failed) = (0);
    $cb->many(8, sub {
        $child //= do {
            my $pid = fork // die "fork: $!";
            if (!$pid) { POSIX::_exit(eval { $action->() } ? 0 : 1) }
            $pid;
        };
        if (!$end && waitpid($child, POSIX::WNOHANG()) == $child) {
            is $?, 0, "$name: it works";
            $end = time + 1;
        }
        return if $end && time > $end || time > $begin + 240;
        $sent++;
        return { code => "print($sent)", number => $sent };
    }, sub {
        my ($fields, $r) = @_;
        push @failed, "$r->{status} " . substr $r->{body}, 0, 200 if $r->{status} != 200 || ($r->{data}{stdout} // '') ne "$fields->{number}\n";
    }, 300);
    is join("\n", @failed[0 .. ($#failed < 5 ? $#failed : 5)]), '', "$name: no run fails" or diag join "\n", grep {/ warning: /} split /\n/, $cb->log_text;
    cmp_ok $sent, '>', 50, "$name: there were runs";
    return;
}

sub parent { my ($name) = @_; return ($cb->pids("$name parent"))[0] }

# The sizes of the logs now, and what has come since then.
sub mark { return { map { $_ => -s } $cb->logs } }

sub since {
    my ($mark) = @_;
    return join '', map { substr slurp($_) // '', $mark->{$_} // 0 } $cb->logs;
}

# Whether a log line comes within some time.
sub is_logged {
    my ($pattern, $mark, $seconds) = @_;
    return eventually($seconds // 90, sub { since($mark) =~ $pattern });
}

sub wall_ms { return $cb->get('/v1/sandbox/capabilities')->{data}{limits}{wall_ms}{default} }

sub language {
    my ($name) = @_;
    my ($found) = grep { $_->{name} eq $name } @{ $cb->get('/v1/sandbox/languages')->{data}{languages} };
    return $found;
}

# --- limits, languages and keys ------------------------------------------------------------------------------------------

my %parents = map { $_ => parent($_) } qw(runner worker);
my @old_workers = $cb->pids('worker');
is wall_ms(), 15000, 'the limit before';
change($conf, qr/wall_ms = \{ default = 15000/, 'wall_ms = { default = 777');
spew("$cb->{dir}/conf/languages/two.conf", slurp("$cb->{dir}/conf/languages/bash.conf") =~ s/"bash"/"two"/r =~ s/^aliases.*//mr);
under_load('a reload with another limit and a new language', sub { (reload())[0] == 0 });
is wall_ms(), 777, 'the new limit is in force';
is $cb->run(language => 'two', code => 'echo out')->{data}{stdout}, "out\n", 'the new language serves';
is parent($_), $parents{$_}, "the parent of the $_ is the same process" for sort keys %parents;
ok eventually(60, sub { my %now = map { $_ => 1 } $cb->pids('worker'); !grep { $now{$_} } @old_workers }), 'the old workers have ended';

# --- in any order ----------------------------------------------------------------------------------------------------------

# By hand, without script/server: the configuration in force is changed, and each parent is told.
my $live = "$cb->{dir}/live/conf/cellblock.conf";
for (['the runner alone', ['runner'], 778], ['the workers first', ['worker', 'runner'], 779]) {
    my ($name, $order, $limit) = @$_;
    under_load("$name: a reload", sub {
        change($live, qr/wall_ms = \{ default = \d+/, "wall_ms = { default = $limit");
        for my $part (@$order) {
            my $before = mark();
            kill 'HUP', parent($part);
            # Workers wait for a runner with their configuration.
            is_logged(qr/$part: starting generation/, $before) or return 0;
            is_logged(qr/$part: generation \d+ serves; /, $before) or return 0 if $part eq 'runner';
        }
        return eventually(90, sub { (wall_ms() // 0) == $limit });
    });
    is wall_ms(), $limit, "$name: the new limit is in force";
}

# --- a bad configuration -----------------------------------------------------------------------------------------------------

for (
    ['a key that is unknown', "rubbish = 1;\n", qr/cellblock\.conf:\d+: unknown key "rubbish"/, 1],
    ['a group that is not there', undef, qr{/no/such/group}, 0],
) {
    my ($name, $more, $says, $is_found_by_check) = @$_;
    my $good = slurp($conf);
    my $brokers = join ' ', $cb->pids('broker');
    if (defined $more) { spew($conf, $good . $more) }
    else { change($conf, qr/#cgroup_parent = .*;/, 'cgroup_parent = "/no/such/group";') }
    my ($exit, $said) = reload();
    is $exit, 1, "$name: --reload fails";
    like $said, $says, "$name: --reload says why";
    like $said, $is_found_by_check ? qr/nothing was changed/ : qr/the old one stays in service/, "$name: and that the old one serves";
    is join(' ', $cb->pids('broker')), $brokers, "$name: the same broker serves";
    is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", "$name: runs succeed";
    spew($conf, $good);
    is +(reload())[0], 0, "$name: a reload succeeds when it is right again";
}
{
    my $good = slurp($live);
    my $before = mark();
    spew($live, "$good\nrubbish = 1;\n");
    for my $part (qw(runner worker)) {
        kill 'HUP', parent($part);
        ok is_logged(qr/$part: no new generation; generation \d+ stays in service/, $before), "a bad configuration and a signal: the $part stays, and says so";
    }
    like since($before), qr/unknown key "rubbish"/, 'a bad configuration and a signal: the log says why';
    is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'a bad configuration and a signal: runs succeed';
    spew($live, $good);
    $before = mark();
    kill 'HUP', parent('runner');
    ok is_logged(qr/runner: generation \d+ serves; /, $before), 'and a good one is taken after that';
}

# --- languages that come and go -------------------------------------------------------------------------------------------------

is language('own')->{available} ? 1 : 0, 0, 'a language without its interpreter is not available';
under_load('an interpreter is installed', sub {
    copy('/bin/bash', "$programs/own-sh") && chmod(0755, "$programs/own-sh") or return 0;
    return eventually(90, sub { (language('own') // {})->{available} });
});
{
    my $r = $cb->run(language => 'own', code => 'echo own');
    is $r->{data}{stdout}, "own\n", 'its programs run, and nobody was asked' or diag $r->{body}, $cb->log_text =~ /^.*own.*$/mg;
}
under_load('an interpreter is removed', sub {
    unlink "$programs/own-sh";
    return eventually(90, sub { !language('own')->{available} });
});
like language('own')->{reason}, qr/No such file/, 'the language says why it is not available';

# --- a generation that is killed ---------------------------------------------------------------------------------------------------

{
    my $before = mark();
    my @doors;
    ok eventually(60, sub { @doors = grep { ((process_status($_) // {})->{Name} // '') eq 'door' } $cb->pids('runner'); @doors == 1 }), 'there is one generation';
    my ($door) = @doors;
    my @killed = $cb->pids('broker');
    kill 'KILL', $door;
    # The status is that of the broker that was, until it has gone.
    ok eventually(30, sub { my %now = map { $_ => 1 } $cb->pids('broker'); !grep { $now{$_} } @killed }), 'a runner that is killed: its broker ends';
    ok is_logged(qr/runner: process $door ended \(signal 9\); another one is started/, $before, 10), 'a runner that is killed: its parent starts another one';
    ok defined $cb->healthy_within(30), 'a runner that is killed: the service is healthy again';
    is parent('runner'), $parents{runner}, 'a runner that is killed: the parent stays';
}

# A new generation is killed while it starts: the old one is not touched.
{
    my $before = mark();
    my $brokers = join ' ', $cb->pids('broker');
    my %were = map { $_ => 1 } $cb->pids('runner');
    kill 'HUP', parent('runner');
    my $new;
    ok eventually(60, sub { ($new) = grep { !$were{$_} && ((process_status($_) // {})->{PPid} // 0) == parent('runner') } $cb->pids('runner') }), 'a new generation starts';
    kill 'KILL', $new;
    ok is_logged(qr/did not start: process $new ended \(signal 9\), and has said why; generation \d+ stays in service/, $before, 30), 'killed while it starts: the old one stays';
    is join(' ', $cb->pids('broker')), $brokers, 'killed while it starts: the same broker serves';
}

$cb->finish;
done_testing;
