# The container image in the kinds of container that there are: which level it has in each, that
# Dify's requests are answered, that a stop ends it in time, and what refuses to start.
#
# script/test-image builds the image and runs this; it takes some minutes. CELLBLOCK_IMAGE names the
# image, CELLBLOCK_PODMAN the command, and CELLBLOCK_IMAGE_ONLY a pattern of the subtests that are
# carried out. CELLBLOCK_IMAGE_ATTACKS is a pattern of attacks (t/attacks), which are carried out in
# each kind of container.
use strict;
use warnings;
use Cellblock qw(command eventually json root skip_all spew);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use Packages qw(wheel);
use Test::More;
use Time::HiRes qw(time);

skip_all('no image is named by CELLBLOCK_IMAGE; script/test-image does that') if !$ENV{CELLBLOCK_IMAGE};
skip_all('needs root') if $> != 0;

my @podman = split ' ', $ENV{CELLBLOCK_PODMAN} // 'podman --runtime runc';
skip_all("$podman[0] is not installed") if system("command -v $podman[0] >/dev/null") != 0;
my $image = $ENV{CELLBLOCK_IMAGE};
my $key = 'key-of-the-test';
my $slow = $ENV{CELLBLOCK_SLOW} || 1;
my $with_attacks = $ENV{CELLBLOCK_IMAGE_ATTACKS};
my (@names, @networks);

# The capabilities that Docker and CRI-O give to a container, and a seccomp profile like Docker's.
my @caps = ('--cap-drop', 'ALL', map { ('--cap-add', $_) } qw(CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP));
my @crio = ('--cap-drop', 'ALL', map { ('--cap-add', $_) } qw(CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETGID SETPCAP SETUID));
my @profile = ('--security-opt', 'seccomp=' . root() . '/t/image/docker.json');
my @docker = (@caps, @profile);
# The limits of this machine may be below podman's defaults.
my ($files, $processes) = map { my ($hard) = (command(['bash', '-c', "ulimit -H -$_"]))[1] =~ /(\d+)/; $hard // 1048576 } qw(n u);
my @limits = ('--ulimit', "nofile=1024:$files", '--ulimit', 'nproc=' . join ':', ($processes < 4096 ? $processes : 4096) x 2);

# podman's monitor leaves a file "oom" in its directory when a container has met its memory limit.
my $left = tempdir(CLEANUP => 1);

sub podman { my ($words, %option) = @_; return command([@podman, @$words], seconds => 120 * $slow, dir => $left, %option) }

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
    $self->{log} = log_of($self);
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
    my $body = json->encode({ language => $language, code => $code, preload => $with_attacks ? '' : 'preload', enable_network => json->decode('true') });
    my $r = HTTP::Tiny->new(timeout => 60)->post("$self->{url}/v1/sandbox/run", { headers => { 'X-Api-Key' => $key, 'Content-Type' => 'application/json' }, content => $body });
    return eval { json->decode($r->{content})->{data} } // { broken => "$r->{status} $r->{content}" };
}

# The output of the container since its first start.
sub log_of {
    my ($self) = @_;
    my (undef, $out, $err) = podman(['logs', $self->{name}]);
    return "$out$err";
}

# Whether the start number N of the container has come to its end. A stop before that has an exit
# code of its own.
sub is_up {
    my ($self, $count) = @_;
    return eventually(90 * $slow, sub { (() = log_of($self) =~ /^Ctrl-C stops it/mg) >= $count });
}

