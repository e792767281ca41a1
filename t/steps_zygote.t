# The steps that a zygote makes at its start are made to fail, as in t/steps.t: the rows of
# zygote_walls in runner/guest/walls.c. So are the steps of a run with a network, and of its relay.
use strict;
use warnings;
use Cellblock qw(eventually slurp);
use File::Temp ();
use Steps;
use Test::More;
use Tracer;

my $steps = Steps->start(qr/fatal: relay: (?:Landlock|load its policy|no_new_privs)/);
my $cb    = $steps->service;

# Steps that only a run with a network has. A namespace is kept until a run has made a socket.
my @networked = (language => 'python3', enable_network => JSON::PP::true);
my $uses_it = 'import socket; socket.socket(); print("out")';
my @network_steps = (
    ['warden', 'unshare', 'a network namespace'],
    ['warden', 'socket',  'a socket to bring its loopback up'],
    ['warden', 'ioctl',   'which is done by this'],
    ['warden', 'bind',    'the listener'],
    ['warden', 'listen',  'which listens'],
    ['warden', 'setns,unshare', 'a namespace that was kept, or another one'],
    ['zygote', 'setns',   'joining the namespaces'],
    ['zygote', 'landlock_restrict_self', 'Landlock'],
    ['zygote', 'seccomp', 'the last filter'],
);
for (@network_steps) {
    my ($role, $call, $for) = @$_;
    $steps->fail_step("with a network: $role $call ($for)", $call, \@networked, $uses_it, [$cb->pids($role)]);
}
# Steps of a run with a loopback.
my @loopback_steps = (['warden', 'unshare', 'a network namespace'], ['warden', 'socket', 'a socket to bring its loopback up'], ['warden', 'ioctl', 'which is done by this']);
for (@loopback_steps) {
    my ($role, $call, $for) = @$_;
    $steps->fail_step("with a loopback: $role $call ($for)", $call, [language => 'python3', network => 'loopback'], 'print("out")', [$cb->pids($role)]);
}
if ($steps->layers->{zygote_landlock}{in_force}) {
    $steps->fail_step('warden ioctl (its namespaces, for zygotes that may not look at its init)', 'ioctl', 'python3', 'print("out")', [$cb->pids('warden')]);
}

# A zygote that cannot put up one of its own walls does not serve, nor do those that are started in
# its place. Which of its calls that is, is seen in one that can. $count: how many there are.
my $count;
sub calls_at_start {
    my ($broker) = $cb->pids('broker');
    my $file = File::Temp->new;
    my %before = map { $_ => 1 } $steps->zygotes_of('python3');
    $count = keys %before;
    my $tracer = Tracer->attach([$broker], '-f', '-e', 'trace=unshare,prctl,landlock_restrict_self,seccomp', '-o', $file->filename);
    ok $tracer->is_attached, 'a zygote starts: strace is attached' or diag $tracer->says;
    kill 'KILL', keys %before;
    ok eventually(20, sub { grep { !$before{$_} } $steps->zygotes_of('python3') }), 'there is a new one';
    # It has named itself, and loaded a filter. That a run succeeds says nothing of it: guests of
    # the old ones are armed still.
    my ($zygote, %of);
    ok eventually(20, sub {
        %of = ();
        /^(\d+) +(\w+)\((.*)/ and push @{ $of{$1} }, [$2, $3] for split /\n/, slurp($file->filename);
        ($zygote) = grep { grep({ $_->[1] =~ /"zygote python3"/ } @{ $of{$_} }) && grep { $_->[0] eq 'seccomp' } @{ $of{$_} } } sort { $a <=> $b } keys %of;
        return defined $zygote;
    }), 'and its calls are seen' or diag slurp($file->filename);
    $tracer->detach;
    ok $cb->healthy_within(20), 'and it serves';
    return @{ $of{ $zygote // 0 } || [] };
}
{
    my @calls = calls_at_start();
    my ($broker) = $cb->pids('broker');
    my $rows = Steps::rows('zygote_walls');
    for my $step (sort keys %$rows) {
        for (@{ $rows->{$step} }) {
            my ($call, %how) = @$_;
            next if !$steps->is_made($how{layer});
            my @same = grep { $_->[0] eq $call } @calls;
            my ($number) = grep { index($same[$_][1], $how{argument} // '') >= 0 } 0 .. $#same;
            ok defined $number, "$step: a zygote calls $call" or next;
            # One zygote is enough for the service to recover. Another one that is started before
            # the fault, and cannot be killed yet by its name, would serve in spite of it.
            ok eventually(20, sub { $steps->zygotes_of('python3') >= $count }), "$step: all zygotes are there again";
            $steps->fail_step("zygote $call ($step, at its start)", $call, 'python3', 'print("out")', [$broker], step => $step, when => $number + 1,
                says => $step eq 'have one thread' ? 'an imported module has started a thread' : undef,
                then => sub { kill 'KILL', $steps->zygotes_of('python3') });
        }
    }
}

# The walls of the relay, which is no relay without them: where none serves, the cell's proxy has no
# answer, not even that it cannot be reached.
my $answered = 'import socket; s = socket.create_connection(("127.0.0.1", 3128), 1); s.send(b"GET / HTTP/1.1\r\n\r\n"); b"502" in s.recv(99) or exit(1); print("out")';
for my $call (qw(landlock_restrict_self prctl), $cb->sanitized ? () : 'seccomp') {
    my $relay = eventually(10, sub { $cb->relay });
    my $door = Cellblock::process_status($relay)->{PPid} =~ s/\s//gr;
    $steps->fail_step("relay $call", $call, \@networked, $answered, [$door], then => sub { kill 'KILL', $relay });
}

$steps->finish;
