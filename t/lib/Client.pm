# Client.pm - the requests that a test sends to a service, and their replies. It is the base class
# of Cellblock, whose fields url, tls_url and key say where the service is.
#
#   my $r = $cb->run(code => 'print(1)');          # {status, headers, body, json, data}
#   $cb->many(8, \&next_fields, \&take_reply);
package Client;
use strict;
use warnings;

use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(EAGAIN EWOULDBLOCK EINTR);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# HTTP::Tiny writes a request in two pieces. Without TCP_NODELAY the second would wait 40 ms for the
# peer's delayed acknowledgement of the first.
{
    no warnings 'redefine';
    my $connect = \&HTTP::Tiny::Handle::connect;
    *HTTP::Tiny::Handle::connect = sub {
        my $handle = $connect->(@_);
        setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1;
        return $handle;
    };
}

sub http {
    my ($self) = @_;
    return $self->{http} //= HTTP::Tiny->new(timeout => 120, verify_SSL => 0);
}

# One request. $option: headers, content, tls (over TLS), key (undef: none).
# Returns {status, headers, body, json, data}; json is undef when the body is not JSON.
sub request {
    my ($self, $method, $path, %option) = @_;
    my %headers = %{ $option{headers} || {} };
    my $key = exists $option{key} ? $option{key} : $self->{key};
    $headers{'X-Api-Key'} = $key if defined $key;
    my %args = (headers => \%headers);
    $args{content} = $option{content} if defined $option{content};
    my $reply = $self->http->request($method, ($option{tls} ? $self->{tls_url} : $self->{url}) . $path, \%args);
    return _reply($reply->{status}, $reply->{headers}, $reply->{content});
}

sub _reply {
    my ($status, $headers, $body) = @_;
    my $decoded = eval { $json->decode($body) };
    return {
        status  => $status,
        headers => $headers,
        body    => $body,
        json    => $decoded,
        data    => ref $decoded eq 'HASH' ? $decoded->{data} : undef,
    };
}

sub get {
    my ($self, $path, %option) = @_;
    return $self->request('GET', $path, %option);
}

# POST /v1/sandbox/run with these fields; the language is Python unless they say otherwise.
sub run {
    my ($self, %field) = @_;
    return $self->post(_body(%field));
}

sub _body {
    my (%field) = @_;
    return $json->encode({ language => 'python3', %field });
}

# POST /v1/sandbox/run with this body, as bytes.
sub post {
    my ($self, $body, %option) = @_;
    return $self->request('POST', '/v1/sandbox/run', headers => { 'Content-Type' => 'application/json' }, content => $body, %option);
}

# Send bytes on a new plain connection; returns the socket. For requests that no client library
# sends.
sub connect_raw {
    my ($self, $bytes, $other_port) = @_;
    my ($host, $port) = $self->{url} =~ m{//([^:/]+):(\d+)};
    $port = $other_port if $other_port;
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 30) or die "connect: $!";
    print {$socket} $bytes;
    $socket->flush;
    return $socket;
}

sub run_bytes {
    my ($self, %field) = @_;
    my $body = _body(%field);
    return "POST /v1/sandbox/run HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: $self->{key}\r\n"
        . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

# Read one response from a socket of connect_raw.
sub read_reply {
    my ($self, $socket) = @_;
    my $in = '';
    while (1) {
        my $whole = _parse(\$in);
        return $whole if $whole;
        sysread $socket, $in, 65536, length $in or return _reply(0, {}, $in);
    }
}

# Remove one complete response from the front of $$in, or return undef.
sub _parse {
    my ($in) = @_;
    my $head_end = index $$in, "\r\n\r\n";
    return if $head_end < 0;
    my ($first, @lines) = split /\r\n/, substr $$in, 0, $head_end;
    my ($status) = $first =~ m{\AHTTP/1\.[01] (\d+)} or return _reply(0, {}, $$in);
    my %headers = map { /\A([^:]+):\s*(.*)\z/ ? (lc $1 => $2) : () } @lines;
    my $size = $headers{'content-length'} // return _reply(0, \%headers, $$in); # API.md promises one
    return if length $$in < $head_end + 4 + $size;
    my $body = substr $$in, $head_end + 4, $size;
    substr $$in, 0, $head_end + 4 + $size, '';
    return _reply($status, \%headers, $body);
}

# Many runs, $at_once at a time, over that many persistent connections. $next->() returns the fields
# of the next run as a hash, or undef at the end. $done->(fields, reply) gets each answer; a
# connection that broke gives a reply with status 0. All of it takes $seconds at most.
sub many {
    my ($self, $at_once, $next, $done, $seconds) = @_;
    my $end = time + ($seconds // 120);
    my $select = IO::Select->new;
    my %open;
    my $more = 1;
    my $begin = sub {
        my ($socket) = @_;
        my $fields = $more ? $next->() : undef;
        if (!$fields) { $more = 0; return }
        # While nginx restarts, connections are refused, so try again.
        $socket //= Cellblock::eventually(10, sub { eval { $self->connect_raw('') } }) or die 'nothing listens any more';
        $socket->blocking(1);
        print {$socket} $self->run_bytes(%$fields);
        $socket->flush;
        $socket->blocking(0);
        $select->add($socket);
        $open{$socket} = { socket => $socket, fields => $fields, in => '' };
        return 1;
    };
    local $SIG{PIPE} = 'IGNORE';
    for (1 .. $at_once) { $begin->() or last }
    while (%open) {
        my $left = $end - time;
        if ($left <= 0) {
            $done->($_->{fields}, _reply(0, {}, 'no answer in time')) for values %open;
            return;
        }
        for my $socket ($select->can_read($left)) {
            my $one = $open{$socket};
            my $got = sysread $socket, $one->{in}, 65536, length $one->{in};
            next if !defined $got && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
            my $why = defined $got ? 'end' : "$!";
            my $reply = $got ? _parse(\$one->{in}) : _reply(0, {}, "$why after " . length($one->{in}) . " bytes: $one->{in}");
            next if !$reply;
            $select->remove($socket);
            delete $open{$socket};
            my $keep = $reply->{status} && lc($reply->{headers}{connection} // '') ne 'close';
            $done->($one->{fields}, $reply);
            $begin->($keep ? $socket : undef);
        }
    }
    return;
}

# Wait until the service is healthy. Returns the seconds until then, or undef.
sub healthy_within {
    my ($self, $seconds) = @_;
    my $begin = time;
    my $well = Cellblock::eventually($seconds, sub {
        my $health = $self->get('/health', key => undef);
        return if $health->{status} != 200;
        my $run = $self->run(code => 'print("up")');
        return $run->{status} == 200 && ($run->{data}{stdout} // '') eq "up\n";
    });
    return $well ? time - $begin : undef;
}

1;
