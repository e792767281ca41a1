/*
 * config_test.c - cellblock.conf and languages/NAME.conf: what is read, and what is refused in which words.
 *
 * The files are written to a folder of the test's own. The shipped ones in etc/ must say what the defaults are.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LANGUAGE                                                                                                       \
	"name = \"python3\";\naliases = [\"python\"];\nmain_file = \"main.py\";\ndriver = \"python3\";\n"              \
	"interpreter = \"/usr/bin/python3\";\npolicy = \"python3\";\n"
#define WARM "warm = ( { name = \"base\"; } );\n"

static char folder[] = "/tmp/config_test.XXXXXX";
static char language_folder[sizeof folder + 16];
static char main_path[sizeof folder + 32], language_path[sizeof folder + 32], other_path[sizeof folder + 32];
static char error[512];

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static int
make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(language_folder, sizeof language_folder, "%s/languages", folder);
	assert_int_equal(mkdir(language_folder, 0700), 0);
	snprintf(main_path, sizeof main_path, "%s/cellblock.conf", folder);
	snprintf(language_path, sizeof language_path, "%s/languages/python3.conf", folder);
	snprintf(other_path, sizeof other_path, "%s/languages/another.conf", folder);
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	unlink(main_path);
	unlink(language_path);
	unlink(other_path);
	rmdir(language_folder);
	return rmdir(folder);
}

static struct config *
load(const char *main_text, const char *language_text)
{
	write_file(main_path, main_text);
	write_file(language_path, language_text);
	error[0] = '\0';
	return config_load(main_path, error, sizeof error);
}

static struct config *
must_load(const char *main_text, const char *language_text)
{
	struct config *config = load(main_text, language_text);

	if (config == NULL)
		fail_msg("refused: %s", error);
	return config;
}

/* The configuration is refused with exactly one line: PATH, then `rest` (":LINE: ..."). */
static void
assert_refused(const char *main_text, const char *language_text, const char *path, const char *rest)
{
	struct config *config = load(main_text, language_text);
	char expected[512];

	if (config != NULL)
		fail_msg("taken, and not refused with \"%s\"", rest);
	snprintf(expected, sizeof expected, "%s%s", path, rest);
	assert_string_equal(error, expected);
	assert_null(strchr(error, '\n'));
}

static void
refuse_main(const char *text, const char *rest)
{
	assert_refused(text, LANGUAGE WARM, main_path, rest);
}

static void
refuse_language(const char *text, const char *rest)
{
	assert_refused("", text, language_path, rest);
}

/* ---- what is read ---------------------------------------------------------------------------------------------- */

static void
assert_defaults(const struct config *config)
{
	const struct run_limits *standard = &config->limits.standard, *maximum = &config->limits.maximum;

	assert_string_equal(config->socket_path, "/run/cellblock/runner.sock");
	assert_int_equal(config->first_uid, 2000000);
	assert_int_equal(config->cells, 32);
	assert_int_equal(config->queue, 256);
	assert_int_equal(config->queue_ms, 10000);
	assert_int_equal(config->compiled_bytes, 128 << 20);
	assert_int_equal(config->cgroup, LAYER_REQUIRED);
	assert_null(config->cgroup_parent);
	assert_int_equal(config->cpu_percent, 100);
	assert_int_equal(config->threads, 64);
	assert_int_equal(config->open_files, 256);
	assert_int_equal(config->inodes, 4096);
	assert_int_equal(config->body_bytes, 32 << 20);
	assert_int_equal(config->landlock, LAYER_REQUIRED);
	assert_int_equal(config->network, NETWORK_NONE);
	assert_false(config->network_strict);
	assert_int_equal(standard->wall_ms, 15000);
	assert_int_equal(maximum->wall_ms, 120000);
	assert_int_equal(standard->cpu_ms, 15000);
	assert_int_equal(maximum->cpu_ms, 120000);
	assert_int_equal(standard->memory_bytes, 256 << 20);
	assert_int_equal(maximum->memory_bytes, 1 << 30);
	assert_int_equal(standard->processes, 1);
	assert_int_equal(maximum->processes, 1);
	assert_int_equal(standard->output_bytes, 32 << 20);
	assert_int_equal(maximum->output_bytes, 64 << 20);
	assert_int_equal(standard->disk_bytes, 64 << 20);
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
	assert_string_equal(config->driver_dir, PKGLIBDIR);
	snprintf(expected, sizeof expected, "%s/languages", folder);
	assert_string_equal(config->language_dir, expected);
	snprintf(expected, sizeof expected, "%s/seccomp", folder);
	assert_string_equal(config->policy_dir, expected);
	assert_int_equal(config->language_count, 1);
	assert_string_equal(language->file, language_path);
	assert_int_equal(language->start, START_ZYGOTE);
	assert_int_equal(language->recycle_runs, 10000);
	assert_int_equal(language->idle_s, 300);
	assert_int_equal(language->run.count, 0);
	assert_int_equal(language->version.count, 0);
	assert_false(config_is_compiled(language));
	assert_int_equal(language->root.count, 0);
	assert_int_equal(language->env.count, 0);
	assert_memory_equal(&language->limits, &config->limits, sizeof config->limits);
	assert_int_equal(language->warm_count, 1);
	assert_int_equal(language->warm[0].armed, 1);
	assert_int_equal(language->warm[0].zygotes, 1);
	assert_int_equal(language->warm[0].imports.count, 0);
	config_free(config);
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
	python = config->language[config_find_language(config, "python")];
	assert_string_equal(python->name, "python3");
	assert_int_equal(python->start, START_ZYGOTE);
	assert_int_equal(python->idle_s, 0);
	assert_string_equal(python->warm[0].name, "base");
	assert_string_equal(python->warm[2].hints.item[0], "jinja2");
	assert_memory_equal(&python->limits, &config->limits, sizeof config->limits);
	config_free(config);
}

