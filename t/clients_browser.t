# The JavaScript client in a browser: a page of another origin that the configuration allows runs
# programs, keeps files and reads events. A page of an origin that it does not allow cannot.
use strict;
use warnings;
use Cellblock qw(eventually json missing root skip_all slurp);
use Digest::SHA qw(sha256_hex);
use Encode qw(decode);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my ($browser) = grep { -x } map {"/usr/bin/$_"} qw(chromium google-chrome);
skip_all($_) for grep {defined} missing('no Chromium is installed', $browser);

my $page = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
my $port = $page->sockport;
my $cb = Cellblock->start(own => 1, conf => [['cellblock.conf', qr/^\tcors = \[\];/m, "\tcors = [\"http://127.0.0.1:$port\"];"]]);

# The calls that the page makes, by the program of t/clients.t.
my $id = 'sha256:' . sha256_hex("\0\xff\n");
my %one = (language => 'python3', code => 'print("ran")');
my @calls = (
    [run => {%one}],
    [run => { language => 'python3', code => 'import sys; open("out", "wb").write(open("in", "rb").read()); print(sys.stdin.read())', stdin => "\x{4e2d}",
        bytes => { in => [0, 255, 10] }, collect => ['out'] }],
    [run => { %one, limits => { wall_ms => 0 } }],
    [put_file => { content => [0, 255, 10] }], [get_file => { id => $id }], [delete_file => { id => $id }], [get_file => { id => $id }],
    [events => {%one}], [languages => {}],
);

# Open the page at $host; returns the lines that its program printed. A call is tried again for
# $retry seconds.
sub visit {
    my ($host, $key, $retry) = @_;
    my $profile = tempdir('cellblock-browser-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $arguments = json->encode(['', '', '/cellblock.js', $cb->{url}, $key, $retry, decode('UTF-8', json->encode(\@calls))]);
    my %file = (
        '/' => ['text/html', "<!doctype html><meta charset=utf-8><script type=module>
            const lines = [];
            console.log = (line) => lines.push(line);
            globalThis.process = { argv: $arguments };
            await import('/cases.js').catch((error) => lines.push(String(error)));
            await fetch('/done', { method: 'POST', body: lines.join('\\n') });
            </script>"],
        '/cellblock.js' => ['text/javascript', slurp(root() . '/clients/javascript/cellblock.js')],
        '/cases.js'     => ['text/javascript', slurp(root() . '/t/clients/cases.js')],
    );
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        setpgrp; # what it starts ends with it
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', "$profile/log";
        exec $browser, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', "--user-data-dir=$profile",
            '--remote-debugging-port=0', "http://$host:$port/" or POSIX::_exit(127);
    }
    # Chromium opens connections in advance, on which it may send nothing.
    my $select = IO::Select->new($page);
    my (%in, $said);
    eventually(30, sub {
        for my $ready ($select->can_read(0.1)) {
            if ($ready == $page) {
                $select->add($page->accept // next);
                next;
            }
            my $in = \($in{$ready} //= '');
            my $got = sysread $ready, $$in, 65536, length $$in;
            my ($path) = $$in =~ /\A\S+ (\S+)/;
            my ($length) = $$in =~ /^Content-Length:\s*(\d+)/mi;
            my $head_end = index $$in, "\r\n\r\n";
            next if $got && ($head_end < 0 || length $$in < $head_end + 4 + ($length // 0));
            if ($got) {
                my ($type, $body) = @{ $file{$path} // ['text/plain', ''] };
                print {$ready} "HTTP/1.1 200 OK\r\nContent-Type: $type\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
                $said = substr $$in, $head_end + 4 if $path eq '/done';
            }
            $select->remove($ready);
            delete $in{$ready};
            close $ready;
        }
        return defined $said;
    });
    close $_ for grep { $_ != $page } $select->handles;
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    ok defined $said, "a page at http://$host" or diag slurp("$profile/log");
    return map { eval { json->decode($_) } // $_ } split /\n/, $said // '';
}

my @all = visit('127.0.0.1', $cb->{key}, 30);
is scalar @all, @calls, 'the page makes all calls' or diag explain \@all;
is $all[0]{value}{stdout}, "ran\n", 'a run' or diag explain $all[0];
is $all[1]{value}{stdout}, "\x{4e2d}\n", 'its input';
is_deeply $all[1]{value}{files}, { out => [0, 255, 10] }, 'bytes go there and come back';
is "$all[2]{error} $all[2]{status} $all[2]{has_id}", 'RequestError 400 1', 'a bad limit: the page sees the status and the id of the request' or diag explain $all[2];
is $all[3]{value}, $id, 'a file is stored' or diag explain $all[3];
is_deeply $all[4]{value}, [0, 255, 10], '... and comes back';
is $all[5]{value}, JSON::PP::true, '... and is removed';
is "$all[6]{error} $all[6]{status}", 'NotFound 404', '... and is gone';
is join(' ', map { $_->{event} } grep { $_->{event} ne 'heartbeat' } @{ $all[7]{value} }), 'queued started stdout result', 'the events of a run' or diag explain $all[7];
ok scalar(grep { $_->{name} eq 'python3' } @{ $all[8]{value} }), 'languages';

@all = visit('127.0.0.1', 'a-wrong-key', 0);
is "$all[0]{error} $all[0]{status}", 'AuthError 401', 'a wrong key: the page sees the status' or diag explain $all[0];

# The browser hides from such a page what the service answered.
@all = visit('localhost', $cb->{key}, 0);
is_deeply [grep { exists $_->{value} } @all], [], 'a page of another origin: no call has a result';
is_deeply [grep { defined $_->{status} } @all], [], '... and none has a status';

$cb->finish;
done_testing;
