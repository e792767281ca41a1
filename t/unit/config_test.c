/*
 * config_test.c - cellblock.conf: the values that are read, the errors and their messages; and the
 * parts that languages' files share with it.
 *
 * The comments of the shipped files in etc/ must give the defaults.
 */
#define _GNU_SOURCE
#include "config_files.h"
#include "config_load.h"
#include "config_language.h"
#include "config_network.h"

#include <inttypes.h>

/* ---- values that are read ------------------------------------------------------------------- */

static void
assert_defaults(const struct config *config)
{
	const struct run_limits *default_ = &config->limits.default_, *maximum = &config->limits.maximum;

	assert_string_equal(config->socket_path, "/run/cellblock/runner.sock");
	assert_int_equal(config->first_uid, 2000000);
	assert_int_equal(config->cells, 32);
	assert_int_equal(config->queue, 256);
	assert_int_equal(config->queue_ms, 10000);
	assert_int_equal(config->stall_percent, 400);
	assert_int_equal(config->compiled_bytes, 128 << 20);
	assert_int_equal(config->level, LEVEL_NAMESPACES);
	assert_string_equal(config->chroot_dir, "/var/lib/cellblock");
	assert_int_equal(config->cgroup, LAYER_REQUIRED);
	assert_null(config->cgroup_parent);
	assert_int_equal(config->uid_per_cell, LAYER_REQUIRED);
	assert_int_equal(config->cpu_percent, 100);
	assert_int_equal(config->body_bytes, 32 << 20);
	assert_int_equal(config->heartbeat_ms, 10000);
	assert_int_equal(config->landlock, LAYER_REQUIRED);
	assert_int_equal(config->worker_landlock, LAYER_REQUIRED);
	assert_int_equal(config->network, NETWORK_NONE);
	assert_false(config->network_strict);
	assert_int_equal(config->proxy_count, 0);
	assert_string_equal(config->certificates, "/etc/ssl/certs/ca-certificates.crt");
	assert_int_equal(config->connections, 32);
	assert_int_equal(config->network_armed, 2);
	assert_int_equal(config_network_armed(config, &config->language[0]->warm[0]), 0);
	assert_int_equal(default_->wall_ms, 15000);
	assert_int_equal(maximum->wall_ms, 120000);
	assert_int_equal(default_->cpu_ms, 15000);
	assert_int_equal(maximum->cpu_ms, 120000);
	assert_int_equal(default_->memory_bytes, 256 << 20);
	assert_int_equal(maximum->memory_bytes, 1 << 30);
	assert_int_equal(default_->processes, 64);
	assert_int_equal(maximum->processes, 512);
	assert_int_equal(default_->threads, 128);
	assert_int_equal(maximum->threads, 1024);
	assert_int_equal(default_->open_files, 1024);
	assert_int_equal(maximum->open_files, 4096);
	assert_int_equal(default_->inodes, 4096);
	assert_int_equal(maximum->inodes, 65536);
	assert_int_equal(default_->stack_bytes, 0); /* the memory limit of the run */
	assert_int_equal(maximum->stack_bytes, 1 << 30);
	assert_int_equal(default_->output_bytes, 32 << 20);
	assert_int_equal(maximum->output_bytes, 64 << 20);
	assert_int_equal(default_->disk_bytes, 64 << 20);
	assert_int_equal(maximum->disk_bytes, 512 << 20);
}

static void
test_empty_file_is_all_defaults(void **state)
{
	struct config *config = must_load("", LANGUAGE WARM);
	const struct language_config *language = config->language[0];
	char expected[128];

	(void)state;
	assert_defaults(config);
	assert_string_equal(config->path, main_path);
	assert_null(config->worker_user);
	assert_null(config->timezone);
	assert_int_equal(config->etc_files.count, 0);
	assert_int_equal(config->chroot_leave_out.count, 0);
	assert_string_equal(config->driver_dir, PKGLIBDIR);
	snprintf(expected, sizeof expected, "%s/languages", directory);
	assert_string_equal(config->language_dir, expected);
	snprintf(expected, sizeof expected, "%s/seccomp", directory);
	assert_string_equal(config->policy_dir, expected);
	assert_int_equal(config->language_count, 1);
	assert_string_equal(language->file, language_path);
	assert_int_equal(language->start, START_ZYGOTE);
	assert_int_equal(language->recycle_runs, 10000);
	assert_int_equal(language->idle_s, 300);
	assert_int_equal(language->run.count, 0);
	assert_int_equal(language->version.count, 0);
	assert_false(config_is_compiled(language));
	assert_false(language->has_root);
	assert_int_equal(language->root.count, 0);
	assert_int_equal(language->more_root.count, 0);
	assert_int_equal(language->env.count, 0);
	assert_memory_equal(&language->limits, &config->limits, sizeof config->limits);
	assert_int_equal(language->warm_count, 1);
	assert_int_equal(language->warm[0].armed, 1);
	assert_int_equal(language->warm[0].zygotes, 1);
	assert_int_equal(language->warm[0].imports.count, 0);
	config_free(config);
}

