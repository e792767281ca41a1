"""What the settings of a container mean for Cellblock: variables of the environment, and the file
config.yaml of dify-sandbox.

This is the only place that knows them. TABLE has a row for each of dify-sandbox's settings; every
key of cellblock.conf has a variable of its own besides (CELLBLOCK_RUNNER_QUEUE for runner.queue).
read() does no input or output, so t/image_settings.t can try it without a container.
"""

import difflib
import ipaddress
import re
from urllib.parse import unquote, urlsplit

WELL_KNOWN_KEY = "dify-sandbox"
IMAGE_PORT = 8194

# The image's own defaults. cellblock.conf has the reasons for its values; these are for clients of
# dify-sandbox, whose programs have no limits there.
DEFAULTS = {
    "isolation.level": "auto",
    "isolation.cgroup": "optional",
    "runner.reserve": 0,
    "keys.busy_status": "503",
    "worker.preload": "ignore",
    "worker.body_bytes": 128 << 20,
    "limits.memory_bytes.default": 1 << 30,
    "limits.output_bytes.default": 64 << 20,
    "limits.output_bytes.maximum": 64 << 20,
}

# The paths of dify-sandbox's own image, which its config.yaml names and ours has not.
FOREIGN_PATHS = ("/usr/local/bin/python3", "/opt/python/bin/python3", "/usr/local/bin/node", "/opt/node/bin/node")


class Plan:
    """What the entrypoint is to do."""

    def __init__(self):
        self.keys = dict(DEFAULTS)  # "runner.queue": value, for cellblock.conf
        self.languages = {}  # "python3": {"interpreter": value}, for its file
        self.options = {"port": IMAGE_PORT, "listen": [], "metrics_from": []}  # of script/server
        self.api_key = None  # None: keep the one that there is, or make one
        self.is_open = False
        self.notes = []  # said once, at each start
        self.errors = []  # each names a setting; nothing is started

    def note(self, text):
        self.notes.append(text)

    def language(self, name):
        return self.languages.setdefault(name, {})


class Bad(Exception):
    """A value that is refused; the text says what is allowed."""


# --- values --------------------------------------------------------------------------------------


def number(text, least, most):
    if isinstance(text, bool) or not re.fullmatch(r"[0-9]{1,12}", str(text)) or not least <= int(text) <= most:
        raise Bad(f"must be a number from {least} to {most}")
    return int(text)


def boolean(text):
    # as Go's strconv.ParseBool has it, which dify-sandbox uses
    words = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False, "yes": True, "no": False, "": False}
    try:
        return words[str(text).lower()]
    except KeyError:
        raise Bad('must be "true" or "false"') from None


def seconds(text):
    """A duration of Go: 30m, 1h30m, 90s; a bare number is seconds."""
    text = str(text)
    unit = {"h": 3600, "m": 60, "s": 1}
    if re.fullmatch(r"[0-9]{1,8}", text):
        total = int(text)
    elif re.fullmatch(r"([0-9]{1,8}[hms])+", text):
        total = sum(int(n) * unit[u] for n, u in re.findall(r"([0-9]+)([hms])", text))
    else:
        raise Bad("must be a duration such as 30m, 1h30m or 90s")
    if total > 31536000:
        raise Bad("must be at most a year")
    return total


def words(value):
    if isinstance(value, (list, tuple)):
        return [str(one).strip() for one in value if str(one).strip()]
    return [word for word in re.split(r"[\s,]+", str(value)) if word]


def absolute(text):
    if not re.fullmatch(r"/[A-Za-z0-9/._+,=~@-]*", str(text)):
        raise Bad("must be an absolute path")
    return str(text)


def proxy_address(url):
    """HOST:PORT of the URL of an HTTP proxy."""
    parts = urlsplit(url if "://" in url else "http://" + url)
    try:
        port = parts.port or 80
    except ValueError:
        raise Bad("must be http://HOST:PORT") from None
    if parts.scheme != "http" or not parts.hostname:
        raise Bad("must be http://HOST:PORT; a proxy that speaks TLS or SOCKS cannot be used")
    if parts.username:
        raise Bad("must have no user name: Cellblock passes bytes on, and cannot log in to a proxy")
    host = unquote(parts.hostname)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- dify-sandbox's settings ---------------------------------------------------------------------