static void
test_every_key_is_read(void **state)
{
	struct config *config = must_load(
	    "policies = \"/p\"; drivers = \"d\";\n"
	    "runner = { socket = \"run/s\"; worker_user = \"www-data\"; first_uid = 70000; cells = 7; queue = 0; queue_ms = 1;\n"
	    "  compiled_bytes = 0; };\n"
	    "isolation = { cgroup = \"off\"; cgroup_parent = \"/sys/fs/cgroup/x\"; cpu_percent = 250; threads = 1;\n"
	    "  open_files = 16; inodes = 17; };\n"
	    "worker = { body_bytes = 1024; landlock = \"optional\"; };\n"
	    "network = { mode = \"none\"; strict = true; };\n"
	    "limits = { wall_ms = { default = 1; maximum = 2; }; cpu_ms = { maximum = 20000; }; };\n",
	    LANGUAGE "start = \"zygote\"; root = [\"/opt/a\", \"?/opt/b\"]; env = [\"A=1\", \"_B2=\"]; recycle_runs = 3; idle_s = 9;\n"
	    "warm = ( { name = \"a\"; imports = [\"json\", \"os.path\"]; armed = 0; zygotes = 2; },\n"
	    "  { name = \"b\"; hints = [\"x\", \"y\"]; armed = 7; } );\n"
	    "limits = { wall_ms = { maximum = 3; }; };\n");
	const struct language_config *language = config->language[0];
	char expected[128];

	(void)state;
	assert_string_equal(config->policy_dir, "/p");
	snprintf(expected, sizeof expected, "%s/d", folder);
	assert_string_equal(config->driver_dir, expected);
	snprintf(expected, sizeof expected, "%s/run/s", folder);
	assert_string_equal(config->socket_path, expected);
	assert_string_equal(config->worker_user, "www-data");
	assert_int_equal(config->first_uid, 70000);
	assert_int_equal(config->cells, 7);
	assert_int_equal(config->queue, 0);
	assert_int_equal(config->queue_ms, 1);
	assert_int_equal(config->compiled_bytes, 0);
	assert_int_equal(config->cgroup, LAYER_OFF);
	assert_string_equal(config->cgroup_parent, "/sys/fs/cgroup/x");
	assert_int_equal(config->cpu_percent, 250);
	assert_int_equal(config->threads, 1);
	assert_int_equal(config->open_files, 16);
	assert_int_equal(config->inodes, 17);
	assert_int_equal(config->body_bytes, 1024);
	assert_int_equal(config->landlock, LAYER_OPTIONAL);
	assert_true(config->network_strict);
	assert_int_equal(config->limits.standard.wall_ms, 1);
	assert_int_equal(config->limits.maximum.wall_ms, 2);
	assert_int_equal(config->limits.standard.cpu_ms, 15000);
	assert_int_equal(config->limits.maximum.cpu_ms, 20000);
	assert_int_equal(language->limits.standard.wall_ms, 1);
	assert_int_equal(language->limits.maximum.wall_ms, 3);
	assert_int_equal(language->limits.maximum.cpu_ms, 20000);
	assert_int_equal(language->recycle_runs, 3);
	assert_int_equal(language->idle_s, 9);
	assert_int_equal(language->root.count, 2);
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

static struct config *
must_load_language(const char *text)
{
	return must_load("limits = { wall_ms = { default = 7; }; };\n", text);
}

static void
test_languages_without_a_driver(void **state)
{
	struct config *config = must_load_language("name = \"sh\"; main_file = \"main.sh\"; policy = \"p\"; "
	    "run = [\"/bin/sh\", \"-e\", \"main.sh\"]; version = [\"/bin/sh\", \"-V\"]; idle_s = 0; armed = 5;");
	const struct language_config *language = config->language[0];

	(void)state;
	assert_int_equal(language->start, START_ZYGOTE);
	assert_null(language->driver);
	assert_null(language->interpreter);
	assert_int_equal(language->run.count, 3);
	assert_string_equal(language->run.item[1], "-e");
	assert_int_equal(language->version.count, 2);
	assert_int_equal(language->idle_s, 0);
	assert_int_equal(language->warm_count, 1);
	assert_int_equal(language->warm[0].armed, 5);
	assert_int_equal(language->warm[0].zygotes, 1);
	assert_null(language->warm[0].name);
	config_free(config);

	config = must_load_language("name = \"sh\"; main_file = \"main.sh\"; policy = \"p\"; start = \"spare\"; "
	    "run = [\"/bin/sh\", \"main.sh\"]; version = [\"/bin/sh\"]; idle_s = 31536000;");
	language = config->language[0];
	assert_int_equal(language->start, START_SPARE);
	assert_int_equal(language->warm[0].armed, 1);
	assert_int_equal(language->idle_s, 31536000);
	config_free(config);
	/* Those that are only there when they are used share what cells there are. */
	config_free(must_load_language("name = \"sh\"; main_file = \"main.sh\"; policy = \"p\"; "
	    "run = [\"/bin/sh\", \"main.sh\"]; version = [\"/bin/sh\"]; armed = 4096;"));
}

static void
test_compiled_languages(void **state)
{
	struct config *config = must_load_language("name = \"c\"; main_file = \"main.c\"; policy = \"p\"; start = \"cold\"; "
	    "version = [\"/bin/cc\"]; compile = { command = [\"/bin/cc\", \"main.c\"]; output = \"a.out\"; };");
	const struct language_config *language = config->language[0];
	const struct run_limits *limits = &language->compile.limits;

	(void)state;
	assert_true(config_is_compiled(language));
	assert_int_equal(language->start, START_COLD);
	assert_int_equal(language->run.count, 0);
	assert_int_equal(language->compile.command.count, 2);
	assert_string_equal(language->compile.command.item[1], "main.c");
	assert_string_equal(language->compile.output, "a.out");
	/* A compiler's limits are not those of runs. */
	assert_int_equal(limits->wall_ms, 30000);
	assert_int_equal(limits->cpu_ms, 30000);
	assert_int_equal(limits->memory_bytes, 1 << 30);
	assert_int_equal(limits->processes, 64);
	assert_int_equal(limits->output_bytes, 1 << 20);
	assert_int_equal(limits->disk_bytes, 256 << 20);
	assert_int_equal(language->limits.standard.wall_ms, 7);
	config_free(config);

	config = must_load_language("name = \"j\"; main_file = \"main.j\"; policy = \"p\"; start = \"cold\"; "
	    "version = [\"/bin/j\"]; run = [\"/bin/j\", \"main.jar\"]; compile = { command = [\"/bin/jc\"]; output = "
	    "\"main.jar\"; limits = { wall_ms = 1; cpu_ms = 2; memory_bytes = 1048576; processes = 3; output_bytes = 4; "
	    "disk_bytes = 4096; }; };");
	language = config->language[0];
	limits = &language->compile.limits;
	assert_int_equal(language->run.count, 2);
	assert_int_equal(limits->wall_ms, 1);
	assert_int_equal(limits->cpu_ms, 2);
	assert_int_equal(limits->memory_bytes, 1 << 20);
	assert_int_equal(limits->processes, 3);
	assert_int_equal(limits->output_bytes, 4);
	assert_int_equal(limits->disk_bytes, 4096);
	config_free(config);
}

/* libconfig itself would make 1073741824 of the first. */
static void
test_big_numbers_are_not_cut(void **state)
{
	static const char *const spellings[] = { "5368709120", "5368709120L", "5368709120LL", "0x140000000", "0x140000000L" };

	(void)state;
	for (size_t i = 0; i < LENGTH(spellings); i++) {
		struct config *config;
		char text[256];

		snprintf(text, sizeof text, "# 1 \"\n// 2 \"\n/* 3\n \" */ runner = { worker_user = \"a1 \\\" 2\"; };\n"
		    "limits = { memory_bytes = { maximum = %s; }; };", spellings[i]);
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
	write_file(other_path, "name = \"zsh\"; main_file = \"main.sh\"; driver = \"d\"; interpreter = \"/bin/zsh\"; "
	    "policy = \"p\"; aliases = [\"sh\", \"c++\"]; " WARM);
	config = must_load("", LANGUAGE WARM);
	assert_int_equal(config->language_count, 2);
	assert_string_equal(config->language[0]->name, "python3");
	assert_int_equal(config_find_language(config, "python3"), 0);
	assert_int_equal(config_find_language(config, "python"), 0);
	assert_int_equal(config_find_language(config, "zsh"), 1);
	assert_int_equal(config_find_language(config, "c++"), 1);
	assert_int_equal(config_find_language(config, "PYTHON"), -1);
	assert_int_equal(config_find_language(config, ""), -1);
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

/* ---- what is refused ------------------------------------------------------------------------------------------- */

static const struct number {
	const char *group, *name; /* the group may have one in it: "limits.wall_ms" */
	uint64_t min, max;
	bool is_language; /* a key of a language's file */
} numbers[] = {
	{ "runner", "first_uid", 65536, 4000000000, false },
	{ "runner", "cells", 1, 4096, false },
	{ "runner", "queue", 0, 65536, false },
	{ "runner", "queue_ms", 1, 600000, false },
	{ "isolation", "cpu_percent", 1, 100000, false },
	{ "isolation", "threads", 1, 32768, false },
	{ "isolation", "open_files", 16, 1048576, false },
	{ "isolation", "inodes", 16, 16777216, false },
	{ "worker", "body_bytes", 1024, 1 << 30, false },
	{ "limits.wall_ms", "maximum", 1, 86400000, false },
	{ "limits.cpu_ms", "maximum", 1, 86400000, false },
	{ "limits.memory_bytes", "maximum", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.processes", "maximum", 1, 32768, false },
	{ "limits.output_bytes", "maximum", 1, 1 << 30, false },
	{ "limits.disk_bytes", "maximum", 4096, UINT64_C(1) << 40, false },
	{ "limits.wall_ms", "default", 1, 86400000, false },
	{ "limits.cpu_ms", "default", 1, 86400000, false },
	{ "limits.memory_bytes", "default", 1 << 20, UINT64_C(1) << 40, false },
	{ "limits.processes", "default", 1, 32768, false },
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

/* Refused on line 2 (of the main file) or 7 (of a language's, behind LANGUAGE). */
static void
refuse_number(const struct number *number, const char *value, const char *what)
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
	    number->group, number->group[0] != '\0' ? "." : "", number->name, what, number->min, number->max);
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
		char value[32], what[64];

		for (size_t t = 0; t < LENGTH(wrong_types); t++)
			refuse_number(number, wrong_types[t], "is not a whole number");
		refuse_number(number, "-1", "-1 is out of range");
		snprintf(value, sizeof value, "%" PRIu64, number->max + 1);
		snprintf(what, sizeof what, "%s is out of range", value);
		refuse_number(number, value, what);
		if (number->min == 0)
			continue;
		snprintf(value, sizeof value, "%" PRIu64, number->min - 1);
		snprintf(what, sizeof what, "%s is out of range", value);
		refuse_number(number, value, what);
		/* What 32 bits would make a small number of. */
		refuse_number(number, "18446744069414584320", "9223372036854775807 is out of range");
	}
}

#define NAME_FORM "letters, digits and ._+#-, at most 31, first a letter or digit"

static const struct bad_file {
	const char *text, *rest;
} main_refusals[] = {
	{ "\n\ncells = 3;", ":3: unknown key \"cells\"; allowed: languages, policies, drivers, runner, isolation, worker, "
	    "network, limits" },
	{ "runner = {\n quue = 3; };", ":2: unknown key \"quue\" in runner; allowed: socket, worker_user, first_uid, cells, "
	    "queue, queue_ms, compiled_bytes" },
	{ "isolation = { x = 3; };", ":1: unknown key \"x\" in isolation; allowed: cgroup, cgroup_parent, cpu_percent, "
	    "threads, open_files, inodes" },
	{ "worker = { x = 3; };", ":1: unknown key \"x\" in worker; allowed: body_bytes, landlock" },
	{ "network = { x = 3; };", ":1: unknown key \"x\" in network; allowed: mode, strict" },
	{ "limits = { wall = { }; };", ":1: unknown key \"wall\" in limits; allowed: wall_ms, cpu_ms, memory_bytes, "
	    "processes, output_bytes, disk_bytes" },
	{ "limits = { wall_ms = { max = 3; }; };", ":1: unknown key \"max\" in limits.wall_ms; allowed: default, maximum" },

	{ "runner = 1;", ":1: runner: is not a group; allowed: a group { ... }" },
	{ "isolation = [];", ":1: isolation: is not a group; allowed: a group { ... }" },
	{ "worker = \"x\";", ":1: worker: is not a group; allowed: a group { ... }" },
	{ "network = ();", ":1: network: is not a group; allowed: a group { ... }" },
	{ "limits = true;", ":1: limits: is not a group; allowed: a group { ... }" },
	{ "limits = { wall_ms = 3; };", ":1: limits.wall_ms: is not a group; allowed: a group { ... }" },

	{ "languages = 1;", ":1: languages: is not a string; allowed: a path in quotes, 1 to 1024 bytes when absolute" },
	{ "languages = \"/nowhere/at/all\";", ":1: languages: /nowhere/at/all cannot be read: No such file or directory" },
	{ "languages = \"/proc/self/fd\";", ":1: languages: /proc/self/fd has 0 files *.conf; allowed: 1 to 64" },
	{ "policies = true;", ":1: policies: is not a string; allowed: a path in quotes, 1 to 1024 bytes when absolute" },
	{ "drivers = \"\";", ":1: drivers: \"\" does not fit; allowed: a path in quotes, 1 to 1024 bytes when absolute" },
	{ "drivers = \"a\\nb\";", ":1: drivers: has a control character; allowed: a path in quotes, 1 to 1024 bytes when "
	    "absolute" },
	{ "runner = { socket = [\"a\"]; };", ":1: runner.socket: is not a string; allowed: a path in quotes, 1 to 107 bytes "
	    "when absolute" },
	{ "runner = { worker_user = 1; };", ":1: runner.worker_user: is not a string; allowed: a user's name in quotes, 1 to "
	    "255 bytes" },
	{ "runner = { worker_user = \"-u\"; };", ":1: runner.worker_user: \"-u\" does not fit; allowed: a user's name in "
	    "quotes, 1 to 255 bytes" },
	{ "isolation = { cgroup = \"must\"; };", ":1: isolation.cgroup: \"must\" is unknown; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	{ "isolation = { cgroup = true; };", ":1: isolation.cgroup: is not a string; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	{ "isolation = { cgroup_parent = \"x\"; };", ":1: isolation.cgroup_parent: \"x\" does not fit; allowed: an absolute "
	    "path in quotes, 1 to 1024 bytes" },
	{ "worker = { landlock = \"\"; };", ":1: worker.landlock: \"\" is unknown; allowed: \"off\", \"optional\", "
	    "\"required\"" },
	{ "network = { mode = \"host\"; };", ":1: network.mode: \"host\" is unknown; allowed: \"none\"" },
	{ "network = { strict = 1; };", ":1: network.strict: is not a bool; allowed: true, false" },
	{ "network = { strict = \"true\"; };", ":1: network.strict: is not a bool; allowed: true, false" },

	{ "limits = {\n wall_ms = { default = 120001; };\n};", ":2: limits.wall_ms: default 120001 is above the maximum; "
	    "allowed: up to 120000" },
	{ "limits = { memory_bytes = { maximum = 1048576; }; };", ":1: limits.memory_bytes: default 268435456 is above the "
	    "maximum; allowed: up to 1048576" },

	{ "runner = {", ":1: syntax error" },
	{ "runner = { cells = 1; };\nrunner = { };", ":2: duplicate setting name" },
	{ "\n@include \"other.conf\"", ":2: @include is not allowed here" },
};

/* Of a language without a driver. */
#define HEAD "name = \"a\"; main_file = \"a\"; policy = \"a\"; "
#define RUN "run = [\"/a\", \"b\"]; version = [\"/c\", \"d\"]; "
#define COMPILE "compile = { command = [\"/cc\"]; output = \"a\"; };"

static const struct bad_file language_refusals[] = {
	{ WARM "main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\";", ":1: name is missing; allowed: "
	    NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "name = \"a\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\";", ":1: warm is missing; a "
	    "driver needs it" },
	{ "nme = \"a\";", ":1: unknown key \"nme\"; allowed: name, aliases, main_file, start, driver, interpreter, run, compile, "
	    "version, root, links, env, policy, idle_s, armed, recycle_runs, warm, limits" },
	{ "name = \"../a\";", ":1: name: \"../a\" does not fit; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "name = \"abcdefghijklmnopqrstuvwxyz012345\";", ":1: name: \"abcdefghijklmnopqrstuvwxyz012345\" does not fit; "
	    "allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "name = 3;", ":1: name: is not a string; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "aliases = \"a\";", ":1: aliases: is not a list of strings; allowed: [...] with 0 to 16 of: " NAME_FORM
	    " in quotes" },
	{ "aliases = [1];", ":1: aliases[0]: is not a string; allowed: [...] with 0 to 16 of: " NAME_FORM " in quotes" },
	{ "aliases = [\"a\",\n\"b/\"];", ":2: aliases[1]: \"b/\" does not fit; allowed: [...] with 0 to 16 of: " NAME_FORM
	    " in quotes" },
	{ "main_file = \"a/b\";", ":1: main_file: \"a/b\" does not fit; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "driver = false;", ":1: driver: is not a string; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "policy = \".\";", ":1: policy: \".\" does not fit; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "start = \"hot\";", ":1: start: \"hot\" is unknown; allowed: \"zygote\", \"spare\", \"cold\"" },
	{ "start = true;", ":1: start: is not a string; allowed: \"zygote\", \"spare\", \"cold\"" },
	{ "run = \"/bin/sh\";", ":1: run: is not a list of strings; allowed: [...] with 0 to 64 of: any text in quotes" },
	{ "run = [\"/a\", \"\"];", ":1: run[1]: \"\" does not fit; allowed: [...] with 0 to 64 of: any text in quotes" },
	{ "run = [1];", ":1: run[0]: is not a string; allowed: [...] with 0 to 64 of: any text in quotes" },
	{ "version = 1;", ":1: version: is not a list of strings; allowed: [...] with 0 to 64 of: any text in quotes" },
	{ "compile = [\"/bin/cc\"];", ":1: compile: is not a group; allowed: a group { ... }" },
	{ "compile = { colour = 1; };", ":1: unknown key \"colour\" in compile; allowed: command, output, limits" },
	{ "compile = { output = \"main\"; };", ":1: compile.command is missing; allowed: [...] with 1 to 64 of: any text in "
	    "quotes" },
	{ "compile = { command = [ ]; output = \"main\"; };", ":1: compile.command: 0 are out of range; allowed: [...] with 1 "
	    "to 64 of: any text in quotes" },
	{ "compile = { command = [\"/bin/cc\"]; };", ":1: compile.output is missing; allowed: " NAME_FORM " in quotes, 1 to 31 "
	    "bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a/b\"; };", ":1: compile.output: \"a/b\" does not fit; allowed: "
	    NAME_FORM " in quotes, 1 to 31 bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a\"; limits = { wall = 1; }; };", ":1: unknown key \"wall\" in "
	    "compile.limits; allowed: wall_ms, cpu_ms, memory_bytes, processes, output_bytes, disk_bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a\"; limits = { wall_ms = { default = 1; }; }; };",
	    ":1: compile.limits.wall_ms: is not a whole number; allowed: 1 to 86400000" },

	/* What does not go together. */
	{ LANGUAGE WARM "start = \"spare\";", ":4: driver: makes zygotes; allowed: with start = \"zygote\"" },
	{ LANGUAGE WARM "start = \"cold\";", ":4: driver: makes zygotes; allowed: with start = \"zygote\"" },
	{ LANGUAGE WARM "armed = 1;", ":8: armed: is a key of each set of warm; allowed: there" },
	{ HEAD "driver = \"a\"; " WARM, ":1: interpreter is missing; a driver needs it" },
	{ HEAD "interpreter = \"/a\"; " RUN, ":1: interpreter: is for a driver; allowed: with one" },
	{ HEAD RUN "\n" WARM, ":2: warm: is for a driver; allowed: with one" },
	{ HEAD "run = [\"/a\"];", ":1: version is missing; a language without a driver needs it" },
	{ HEAD "version = [\"/a\"];", ":1: run is missing; a language without driver and compile needs it" },
	{ HEAD "version = [\"/a\"]; run = [ ];", ":1: run is missing; a language without driver and compile needs it" },
	{ HEAD "version = [\"/a\"];\nrun = [\"a\", \"b\"];", ":2: run[0]: \"a\" does not fit; allowed: an absolute path" },
	{ HEAD "run = [\"/a\"];\nversion = [\"a\"];", ":2: version[0]: \"a\" does not fit; allowed: an absolute path" },
	{ HEAD RUN "\nstart = \"cold\";\ncompile = { command = [\"cc\"]; output = \"a\"; };", ":3: compile.command[0]: \"cc\" "
	    "does not fit; allowed: an absolute path" },
	{ HEAD RUN "\n" COMPILE, ":2: compile: is a start of its own; allowed: with start = \"cold\"" },
	{ HEAD RUN "\nstart = \"spare\";\n" COMPILE, ":3: compile: is a start of its own; allowed: with start = \"cold\"" },
	{ HEAD RUN "\nidle_s = 0;\narmed = 33;", ":3: armed: with this file 33 cells are to be armed; allowed: up to "
	    "runner.cells, 32" },
	{ "interpreter = \"python3\";", ":1: interpreter: \"python3\" does not fit; allowed: an absolute path in quotes, 1 to "
	    "1024 bytes" },
	{ "root = [\"opt\"];", ":1: root[0]: \"opt\" does not fit; allowed: [...] with 0 to 64 of: an absolute path, or '?' "
	    "and one in quotes" },
	{ "root = [\"?\"];", ":1: root[0]: \"?\" does not fit; allowed: [...] with 0 to 64 of: an absolute path, or '?' and "
	    "one in quotes" },
	{ "env = [\"A\"];", ":1: env[0]: \"A\" does not fit; allowed: [...] with 0 to 64 of: NAME=value in quotes" },
	{ "env = [\"1A=2\"];", ":1: env[0]: \"1A=2\" does not fit; allowed: [...] with 0 to 64 of: NAME=value in quotes" },
	{ "env = [\"=2\"];", ":1: env[0]: \"=2\" does not fit; allowed: [...] with 0 to 64 of: NAME=value in quotes" },
	{ "env = { };", ":1: env: is not a list of strings; allowed: [...] with 0 to 64 of: NAME=value in quotes" },
	{ "warm = [ ];", ":1: warm: is not a list of groups; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "warm = ( );", ":1: warm: 0 are out of range; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "warm = ( 1 );", ":1: warm: element 0 is not a group; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "limits = { wall_ms = { x = 1; }; };", ":1: unknown key \"x\" in limits.wall_ms; allowed: default, maximum" },

	{ LANGUAGE "warm = ( { } );", ":7: warm[0].name is missing; allowed: " NAME_FORM " in quotes, 1 to 31 bytes" },
	{ LANGUAGE "warm = ( { name = \"a\"; nam = 1; } );", ":7: unknown key \"nam\" in warm[0]; allowed: name, imports, "
	    "hints, armed, zygotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; imports = 1; } );", ":7: warm[0].imports: is not a list of strings; allowed: [...] "
	    "with 0 to 256 of: any text in quotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; imports = [\"\"]; } );", ":7: warm[0].imports[0]: \"\" does not fit; allowed: [...] "
	    "with 0 to 256 of: any text in quotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; hints = [\"x\"]; } );", ":7: warm[0].hints: the first set is for what fits no "
	    "other; allowed: none" },
	{ LANGUAGE "warm = ( { name = \"a\"; },\n{ name = \"b\"; } );", ":8: warm[1].hints is missing; allowed: 1 or more "
	    "words" },
	{ LANGUAGE "warm = ( { name = \"a\"; },\n{ name = \"a\"; hints = [\"x\"]; } );", ":8: warm[1].name: \"a\" is the name of "
	    "warm[0]; allowed: another" },
	{ LANGUAGE "warm = ( { name = \"a\"; armed = 33; } ); idle_s = 0;", ":7: warm: with this file 33 cells are to be armed; allowed: up "
	    "to runner.cells, 32" },
	{ LANGUAGE WARM "limits = { wall_ms = { default = 120001; }; };", ":8: limits.wall_ms: default 120001 is above the "
	    "maximum; allowed: up to 120000" },
	{ LANGUAGE WARM "limits = {\nwall_ms = { maximum = 14999; }; };", ":9: limits.wall_ms: default 15000 is above the "
	    "maximum; allowed: up to 14999" },
	{ "name = \"a\"; aliases = [\"b\",\n\"a\"]; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; "
	    WARM, ":1: \"a\" is there twice; allowed: once" },
	{ "name = \"a\"; aliases = [\"b\", \"b\"]; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; "
	    WARM, ":1: \"b\" is there twice; allowed: once" },
	{ "name = ;", ":1: syntax error" },
};

static void
test_bad_main_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(main_refusals); i++)
		refuse_main(main_refusals[i].text, main_refusals[i].rest);
}

static void
test_bad_language_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(language_refusals); i++)
		refuse_language(language_refusals[i].text, language_refusals[i].rest);
}

