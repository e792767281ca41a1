# Tracer.pm - strace, attached to running processes: it makes their system calls fail, or skips
# them.
#
#   my $tracer = Tracer->attach([@pids], '-f', '-e', 'trace=setns', '-e', 'inject=setns:error=EPERM');
#   ok $tracer->is_attached, 'strace is attached' or diag $tracer->says;
#   $tracer->detach;
package Tracer;
use strict;
use warnings;

use Cellblock qw(eventually process_status slurp);
use File::Temp ();
use POSIX ();

# The reason why strace is unavailable, or undef (see Cellblock::missing).
sub missing { return Cellblock::missing('strace is not installed', !system 'command -v strace >/dev/null') }

# A process may end before strace is there; $pids may then be a function that names them again.
sub attach {
    my ($class, $pids, @how) = @_;
    return _attach_once($class, $pids, @how) if ref $pids ne 'CODE';
    my $self;
    for (1 .. 5) {
        $self = _attach_once($class, [$pids->()], @how);
        return $self if $self->is_attached || $self->says !~ /No such process/;
        $self->detach;
    }
    return $self;
}

sub _attach_once {
    my ($class, $pids, @how) = @_;
    my $self = bless { pids => $pids, says => File::Temp->new }, $class;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        open STDERR, '>&', $self->{says} or POSIX::_exit(126);
        exec 'strace', '-qq', '-o', '/dev/null', @how, map { ('-p', $_) } @$pids or POSIX::_exit(127);
    }
    $self->{is_attached} = eventually(10, sub { !grep { ((process_status($_) // {})->{TracerPid} // -1) != $self->{pid} } @$pids });
    return $self;
}

sub is_attached { return $_[0]{is_attached} }
sub says        { return slurp($_[0]{says}->filename) }

# SIGKILL, which strace cannot handle. On another signal it would wait for each process to stop
# before it detaches. It would wait for ever for the init of a cell that ends, which itself waits
# for strace to reap the others.
sub detach {
    my ($self) = @_;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
