# Flaky.pm - a relay in front of a service, which does to each connection what the test says: for
# clients that must try again, or must not.
#
#   my $flaky = Flaky->new($cb, [503, 'Retry-After: 1', $envelope], 'cut', 'relay');
#   ... a client at $flaky->{url} ...
#   is join(" ", $flaky->done), "503 cut relayed";
#
# An action is for one connection, and the last is for all that follow:
#   relay                   pass everything on, both ways
#   cut                     read the whole request, and close the connection
#   half                    read it, and close in the middle of an answer
#   silent                  read it, and never answer
#   [status, headers, body] read it, and answer this
package Flaky;
use strict;
use warnings;
use Cellblock qw(eventually slurp spew);
use File::Temp;
use IO::Select;
use IO::Socket::INET;
use POSIX ();

sub new {
    my ($class, $cb, @actions) = @_;
    my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
    my $self = bless { port => $listener->sockport, log => File::Temp->new, owner => $$ }, $class;
    $self->{url} = "http://127.0.0.1:$self->{port}";
    my ($port) = $cb->{url} =~ /:(\d+)/;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        setpgrp; # what it forks ends with it
        while (1) {
            my $client = $listener->accept or next;
            my $action = @actions > 1 ? shift @actions : $actions[0];
            my $pid = fork // die "fork: $!";
            if ($pid == 0) {
                close $listener;
                $self->_serve($client, $port, $action);
                POSIX::_exit(0);
            }
            close $client;
        }
    }
    close $listener;
    return $self;
}

sub _serve {
    my ($self, $client, $port, $action) = @_;
    if ($action eq 'relay') {
        $self->_count('relayed');
        return _relay($client, $port);
    }
    my $in = '';
    while ($in !~ /\r\n\r\n/) { sysread $client, $in, 65536, length $in or return }
    my ($length) = $in =~ /^Content-Length:\s*(\d+)/mi;
    my $wanted = index($in, "\r\n\r\n") + 4 + ($length // 0);
    while (length $in < $wanted) { sysread $client, $in, 65536, length $in or return }
    $self->_count(ref $action ? $action->[0] : $action);
    if (ref $action) {
        my ($status, $headers, $body) = @$action;
        syswrite $client, "HTTP/1.1 $status Whatever\r\nContent-Type: application/json; charset=utf-8\r\n$headers\r\nContent-Length: "
            . length($body) . "\r\nConnection: close\r\n\r\n$body";
    } elsif ($action eq 'half') {
        syswrite $client, "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 1000\r\n\r\n{\"code\":0,";
    } elsif ($action eq 'silent') {
        sysread $client, $in, 65536; # until the client goes away
    }
    return;
}

sub _count {
    my ($self, $what) = @_;
    open my $log, '>>', "$self->{log}" or die;
    syswrite $log, "$what\n";
    return;
}

sub _relay {
    my ($client, $port) = @_;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return;
    my $select = IO::Select->new($client, $server);
    while (1) {
        for my $from ($select->can_read) {
            my $bytes = '';
            sysread $from, $bytes, 65536 or return;
            my $to = $from == $client ? $server : $client;
            while (length $bytes) {
                my $n = syswrite $to, $bytes or return;
                substr $bytes, 0, $n, '';
            }
        }
    }
    return;
}

# The actions and statuses so far: a list, one for each connection with a request.
sub done {
    my ($self) = @_;
    return split /\n/, slurp("$self->{log}");
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $!);
    kill 'KILL', -$self->{pid}, $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;
