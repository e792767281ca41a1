"""report.py - the results, as one tree of values (collect) and as a table (show)."""
import os
import platform
import subprocess
import time

BARE = "python3 -I -S -c 'print(1)'"
LATENCY = (  # way, description
    ("floor", "floor: fork, _exit, wait of a warm Python"),
    ("bare", BARE),
    ("usual", "python3 -c 'print(1)'"),
    ("bwrap", "bwrap, python3 -I -S"),
    ("bwrap_usual", "bwrap, python3"),
    ("runner", "Cellblock, at the runner's socket"),
    ("plain", "Cellblock, through nginx"),
    ("tls", "Cellblock, through nginx with TLS"),
)
THROUGHPUT = ("bare", "bwrap", "runner", "plain", "tls")
NODES = (
    ("code_hot", "code_cold", "Dify's code node (re, json, base64)"),
    ("jinja2_hot", "jinja2_cold", "Dify's template node (Jinja2)"),
)
NODE_JS = (
    ("node_bare", "node -e 'console.log(1)'"),
    ("node_tls", "Cellblock, through nginx with TLS"),
)
NETWORKS = (
    ("without", "Cellblock with TLS, without a network"),
    ("with", "Cellblock with TLS, with a network by a proxy"),
)
RUNNER_KINDS = ("door", "broker", "warden")
TARGETS = (  # name, description, limit, aim beyond it (None: none), whether more is better
    ("latency_per_bare", "p50 through TLS / p50 of bare -I -S", 0.15, 0.10, False),
    ("latency_per_floor", "p50 through TLS / p50 of the floor", 2, None, False),
    ("throughput_per_bare", "runs/s with 8 clients through TLS / bare -I -S, 8 at once", 6, 8, True),
    ("node_latency", "Node.js: p50 through TLS / p50 of bare node", 0.10, 0.06, False),
    ("node_throughput", "Node.js: runs/s with 8 clients through TLS / bare, 8 at once", 10, None, True),
    ("network_latency", "p50 of a run with a network / of one without", 1.1, None, False),
    ("network_throughput", "runs/s with 8 clients, with a network / without", 0.9, None, True),
    ("bash_per_bare", "bash: p50 through nginx / p50 of bash", 2.5, None, False),
    ("known_per_first", "C: p50 of a known program / of one to be compiled", 0.1, None, False),
    ("armed_cell_mb", "PSS of an armed cell, MB", 2, None, False),
    ("idle_mb", "PSS of the whole service when idle, MB", 80, None, False),
)


# ---- the tree ----

def collect(bench, interpreter, load_average, seconds):
    measures = bench.measures
    result = {
        "machine": machine(interpreter), "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "took_seconds": round(seconds, 1),
        "load_average": load_average, "quick": bench.options.quick, "rounds": bench.options.rounds,
        "service": bench.why_no_service or "serves",
        "latency": [latency_row(measures, way, what) for way, what in LATENCY],
        "throughput": [throughput_row(measures, clients, way, dict(LATENCY)[way])
                       for clients in sorted({clients for way, clients in measures.every if way == "bare"})
                       for way in THROUGHPUT],
        "node_js": [node_js_row(bench.languages, clients, way, what) for clients in (1, 8) for way, what in NODE_JS],
        "networks": [network_row(bench.networks, clients, way, what) for clients in (1, 8) for way, what in NETWORKS],
        "nodes": [node_row(measures, *node) for node in NODES],
        "languages": [language_row(bench.languages, name) for name in
                      dict.fromkeys(way.rsplit("_", 1)[0] for way, _ in bench.languages.every) if name != "node"],
        "stages": stages(measures),
        "cpu": cpu(bench),
        "memory": {"idle": memory(bench.idle), "8 clients": memory(bench.loaded)},
    }
    result["targets"] = targets(measures, bench.languages, bench.networks, result)
    return result