/* The default of processes depends on the control groups, and on a maximum that is lower. */
static void
test_default_of_processes(void **state)
{
	static const struct {
		const char *main, *language;
		unsigned all, one;
	} cases[] = {
		{ "isolation = { cgroup = \"optional\"; };", "", 1, 1 },
		{ "isolation = { cgroup = \"off\"; };", "limits = { processes = { default = 5; }; };", 1, 5 },
		{ "isolation = { cgroup = \"off\"; }; limits = { processes = { default = 7; }; };", "", 7, 7 },
		{ "limits = { processes = { maximum = 9; }; };", "limits = { processes = { maximum = 3; }; };", 9, 3 },
		{ "limits = { processes = { default = 2; }; };", "limits = { processes = { maximum = 99; }; };", 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512];
		struct config *config;

		snprintf(text, sizeof text, "%s\n" LANGUAGE WARM, cases[i].language);
		config = must_load(cases[i].main, text);
		assert_int_equal(config->limits.default_.processes, cases[i].all);
		assert_int_equal(config->language[0]->limits.default_.processes, cases[i].one);
		config_free(config);
	}
}

static void
test_shipped_files_show_the_defaults(void **state)
{
	const char *srcdir = getenv("srcdir");
	const struct language_config *python;
	struct config *config;
	char path[512];

	(void)state;
	snprintf(path, sizeof path, "%s/etc/cellblock.conf", srcdir != NULL ? srcdir : ".");
	config = config_load(path, error, sizeof error);
	if (config == NULL)
		fail_msg("refused: %s", error);
	assert_defaults(config);
	assert_string_equal(config->worker_user, "cellblock-fcgi");
	python = config->language[config_language_find(config, "python")];
	assert_string_equal(python->name, "python3");
	assert_int_equal(python->start, START_ZYGOTE);
	assert_int_equal(python->idle_s, 0);
	assert_string_equal(python->warm[0].name, "base");
	assert_string_equal(python->warm[4].hints.item[0], "numpy");
	assert_memory_equal(&python->limits, &config->limits, sizeof config->limits);
	config_free(config);
}

