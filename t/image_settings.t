# The settings of a container: the variables and the config.yaml of dify-sandbox, and those of
# Cellblock. No container and no service is needed.
use strict;
use warnings;
use Cellblock qw(command json root skip_all spew);
use File::Temp;
use Test::More;

skip_all('needs python3-yaml') if system('/usr/bin/python3 -I -c "import yaml" 2>/dev/null') != 0;

my $dir = File::Temp->newdir;

# The plan for these variables and this config.yaml.
sub plan_of {
    my ($env, $yaml) = @_;
    my $file = spew("$dir/config.yaml", $yaml // '');
    my ($exit, $out, $err) = command(['env', '-i', 'PATH=/usr/bin:/bin', (map {"$_=$env->{$_}"} sort keys %$env), root() . '/image/entrypoint', '--print', $file]);
    my $plan = eval { json->decode($out) } // { broken => "$exit $out$err" };
    return { %$plan, exit => $exit, err => $err };
}

sub keys_are {
    my ($env, $yaml, $expected, $name) = @_;
    my $plan = plan_of($env, $yaml);
    is_deeply [$plan->{errors}, { map { $_ => $plan->{keys}{$_} } keys %$expected }], [[], $expected], $name or diag explain $plan;
    return $plan;
}

sub refused {
    my ($env, $yaml, $says) = @_;
    my $plan = plan_of($env, $yaml);
    is $plan->{exit}, 1, "refused: $says";
    ok scalar(grep { $_ =~ $says } @{ $plan->{errors} || [] }), "the line says so: $says" or diag explain $plan;
    is scalar @{ $plan->{errors} || [] }, 1, '... and there is one line';
    return;
}

sub noted {
    my ($env, $yaml, $says, $name) = @_;
    my $plan = plan_of($env, $yaml);
    is_deeply $plan->{errors}, [], "$name: accepted" or diag explain $plan;
    is scalar(grep { $_ =~ $says } @{ $plan->{notes} }), 1, "$name: said once" or diag explain $plan->{notes};
    return $plan;
}

# --- nothing set ------------------------------------------------------------------------------------------

my $plain = keys_are({}, '', {
    'isolation.level' => 'auto', 'keys.busy_status' => '503', 'worker.preload' => 'ignore', 'worker.body_bytes' => 128 << 20,
    'limits.memory_bytes.default' => 1 << 30, 'limits.output_bytes.default' => 64 << 20,
}, 'the defaults are those of this use');
is_deeply [@$plain{qw(notes api_key)}, $plain->{options}{port}], [[], undef, 8194], 'without a setting nothing is said, and a key is made';
ok !$plain->{is_open}, '... and a key is needed';

# --- dify-sandbox's settings: by variable, by file, and both ------------------------------------------------

for (
    # variable, value, place in the file, value there, keys
    ['WORKER_TIMEOUT', '15', "worker_timeout: 15\n", { map { ("limits.$_.default" => 15000, "limits.$_.maximum" => 15000) } qw(wall_ms cpu_ms) }],
    ['MAX_WORKERS',    '4',  "max_workers: 4\n",     { 'keys.running' => 4, 'runner.cells' => 32 }],
    ['MAX_WORKERS',    '100', "max_workers: 100\n",  { 'keys.running' => 100, 'runner.cells' => 116 }],
    ['MAX_REQUESTS',   '50', "max_requests: 50\n",   { 'keys.waiting' => 18 }],
    ['ENABLE_PRELOAD', 'true', "enable_preload: true\n", { 'worker.preload' => 'run' }],
    ['ENABLE_PRELOAD', 'false', "enable_preload: False\n", { 'worker.preload' => 'ignore' }],
    ['HTTP_PROXY',     'http://ssrf_proxy:3128', "proxy:\n  http: http://ssrf_proxy:3128\n", { 'network.mode' => 'proxy', 'network.proxies' => 'ssrf_proxy:3128' }],
    ['HTTPS_PROXY',    'http://[fd00::1]:3128/', "proxy:\n  https: 'http://[fd00::1]:3128'\n", { 'network.mode' => 'proxy', 'network.proxies' => '[fd00::1]:3128' }],
    ['HTTP_PROXY',     '', "proxy:\n  http: ''\n", { 'network.mode' => undef }],
    ['PIP_MIRROR_URL', 'https://pypi.example/simple', "python_pip_mirror_url: https://pypi.example/simple\n", { 'dependencies.index_url' => 'https://pypi.example/simple' }],
    ['PIP_MIRROR_URL', 'http://pypi.example/simple', "python_pip_mirror_url: http://pypi.example/simple\n", { 'dependencies.trusted_hosts' => ['pypi.example'] }],
    ['PYTHON_DEPS_UPDATE_INTERVAL', '1h30m', "python_deps_update_interval: 1h30m\n", { 'dependencies.update_s' => 5400 }],
) {
    my ($name, $value, $yaml, $expected) = @$_;
    keys_are({ $name => $value }, '', $expected, "$name=$value");
    keys_are({}, $yaml, $expected, $yaml =~ s/\s+/ /gr);
}
keys_are({ WORKER_TIMEOUT => 15 }, "worker_timeout: 5\n", { 'limits.wall_ms.default' => 15000 }, 'a variable counts more than the file');
keys_are({ MAX_WORKERS => 4, MAX_REQUESTS => 50 }, '', { 'keys.running' => 4, 'keys.waiting' => 46 }, 'MAX_REQUESTS counts those that run');
keys_are({ MAX_WORKERS => 50, MAX_REQUESTS => 10 }, '', { 'keys.waiting' => 0 }, 'fewer requests than workers: none waits');
keys_are({ ENABLE_NETWORK => 'false', HTTP_PROXY => 'http://p:1' }, '', { 'network.mode' => 'none', 'network.proxies' => undef }, 'ENABLE_NETWORK=false: no network in spite of a proxy');
keys_are({ ENABLE_NETWORK => 'true', HTTP_PROXY => 'http://p:1' }, '', { 'network.mode' => 'proxy' }, 'ENABLE_NETWORK=true with a proxy');
keys_are({ MAX_WORKERS => '', WORKER_TIMEOUT => '' }, "max_workers: 7\n", { 'keys.running' => 7, 'limits.wall_ms.default' => undef }, 'an empty variable says nothing');
is plan_of({ API_KEY => '' }, "app:\n  key: a-key-of-mine\n")->{api_key}, 'a-key-of-mine', '... nor does an empty key, if the file has one';
is plan_of({ SANDBOX_PORT => 8195 })->{options}{port}, 8195, 'SANDBOX_PORT';
is plan_of({}, "app:\n  port: 8196\n  debug: True\n")->{options}{port}, 8196, 'app.port';
is plan_of({ API_KEY => 'a-key-of-mine' })->{api_key}, 'a-key-of-mine', 'API_KEY';
is plan_of({ CELLBLOCK_API_KEY => 'a-key-of-mine' })->{api_key}, 'a-key-of-mine', 'CELLBLOCK_API_KEY';
is plan_of({}, "app:\n  key: a-key-of-mine\n")->{api_key}, 'a-key-of-mine', 'app.key';

# --- keys -------------------------------------------------------------------------------------------------

is noted({ API_KEY => 'dify-sandbox' }, '', qr/WARNING.*dify-sandbox/, 'the well-known key')->{api_key}, 'dify-sandbox', '... and it is the key';
refused({ API_KEY => '' }, '', qr/^API_KEY: is empty.*CELLBLOCK_OPEN=yes/);
refused({}, "app:\n  key: ''\n", qr/^config\.yaml: app\.key: is empty/);
refused({ API_KEY => 'short' }, '', qr/^API_KEY: must be 8 to 200/);
for my $env ({ API_KEY => '', CELLBLOCK_OPEN => 'yes' }, { CELLBLOCK_OPEN => 'yes' }) {
    ok noted($env, '', qr/WARNING: there is no API key/, 'open')->{is_open}, 'an open service';
}
refused({ API_KEY => '', CELLBLOCK_OPEN => 'no' }, '', qr/is empty/);

# --- what is passed to programs -----------------------------------------------------------------------------

is_deeply plan_of({ ALLOWED_ENV_VARS => 'TZ, MY_CA', TZ => 'Asia/Tokyo', MY_CA => '/a "b"' })->{languages}{python3}{env}, ['TZ=Asia/Tokyo', 'MY_CA=/a "b"'], 'ALLOWED_ENV_VARS';
noted({ ALLOWED_ENV_VARS => 'MISSING' }, '', qr/MISSING is not set/, 'a variable that is not there');
refused({ ALLOWED_ENV_VARS => 'A-B' }, '', qr/^ALLOWED_ENV_VARS: must be names/);
is_deeply plan_of({}, "python_lib_path:\n  - /usr/lib/python3\n  - /etc/hosts\n  - /opt/data\n")->{languages}{python3}, { more_root => ['?/opt/data'] }, 'python_lib_path: what programs do not see anyway';
is plan_of({ PYTHON_PATH => '/bin/sh' })->{languages}{python3}{interpreter}, '/bin/sh', 'PYTHON_PATH';
is_deeply plan_of({ PYTHON_PATH => '/usr/bin/python3', NODEJS_PATH => '/usr/bin/node' })->{languages}, {}, 'the paths of this image change nothing';
noted({}, "python_path: /opt/python/bin/python3\n", qr{/opt/python/bin/python3 is not in this image; python3 is /usr/bin/python3}, "the path of dify-sandbox's image");
refused({ NODEJS_PATH => '/nowhere/node' }, '', qr{^NODEJS_PATH: /nowhere/node is not in this container});

# --- without a meaning here: said once ------------------------------------------------------------------------

noted({ ALLOWED_SYSCALLS => '1,2,mmap' }, '', qr/^ALLOWED_SYSCALLS: has no effect/, 'numbers and names of system calls');
noted({}, "allowed_syscalls:\n  - 1\n  - 2\n", qr/has no effect/, 'a list of system calls');
refused({ ALLOWED_SYSCALLS => '1,2;3' }, '', qr/^ALLOWED_SYSCALLS: .*"2;3" is neither/);
noted({ SOCKS5_PROXY => 'socks5://p:1' }, '', qr/^SOCKS5_PROXY: has no effect/, 'SOCKS5_PROXY');
noted({ NO_PROXY => 'localhost' }, '', qr/^NO_PROXY: has no effect/, 'NO_PROXY');
noted({ HTTP_PROXY => 'http://a:1', HTTPS_PROXY => 'http://b:1' }, '', qr/^HTTPS_PROXY: programs use HTTP_PROXY/, 'two proxies');
noted({ ENABLE_NETWORK => 'true' }, '', qr/^ENABLE_NETWORK: programs have no network, because no HTTP_PROXY/, 'a network without a proxy');
noted({}, "tomorrow: 1\n", qr/^config\.yaml: tomorrow: is unknown/, 'an unknown setting of the file');
is_deeply plan_of({ DEBUG => 'true', GIN_MODE => 'release', allowed_syscalls => '' })->{notes}, [], 'DEBUG and GIN_MODE: not a word';

# --- bad values: one line, which names the setting ---------------------------------------------------------------

refused({ $_->[0] => $_->[1] }, '', $_->[2]) for (
    ['SANDBOX_PORT',   '0',     qr/^SANDBOX_PORT: must be a number from 1 to 65535/],
    ['SANDBOX_PORT',   '8194x', qr/^SANDBOX_PORT: must be a number/],
    ['WORKER_TIMEOUT', '-1',    qr/^WORKER_TIMEOUT: must be a number from 1 to 86400/],
    ['MAX_REQUESTS',   '1e3',   qr/^MAX_REQUESTS: must be a number/],
    ['ENABLE_NETWORK', 'maybe', qr/^ENABLE_NETWORK: must be "true" or "false"/],
    ['ENABLE_PRELOAD', '2',     qr/^ENABLE_PRELOAD: must be/],
    ['DEBUG',          'x',     qr/^DEBUG: must be/],
    ['HTTP_PROXY',     'https://p:1', qr/^HTTP_PROXY: must be http:/],
    ['HTTP_PROXY',     'http://u:p@p:1', qr/^HTTP_PROXY: must have no user name/],
    ['HTTP_PROXY',     'http://p:99999', qr/^HTTP_PROXY: must be http:/],
    ['PIP_MIRROR_URL', 'pypi.example', qr/^PIP_MIRROR_URL: must be the URL/],
    ['PYTHON_DEPS_UPDATE_INTERVAL', 'soon', qr/^PYTHON_DEPS_UPDATE_INTERVAL: must be a duration/],
    ['PYTHON_LIB_PATH', '/', qr/^PYTHON_LIB_PATH: must not be the whole/],
    ['CELLBLOCK_LISTEN', 'sandbox', qr/^CELLBLOCK_LISTEN: must be IPv4 or IPv6/],
    ['CELLBLOCK_METRICS_FROM', '10.0.0.0/8,monitor', qr/^CELLBLOCK_METRICS_FROM: must be addresses or networks/],
    ['CELLBLOCK_METRICS_FROM', '10.0.0.1/8', qr/^CELLBLOCK_METRICS_FROM: must be addresses or networks/],
    ['CELLBLOCK_TLS_PORT', 'x', qr/^CELLBLOCK_TLS_PORT: must be a number/],
);
refused({}, "max_workers: four\n", qr/^config\.yaml: max_workers: must be a number/);
refused({}, "max_workers: true\n", qr/^config\.yaml: max_workers: must be a number/);
refused({}, "- 1\n", qr/^config\.yaml: must have settings/);
is_deeply [@{ plan_of({}, "a: [\n") }{qw(exit err)}], [2, "cellblock: error: $dir/config.yaml, line 2: expected the node content, but found '<stream end>'\n"],
    'a file that is no YAML: the line';

# --- everything else --------------------------------------------------------------------------------------------

keys_are({ CELLBLOCK_RUNNER_QUEUE => 7 }, '', { 'runner.queue' => 7 }, 'a number');
keys_are({ CELLBLOCK_LIMITS_PROCESSES_DEFAULT => 9 }, '', { 'limits.processes.default' => 9 }, 'a key that the file has not set');
keys_are({ CELLBLOCK_NETWORK_STRICT => 'true' }, '', { 'network.strict' => json->decode('true') }, 'true or false');
keys_are({ CELLBLOCK_NETWORK_MODE => 'host' }, '', { 'network.mode' => 'host' }, 'a text');
keys_are({ CELLBLOCK_WORKER_CORS => 'https://a.example, https://b.example' }, '', { 'worker.cors' => ['https://a.example', 'https://b.example'] }, 'a list');
keys_are({ CELLBLOCK_KEYS_BUSY_STATUS => '429', CELLBLOCK_ISOLATION_LEVEL => 'namespaces' }, '', { 'keys.busy_status' => '429', 'isolation.level' => 'namespaces' }, 'it counts more than a default of the image');
keys_are({ CELLBLOCK_NETWORK_PROXIES => 'http://p:1' }, '', { 'network.proxies' => 'p:1' }, 'a proxy');
is_deeply plan_of({ CELLBLOCK_LISTEN => '127.0.0.1,::1' })->{options}{listen}, ['127.0.0.1', '::1'], 'CELLBLOCK_LISTEN';
is_deeply plan_of({ CELLBLOCK_METRICS_FROM => '10.0.0.0/8, fd00::/8,192.0.2.7' })->{options}{metrics_from}, ['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'], 'CELLBLOCK_METRICS_FROM';
refused({ CELLBLOCK_RUNNER_QUEUE => 'x' }, '', qr/^CELLBLOCK_RUNNER_QUEUE: must be a number/);
refused({ CELLBLOCK_RUNER_QUEUE => '1' }, '', qr/^CELLBLOCK_RUNER_QUEUE: there is no such setting; do you mean CELLBLOCK_RUNNER_QUEUE\?/);
refused({ CELLBLOCK_LOG_FORMAT => "a\"b" }, '', qr/^CELLBLOCK_LOG_FORMAT: must have no quotes/);

done_testing;