def machine(interpreter):
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if
             line.startswith("model name")]
    try:
        version = subprocess.run([interpreter, "-V"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    except OSError as error:
        version = str(error)
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "cpu": model[0] if model else platform.machine(),
            "interpreter": interpreter, "version": version}


def common_row(measure, what):
    row = {"way": measure.way, "what": what, "clients": measure.clients, "runs": sum(t["runs"] for t in measure.rounds if t),
           "failed": measure.failed}
    if measure.why_not:
        row["not_here"] = measure.why_not
    return row


def latency_row(measures, way, what):
    row = common_row(measures.get(way), what)
    for key in ("p50_ms", "p95_ms", "p99_ms"):
        row[key] = measures.value(way, key)
    row["p50_per_floor"] = measures.ratio(way, "floor", "p50_ms")
    row["p50_per_bare"] = measures.ratio(way, "bare", "p50_ms")
    return row


def throughput_row(measures, clients, way, what):
    row = common_row(measures.get(way, clients), what)
    for key in ("per_second", "p50_ms", "p95_ms", "p99_ms"):
        row[key] = measures.value(way, key, clients)
    row["ms_per_run"] = 1000 / row["per_second"] if row["per_second"] else None
    row["per_bare"] = measures.ratio(way, "bare", "per_second", clients)
    return row


def node_js_row(measures, clients, way, what):
    row = common_row(measures.get(way, clients), f"{what}, {clients} at once" if clients > 1 else what)
    for key in ("p50_ms", "p95_ms", "per_second"):
        row[key] = measures.value(way, key, clients)
    row["p50_per_bare"] = measures.ratio(way, "node_bare", "p50_ms", clients)
    row["per_second_per_bare"] = measures.ratio(way, "node_bare", "per_second", clients)
    return row


def network_row(measures, clients, way, what):
    row = common_row(measures.get(way, clients), f"{what}, {clients} at once" if clients > 1 else what)
    for key in ("p50_ms", "p95_ms", "per_second"):
        row[key] = measures.value(way, key, clients)
    row["p50_per_without"] = measures.ratio(way, "without", "p50_ms", clients)
    row["per_second_per_without"] = measures.ratio(way, "without", "per_second", clients)
    return row


def node_row(measures, hot, cold, what):
    row = common_row(measures.get(hot), what)
    row["p50_ms"], row["cold_p50_ms"] = measures.value(hot, "p50_ms"), measures.value(cold, "p50_ms")
    row["p50_per_cold"] = measures.ratio(hot, cold, "p50_ms")
    row["cold_not_here"] = measures.get(cold).why_not
    return row


def language_row(measures, name):
    row = common_row(measures.get(f"{name}_known"), name)
    is_compiled = (f"{name}_first", 1) in measures.every
    for key in ("bare", "first", "known"):
        row[f"{key}_ms"] = measures.value(f"{name}_{key}", "p50_ms") if key != "first" or is_compiled else None
    row["per_bare"] = measures.ratio(f"{name}_known", f"{name}_bare", "p50_ms")
    row["per_first"] = measures.ratio(f"{name}_known", f"{name}_first", "p50_ms") if is_compiled else None
    row["bare_not_here"] = measures.get(f"{name}_bare").why_not
    return row


def stages(measures):
    """The stages of the median request: the p50 of each way minus the p50 of the way that it contains."""
    whole = {way: measures.value(way, "p50_ms") for way in ("runner", "plain", "tls")}
    if None in whole.values():
        return None
    told = {key: measures.value("runner", f"p50_{key}") for key in ("queue_ms", "spawn_ms", "guest_wall_ms")}
    return {"tls_ms": measures.difference("tls", "plain", "p50_ms"),
            "nginx_and_worker_ms": measures.difference("plain", "runner", "p50_ms"),
            "job_and_pipes_ms": whole["runner"] - sum(told.values()), **told, "all_ms": whole["tls"]}


def cpu(bench):
    measures, rows = bench.measures, []
    for way, what in LATENCY[:5]:
        rows.append({"what": what, "all": measures.value(way, "cpu_ms"), "page_faults": measures.value(way, "page_faults")})
    for clients in (1, 8):
        measure = measures.get("tls", clients)
        row = {"what": f"Cellblock with TLS, {clients} client{'s' if clients > 1 else ''}", "all": None}
        if measure.used_runs:
            each = {kind: value / measure.used_runs for kind, value in measure.used.items()}
            row.update(all=each["all"], nginx=each["nginx"], workers=each["worker"],
                       runner=sum(each[kind] for kind in RUNNER_KINDS), zygotes=each["zygote"], guests=each["guest"],
                       page_faults=each["guest_faults"])
        rows.append(row)
    bare = rows[1]["all"]
    for row in rows:
        row["per_bare"] = row["all"] / bare if bare and row["all"] is not None else None
    return {"how": bench.service.cpu_how() if bench.service else None, "ms_per_run": rows}


def memory(used):
    """MB for each kind of process, from kB for each process."""
    return used and {kind: {"count": len(sizes), "pss_mb": sum(pss for pss, _ in sizes) / 1024,
                            "private_mb": sum(private for _, private in sizes) / 1024,
                            "least_pss_mb": min(sizes)[0] / 1024, "most_pss_mb": max(sizes)[0] / 1024}
                     for kind, sizes in used.items()}


def targets(measures, languages, networks, result):
    idle = result["memory"]["idle"] or {}
    cells = idle.get("guest")
    quiet = {
        "latency_per_bare": best_ratio(measures, "tls", "bare", "p50_ms"),
        "latency_per_floor": best_ratio(measures, "tls", "floor", "p50_ms"),
        "node_latency": best_ratio(languages, "node_tls", "node_bare", "p50_ms"),
        "node_throughput": best_ratio(languages, "node_tls", "node_bare", "per_second", 8),
        "network_latency": best_ratio(networks, "with", "without", "p50_ms"),
        "network_throughput": best_ratio(networks, "with", "without", "per_second", 8),
        "throughput_per_bare": best_ratio(measures, "tls", "bare", "per_second", 8),
        "bash_per_bare": best_ratio(languages, "bash_known", "bash_bare", "p50_ms"),
        "known_per_first": best_ratio(languages, "c_known", "c_first", "p50_ms"),
    }
    value = {
        "latency_per_bare": measures.ratio("tls", "bare", "p50_ms"),
        "latency_per_floor": measures.ratio("tls", "floor", "p50_ms"),
        "node_latency": languages.ratio("node_tls", "node_bare", "p50_ms"),
        "node_throughput": languages.ratio("node_tls", "node_bare", "per_second", 8),
        "network_latency": networks.ratio("with", "without", "p50_ms"),
        "network_throughput": networks.ratio("with", "without", "per_second", 8),
        "throughput_per_bare": measures.ratio("tls", "bare", "per_second", 8),
        "bash_per_bare": languages.ratio("bash_known", "bash_bare", "p50_ms"),
        "known_per_first": languages.ratio("c_known", "c_first", "p50_ms"),
        "armed_cell_mb": cells["pss_mb"] / cells["count"] if cells else None,
        "idle_mb": idle["all"]["pss_mb"] if idle else None,
    }
    return [{"name": name, "what": what, "limit": limit, "aim": aim, "value": value[name],
             "of_best_rounds": quiet.get(name), "verdict": verdict(value[name], limit, aim, more)} for name, what, limit, aim, more in TARGETS]


def best_ratio(measures, way, other, key, clients=1):
    one, two = measures.best(way, key, clients), measures.best(other, key, clients)
    return one / two if one and two else None


def verdict(value, limit, aim, more):
    if value is None:
        return "not here"
    if (value < limit) if more else (value > limit):
        return "missed"
    return "met, and the aim" if aim and ((value >= aim) if more else (value <= aim)) else "met"


# ---- the table ----

def number(value, width, digits=3, sign=""):
    return f"{'-' if value is None else f'{sign}{value:.{digits}f}':>{width}}"


def line(row, text):
    if "not_here" in row:
        print(f"  {row['what']:<43} not here: {row['not_here']}")
    else:
        print(f"  {row['what']:<43}{text}{'   %d FAILED' % row['failed'] if row.get('failed') else ''}")


def show(result):
    m = result["machine"]
    print(f"Cellblock's benchmark, {result['when']}: {m['cpus']} x {m['cpu']}, Linux {m['kernel']}, {m['version']} "
          f"({m['interpreter']})")
    print(f"medians of {result['rounds']} rounds in {result['took_seconds']:.0f} s; load average "
          f"{result['load_average'][0]:.1f} before, {result['load_average'][1]:.1f} after"
          f"{'; quick, less precise' if result['quick'] else ''}")
    show_latency(result["latency"])
    show_throughput(result["throughput"])
    show_node_js(result["node_js"])
    show_networks(result["networks"])
    show_nodes(result["nodes"])
    show_languages(result["languages"])
    show_stages(result["stages"])
    show_cpu(result["cpu"])
    show_memory(result["memory"])
    show_targets(result["targets"])


def show_latency(rows):
    print(f"\n{'print(1), one client, ms':<45}{'p50':>9}{'p95':>9}{'p99':>9}{'/ floor':>10}{'/ -I -S':>10}")
    for row in rows:
        line(row, "".join(number(row[key], 9) for key in ("p50_ms", "p95_ms", "p99_ms")) +
             number(row["p50_per_floor"], 10, 2, "x") + number(row["p50_per_bare"], 10, 3, "x"))


def show_throughput(rows):
    clients = None
    for row in rows:
        if row["clients"] != clients:
            clients = row["clients"]
            title = f"{clients} client{'s' if clients > 1 else ''}"
            print(f"\n{title:<45}{'runs/s':>9}{'ms/run':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'/ -I -S':>10}")
        line(row, number(row["per_second"], 9, 1) + "".join(number(row[key], 9) for key in
             ("ms_per_run", "p50_ms", "p95_ms", "p99_ms")) + number(row["per_bare"], 10, 2, "x"))


def show_networks(rows):
    print(f"\n{'print(1), with a proxy configured, ms':<45}{'p50':>9}{'p95':>9}{'/ without':>10}{'runs/s':>9}{'/ without':>10}")
    for row in rows:
        line(row, number(row["p50_ms"], 9) + number(row["p95_ms"], 9) + number(row["p50_per_without"], 10, 3, "x") +
             number(row["per_second"], 9, 1) + number(row["per_second_per_without"], 10, 3, "x"))


def show_node_js(rows):
    print(f"\n{'Node.js, console.log(1), ms':<45}{'p50':>9}{'p95':>9}{'/ bare':>10}{'runs/s':>9}{'/ bare':>10}")
    for row in rows:
        line(row, number(row["p50_ms"], 9) + number(row["p95_ms"], 9) + number(row["p50_per_bare"], 10, 3, "x") +
             number(row["per_second"], 9, 1) + number(row["per_second_per_bare"], 10, 2, "x"))


def show_nodes(rows):
    print(f"\n{'realistic programs, through TLS, one client':<45}{'p50':>9}{'cold':>9}{'/ cold':>10}")
    for row in rows:
        line(row, number(row["p50_ms"], 9) + number(row["cold_p50_ms"], 9) + number(row["p50_per_cold"], 10, 3, "x") +
             (f"   cold: not here: {row['cold_not_here']}" if row["cold_not_here"] else ""))


def show_languages(rows):
    print(f"\n{'hello, through nginx, one client, ms':<45}{'bare':>9}{'first':>9}{'known':>9}{'/ bare':>10}{'/ first':>10}")
    for row in rows:
        line(row, "".join(number(row[f"{key}_ms"], 9) for key in ("bare", "first", "known")) +
             number(row["per_bare"], 10, 2, "x") + number(row["per_first"], 10, 3, "x") +
             (f"   bare: not here: {row['bare_not_here']}" if row["bare_not_here"] else ""))
    if rows:
        print("  bare: without Cellblock, already compiled; first: a program that is not in the cache; known: one that is")


def show_stages(stage):
    print(f"\n{'stages of a request':<45}{'ms':>9}{'share':>9}")
    names = (("tls_ms", "TLS"), ("nginx_and_worker_ms", "nginx and worker: HTTP, FastCGI, JSON"),
             ("job_and_pipes_ms", "around the run: job, pipes, messages"), ("queue_ms", "waiting for a cell"),
             ("spawn_ms", "handing it the job"), ("guest_wall_ms", "the program, to its end"), ("all_ms", "all of it"))
    for key, what in names:
        row = {"what": what} if stage else {"what": what, "not_here": "a way is missing above"}
        line(row, number(stage[key], 9) + number(100 * stage[key] / stage["all_ms"], 8, 0) + "%" if stage else "")


def show_cpu(used):
    kinds = ("all", "nginx", "workers", "runner", "zygotes", "guests")
    print(f"\n{'CPU time of a run, ms':<45}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'/ -I -S':>10}{'faults':>9}")
    for row in used["ms_per_run"]:
        if row["all"] is None:
            row = {**row, "not_here": "not run (see above), or no control group to count it"}
        line(row, "".join(number(row[kind], 9) if kind in row else " " * 9 for kind in kinds) +
             number(row["per_bare"], 10, 3, "x") + number(row.get("page_faults"), 9, 0))
    if used["how"]:
        print(f"  by {used['how']}; runner: door, broker and wardens; bwrap: with its starter; faults: of the guest")


def show_memory(memory_of):
    idle, loaded = memory_of["idle"], memory_of["8 clients"]
    print(f"\n{'memory, MB':<45}{'processes':>9}{'PSS':>9}{'each':>9}{'least':>9}{'most':>9}{'private':>9}{'8 clients':>11}")
    if not idle:
        line({"what": "the service", "not_here": "it does not run, see above"}, "")
        return
    for kind in [kind for kind in idle if kind != "all"] + ["all"]:
        entry = idle[kind]
        under = (loaded or {}).get(kind)
        line({"what": "guest (armed cell)" if kind == "guest" else kind},
             f"{entry['count']:>9}" + number(entry["pss_mb"], 9, 2) + number(entry["pss_mb"] / entry["count"], 9, 2) +
             number(entry["least_pss_mb"], 9, 2) + number(entry["most_pss_mb"], 9, 2) +
             number(entry["private_mb"] / entry["count"], 9, 2) + number(under["pss_mb"] if under else None, 11, 2))
    print("  PSS: memory that several processes share is split among them; private: of each; 8 clients: PSS, busy")


def show_targets(rows):
    print(f"\n{'targets':<62}{'here':>9}{'target':>9}{'aim':>7}{'at best':>9}")
    for row in rows:
        sign = ">=" if row["name"] in ("throughput_per_bare", "node_throughput") else "<="
        print(f"  {row['what']:<60}{number(row['value'], 9)}{sign + format(row['limit'], 'g'):>9}"
              f"{format(row['aim'], 'g') if row['aim'] else '':>7}"
              f"{number(row['of_best_rounds'], 9) if row['of_best_rounds'] else '':>9}   {row['verdict']}")
    print("  at best: the best round of each of the two, for a machine that others use too; the verdict is on the medians")
