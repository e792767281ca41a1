/*
 * config_language_test.c - languages/NAME.conf: the values that are read, and the errors and their
 * messages.
 */
#define _GNU_SOURCE
#include "config_files.h"
#include "config_load.h"

/* ---- values that are read ------------------------------------------------------------------- */

static struct config *
must_load_language(const char *text)
{
	return must_load("limits = { wall_ms = { default = 7; }; };\n", text);
}

static void
test_languages_without_a_driver(void **state)
{
	struct config *config = must_load_language(
	    "name = \"sh\"; main_file = \"main.sh\"; policy = \"p\"; "
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
	/* Languages that sleep when they are not used do not count. */
	config_free(must_load_language("name = \"sh\"; main_file = \"main.sh\"; policy = \"p\"; "
	                               "run = [\"/bin/sh\", \"main.sh\"]; version = [\"/bin/sh\"]; armed = 4096;"));
}

static void
test_compiled_languages(void **state)
{
	struct config *config = must_load_language(
	    "name = \"c\"; main_file = \"main.c\"; policy = \"p\"; start = \"cold\"; "
	    "version = [\"/bin/cc\"]; compile = { command = [\"/bin/cc\", \"main.c\", \"{sources}\"]; output = \"a.out\"; "
	    "sources = [\".c\", \".c++\"]; };");
	const struct language_config *language = config->language[0];
	const struct run_limits *limits = &language->compile.limits;

	(void)state;
	assert_true(config_is_compiled(language));
	assert_int_equal(language->start, START_COLD);
	assert_int_equal(language->run.count, 0);
	assert_int_equal(language->compile.command.count, 3);
	assert_int_equal(language->compile.sources.count, 2);
	assert_string_equal(language->compile.sources.item[1], ".c++");
	assert_string_equal(language->compile.command.item[1], "main.c");
	assert_string_equal(language->compile.output, "a.out");
	/* A compiler has limits of its own. */
	assert_int_equal(limits->wall_ms, 30000);
	assert_int_equal(limits->cpu_ms, 30000);
	assert_int_equal(limits->memory_bytes, 1 << 30);
	assert_int_equal(limits->processes, 64);
	assert_int_equal(limits->output_bytes, 1 << 20);
	assert_int_equal(limits->disk_bytes, 256 << 20);
	assert_int_equal(language->limits.default_.wall_ms, 7);
	config_free(config);

	config = must_load_language(
	    "name = \"j\"; main_file = \"main.j\"; policy = \"p\"; start = \"cold\"; "
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

/* ---- errors --------------------------------------------------------------------------------- */

#define HEAD "name = \"a\"; main_file = \"a\"; policy = \"a\"; "
#define RUN "run = [\"/a\", \"b\"]; version = [\"/c\", \"d\"]; "
#define COMPILE "compile = { command = [\"/cc\"]; output = \"a\"; };"

static const struct bad_file language_refusals[] = {
	{ WARM "main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\";",
	    ":1: name is missing; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "name = \"a\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\";",
	    ":1: warm is missing; "
	    "required with a driver" },
	{ "nme = \"a\";",
	    ":1: unknown key \"nme\"; allowed: name, aliases, family, main_file, start, driver, interpreter, packages, run, compile, "
	    "out_of_memory, version, root, more_root, links, env, policy, idle_s, armed, recycle_runs, warm, limits, adapters" },
	{ "name = \"../a\";", ":1: name: \"../a\" is malformed; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "name = \"abcdefghijklmnopqrstuvwxyz012345\";",
	    ":1: name: \"abcdefghijklmnopqrstuvwxyz012345\" is "
	    "malformed; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "name = 3;", ":1: name: is not a string; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "aliases = \"a\";",
	    ":1: aliases: is not a list of strings; allowed: [...] with 0 to 16 elements: " NAME_FORM ", in quotes" },
	{ "aliases = [1];", ":1: aliases[0]: is not a string; allowed: [...] with 0 to 16 elements: " NAME_FORM ", in quotes" },
	{ "aliases = [\"a\",\n\"b/\"];",
	    ":2: aliases[1]: \"b/\" is malformed; allowed: [...] with 0 to 16 elements: " NAME_FORM ", in quotes" },
	{ "main_file = \"a/b\";", ":1: main_file: \"a/b\" is malformed; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "driver = false;", ":1: driver: is not a string; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "policy = \".\";", ":1: policy: \".\" is malformed; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "start = \"hot\";", ":1: start: \"hot\" is unknown; allowed: \"zygote\", \"spare\", \"cold\"" },
	{ "start = true;", ":1: start: is not a string; allowed: \"zygote\", \"spare\", \"cold\"" },
	{ "run = \"/bin/sh\";", ":1: run: is not a list of strings; allowed: [...] with 0 to 64 elements: any text, in quotes" },
	{ "run = [\"/a\", \"\"];", ":1: run[1]: \"\" is malformed; allowed: [...] with 0 to 64 elements: any text, in quotes" },
	{ "run = [1];", ":1: run[0]: is not a string; allowed: [...] with 0 to 64 elements: any text, in quotes" },
	{ "version = 1;", ":1: version: is not a list of strings; allowed: [...] with 0 to 64 elements: any text, in quotes" },
	{ "compile = [\"/bin/cc\"];", ":1: compile: is not a group; allowed: a group { ... }" },
	{ "compile = { colour = 1; };",
	    ":1: unknown key \"colour\" in compile; allowed: command, output, sources, options, limits" },
	{ "compile = { output = \"main\"; };",
	    ":1: compile.command is missing; allowed: [...] with 1 to 64 "
	    "elements: any text, in quotes" },
	{ "compile = { command = [ ]; output = \"main\"; };",
	    ":1: compile.command: has 0 elements; allowed: "
	    "[...] with 1 to 64 elements: any text, in quotes" },
	{ "compile = { command = [\"/bin/cc\"]; };",
	    ":1: compile.output is missing; allowed: " NAME_FORM ", in quotes, 1 to 31 "
	    "bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a/b\"; };",
	    ":1: compile.output: \"a/b\" is malformed; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a\"; limits = { wall = 1; }; };",
	    ":1: unknown key \"wall\" in "
	    "compile.limits; allowed: wall_ms, cpu_ms, memory_bytes, processes, threads, open_files, inodes, stack_bytes, output_bytes, disk_bytes" },
	{ "compile = { command = [\"/bin/cc\"]; output = \"a\"; limits = { wall_ms = { default = 1; }; }; };",
	    ":1: compile.limits.wall_ms: is not a whole number; allowed: 1 to 86400000" },

	/* Keys that exclude or require each other. */
	{ LANGUAGE WARM "start = \"spare\";", ":4: driver: is allowed only with start = \"zygote\"" },
	{ LANGUAGE WARM "start = \"cold\";", ":4: driver: is allowed only with start = \"zygote\"" },
	{ LANGUAGE WARM "armed = 1;", ":8: armed: with a driver, is a key of each set of warm" },
	{ HEAD "driver = \"a\"; " WARM, ":1: interpreter is missing; required with a driver" },
	{ HEAD "interpreter = \"/a\"; " RUN, ":1: interpreter: is allowed only with a driver" },
	{ HEAD RUN "\n" WARM, ":2: warm: is allowed only with a driver" },
	{ HEAD "run = [\"/a\"];", ":1: version is missing; required without a driver" },
	{ HEAD "version = [\"/a\"];", ":1: run is missing; required without a driver and compile" },
	{ HEAD "version = [\"/a\"]; run = [ ];", ":1: run is missing; required without a driver and compile" },
	{ HEAD "version = [\"/a\"];\nrun = [\"a\", \"b\"];", ":2: run[0]: \"a\" is malformed; allowed: an absolute path" },
	{ HEAD "run = [\"/a\"];\nversion = [\"a\"];", ":2: version[0]: \"a\" is malformed; allowed: an absolute path" },
	{ HEAD RUN "\nstart = \"cold\";\ncompile = { command = [\"cc\"]; output = \"a\"; };",
	    ":3: "
	    "compile.command[0]: \"cc\" is malformed; allowed: an absolute path" },
	{ HEAD "version = [\"/c\"]; start = \"cold\";\ncompile = { command = [\"/cc\", \"{sources}\"]; output = \"a\"; };",
	    ":2: compile: has the word {sources} in its command, and no sources" },
	{ HEAD "version = [\"/c\"]; start = \"cold\";\ncompile = { command = [\"/cc\"]; output = \"a\"; sources = [\".c\"]; };",
	    ":2: compile: has sources, and no word {sources} in its command" },
	{ "compile = { command = [\"/cc\"]; output = \"a\"; sources = [\"c\"]; };",
	    ":1: compile.sources[0]: \"c\" is malformed; allowed: [...] with 0 to 8 elements: a point, and letters, digits, + or -, "
	    "in quotes" },
	{ HEAD RUN "\n" COMPILE, ":2: compile: is allowed only with start = \"cold\"" },
	{ HEAD RUN "\nstart = \"spare\";\n" COMPILE, ":3: compile: is allowed only with start = \"cold\"" },
	{ HEAD RUN "\nidle_s = 0;\narmed = 33;",
	    ":3: armed: with this file, 33 cells would be armed; allowed: "
	    "up to runner.cells, 32" },
	{ "interpreter = \"python3\";",
	    ":1: interpreter: \"python3\" is malformed; allowed: an absolute path, in "
	    "quotes, 1 to 1024 bytes" },
	{ "root = [\"opt\"];",
	    ":1: root[0]: \"opt\" is malformed; allowed: [...] with 0 to 64 elements: an "
	    "absolute path, with or without '?' before it, in quotes" },
	{ "root = [\"?\"];",
	    ":1: root[0]: \"?\" is malformed; allowed: [...] with 0 to 64 elements: an absolute "
	    "path, with or without '?' before it, in quotes" },
	{ "env = [\"A\"];", ":1: env[0]: \"A\" is malformed; allowed: [...] with 0 to 64 elements: NAME=value, in quotes" },
	{ "env = [\"1A=2\"];", ":1: env[0]: \"1A=2\" is malformed; allowed: [...] with 0 to 64 elements: NAME=value, in quotes" },
	{ "env = [\"=2\"];", ":1: env[0]: \"=2\" is malformed; allowed: [...] with 0 to 64 elements: NAME=value, in quotes" },
	{ "env = { };", ":1: env: is not a list of strings; allowed: [...] with 0 to 64 elements: NAME=value, in quotes" },
	{ "warm = [ ];", ":1: warm: is not a list of groups; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "warm = ( );", ":1: warm: has 0 elements; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "warm = ( 1 );", ":1: warm: element 0 is not a group; allowed: ( { ... }, ... ) with 1 to 8 groups" },
	{ "limits = { wall_ms = { x = 1; }; };", ":1: unknown key \"x\" in limits.wall_ms; allowed: default, maximum" },

	{ LANGUAGE "warm = ( { } );", ":7: warm[0].name is missing; allowed: " NAME_FORM ", in quotes, 1 to 31 bytes" },
	{ LANGUAGE "warm = ( { name = \"a\"; nam = 1; } );",
	    ":7: unknown key \"nam\" in warm[0]; allowed: name, imports, "
	    "hints, armed, zygotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; imports = 1; } );",
	    ":7: warm[0].imports: is not a list of strings; "
	    "allowed: [...] with 0 to 256 elements: any text, in quotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; imports = [\"\"]; } );",
	    ":7: warm[0].imports[0]: \"\" is "
	    "malformed; allowed: [...] with 0 to 256 elements: any text, in quotes" },
	{ LANGUAGE "warm = ( { name = \"a\"; hints = [\"x\"]; } );",
	    ":7: warm[0].hints: the first set is for "
	    "all other programs; allowed: no hints" },
	{ LANGUAGE "warm = ( { name = \"a\"; },\n{ name = \"b\"; } );",
	    ":8: warm[1].hints is missing; allowed: 1 or more "
	    "words" },
	{ LANGUAGE "warm = ( { name = \"a\"; },\n{ name = \"a\"; hints = [\"x\"]; } );",
	    ":8: warm[1].name: "
	    "\"a\" is already the name of warm[0]" },
	{ LANGUAGE "warm = ( { name = \"a\"; armed = 33; } ); idle_s = 0;",
	    ":7: warm: with this file, 33 cells "
	    "would be armed; allowed: up to runner.cells, 32" },
	{ LANGUAGE WARM "limits = { wall_ms = { default = 120001; }; };",
	    ":8: limits.wall_ms: default 120001 is above the "
	    "maximum; allowed: up to 120000" },
	{ LANGUAGE WARM "limits = {\nwall_ms = { maximum = 14999; }; };",
	    ":9: limits.wall_ms: default 15000 is above the "
	    "maximum; allowed: up to 14999" },
	{ "name = \"a\"; aliases = [\"b\",\n\"a\"]; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; " WARM,
	    ":1: duplicate name \"a\"" },
	{ "name = \"a\"; aliases = [\"b\", \"b\"]; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; " WARM,
	    ":1: duplicate name \"b\"" },
	{ "name = ;", ":1: syntax error in name: a value is expected, not \";\"" },
};

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
	write_file(other_path,
	    "name = \"other\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; "
	    "aliases = [\"python\"]; " WARM);
	snprintf(expected, sizeof expected, ":2: \"python\" is already a name in %s", other_path);
	refuse_language(LANGUAGE WARM, expected);
	write_file(other_path,
	    "name = \"python3\"; main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; " WARM);
	snprintf(expected, sizeof expected, ":1: \"python3\" is already a name in %s", other_path);
	refuse_language(LANGUAGE WARM, expected);
	unlink(other_path);
}

/* The default of a family is the language that is called like it. */
static void
test_families(void **state)
{
	static const char other[] = "main_file = \"a\"; driver = \"a\"; interpreter = \"/a\"; policy = \"a\"; " WARM;
	char text[512], expected[256];
	struct config *config;

	(void)state;
	snprintf(text, sizeof text, "name = \"python3.13\"; family = \"python3\"; %s", other);
	write_file(other_path, text);
	config = load("", LANGUAGE WARM);
	assert_non_null(config);
	assert_int_equal(config->language_count, 2);
	assert_string_equal(config->language[0]->name, "python3");
	assert_string_equal(config->language[0]->family, "python3");
	assert_true(config->language[0]->is_default);
	assert_string_equal(config->language[1]->family, "python3");
	assert_false(config->language[1]->is_default);
	config_free(config);
	/* By an alias, too. */
	snprintf(text, sizeof text, "name = \"python3.13\"; family = \"py\"; aliases = [\"PY\"]; %s", other);
	write_file(other_path, text);
	config = load("", LANGUAGE WARM "family = \"py\";");
	assert_non_null(config);
	assert_false(config->language[0]->is_default);
	assert_true(config->language[1]->is_default);
	config_free(config);
	/* None is. */
	snprintf(expected, sizeof expected, "%s: family: no language of the family \"py\" has that name or alias", language_path);
	snprintf(text, sizeof text, "name = \"other\"; %s", other);
	write_file(other_path, text);
	assert_null(load("", LANGUAGE WARM "family = \"py\";"));
	assert_memory_equal(error, expected, strlen(expected));
	/* A language joins a family by the family's name; its own name is in it then. */
	config = load("", LANGUAGE WARM "family = \"other\";");
	assert_non_null(config);
	assert_true(config->language[0]->is_default);
	assert_string_equal(config->language[1]->family, "other");
	config_free(config);
	/* One that is called so is of another family. */
	snprintf(text, sizeof text, "name = \"other\"; family = \"python3\"; %s", other);
	write_file(other_path, text);
	assert_null(load("", LANGUAGE WARM "family = \"other\";"));
	unlink(other_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_languages_without_a_driver),
		cmocka_unit_test(test_compiled_languages),
		cmocka_unit_test(test_bad_language_files),
		cmocka_unit_test(test_a_name_is_of_one_language),
		cmocka_unit_test(test_families),
	};

	return cmocka_run_group_tests_name("config_language", tests, make_folder, remove_folder);
}
