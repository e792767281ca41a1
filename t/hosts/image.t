# The container image in the kinds of container that there are: which level it has in each, that
# Dify's requests are answered, that a stop ends it in time, and what refuses to start.
#
# script/test-image builds the image and runs this; it takes some minutes. CELLBLOCK_IMAGE names the
# image, CELLBLOCK_PODMAN the command.
use strict;
use warnings;
use Cellblock qw(command eventually json root skip_all);
use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(time);

skip_all('no image is named by CELLBLOCK_IMAGE; script/test-image does that') if !$ENV{CELLBLOCK_IMAGE};
skip_all('needs root') if $> != 0;

my @podman = split ' ', $ENV{CELLBLOCK_PODMAN} // 'podman --runtime runc';
skip_all("$podman[0] is not installed") if system("command -v $podman[0] >/dev/null") != 0;
my $image = $ENV{CELLBLOCK_IMAGE};
my $key = 'key-of-the-test';
my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my (@names, @networks);

# The capabilities that Docker gives to a container, and a seccomp profile like its own.
my @caps = ('--cap-drop', 'ALL', map { ('--cap-add', $_) } qw(CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP));
my @docker = (@caps, '--security-opt', 'seccomp=' . root() . '/t/image/docker.json');
# The limits of this machine may be below podman's defaults.
my ($files, $processes) = map { my ($hard) = (command(['bash', '-c', "ulimit -H -$_"]))[1] =~ /(\d+)/; $hard // 1048576 } qw(n u);
my @limits = ('--ulimit', "nofile=1024:$files", '--ulimit', 'nproc=' . join ':', ($processes < 4096 ? $processes : 4096) x 2);

sub podman { my ($words, %option) = @_; return command([@podman, @$words], seconds => 120 * $slow, %option) }

# Run the image. Returns a container: {name, url, seconds} when it is healthy; or {exit, log} if it
# has ended.
sub container {
    my ($name, @options) = @_;
    my $self = { name => "cellblock-test-$$-$name" };
    push @names, $self->{name};
    my $port = Cellblock::free_port($self);
    $self->{url} = "http://127.0.0.1:$port";
    my $start = time;
    my ($exit, undef, $err) = podman(['run', '-d', '--no-healthcheck', '--name', $self->{name}, @limits, '-p', "127.0.0.1:$port:8194", '-e', "API_KEY=$key", @options, $image]);
    die "podman run: $err" if $exit != 0;
    my $http = HTTP::Tiny->new(timeout => 5);
    eventually(90 * $slow, sub {
        return 1 if ($http->get("$self->{url}/health")->{content} // '') eq '"ok"';
        return state_of($self, 'Running') eq 'false';
    });
    $self->{seconds} = time - $start;
    (undef, my $out, my $more) = podman(['logs', $self->{name}]);
    $self->{log} = "$out$more";
    $self->{exit} = state_of($self, 'ExitCode') if state_of($self, 'Running') eq 'false';
    return $self;
}

sub state_of {
    my ($self, $what) = @_;
    my (undef, $out) = podman(['inspect', '--format', "{{.State.$what}}", $self->{name}]);
    return $out =~ s/\s+\z//r;
}

sub get {
    my ($self, $path) = @_;
    my $r = HTTP::Tiny->new(timeout => 60)->get("$self->{url}$path", { headers => { 'X-Api-Key' => $key } });
    return eval { json->decode($r->{content})->{data} } // {};
}

# A run as Dify's client sends it.
sub run {
    my ($self, $language, $code) = @_;
    my $body = json->encode({ language => $language, code => $code, preload => 'preload', enable_network => json->decode('true') });
    my $r = HTTP::Tiny->new(timeout => 60)->post("$self->{url}/v1/sandbox/run", { headers => { 'X-Api-Key' => $key, 'Content-Type' => 'application/json' }, content => $body });
    return eval { json->decode($r->{content})->{data} } // { broken => "$r->{status} $r->{content}" };
}

sub stops {
    my ($self) = @_;
    my $start = time;
    podman(['stop', '-t', 60 * $slow, $self->{name}]);
    is state_of($self, 'ExitCode'), 0, sprintf 'it stops by itself, after %.1f s', time - $start;
    podman(['rm', '-f', '-v', $self->{name}]);
    return;
}

sub serves {
    my ($name, $level, @options) = @_;
    my $self = container($name, @options);
    if (defined $self->{exit}) {
        fail "$name: it serves";
        diag substr $self->{log}, -3000;
        return $self;
    }
    ok 1, sprintf '%s: it serves after %.1f s', $name, $self->{seconds};
    my $capabilities = get($self, '/v1/sandbox/capabilities');
    is $capabilities->{level}, $level, "$name: level $level";
    like $capabilities->{level_note}, qr/chosen by .auto./, '... and it says why';
    like $self->{log}, qr/^isolation\.level is "$level"/m, '... in its output, too';
    my $r = run($self, 'python3', 'print(6 * 7)');
    is_deeply [@$r{qw(stdout error isolation)}], ["42\n", '', $level], "$name: a run of Python, whose preload is ignored" or diag explain $r;
    # It wakes up first, and on a busy machine a run may not wait for so long.
    my $node;
    eventually(60 * $slow, sub { $node = run($self, 'nodejs', 'console.log(6 * 7)'); return !$node->{broken} });
    is $node->{stdout}, "42\n", "$name: a run of Node.js" or diag explain $node;
    is run($self, 'python3', "import requests, httpx, jinja2, yaml\nprint('imported')")->{stdout}, "imported\n", "$name: the packages that code nodes use";
    like run($self, 'python3', 'open("/var/lib/cellblock/instance/api_key")')->{error}, qr/No such file/, "$name: a program does not see the service's files";
    return $self;
}

stops(serves('default', 'namespaces'));
stops(serves('privileged', 'namespaces', '--privileged'));
stops(serves('docker', 'chroot', @docker));

subtest 'limits of the container' => sub {
    my $self = serves('limits', 'namespaces', '--memory', '1g', '--cpus', '1.5');
    my $most = get($self, '/v1/sandbox/capabilities')->{limits}{memory_bytes};
    SKIP: {
        skip 'podman could not set the limit here', 2 if $self->{log} !~ /\(80 % of the 1024 MiB/;
        is_deeply $most, { default => 768 << 20, maximum => 768 << 20 }, 'a run may have three quarters of the memory';
        like run($self, 'python3', 'x = bytearray(900 << 20)')->{error}, qr/memory/i, 'a program that wants more is ended, not the service';
    }
    stops($self);
};

subtest 'a read-only root' => sub {
    stops(serves('read-only', 'namespaces', '--read-only'));
};

subtest 'another user, without a capability' => sub {
    stops(serves('user', 'namespaces', '--user', '1000', '--cap-drop', 'ALL'));
};

# The swap: dify-sandbox's variables, and a client in another container that knows a name only.
subtest 'a second container, by name' => sub {
    my $network = "cellblock-test-$$";
    my ($made, undef, $why) = podman(['network', 'create', $network]);
    plan skip_all => "podman makes no network here: $why" if $made != 0;
    push @networks, $network;
    my $self = serves('sandbox', 'namespaces', '--network', $network, '--network-alias', 'sandbox', '-e', 'GIN_MODE=release', '-e', 'WORKER_TIMEOUT=15',
        '-e', 'ENABLE_NETWORK=true', '-e', 'HTTP_PROXY=http://127.0.0.1:3128', '-e', 'SANDBOX_PORT=8194');
    my ($exit, $out, $err) = podman(['run', '--rm', '--no-healthcheck', @limits, '--network', $network, '-v', root() . '/contrib/dify/smoke:/smoke:ro', '-e', "API_KEY=$key",
        '--entrypoint', '/bin/bash', $image, '/smoke', 'http://sandbox:8194']);
    is $exit, 0, 'contrib/dify/smoke passes from there' or diag "$out$err";
    stops($self);
};

subtest 'settings' => sub {
    my $self = serves('settings', 'namespaces', '-e', 'WORKER_TIMEOUT=1', '-e', 'DEBUG=true', '-e', 'ALLOWED_SYSCALLS=1,2', '-e', 'CELLBLOCK_LOG_FORMAT=json');
    like run($self, 'python3', 'while True: pass')->{error}, qr/^error: timeout \(1000 ms\)/m, 'WORKER_TIMEOUT';
    is scalar(() = $self->{log} =~ /ALLOWED_SYSCALLS: has no effect/g), 1, 'what has no effect is said once';
    my ($exit) = podman(['exec', $self->{name}, '/usr/share/cellblock/image/healthcheck']);
    is $exit, 0, 'the health check';
    # Its parent is gone when it ends, so it becomes a child of pid 1.
    my (undef, $orphan) = podman(['exec', $self->{name}, 'sh', '-c', 'cat /dev/zero > /dev/null & echo $!']);
    chomp $orphan;
    my $is_there = sub { (podman(['exec', $self->{name}, 'test', '-e', "/proc/$orphan"]))[0] == 0 };
    ok $is_there->(), 'an orphan is there';
    podman(['exec', $self->{name}, 'kill', $orphan]);
    ok eventually(10, sub { !$is_there->() }), 'pid 1 reaps orphans';
    stops($self);
};

subtest 'what is refused' => sub {
    for (
        ['a bad value',  qr/^cellblock: error: MAX_WORKERS: must be a number/m, '-e', 'MAX_WORKERS=many'],
        ['an empty key', qr/^cellblock: error: API_KEY: is empty/m, '-e', 'API_KEY='],
        ['a level that cannot be had', qr/could not start here/, @docker, '-e', 'CELLBLOCK_ISOLATION_LEVEL=namespaces'],
        ['no level at all', qr/^cellblock: error: root of this container lacks the capabilities chown, /m, '--cap-drop', 'ALL', '--security-opt', 'seccomp=' . root() . '/t/image/docker.json'],
    ) {
        my ($name, $says, @options) = @$_;
        my $self = container('refused', @options);
        ok $self->{exit}, "$name: it ends";
        like $self->{log}, $says, "$name: it says why";
        podman(['rm', '-f', '-v', $self->{name}]);
    }
};

END {
    my $status = $?;
    podman(['rm', '-f', '-v', $_]) for @names;
    podman(['network', 'rm', $_]) for @networks;
    $? = $status;
}

done_testing;