static void
test_every_key_is_read(void **state)
{
	struct config *config = must_load(
	    "policies = \"/p\"; drivers = \"d\";\n"
	    "runner = { socket = \"run/s\"; worker_user = \"www-data\"; first_uid = 70000; cells = 7; queue = 0; queue_ms = 1;\n"
	    "  compiled_bytes = 0; stall_percent = 50; };\n"
	    "isolation = { level = \"chroot\"; chroot_dir = \"/trees\"; cgroup = \"off\"; cgroup_parent = \"/sys/fs/cgroup/x\"; landlock = \"off\"; \n"
	    "  cpu_percent = 250; uid_per_cell = \"optional\"; chroot_leave_out = [\"/usr/src\"]; };\n"
	    "etc = { timezone = \"Asia/Tokyo\"; files = [\"/etc/fonts\", \"/etc/java-*\"]; };\n"
	    "worker = { body_bytes = 1024; landlock = \"optional\"; };\n"
	    "network = { mode = \"proxy\"; strict = true; certificates = \"/c\"; connections = 9; armed = 3;\n"
	    "  proxies = ( { name = \"all\"; address = \"squid:3128\"; }, { name = \"few\"; address = \"[::1]:65535\"; } ); };\n"
	    "limits = { wall_ms = { default = 1; maximum = 2; }; cpu_ms = { maximum = 20000; }; };\n",
	    LANGUAGE
	    "start = \"zygote\"; root = [\"/opt/a\", \"?/opt/b\"]; more_root = [\"/opt/c\"]; env = [\"A=1\", \"_B2=\"]; recycle_runs = 3; idle_s = 9;\n"
	    "warm = ( { name = \"a\"; imports = [\"json\", \"os.path\"]; armed = 0; zygotes = 2; },\n"
	    "  { name = \"b\"; hints = [\"x\", \"y\"]; armed = 7; } );\n"
	    "limits = { wall_ms = { maximum = 3; }; };\n");
	const struct language_config *language = config->language[0];
	char expected[128];

	(void)state;
	assert_string_equal(config->policy_dir, "/p");
	snprintf(expected, sizeof expected, "%s/d", directory);
	assert_string_equal(config->driver_dir, expected);
	snprintf(expected, sizeof expected, "%s/run/s", directory);
	assert_string_equal(config->socket_path, expected);
	assert_string_equal(config->worker_user, "www-data");
	assert_int_equal(config->first_uid, 70000);
	assert_int_equal(config->cells, 7);
	assert_int_equal(config->queue, 0);
	assert_int_equal(config->queue_ms, 1);
	assert_int_equal(config->stall_percent, 50);
	assert_int_equal(config->compiled_bytes, 0);
	assert_int_equal(config->cgroup, LAYER_OFF);
	assert_string_equal(config->cgroup_parent, "/sys/fs/cgroup/x");
	assert_int_equal(config->uid_per_cell, LAYER_OPTIONAL);
	assert_int_equal(config->cpu_percent, 250);
	assert_int_equal(config->level, LEVEL_CHROOT);
	assert_string_equal(config->chroot_dir, "/trees");
	assert_int_equal(config->chroot_leave_out.count, 1);
	assert_string_equal(config->chroot_leave_out.item[0], "/usr/src");
	assert_string_equal(config->timezone, "Asia/Tokyo");
	assert_int_equal(config->etc_files.count, 2);
	assert_string_equal(config->etc_files.item[1], "/etc/java-*");
	assert_int_equal(config->body_bytes, 1024);
	assert_int_equal(config->landlock, LAYER_OFF);
	assert_int_equal(config->worker_landlock, LAYER_OPTIONAL);
	assert_int_equal(config->network, NETWORK_PROXY);
	assert_true(config->network_strict);
	assert_string_equal(config->certificates, "/c");
	assert_int_equal(config->connections, 9);
	assert_int_equal(config->network_armed, 3);
	assert_int_equal(config->proxy_count, 2);
	assert_string_equal(config->proxy[0].address, "squid:3128");
	assert_int_equal(config_network_find_proxy(config, "few"), 1);
	assert_int_equal(config_network_find_proxy(config, "none"), -1);
	assert_int_equal(config_network_armed(config, &config->language[0]->warm[0]), 0);
	assert_int_equal(config_network_armed(config, &config->language[0]->warm[1]), 3);
	assert_int_equal(config->limits.default_.wall_ms, 1);
	assert_int_equal(config->limits.maximum.wall_ms, 2);
	assert_int_equal(config->limits.default_.cpu_ms, 15000);
	assert_int_equal(config->limits.maximum.cpu_ms, 20000);
	assert_int_equal(language->limits.default_.wall_ms, 1);
	assert_int_equal(language->limits.maximum.wall_ms, 3);
	assert_int_equal(language->limits.maximum.cpu_ms, 20000);
	assert_int_equal(language->recycle_runs, 3);
	assert_int_equal(language->idle_s, 9);
	assert_true(language->has_root);
	assert_int_equal(language->root.count, 2);
	assert_int_equal(language->more_root.count, 1);
	assert_string_equal(language->more_root.item[0], "/opt/c");
	assert_string_equal(language->root.item[1], "?/opt/b");
	assert_string_equal(language->env.item[1], "_B2=");
	assert_int_equal(language->warm_count, 2);
	assert_string_equal(language->warm[0].imports.item[1], "os.path");
	assert_int_equal(language->warm[0].armed, 0);
	assert_int_equal(language->warm[0].zygotes, 2);
	assert_int_equal(language->warm[1].hints.count, 2);
	assert_int_equal(language->warm[1].armed, 7);
	config_free(config);
}

/* libconfig itself would read the first as 1073741824. */
static void
test_big_numbers_are_not_cut(void **state)
{
	static const char *const spellings[] = { "5368709120", "5368709120L", "5368709120LL", "0x140000000", "0x140000000L" };

	(void)state;
	for (size_t i = 0; i < LENGTH(spellings); i++) {
		struct config *config;
		char text[256];

		snprintf(text, sizeof text,
		    "# 1 \"\n// 2 \"\n/* 3\n \" */ runner = { worker_user = \"a1 \\\" 2\"; };\n"
		    "limits = { memory_bytes = { maximum = %s; }; };",
		    spellings[i]);
		config = must_load(text, LANGUAGE WARM);
		assert_int_equal(config->limits.maximum.memory_bytes, UINT64_C(5) << 30);
		assert_string_equal(config->worker_user, "a1 \" 2");
		config_free(config);
	}
}

static void
test_languages_are_sorted_and_found(void **state)
{
	struct config *config;

	(void)state;
	write_file(other_path,
	    "name = \"zsh\"; main_file = \"main.sh\"; driver = \"d\"; interpreter = \"/bin/zsh\"; "
	    "policy = \"p\"; aliases = [\"sh\", \"c++\"]; " WARM);
	config = must_load("", LANGUAGE WARM);
	assert_int_equal(config->language_count, 2);
	assert_string_equal(config->language[0]->name, "python3");
	assert_int_equal(config_language_find(config, "python3"), 0);
	assert_int_equal(config_language_find(config, "python"), 0);
	assert_int_equal(config_language_find(config, "zsh"), 1);
	assert_int_equal(config_language_find(config, "c++"), 1);
	assert_int_equal(config_language_find(config, "PYTHON"), 0);
	assert_int_equal(config_language_find(config, ""), -1);
	config_free(config);
	unlink(other_path);
}

