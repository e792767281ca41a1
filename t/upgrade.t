# An upgrade: other programs are installed in the place of those that serve, and SIGHUP has them
# take over while clients send runs. No run is refused or lost, and no process of the old build is
# left.
use strict;
use warnings;
use Cellblock qw(command eventually prefix slurp spew);
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);

# A prefix of the test's own, whose programs it can replace.
my $home = tempdir('cellblock-upgrade-XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $home;
command(['cp', '-a', prefix(), "$home/prefix"]);
{
    no warnings 'redefine';
    *Cellblock::prefix = sub { return "$home/prefix" };
}

my $cb = Cellblock->start(own => 1);
my %program = map { $_ => "$home/prefix/bin/cellblock-$_" } qw(runner fcgi);
my %part = (runner => 'runner', fcgi => 'worker');

sub parent { my ($part) = @_; return ($cb->pids("$part parent"))[0] }

# Put a file in the place of a program, as `make install` does: the old one loses its name.
sub install {
    my ($program, $bytes) = @_;
    spew("$program.new", $bytes);
    chmod 0755, "$program.new";
    rename "$program.new", $program or die "$program: $!";
    return;
}

sub version { my ($exit, $out) = command([$_[0], '--version']); return $out =~ s/\n//r }

sub mark { return { map { $_ => -s } $cb->logs } }

sub since {
    my ($mark) = @_;
    return join '', map { substr slurp($_) // '', $mark->{$_} // 0 } $cb->logs;
}

# Processes that execute a file which has lost its name.
sub of_the_old_build {
    return grep { (readlink("/proc/$_/exe") // '') =~ m{\Q$home\E.* \(deleted\)\z} } map { $_->{pid} } values %{ { $cb->processes } };
}

my %parents = map { $_ => parent($_) } qw(runner status worker);
my $old = version($program{runner});

# --- another build, under load ----------------------------------------------------------------------------------------------

{
    my ($sent, $begin, $mark, @failed, $end) = (0, time);
    my @steps = (
        sub {
            for (sort keys %program) {
                my $bytes = slurp($program{$_});
                # Another version of the same length is another build.
                $bytes =~ s/(cellblock-\w+ \d+\.\d+\.)\d/${1}x/g or die "$_ has no version";
                install($program{$_}, $bytes);
            }
            $mark = mark();
            kill 'HUP', parent('runner');
        },
        sub { return since($mark) =~ /runner: generation \d+ serves; / },
        sub { kill 'HUP', parent('worker') },
        sub { return since($mark) =~ /worker: generation \d+ serves; / },
        # The status process is the same program.
        sub { kill 'HUP', parent('status') },
        sub { return since($mark) =~ /status: generation \d+ serves; / },
        sub { return !of_the_old_build() },
    );
    my $next_look = 0;
    $cb->many(8, sub {
        if (@steps && $sent > 40 && time > $next_look) {
            shift @steps if $steps[0]->();
            $next_look = time + 0.1;
        }
        $end //= time + 1 if !@steps;
        return if $end && time > $end || time > $begin + 120;
        $sent++;
        return { code => "print($sent)", number => $sent };
    }, sub {
        my ($fields, $r) = @_;
        push @failed, "$r->{status} " . substr $r->{body}, 0, 200 if $r->{status} != 200 || ($r->{data}{stdout} // '') ne "$fields->{number}\n";
    }, 180);
    is scalar @steps, 0, 'the upgrade is complete' or diag since($mark), join ' ', of_the_old_build();
    is join("\n", @failed[0 .. ($#failed < 5 ? $#failed : 5)]), '', '8 clients: no run is refused, and none is lost';
    diag "$sent runs during an upgrade";
    isnt version($program{$_}), $old, "cellblock-$_ has another version" for sort keys %program;
    is parent($_), $parents{$_}, "the parent of the $_ is the same process" for sort keys %parents;
    like readlink("/proc/$parents{$_}/exe"), qr{\A\Q$home\E/prefix/bin/cellblock-\w+\z}, "the parent of the $_ executes the new program" for sort keys %parents;
}

# --- a build that cannot take over -----------------------------------------------------------------------------------------------

for (
    ['a program that is no program', "rubbish\n"],
    ['a program of a version without parents', "#!/bin/sh\nexit 2\n"],
) {
    my ($name, $bytes) = @$_;
    my $good = slurp($program{runner});
    my $brokers = join ' ', $cb->pids('broker');
    my $mark = mark();
    install($program{runner}, $bytes);
    kill 'HUP', $parents{runner};
    ok eventually(30, sub { since($mark) =~ /cannot continue the work of this parent, which takes a restart; generation \d+ stays in service/ }), "$name: the parent says so";
    is join(' ', $cb->pids('broker')), $brokers, "$name: the same broker serves";
    is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", "$name: runs succeed";
    install($program{runner}, $good);
}

# One that says that it can, and then cannot serve.
{
    my $good = slurp($program{fcgi});
    my $mark = mark();
    install($program{fcgi}, "#!/bin/sh\ncase \$1 in --can-continue) exit 0 ;; esac\nexec $home/good \"\$@\"\n");
    install("$home/good", $good);
    kill 'HUP', $parents{worker};
    ok eventually(60, sub { since($mark) =~ /worker: generation \d+ serves; / }), 'a wrapper around the program is executed as well';
    is parent('worker'), $parents{worker}, 'by the same process';
    is $cb->run(code => 'print(1)')->{data}{stdout}, "1\n", 'and runs succeed';
    install($program{fcgi}, $good);
}

$cb->finish;
done_testing;