#
# Each function gets the plan, the value as it was written, and `look`: look("MAX_WORKERS") is the
# value of another setting, and look.exists(path) says whether a file is there.


def api_key(plan, value, look):
    key = str(value)
    if key == "":
        if look("CELLBLOCK_OPEN") is None or not boolean(look("CELLBLOCK_OPEN")):
            raise Bad("is empty, so everybody could run programs here; set a key, or CELLBLOCK_OPEN=yes if that is meant")
        plan.is_open = True
        plan.note("CELLBLOCK_OPEN: WARNING: there is no API key; everybody who reaches the port can run programs")
        return
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{8,200}", key):
        raise Bad("must be 8 to 200 of A-Z a-z 0-9 . _ ~ + / = -")
    if key == WELL_KNOWN_KEY:
        plan.note(f'API_KEY: WARNING: "{WELL_KNOWN_KEY}" is the key of every example; everybody who reaches the port knows it')
    plan.api_key = key


def port(plan, value, look):
    plan.options["port"] = number(value, 1, 65535)


def timeout(plan, value, look):
    ms = number(value, 1, 86400) * 1000
    for limit in ("wall_ms", "cpu_ms"):
        plan.keys[f"limits.{limit}.default"] = ms
        plan.keys[f"limits.{limit}.maximum"] = ms


def workers(plan, value, look):
    count = number(value, 1, 4000)
    plan.keys["keys.running"] = count
    # armed cells count too: with fewer cells, programs would wait for their start
    plan.keys["runner.cells"] = max(32, min(4096, count + 16))


def requests(plan, value, look):
    most = number(value, 1, 65536)
    running = plan.keys.get("keys.running", 32)
    plan.keys["keys.waiting"] = max(0, most - running)
    plan.keys["runner.queue"] = max(256, most)


def network(plan, value, look):
    if not boolean(value):
        plan.keys["network.mode"] = "none"
        return
    if look("HTTP_PROXY") or look("HTTPS_PROXY"):
        return  # the proxy's row says the rest
    plan.note(
        "ENABLE_NETWORK: programs have no network, because no HTTP_PROXY is set; "
        "CELLBLOCK_NETWORK_MODE=host gives them this container's, its neighbours included"
    )


def http_proxy(plan, value, look):
    wanted = look("ENABLE_NETWORK")
    if not value or (wanted is not None and not boolean(wanted)):
        return
    plan.keys["network.mode"] = "proxy"
    plan.keys["network.proxies"] = proxy_address(str(value))


def https_proxy(plan, value, look):
    if not look("HTTP_PROXY"):
        http_proxy(plan, value, look)
    elif value and proxy_address(str(value)) != proxy_address(str(look("HTTP_PROXY"))):
        plan.note("HTTPS_PROXY: programs use HTTP_PROXY for https, too; a run has one proxy")


def no_proxy(plan, value, look):
    if value:
        plan.note("NO_PROXY: has no effect; programs reach everything by the proxy, and nothing without it")


def socks_proxy(plan, value, look):
    if value:
        plan.note("SOCKS5_PROXY: has no effect; only an HTTP proxy can be used (HTTP_PROXY)")


def preload(plan, value, look):
    plan.keys["worker.preload"] = "run" if boolean(value) else "ignore"


def allowed_syscalls(plan, value, look):
    named = words(value)
    for one in named:
        if not re.fullmatch(r"[0-9]{1,4}|[a-z_][a-z0-9_]{1,40}", one):
            raise Bad(f'must be numbers or names of system calls, separated by commas: "{one[:40]}" is neither')
    if named:
        plan.note("ALLOWED_SYSCALLS: has no effect; the policies allow what programs need, and nothing adds to them from outside")