static void
test_a_name_is_of_one_language(void **state)
{
	char expected[128];

	(void)state;
	/* another.conf is read before python3.conf. */
	write_file(other_path, "name = \"other\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; "
	    "aliases = [\"python\"]; " WARM);
	snprintf(expected, sizeof expected, ":2: \"python\" is taken by %s; allowed: a name of its own", other_path);
	refuse_language(LANGUAGE WARM, expected);
	write_file(other_path, "name = \"python3\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; "
	    WARM);
	snprintf(expected, sizeof expected, ":1: \"python3\" is taken by %s; allowed: a name of its own", other_path);
	refuse_language(LANGUAGE WARM, expected);
	unlink(other_path);
}

static void
test_files_that_cannot_be_read(void **state)
{
	char expected[128];
	FILE *file;

	(void)state;
	assert_null(config_load("/nowhere.conf", error, sizeof error));
	assert_string_equal(error, "/nowhere.conf: cannot be read: No such file or directory");
	assert_null(config_load(folder, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: cannot be read: Is a directory", folder);
	assert_string_equal(error, expected);
	assert_null(config_load("/dev/zero", error, sizeof error));
	assert_string_equal(error, "/dev/zero: cannot be read: Invalid argument");

	file = fopen(main_path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite("runner = {};\0x", 1, 14, file), 14);
	assert_int_equal(fclose(file), 0);
	assert_null(config_load(main_path, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: has a NUL byte in it; allowed: text", main_path);
	assert_string_equal(error, expected);

	assert_int_equal(truncate(main_path, (1 << 20) + 1), 0);
	assert_null(config_load(main_path, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: cannot be read: File too large", main_path);
	assert_string_equal(error, expected);
}

static void
test_long_values(void **state)
{
	char text[2048];

	(void)state;
	snprintf(text, sizeof text, "drivers = \"/%01024d\";", 0);
	refuse_main(text, ":1: drivers: is too long; allowed: a path in quotes, 1 to 1024 bytes when absolute");
	/* A short path may be long when it is absolute. */
	snprintf(text, sizeof text, "runner = { socket = \"%0*d\"; };", (int)(107 - strlen(folder)), 0);
	refuse_main(text, ":1: runner.socket: is too long; allowed: a path in quotes, 1 to 107 bytes when absolute");
}

/* A small buffer cuts the message and nothing else. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_file_is_all_defaults),
		cmocka_unit_test(test_shipped_files_show_the_defaults),
		cmocka_unit_test(test_every_key_is_read),
		cmocka_unit_test(test_languages_without_a_driver),
		cmocka_unit_test(test_compiled_languages),
		cmocka_unit_test(test_big_numbers_are_not_cut),
		cmocka_unit_test(test_languages_are_sorted_and_found),
		cmocka_unit_test(test_digest_is_of_the_contents),
		cmocka_unit_test(test_numbers_have_a_range_and_a_type),
		cmocka_unit_test(test_bad_main_files),
		cmocka_unit_test(test_bad_language_files),
		cmocka_unit_test(test_a_name_is_of_one_language),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_error_fits_any_buffer),
	};

	return cmocka_run_group_tests_name("config", tests, make_folder, remove_folder);
}
