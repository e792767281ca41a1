# Events.pm - a client that asks for the events of a run, and reads them as they arrive.
#
#   my $stream = Events->start($cb, 'ndjson', { code => 'print(1)' });
#   my $event = $stream->next(10);        # {event, ms, data, at}; undef: no more, or not in time
#   my $events = $stream->rest(30);       # all others
#   $stream->{status}, $stream->{headers}, $stream->{end}
#
# `end` says how the answer ended: "whole" (its last chunk), "cut" (the connection ended before), or
# undef as long as it goes on. It understands HTTP/1.1 with chunks, and answers with a length.
package Events;
use strict;
use warnings;

use IO::Select;
use JSON::PP ();
use POSIX qw(EAGAIN EWOULDBLOCK EINTR);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8->allow_nonref;
my %accept = (sse => 'text/event-stream', ndjson => 'application/x-ndjson');

# Send a run that asks for events in a form. $option: accept (another Accept), socket (a connection
# that is open already), headers (more lines), key, small (true: the client's socket takes little).
sub start {
    my ($class, $cb, $form, $fields, %option) = @_;
    my $key = $option{key} // $cb->{key};
    my $bytes = $cb->run_bytes(%$fields);
    my $more = join '', 'Accept: ' . ($option{accept} // $accept{$form}) . "\r\n", @{ $option{headers} || [] };
    $bytes =~ s{X-Api-Key: [^\r]*\r\n}{X-Api-Key: $key\r\n$more};
    my $socket = $option{socket} // $cb->connect_raw('');
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096 if $option{small};
    $socket->blocking(1);
    print {$socket} $bytes;
    $socket->flush;
    $socket->blocking(0);
    return bless { form => $form, socket => $socket, in => '', body => '', ready => [] }, $class;
}

sub _read_head {
    my ($self) = @_;
    $self->{in} =~ s{\AHTTP/1\.[01] (\d+)[^\r]*\r\n(.*?)\r\n\r\n}{}s or return;
    $self->{status} = $1;
    $self->{headers} = { map { /\A([^:]+):\s*(.*)\z/ ? (lc $1 => $2) : () } split /\r\n/, $2 };
    $self->{left} = $self->{headers}{'content-length'};
    return 1;
}

# Move what has arrived into the body, without the frames of chunks.
sub _read_body {
    my ($self) = @_;
    if (($self->{headers}{'transfer-encoding'} // '') ne 'chunked') {
        $self->{body} .= $self->{in};
        $self->{in} = '';
        $self->{end} = 'whole' if defined $self->{left} && length $self->{body} >= $self->{left};
        return;
    }
    while (!$self->{end}) {
        $self->{in} =~ /\A([0-9a-f]+)\r\n/i or return;
        my ($head, $size) = (length $&, hex $1);
        return if length $self->{in} < $head + $size + 2;
        $self->{body} .= substr $self->{in}, $head, $size;
        substr $self->{in}, 0, $head + $size + 2, '';
        $self->{end} = 'whole' if $size == 0;
    }
    return;
}

sub _parse {
    my ($self) = @_;
    my $at = time;
    if ($self->{form} eq 'sse') {
        while ($self->{body} =~ s/\A(.*?)\n\n//s) {
            my ($kind, $data) = $1 =~ /\Aevent: ([a-z]+)\ndata: (\{[^\n\r]*\})\z/ or die "no event: $1";
            my $event = $json->decode($data);
            die "event: $kind, but $event->{event} in its data" if $event->{event} ne $kind;
            push @{ $self->{ready} }, { %$event, at => $at, line => $data };
        }
        return;
    }
    while ($self->{body} =~ s/\A([^\n]*)\n//) {
        my $line = $1;
        push @{ $self->{ready} }, { %{ $json->decode($line) }, at => $at, line => $line };
    }
    return;
}

# Read once, in $seconds at most. Returns false if nothing came.
sub _read {
    my ($self, $seconds) = @_;
    return if $self->{end} || !IO::Select->new($self->{socket})->can_read($seconds > 0 ? $seconds : 0);
    my $got = sysread $self->{socket}, $self->{in}, 1 << 20, length $self->{in};
    return 1 if !defined $got && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
    if (!$got) {
        $self->{end} = defined $self->{status} && !$self->{headers}{'transfer-encoding'} && !defined $self->{left} ? 'whole' : 'cut';
        return;
    }
    return 1 if !defined $self->{status} && !$self->_read_head;
    $self->_read_body;
    $self->_parse if $self->{headers}{'content-type'} !~ m{\Aapplication/json};
    return 1;
}

sub next {
    my ($self, $seconds) = @_;
    my $until = time + $seconds;
    while (!@{ $self->{ready} }) {
        $self->_read($until - time) or return;
    }
    return shift @{ $self->{ready} };
}

# The next event of one of these kinds. Others before it are lost.
sub next_of {
    my ($self, $seconds, @kinds) = @_;
    my $until = time + $seconds;
    while (my $event = $self->next($until - time)) {
        return $event if grep { $_ eq $event->{event} } @kinds;
    }
    return;
}

# All events until the end of the answer.
sub rest {
    my ($self, $seconds) = @_;
    my $until = time + $seconds;
    my @events;
    while (my $event = $self->next($until - time)) { push @events, $event }
    return \@events;
}

# The answer to a request that was refused: its body as JSON.
sub refusal {
    my ($self, $seconds) = @_;
    my $until = time + $seconds;
    1 while !$self->{end} && $self->_read($until - time);
    return eval { $json->decode($self->{body}) };
}

# The texts of all events of a kind, together.
sub text {
    my ($events, $kind) = @_;
    return join '', map { $_->{data} } grep { $_->{event} eq $kind } @$events;
}

# The kinds of events, each once if several follow one another.
sub kinds {
    my ($events) = @_;
    my @kinds;
    for (@$events) { push @kinds, $_->{event} if !@kinds || $kinds[-1] ne $_->{event} }
    return join ' ', @kinds;
}

sub close_now {
    my ($self) = @_;
    return close $self->{socket};
}

1;