def allowed_variables(plan, value, look):
    passed = []
    for name in words(value):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Bad(f'must be names of variables, separated by commas: "{name[:40]}" is none')
        content = look.variable(name)
        if content is None:
            plan.note(f"ALLOWED_ENV_VARS: {name} is not set here, so programs do not have it")
        elif re.search(r"[\x00-\x1f\x7f]", content):
            raise Bad(f"the value of {name} has control characters")
        else:
            passed.append(f"{name}={content}")
    for language in ("python3", "nodejs"):
        plan.language(language).setdefault("env", []).extend(passed)


def interpreter(language, default):
    def row(plan, value, look):
        path = absolute(value)
        if path == default:
            return
        if look.exists(path):
            plan.language(language)["interpreter"] = path
        elif path in FOREIGN_PATHS:
            plan.note(f"{path} is not in this image; {language} is {default}")
        else:
            raise Bad(f"{path} is not in this container")

    return row


def index_url(plan, value, look):
    if not value:
        return
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r'[\s"\\]', str(value)):
        raise Bad("must be the URL of a package index, https://HOST/simple")
    plan.keys["dependencies.index_url"] = str(value)
    if parts.scheme == "http":
        plan.keys["dependencies.trusted_hosts"] = [parts.hostname]


def update_interval(plan, value, look):
    plan.keys["dependencies.update_s"] = seconds(value)


def library_paths(plan, value, look):
    own = ("/usr", "/lib", "/lib64", "/etc", "/bin", "/sbin", "/run")
    more = []
    for path in words(value):
        path = absolute(path).rstrip("/") or "/"
        if path == "/":
            raise Bad("must not be the whole container")
        if not any(path == root or path.startswith(root + "/") for root in own):
            more.append("?" + path)
    if more:
        plan.language("python3").setdefault("more_root", []).extend(more)


def ignored(text):
    def row(plan, value, look):
        if value not in (None, ""):
            plan.note(text)

    return row


# Variable, place in config.yaml, function. The order is that of their effects.
TABLE = (
    ("API_KEY", "app.key", api_key),
    ("SANDBOX_PORT", "app.port", port),
    ("DEBUG", "app.debug", lambda plan, value, look: boolean(value)),
    ("GIN_MODE", None, lambda plan, value, look: None),
    ("LOG_PATH", "log_path", ignored("log_path: has no effect; the log is on the container's output")),
    ("WORKER_TIMEOUT", "worker_timeout", timeout),
    ("MAX_WORKERS", "max_workers", workers),
    ("MAX_REQUESTS", "max_requests", requests),
    ("ENABLE_NETWORK", "enable_network", network),
    ("HTTP_PROXY", "proxy.http", http_proxy),
    ("HTTPS_PROXY", "proxy.https", https_proxy),
    ("NO_PROXY", "proxy.no_proxy", no_proxy),
    ("SOCKS5_PROXY", "proxy.socks5", socks_proxy),
    ("ENABLE_PRELOAD", "enable_preload", preload),
    ("ALLOWED_SYSCALLS", "allowed_syscalls", allowed_syscalls),
    ("ALLOWED_ENV_VARS", "allowed_env_vars", allowed_variables),
    ("PYTHON_PATH", "python_path", interpreter("python3", "/usr/bin/python3")),
    ("NODEJS_PATH", "nodejs_path", interpreter("nodejs", "/usr/bin/node")),
    ("PIP_MIRROR_URL", "python_pip_mirror_url", index_url),
    ("PYTHON_DEPS_UPDATE_INTERVAL", "python_deps_update_interval", update_interval),
    ("PYTHON_LIB_PATH", "python_lib_path", library_paths),
)
NAMES = {name: place for name, place, _ in TABLE}

# Variables of ours that are no keys of cellblock.conf.
OWN = ("CELLBLOCK_API_KEY", "CELLBLOCK_OPEN", "CELLBLOCK_LISTEN", "CELLBLOCK_METRICS_FROM", "CELLBLOCK_TLS_PORT", "CELLBLOCK_DIR", "CELLBLOCK_PREFIX")


def flatten(tree, prefix=""):
    """{"app": {"port": 1}} -> {"app.port": 1}"""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