static void
test_digest_is_of_the_contents(void **state)
{
	struct config *one = must_load("# a\n", LANGUAGE WARM);
	struct config *same = must_load("# a\n", LANGUAGE WARM);
	struct config *main_differs = must_load("# b\n", LANGUAGE WARM);
	struct config *language_differs = must_load("# a\n", LANGUAGE WARM "\n");
	struct config *border_differs = must_load("# a\nlimits = { };\n", LANGUAGE WARM);
	struct config *border_moved = must_load("# a\n", "limits = { };\n" LANGUAGE WARM);

	(void)state;
	assert_true(one->digest == same->digest);
	assert_true(one->digest != main_differs->digest);
	assert_true(one->digest != language_differs->digest);
	assert_true(border_differs->digest != border_moved->digest);
	config_free(one);
	config_free(same);
	config_free(main_differs);
	config_free(language_differs);
	config_free(border_differs);
	config_free(border_moved);
}

/* ---- errors --------------------------------------------------------------------------------- */

static const struct number {
	const char *group, *name; /* may be nested: "limits.wall_ms" */
	uint64_t min, max;
	bool is_language; /* a key of a language's file */
} numbers[] = {
	{ "runner", "first_uid", 10000, 4000000000, false },
	{ "runner", "cells", 1, 4096, false },
	{ "runner", "queue", 0, 65536, false },
	{ "runner", "queue_ms", 1, 600000, false },
	{ "runner", "stall_percent", 0, 10000, false },
	{ "isolation", "cpu_percent", 1, 100000, false },
	{ "worker", "body_bytes", 1024, 1 << 30, false },
	{ "worker", "heartbeat_ms", 0, 3600000, false },
	{ "limits.wall_ms", "maximum", 1, 86400000, false },
	{ "limits.cpu_ms", "maximum", 1, 86400000, false },
	{ "limits.memory_bytes", "maximum", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.processes", "maximum", 1, 32768, false },
	{ "limits.threads", "maximum", 1, 32768, false },
	{ "limits.open_files", "maximum", 64, 1048576, false },
	{ "limits.inodes", "maximum", 16, 16777216, false },
	{ "limits.stack_bytes", "maximum", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.output_bytes", "maximum", 1, 1 << 30, false },
	{ "limits.disk_bytes", "maximum", 4096, UINT64_C(1) << 40, false },
	{ "limits.wall_ms", "default", 1, 86400000, false },
	{ "limits.cpu_ms", "default", 1, 86400000, false },
	{ "limits.memory_bytes", "default", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.processes", "default", 1, 32768, false },
	{ "limits.threads", "default", 1, 32768, false },
	{ "limits.open_files", "default", 64, 1048576, false },
	{ "limits.inodes", "default", 16, 16777216, false },
	{ "limits.stack_bytes", "default", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.output_bytes", "default", 1, 1 << 30, false },
	{ "limits.disk_bytes", "default", 4096, UINT64_C(1) << 40, false },
	{ "runner", "compiled_bytes", 0, UINT64_C(1) << 40, false },
	{ "", "recycle_runs", 1, 1000000000, true },
	{ "", "idle_s", 0, 31536000, true },
	{ "", "armed", 0, 4096, true },
	{ "limits.wall_ms", "maximum", 1, 86400000, true },
	{ "warm[0]", "armed", 0, 4096, true },
	{ "warm[0]", "zygotes", 1, 64, true },
};

/* The error is on line 2 of the main file, or line 7 of a language's, after LANGUAGE. */
static void
refuse_number(const struct number *number, const char *value, const char *problem)
{
	char text[1024], rest[512], setting[128];
	const char *inner = strchr(number->group, '.');

	snprintf(setting, sizeof setting, "%s = %s;", number->name, value);
	if (strcmp(number->group, "warm[0]") == 0)
		snprintf(text, sizeof text, LANGUAGE "warm = ( { name = \"base\"; %s } );", setting);
	else if (inner != NULL)
		snprintf(text, sizeof text, "%s%.*s = { %s = { %s }; };\n%s", number->is_language ? LANGUAGE : "\n",
		    (int)(inner - number->group), number->group, inner + 1, setting, number->is_language ? WARM : "");
	else if (number->group[0] != '\0')
		snprintf(text, sizeof text, "\n%s = { %s };", number->group, setting);
	else
		snprintf(text, sizeof text, LANGUAGE "%s" WARM, setting);
	snprintf(rest, sizeof rest, ":%d: %s%s%s: %s; allowed: %" PRIu64 " to %" PRIu64, number->is_language ? 7 : 2,
	    number->group, number->group[0] != '\0' ? "." : "", number->name, problem, number->min, number->max);
	if (number->is_language)
		refuse_language(text, rest);
	else
		refuse_main(text, rest);
}

static void
test_numbers_have_a_range_and_a_type(void **state)
{
	static const char *const wrong_types[] = { "\"1\"", "true", "1.5", "[1]", "(1)", "{ }" };

	(void)state;
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		const struct number *number = &numbers[i];
		char value[32], problem[64];

		for (size_t t = 0; t < LENGTH(wrong_types); t++)
			refuse_number(number, wrong_types[t], "is not a whole number");
		refuse_number(number, "-1", "-1 is out of range");
		snprintf(value, sizeof value, "%" PRIu64, number->max + 1);
		snprintf(problem, sizeof problem, "%s is out of range", value);
		refuse_number(number, value, problem);
		if (number->min == 0)
			continue;
		snprintf(value, sizeof value, "%" PRIu64, number->min - 1);
		snprintf(problem, sizeof problem, "%s is out of range", value);
		refuse_number(number, value, problem);
		/* A number whose low 32 bits are a small number. */
		refuse_number(number, "18446744069414584320", "9223372036854775807 is out of range");
	}
}

#define NOT_AN_ADDRESS(text) \
	{ \
		"network = { proxies = ( { name = \"a\"; address = \"" text "\"; } ); };", \
		    ":1: network.proxies[0].address: \"" text "\" is malformed; allowed: HOST:PORT, in quotes, 1 to 300 bytes" \
	}

static const struct bad_file main_refusals[] = {
	{ "\n\ncells = 3;",
	    ":3: unknown key \"cells\"; allowed: languages, policies, drivers, runner, isolation, worker, files, "
	    "adapters, tests, keys, network, etc, dependencies, log, limits" },
	{ "runner = {\n quue = 3; };",
	    ":2: unknown key \"quue\" in runner; allowed: socket, worker_user, first_uid, cells, "
	    "reserve, queue, queue_ms, memory_bytes, stall_percent, drain_ms, compiled_bytes" },
	{ "isolation = { x = 3; };",
	    ":1: unknown key \"x\" in isolation; allowed: level, level_note, chroot_dir, chroot_stock, chroot_leave_out, cgroup, "
	    "cgroup_parent, landlock, uid_per_cell, cpu_percent, cell_runs" },
	{ "etc = { timezone = \"../../secret\"; };",
	    ":1: etc.timezone: \"../../secret\" is malformed; allowed: the name of a time zone (\"Europe/Vienna\"), in quotes, "
	    "1 to 255 bytes" },
	{ "etc = { files = [\"/etc/../root\"]; };",
	    ":1: etc.files[0]: \"/etc/../root\" is malformed; allowed: [...] with 0 to 256 elements: a path below /etc, or a "
	    "pattern of such paths, without a part that starts with a point, in quotes" },
	{ "isolation = {\n threads = 3; };",
	    ":2: isolation.threads has moved; allowed: limits.threads = { default = ...; maximum = ...; }" },
	{ "worker = { x = 3; };",
	    ":1: unknown key \"x\" in worker; allowed: requests, body_bytes, preload, landlock, cors, heartbeat_ms" },
	{ "adapters = { x = 3; };", ":1: unknown key \"x\" in adapters; allowed: protocols, local_key" },
	{ "adapters = { protocols = [\"piston\", \"judge0\"]; };",
	    ":1: adapters.protocols[1]: \"judge0\" is malformed; allowed: [...] with 0 to 3 elements: \"piston\", \"sandboxfusion\" or \"jobe\", in quotes" },
	{ "adapters = { local_key = \"a/b\"; };",
	    ":1: adapters.local_key: \"a/b\" is malformed; allowed: the name of a key, in quotes, 1 to 63 bytes" },
	{ "log = { format = \"xml\"; };", ":1: log.format: \"xml\" is unknown; allowed: \"text\", \"json\"" },
	{ "worker = { cors = [\"https://a.example/\"]; };",
	    ":1: worker.cors[0]: \"https://a.example/\" is malformed; allowed: [...] with 0 to 64 elements: \"*\", or SCHEME://HOST or SCHEME://HOST:PORT without a path, in quotes" },
	{ "worker = { cors = [\"https://a b\"]; };",
	    ":1: worker.cors[0]: \"https://a b\" is malformed; allowed: [...] with 0 to 64 elements: \"*\", or SCHEME://HOST or SCHEME://HOST:PORT without a path, in quotes" },
	{ "network = { x = 3; };",
	    ":1: unknown key \"x\" in network; allowed: mode, strict, loopback, "
	    "proxies, certificates, connections, armed" },
	{ "limits = { wall = { }; };",
	    ":1: unknown key \"wall\" in limits; allowed: wall_ms, cpu_ms, memory_bytes, "
	    "processes, threads, open_files, inodes, stack_bytes, output_bytes, disk_bytes" },
	{ "limits = { wall_ms = { max = 3; }; };", ":1: unknown key \"max\" in limits.wall_ms; allowed: default, maximum" },

	{ "runner = 1;", ":1: runner: is not a group; allowed: a group { ... }" },
	{ "isolation = [];", ":1: isolation: is not a group; allowed: a group { ... }" },
	{ "worker = \"x\";", ":1: worker: is not a group; allowed: a group { ... }" },
	{ "network = ();", ":1: network: is not a group; allowed: a group { ... }" },
	{ "limits = true;", ":1: limits: is not a group; allowed: a group { ... }" },
	{ "limits = { wall_ms = 3; };", ":1: limits.wall_ms: is not a group; allowed: a group { ... }" },

	{ "languages = 1;", ":1: languages: is not a string; allowed: a path in quotes, 1 to 1024 bytes as an absolute path" },
	{ "languages = \"/nowhere/at/all\";", ":1: languages: cannot read /nowhere/at/all: No such file or directory" },
	{ "languages = \"/proc/self/fd\";", ":1: languages: /proc/self/fd has 0 files named *.conf; allowed: 1 to 64" },
	{ "policies = true;", ":1: policies: is not a string; allowed: a path in quotes, 1 to 1024 bytes as an absolute path" },
	{ "drivers = \"\";", ":1: drivers: \"\" is malformed; allowed: a path in quotes, 1 to 1024 bytes as an absolute path" },
	{ "drivers = \"a\\nb\";",
	    ":1: drivers: contains a control character; allowed: a path in quotes, 1 to "
	    "1024 bytes as an absolute path" },
	{ "runner = { socket = [\"a\"]; };",
	    ":1: runner.socket: is not a string; allowed: a path in quotes, 1 "
	    "to 107 bytes as an absolute path" },
	{ "runner = { worker_user = 1; };",
	    ":1: runner.worker_user: is not a string; allowed: a user's name, in quotes, 1 to "
	    "255 bytes" },
	{ "runner = { worker_user = \"-u\"; };",
	    ":1: runner.worker_user: \"-u\" is malformed; allowed: a user's "
	    "name, in quotes, 1 to 255 bytes" },
	{ "isolation = { cgroup = \"must\"; };",
	    ":1: isolation.cgroup: \"must\" is unknown; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	{ "isolation = { cgroup = true; };",
	    ":1: isolation.cgroup: is not a string; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	{ "isolation = { cgroup_parent = \"x\"; };",
	    ":1: isolation.cgroup_parent: \"x\" is malformed; allowed: "
	    "an absolute path, in quotes, 1 to 1024 bytes" },
	{ "worker = { landlock = \"\"; };",
	    ":1: worker.landlock: \"\" is unknown; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	/* Quoted text does not break the line. */
	{ "network = { mode = \"wi\\nfi\"; };",
	    ":1: network.mode: \"wi fi\" is unknown; allowed: \"none\", \"proxy\", \"host\"" },
	{ "network = { mode = \"proxy\"; };", ":1: network.proxies is missing; required with mode = \"proxy\"" },
	{ "network = { proxies = (); };", ":1: network.proxies: has 0 elements; allowed: ( { ... }, ... ) with 1 to 16 groups" },
	{ "network = { proxies = ( { name = \"a\"; } ); };",
	    ":1: network.proxies[0].address is missing; allowed: "
	    "HOST:PORT, in quotes, 1 to 300 bytes" },
	{ "network = { proxies = ( { name = \"none\"; address = \"a:1\"; } ); };",
	    ":1: network.proxies[0].name: \"none\" is malformed; allowed: up to 31 letters, digits and ._+#-, "
	    "the first a letter or digit, but not \"none\", in quotes, 1 to 31 bytes" },
	{ "network = { proxies = ( { name = \"a\"; address = \"a:1\"; },\n{ name = \"a\"; address = \"b:1\"; } ); };",
	    ":2: network.proxies[1].name: duplicate name \"a\"" },
	NOT_AN_ADDRESS("squid"),
	NOT_AN_ADDRESS("squid:"),
	NOT_AN_ADDRESS(":3128"),
	NOT_AN_ADDRESS("squid:0"),
	NOT_AN_ADDRESS("squid:65536"),
	NOT_AN_ADDRESS("squid:31a"),
	NOT_AN_ADDRESS("http://squid:3128"),
	NOT_AN_ADDRESS("squid/x:3128"),
	NOT_AN_ADDRESS("::1:3128"),
	NOT_AN_ADDRESS("[::1]"),
	NOT_AN_ADDRESS("[]:3128"),
	NOT_AN_ADDRESS("[squid]:3128"),
	NOT_AN_ADDRESS("me@squid:3128"),
	{ "network = { connections = 0; };", ":1: network.connections: 0 is out of range; allowed: 1 to 1024" },
	{ "network = { strict = 1; };", ":1: network.strict: is not a boolean; allowed: true, false" },
	{ "network = { strict = \"true\"; };", ":1: network.strict: is not a boolean; allowed: true, false" },

	{ "limits = {\n wall_ms = { default = 120001; };\n};",
	    ":2: limits.wall_ms: default 120001 is above the maximum; "
	    "allowed: up to 120000" },
	{ "limits = { memory_bytes = { maximum = 1048576; }; };",
	    ":1: limits.memory_bytes: default 268435456 is above the "
	    "maximum; allowed: up to 1048576" },

	{ "runner = { cells = 1; };\nrunner = { };", ":2: duplicate setting name" },
	{ "\n@include \"other.conf\"", ":2: @include is not allowed here" },
};

#define IN_STRICT ":1: syntax error in network.strict: "
#define NO_VALUE " is no value; write a text in double quotes, a number in digits, or true or false"

/* The message says where, what is wrong, and how to write it. */
static const struct bad_file syntax_errors[] = {
	{ "limits = { memory_bytes = { default =\n256M; }; };",
	    ":2: syntax error in limits.memory_bytes.default: \"256M\": a number has no unit; write 268435456" },
	{ "limits = { disk_bytes = { default = 1.5GiB; }; };",
	    ":1: syntax error in limits.disk_bytes.default: \"1.5GiB\": a number has no unit; write 1610612736" },
	{ "runner = { queue_ms = 10s; };", ":1: syntax error in runner.queue_ms: \"10s\": a number has no unit; write 10000" },
	{ "runner = { cells = 32x; };",
	    ":1: syntax error in runner.cells: \"32x\" is not a number; write digits only, without a unit" },
	{ "runner = { compiled_bytes = 64 * 1024; };",
	    ":1: syntax error in runner.compiled_bytes: \"64 * 1024\": nothing is computed here; write 65536" },
	{ "runner = { compiled_bytes = 64*1024*1024\n};",
	    ":1: syntax error in runner.compiled_bytes: \"64*1024*1024\": nothing is computed here; write 67108864" },
	{ "runner = { cells = 9999999999999 * 9999999999; };",
	    ":1: syntax error in runner.cells: \"9999999999999 * 9999999999\": nothing is computed here; write the result as one number" },
	{ "runner = { cells = 32 + cells; };",
	    ":1: syntax error in runner.cells: \"32 + cells\": nothing is computed here; write the result as one number" },
	{ "network = { strict = no; };", IN_STRICT "\"no\" is no value; write false" },
	{ "network = { strict = Yes; };", IN_STRICT "\"Yes\" is no value; write true" },
	{ "isolation = { cgroup = off; };", ":1: syntax error in isolation.cgroup: \"off\"" NO_VALUE },
	{ "policies = /etc/seccomp;", ":1: syntax error in policies: \"/etc/seccomp\"" NO_VALUE },
	{ "policies = 'seccomp';", ":1: syntax error in policies: \"'seccomp'\": write a text in double quotes" },
	{ "policies = \"seccomp;\nrunner = { socket = \"x\"; };",
	    ":1: syntax error in policies: the string that begins with \"seccomp\" has no closing quote in its line" },
	{ "policies = \"",
	    ":1: syntax error in policies: the string that begins with the end of the file has no closing quote in its line" },
	{ "runner = { cells = = 32; };", ":1: syntax error in runner.cells: a value is expected, not \"=\"" },
	{ "runner = { cells 32; };", ":1: syntax error in runner.cells: = is expected, not \"32\"" },
	{ "runner = {\n cells =\n queue = 3; };", ":3: syntax error in runner.cells: a value is expected before \"queue\"" },
	{ "runner = { cells = 1;; };", ":1: syntax error in runner: nothing is before this \";\"" },
	{ "runner = { 5 = 1; };", ":1: syntax error in runner: the name of a key is expected, not \"5\"" },
	{ "runner = {", ":1: syntax error in runner: this has no closing }" },
	{ "runner = {\n\tcells = 1;\n/* a { comment */\nisolation = {\n};\nworker = { };\n",
	    ":4: syntax error: a } is missing before \"isolation\": the group \"runner\" of line 1 is still open there" },
	/* A group whose keys are not indented is none that lost its brace. */
	{ "runner = {\ncells = 1;\n};\nisolation = {\n\tthreads = 1;\n", ":4: syntax error in isolation: this has no closing }" },
	{ "runner = { };\n};", ":2: syntax error: \"}\" closes nothing: no group or list is open here" },
	{ "runner = { cells = 1; );", ":1: syntax error in runner: \")\" is in the place of a }" },
	{ "network = { proxies = ( { name = \"a\"; }\n{ name = \"b\"; } ); };",
	    ":2: syntax error in network.proxies: , or ) is expected, not \"{\"" },
	{ "network = { proxies = ( { name = \"a\"; }", ":1: syntax error in network.proxies: this has no closing )" },
	{ "network = { proxies = ( { name = \"a\"; },\n); };",
	    ":1: syntax error: the last element of a list or array has a comma after it" },
	/* Deeper than any file of ours: libconfig's own words. */
	{ "a = ((((((((((((((((((((((((((((((((", ":1: syntax error" },
};

static void
test_syntax_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(syntax_errors); i++)
		refuse_main(syntax_errors[i].text, syntax_errors[i].rest);
}

/* For a language without a driver. */
static void
test_bad_main_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(main_refusals); i++)
		refuse_main(main_refusals[i].text, main_refusals[i].rest);
}

static void
test_files_that_cannot_be_read(void **state)
{
	char expected[128];
	FILE *file;

	(void)state;
	assert_null(config_load("/nowhere.conf", error, sizeof error));
	assert_string_equal(error, "/nowhere.conf: cannot read the file: No such file or directory");
	assert_null(config_load(directory, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: cannot read the file: Is a directory", directory);
	assert_string_equal(error, expected);
	assert_null(config_load("/dev/zero", error, sizeof error));
	assert_string_equal(error, "/dev/zero: cannot read the file: Invalid argument");

	file = fopen(main_path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite("runner = {};\0x", 1, 14, file), 14);
	assert_int_equal(fclose(file), 0);
	assert_null(config_load(main_path, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: the file contains a NUL byte; allowed: text", main_path);
	assert_string_equal(error, expected);

	assert_int_equal(truncate(main_path, (1 << 20) + 1), 0);
	assert_null(config_load(main_path, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: cannot read the file: File too large", main_path);
	assert_string_equal(error, expected);
}

static void
test_long_values(void **state)
{
	char text[2048];

	(void)state;
	snprintf(text, sizeof text, "drivers = \"/%01024d\";", 0);
	refuse_main(text, ":1: drivers: is too long; allowed: a path in quotes, 1 to 1024 bytes as an absolute path");
	/* A short relative path can be too long as an absolute path. */
	snprintf(text, sizeof text, "runner = { socket = \"%0*d\"; };", (int)(107 - strlen(directory)), 0);
	refuse_main(text, ":1: runner.socket: is too long; allowed: a path in quotes, 1 to 107 bytes as an absolute path");
}

/* A small buffer truncates the message and does no other harm. */
static void
test_error_fits_any_buffer(void **state)
{
	char small[40];

	(void)state;
	for (size_t size = 1; size <= sizeof small; size++) {
		write_file(main_path, "runner = { cells = 0; };");
		assert_null(config_load(main_path, small, size));
		assert_true(strlen(small) < size);
	}
}

/* The longest time of a run: never beyond the maximum, and never less than its limit. */
static void
test_wall_most(void **state)
{
	struct language_config language = { .limits.maximum.wall_ms = 10000 };
	struct config any = { .stall_percent = 50 };

	(void)state;
	assert_int_equal(config_wall_most_ms(&any, &language, 1000), 1500);
	assert_int_equal(config_wall_most_ms(&any, &language, 1), 1);
	assert_int_equal(config_wall_most_ms(&any, &language, 8000), 10000);
	assert_int_equal(config_wall_most_ms(&any, &language, 10000), 10000);
	assert_int_equal(config_wall_most_ms(&any, &language, 30000), 30000); /* a compiler's, or that of a key */
	any.stall_percent = 0;
	assert_int_equal(config_wall_most_ms(&any, &language, 1000), 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wall_most),
		cmocka_unit_test(test_empty_file_is_all_defaults),
		cmocka_unit_test(test_default_of_processes),
		cmocka_unit_test(test_shipped_files_show_the_defaults),
		cmocka_unit_test(test_every_key_is_read),
		cmocka_unit_test(test_big_numbers_are_not_cut),
		cmocka_unit_test(test_languages_are_sorted_and_found),
		cmocka_unit_test(test_digest_is_of_the_contents),
		cmocka_unit_test(test_numbers_have_a_range_and_a_type),
		cmocka_unit_test(test_bad_main_files),
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_error_fits_any_buffer),
	};

	return cmocka_run_group_tests_name("config", tests, make_folder, remove_folder);
}