sub stops {
    my ($self, $starts) = @_;
    ok is_up($self, $starts // 1), 'its start has come to its end';
    my $start = time;
    podman(['stop', '-t', 240 * $slow, $self->{name}]);
    is state_of($self, 'ExitCode'), 0, sprintf 'it stops by itself, after %.1f s', time - $start;
    podman(['rm', '-f', '-v', $self->{name}]);
    return;
}

# A subtest, if CELLBLOCK_IMAGE_ONLY fits its name.
sub part {
    my ($name, $code) = @_;
    return subtest($name, $code) if $name =~ /${\($ENV{CELLBLOCK_IMAGE_ONLY} || '.')}/;
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
    $r = run($self, 'python3', "print('\x{65e5}\x{672c}\x{8a9e} \x{1f600}')");
    is $r->{stdout}, "\x{65e5}\x{672c}\x{8a9e} \x{1f600}\n", "$name: a program that is not in ASCII" or diag explain $r;
    # It wakes up first, and on a busy machine a run may not wait for so long.
    my $node;
    eventually(60 * $slow, sub { $node = run($self, 'nodejs', 'console.log(6 * 7)'); return !$node->{broken} });
    is $node->{stdout}, "42\n", "$name: a run of Node.js" or diag explain $node;
    my $imported;
    eventually(30 * $slow, sub { $imported = run($self, 'python3', "import requests, httpx, jinja2, yaml\nprint('imported')"); return $imported->{stdout} });
    is $imported->{stdout}, "imported\n", "$name: the packages that code nodes use" or diag explain $imported;
    like run($self, 'python3', 'open("/var/lib/cellblock/instance/api_key")')->{error}, qr/No such file/, "$name: a program does not see the service's files";
    return $self;
}

# --- the kinds of container ----------------------------------------------------------------------------------------------
#
# Name, the level that the container allows (or the reason why the image does not start there), and
# podman's options.

my $neither = qr/could not start here/;
my $lacks = qr/^cellblock: error: root of this container lacks the capabilities/m;
my @kinds = (
    ['podman, as it is', 'namespaces'],
    ['docker: its profile and capabilities', 'chroot', @docker],
    ['docker, with etc/container/seccomp.json', 'namespaces', @caps, '--security-opt', 'seccomp=' . root() . '/etc/container/seccomp.json'],
    ['docker, with a read-only root, and volumes that podman mounts nodev', qr/is it mounted nodev/, @docker, '--read-only'],
    ['CRI-O: its capabilities', 'namespaces', @crio],
    ['CRI-O: its capabilities, and a profile that denies user namespaces', $neither, @crio, @profile],
    ['CRI-O: the same, with MKNOD and SYS_CHROOT', 'chroot', @crio, '--cap-add', 'MKNOD', '--cap-add', 'SYS_CHROOT', @profile],
    ['--read-only', 'namespaces', '--read-only'],
    ['--user 1000 --cap-drop ALL', 'namespaces', '--user', '1000', '--cap-drop', 'ALL'],
    ['--user 1000, and a profile that denies user namespaces', $neither, '--user', '1000', @profile],
    ['--cap-drop ALL', $lacks, '--cap-drop', 'ALL'],
    ['--init', 'namespaces', '--init'],
    ['--memory 1g --cpus 1.5', 'namespaces', '--memory', '1g', '--cpus', '1.5'],
    ['--privileged', 'namespaces', '--privileged'],
);
# The attacks expect this of a service.
my @as_shipped = map { ('-e', $_) } qw(ENABLE_PRELOAD=true CELLBLOCK_WORKER_BODY_BYTES=33554432);
my @rows;

# The attacks that CELLBLOCK_IMAGE_ATTACKS names. Returns how many were stopped and were skipped.
sub attacks {
    my ($self, $name) = @_;
    return ('', '') if !$with_attacks;
    my ($exit, $out, $err) = command([root() . '/t/attacks/run', '--only', $with_attacks, '--slow', $slow, $self->{url}, $key], seconds => 3600 * $slow);
    is $exit, 0, "$name: every attack is stopped" or diag $err;
    my @results = grep {/^(?:not )?ok /} split /\n/, $out;
    my $skipped = grep {/^ok \d+ # skip/} @results;
    my $failed = grep { /^not ok / && !/# TODO/ } @results;
    note grep {/# skip/} map {"$_\n"} @results;
    return (@results - $skipped - $failed, $skipped);
}

for (@kinds) {
    my ($name, $expected, @options) = @$_;
    part "a kind: $name" => sub {
        if (ref $expected) {
            my $self = container('kind', @options);
            ok $self->{exit}, 'it ends';
            like $self->{log}, $expected, '... and says why';
            podman(['rm', '-f', '-v', $self->{name}]);
            push @rows, [$name, 'no start', ('') x 4];
            return;
        }
        my $self = serves('kind', $expected, @options, $with_attacks ? @as_shipped : ());
        my $layers = get($self, '/v1/sandbox/capabilities')->{layers} || {};
        my @missing = grep { !$layers->{$_}{in_force} } sort keys %$layers;
        my ($stopped, $skipped) = attacks($self, $name);
        push @rows, [$name, $expected, keys(%$layers) - @missing . ' of ' . keys(%$layers) . (@missing ? ", not @missing" : ''), sprintf('%.1f', $self->{seconds}), $stopped, $skipped];
        stops($self);
    };
}
# For docs/image.md.
note join "\n", 'container | level | layers | start, s | attacks stopped | skipped', map { join ' | ', @$_ } @rows;

# Level chroot, where the image brings the trees of cells.
part 'docker' => sub {
    my $self = serves('docker', 'chroot', @docker);
    ok is_up($self, 1), 'it is up';
    like log_of($self), qr/python3: its first tree is number \d+ of the stock/, 'its trees are those of the image';
    unlike log_of($self), qr/its first tree has/, '... and none is made';
    is run($self, 'bash', 'echo $((6 * 7))')->{stdout}, "42\n", 'a language that sleeps wakes up';
    like run($self, 'bash', 'ls /var /root /sandbox /conf 2>&1; cat /etc/shadow')->{error}, qr{No such file}, 'a program sees nothing else of the container';
    like run($self, 'bash', 'find / -xdev -writable ! -type l ! -path "/box*" ! -path "/tmp*" ! -path "/dev/*" 2>/dev/null')->{stdout} // 'broken', qr/\A\z/,
        'a program can write nothing but /box and /tmp';
    # One that was started again, with the same files.
    podman(['restart', '-t', 240 * $slow, $self->{name}]);
    ok eventually(90 * $slow, sub { (run($self, 'python3', 'print(1)')->{stdout} // '') eq "1\n" }), 'the container is restarted: it serves again';
    ok is_up($self, 2), '... and is up';
    is scalar(() = log_of($self) =~ /python3: its first tree is number/g), 2, '... with trees of the image';
    # An installation in the container: its files must show.
    podman(['exec', $self->{name}, 'sh', '-c', 'mkdir -p /usr/local/lib/python3/new && echo new >/usr/local/lib/python3/new/file']);
    podman(['restart', '-t', 240 * $slow, $self->{name}]);
    my $seen;
    eventually(240 * $slow, sub { $seen = run($self, 'python3', 'print(open("/usr/local/lib/python3/new/file").read())'); return !$seen->{broken} });
    is $seen->{stdout}, "new\n\n", 'files were installed: programs see them' or diag explain $seen;
    stops($self, 3);
};

part 'without trees of the image' => sub {
    my $self = serves('no-stock', 'chroot', @docker, '-e', 'CELLBLOCK_ISOLATION_CHROOT_STOCK=/nowhere');
    ok is_up($self, 1), 'it is up';
    like log_of($self), qr/python3: its first tree has \d+ links/, 'its trees are made';
    stops($self);
};

part 'limits of the container' => sub {
    my $self = serves('limits', 'namespaces', '--memory', '1g', '--cpus', '1.5');
    my $most = get($self, '/v1/sandbox/capabilities')->{limits}{memory_bytes};
    SKIP: {
        skip 'podman could not set the limit here', 2 if $self->{log} !~ /\(80 % of the 1024 MiB/;
        is_deeply $most, { default => 409 << 20, maximum => 614 << 20 }, 'a run has 40 % of the memory, and may have 60 %';
        like run($self, 'python3', 'x = bytearray(700 << 20)')->{error}, qr/memory/i, 'a program that wants more is ended, not the service';
    }
    stops($self);
};

part 'less than a processor' => sub {
    my $self = serves('processors', 'namespaces', '--cpus', '0.5');
    my $quota = (podman(['exec', $self->{name}, 'sh', '-c', 'cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us']))[1];
    SKIP: {
        skip "podman could not set the limit here: $quota", 1 if $quota !~ /^50000\b/m;
        like((podman(['exec', $self->{name}, 'grep', 'cpu_percent', '/var/lib/cellblock/instance/conf/cellblock.conf']))[1], qr/^\s*cpu_percent = 50;/m, 'a run gets what the container has');
    }
    stops($self);
};

# The swap: dify-sandbox's variables, and a client in another container that knows a name only.
part 'a second container, by name' => sub {
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

# A program in a container of its own, by the image's Python: t/image/$script.
sub helper {
    my ($name, $network, $script, @arguments) = @_;
    my $full = "$network-$name"; # another part has hosts of the same name in another network
    push @names, $full;
    my ($exit, undef, $err) = podman(['run', '-d', '--no-healthcheck', '--name', $full, @limits, '--network', $network, '--network-alias', $name,
        '-v', root() . "/t/image/$script:/script.py:ro", '--entrypoint', '/usr/bin/python3', $image, '/script.py', @arguments]);
    die "podman run $name: $err" if $exit != 0;
    return $full;
}

sub network {
    my ($name) = @_;
    my $network = "cellblock-test-$$-$name";
    my ($made, undef, $why) = podman(['network', 'create', $network]);
    return (undef, "podman makes no network here: $why") if $made != 0;
    push @networks, $network;
    return $network;
}

# Programs reach what the proxy allows, and nothing else: neither its neighbours nor the service.
for my $level (['docker', 'chroot', @docker], ['default', 'namespaces']) {
    my ($kind, $expected, @options) = @$level;
    part "the network by a proxy, $kind" => sub {
        my ($network, $why) = network("proxy-$expected");
        plan skip_all => $why if !$network;
        helper('allowed', $network, 'peer.py', 'the allowed host');
        my $other = helper('other', $network, 'peer.py', 'another host');
        helper('proxy', $network, 'proxy.py', 3128, 'allowed');
        my $address = (podman(['inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', $other]))[1] =~ s/\s+\z//r;
        my $self = serves("web-$expected", $expected, @options, '--network', $network, '-e', 'ENABLE_NETWORK=true', '-e', 'HTTP_PROXY=http://proxy:3128', '-e', 'HTTPS_PROXY=http://proxy:3128',
            '-e', 'NO_PROXY=other', '-e', 'SOCKS5_PROXY=socks5://proxy:1080');
        my $r;
        ok eventually(30 * $slow, sub { $r = run($self, 'python3', 'import requests; print(requests.get("http://allowed:8000/").text)'); return ($r->{stdout} // '') =~ /allowed host/ }),
            'requests reaches the allowed host' or diag explain $r;
        is $r->{network}, 'proxy', '... by the proxy';
        for (
            ['httpx' => 'import httpx; print(httpx.get("http://allowed:8000/").text)'],
            ['requests, by HTTPS' => 'import requests, urllib3; urllib3.disable_warnings(); print(requests.get("https://allowed:8443/", verify=False).text)'],
            ['httpx, by HTTPS' => 'import httpx; print(httpx.get("https://allowed:8443/", verify=False).text)'],
            ['urllib' => 'import urllib.request; print(urllib.request.urlopen("http://allowed:8000/").read().decode())'],
        ) {
            my $reply = run($self, 'python3', $_->[1]);
            is_deeply [@$reply{qw(stdout error)}], ["this is the allowed host\n\n", ''], "$_->[0] reaches it, too" or diag explain $reply;
        }
        is run($self, 'nodejs', 'const r = await fetch("http://allowed:8000/"); console.log(await r.text())')->{stdout}, "this is the allowed host\n\n", 'fetch of Node.js does, too';
        my $raw = 'import socket; s = socket.create_connection(("%s", %d), 5); s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print(s.recv(1000))';
        for (
            ['another host, by the proxy' => 'import requests; r = requests.get("http://other:8000/"); print(r.status_code, r.text)', qr/^403 refused by the proxy: other$/m],
            ['another host, which NO_PROXY names' => 'import urllib.request; print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://other:8000/").read())', undef],
            ['the address of another host' => sprintf($raw, $address, 8000), undef],
            ['the service itself' => sprintf($raw, '127.0.0.1', 8194), undef],
            ['the metadata of a cloud' => sprintf($raw, '169.254.169.254', 80), undef],
            ['a datagram' => "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('$address', 8000)); print('sent')", undef],
            ['a server' => 'import socket; s = socket.socket(); s.bind(("0.0.0.0", 9000)); s.listen(); print("listens")', undef],
            ['the name service' => 'import socket; print(socket.getaddrinfo("other", 80))', undef],
        ) {
            my ($what, $code, $says) = @$_;
            my $reply = run($self, 'python3', $code);
            unlike $reply->{stdout} // '', qr/another host|sent|"ok"|code":|listens\n\z|\d+\.\d+\.\d+\.\d+/, "$what: not reached" if $expected eq 'chroot' || $what ne 'a server';
            like $reply->{stdout} . $reply->{error}, $says, '... and the proxy says why' if $says;
        }
        is scalar(() = $self->{log} =~ /(?:NO_PROXY|SOCKS5_PROXY): has no effect/g), 2, 'NO_PROXY and SOCKS5_PROXY: the log says that they have no effect';
        stops($self);
    };
}

# pip, by an index of ours: the packages of python-requirements.txt.
for my $level (['docker', 'chroot', @docker], ['default', 'namespaces']) {
    my ($kind, $expected, @options) = @$level;
    part "python-requirements.txt, $kind" => sub {
        my ($network, $why) = network("index-$expected");
        plan skip_all => $why if !$network;
        my $dir = tempdir('cellblock-image-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        make_path("$dir/index/simple/oatmeal", "$dir/dependencies");
        chmod 0755, $dir;
        wheel("$dir/index/simple/oatmeal", 'oatmeal', '1.0', 'oatmeal/__init__.py' => "taste = 'plain'\n");
        spew("$dir/dependencies/python-requirements.txt", "oatmeal >= 1\n");
        my $index = "cellblock-test-$$-index-$expected";
        push @names, $index;
        podman(['run', '-d', '--no-healthcheck', '--name', $index, @limits, '--network', $network, '--network-alias', 'index', '-v', "$dir/index:/index:ro",
            '--entrypoint', '/usr/bin/python3', $image, '-m', 'http.server', '-d', '/index', '8000']);
        my $self = serves("packages-$expected", $expected, @options, '--network', $network, '-v', "$dir/dependencies:/dependencies:ro", '-e', 'PIP_MIRROR_URL=http://index:8000/simple');
        my $r;
        ok eventually(120 * $slow, sub { $r = run($self, 'python3', 'import oatmeal; print(oatmeal.taste, oatmeal.__file__)'); return ($r->{stdout} // '') =~ /^plain/ }), 'a package that it names can be imported'
            or diag explain($r), (podman(['logs', '--tail', 60, $self->{name}]))[1];
        like $r->{stdout} // '', qr{^plain /packages/python3/}, '... from the set';
        is run($self, 'python3', "import requests, jinja2; print('too')")->{stdout}, "too\n", '... and the packages of the image, too';
        my ($listed) = grep { $_->{name} eq 'oatmeal' } @{ get($self, '/v1/sandbox/dependencies?language=python3')->{dependencies} || [] };
        is $listed->{version}, '1.0', 'it is listed';
        stops($self);
    };
}

part 'settings' => sub {
    my $self = serves('settings', 'namespaces', '-e', 'WORKER_TIMEOUT=1', '-e', 'DEBUG=true', '-e', 'ALLOWED_SYSCALLS=1,2,165,mount', '-e', 'CELLBLOCK_LOG_FORMAT=json');
    like run($self, 'python3', 'while True: pass')->{error}, qr/^error: timeout \(1000 ms\)/m, 'WORKER_TIMEOUT';
    is scalar(() = $self->{log} =~ /ALLOWED_SYSCALLS: has no effect/g), 1, 'what has no effect is said once';
    my $call = 'import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall(%d, 0, 0, 0), ctypes.get_errno())';
    is run($self, 'python3', sprintf $call, 165)->{stdout}, "-1 1\n", 'ALLOWED_SYSCALLS: a call that it names is denied as always';
    my ($exit) = podman(['exec', $self->{name}, '/opt/cellblock/image/healthcheck']);
    is $exit, 0, 'the health check';
    # Its parent is gone when it ends, so it becomes a child of pid 1.
    my (undef, $orphan) = podman(['exec', $self->{name}, 'sh', '-c', 'cat /dev/zero > /dev/null & echo $!']);
    chomp $orphan;
    my $is_there = sub { (podman(['exec', $self->{name}, 'test', '-e', "/proc/$orphan"]))[0] == 0 };
    ok $is_there->(), 'an orphan is there';
    podman(['exec', $self->{name}, 'sh', '-c', "kill $orphan"]);
    ok eventually(10 * $slow, sub { !$is_there->() }), 'pid 1 reaps orphans';
    stops($self);
};

part 'what is refused' => sub {
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