class Look:
    """The settings: those of the environment, then those of the file."""

    def __init__(self, environment, file, exists):
        self.environment = environment
        self.file = file
        self.exists = exists

    def __call__(self, name):
        return self.find(name)[0]

    def find(self, name):
        """The value, and the name by which an operator knows it."""
        place = NAMES.get(name)
        # Compose files pass empty variables on: they only say that there is no key.
        if self.environment.get(name):
            return self.environment[name], name
        if place is not None and self.file.get(place) is not None:
            return self.file[place], f"config.yaml: {place}"
        return (self.environment.get(name) if name == "API_KEY" else None), name

    def variable(self, name):
        return self.environment.get(name)


# --- Cellblock's own -----------------------------------------------------------------------------


def own_value(value, sample):
    """A value of the kind that the key has as shipped."""
    if sample == "boolean":
        return boolean(value)
    if sample == "number":
        return number(value, 0, 1 << 40)
    if sample == "list":
        return words(value)
    if re.search(r'["\\\x00-\x1f]', value):
        raise Bad("must have no quotes, backslashes or control characters")
    return value


def take_own(plan, environment, known):
    by_variable = {"CELLBLOCK_" + path.upper().replace(".", "_"): path for path in known}
    for name, value in sorted(environment.items()):
        if not name.startswith("CELLBLOCK_") or name in OWN:
            continue
        if name not in by_variable:
            near = difflib.get_close_matches(name, [*by_variable, *OWN], 1, 0.8)
            plan.errors.append(f"{name}: there is no such setting" + (f"; do you mean {near[0]}?" if near else ""))
            continue
        path = by_variable[name]
        try:
            plan.keys[path] = proxy_address(value) if path == "network.proxies" else own_value(value, known[path])
        except Bad as bad:
            plan.errors.append(f"{name}: {bad}")


def take_options(plan, environment):
    try:
        if environment.get("CELLBLOCK_TLS_PORT"):
            plan.options["tls_port"] = number(environment["CELLBLOCK_TLS_PORT"], 1, 65535)
    except Bad as bad:
        plan.errors.append(f"CELLBLOCK_TLS_PORT: {bad}")
    for address in words(environment.get("CELLBLOCK_LISTEN", "")):
        if not re.fullmatch(r"[0-9]+(\.[0-9]+){3}|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", address):
            plan.errors.append(f'CELLBLOCK_LISTEN: must be IPv4 or IPv6 addresses, separated by commas: "{address[:60]}" is none')
        plan.options["listen"].append(address)
    for network in words(environment.get("CELLBLOCK_METRICS_FROM", "")):
        try:
            plan.options["metrics_from"].append(str(ipaddress.ip_network(network)))
        except ValueError as error:
            plan.errors.append(f"CELLBLOCK_METRICS_FROM: must be addresses or networks, such as 10.0.0.0/8: {str(error)[:100]}")


def read(environment, file, known, exists):
    """The plan for the variables `environment` and the parsed config.yaml `file`. `known`: the keys
    of cellblock.conf, each with the kind of its value. `exists(path)`: whether a file is there."""
    plan = Plan()
    environment = dict(environment)
    if not isinstance(file, dict):
        plan.errors.append("config.yaml: must have settings (key: value)")
        file = {}
    file = flatten(file)
    if "CELLBLOCK_API_KEY" in environment:
        environment.setdefault("API_KEY", environment["CELLBLOCK_API_KEY"])
    look = Look(environment, file, exists)
    if look("API_KEY") is None and look("CELLBLOCK_OPEN") is not None:
        environment["API_KEY"] = ""
    for name, _, function in TABLE:
        value, shown = look.find(name)
        if value is None:
            continue
        try:
            function(plan, value, look)
        except Bad as bad:
            plan.errors.append(f"{shown}: {bad}")
    places = set(NAMES.values())
    for place in sorted(set(file) - places):
        if file[place] is not None:
            plan.note(f"config.yaml: {place}: is unknown and has no effect")
    take_options(plan, environment)
    take_own(plan, environment, known)
    return plan
