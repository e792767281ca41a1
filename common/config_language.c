/* config_language.c - see config_language.h. cellblock.conf(5) describes the tables below. */
#define _GNU_SOURCE
#include "config_language.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf_schema.h"
#include "config_limits.h"
#include "log.h"

#define PATH_BYTES 1024

static bool
is_environment(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

	return length > 0 && !isdigit((unsigned char)text[0]) && text[length] == '=';
}

static bool
is_root(const char *text)
{
	return text[text[0] == '?'] == '/';
}

/* The place of a link is not resolved like other paths, so it must not leave the root by "..". */
static bool
is_link(const char *text)
{
	const char *equals = strchr(text, '=');

	return equals != NULL && text[0] == '/' && equals > text + 1 && equals[1] == '/' && strstr(text, "/..") == NULL;
}

static const struct conf_form form_environment = { is_environment, "NAME=value" };
static const struct conf_form form_root = { is_root, "an absolute path, with or without '?' before it" };
static const struct conf_form form_link = { is_link, "/PLACE=/TARGET, two absolute paths" };

static const char *const start_names[] = { [START_ZYGOTE] = "zygote", [START_SPARE] = "spare", [START_COLD] = "cold", NULL };

static const char *const packages_names[] = { [PACKAGES_NONE] = "none", [PACKAGES_PIP] = "pip", [PACKAGES_NPM] = "npm", NULL };

#define AT(member) .offset = offsetof(struct language_config, member)

#define EXTENSION_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"

static bool
is_extension(const char *text)
{
	return text[0] == '.' && text[1] != '\0' && strlen(text) < 16 &&
	    strspn(text + 1, EXTENSION_CHARACTERS) == strlen(text + 1);
}

static const struct conf_form form_extension = { is_extension, "a point, and letters, digits, + or -" };

static const struct conf_key compile_keys[] = {
	{ .name = "command", .type = CONF_STRINGS, .required = true, AT(compile.command), .min = 1, .max = CONFIG_MAX_WORDS },
	{ .name = "output",
	    .type = CONF_STRING,
	    .required = true,
	    AT(compile.output),
	    .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "sources", .type = CONF_STRINGS, AT(compile.sources), .max = CONFIG_MAX_SOURCES, .form = &form_extension },
	{ .name = "options", .type = CONF_STRINGS, AT(compile.options), .max = CONFIG_MAX_OPTIONS },
	{ .name = "limits", .type = CONF_GROUP, AT(compile.limits), .keys = config_compile_limits_keys },
	{ .name = NULL },
};

/* Names in the protocols of other services, to be compared with those of their clients. */
static const struct conf_key adapter_keys[] = {
	{ .name = "piston", .type = CONF_STRINGS, AT(adapter_names[ADAPTER_PISTON]), .max = 16 },
	{ .name = "sandboxfusion", .type = CONF_STRINGS, AT(adapter_names[ADAPTER_SANDBOXFUSION]), .max = 16 },
	{ .name = "jobe", .type = CONF_STRINGS, AT(adapter_names[ADAPTER_JOBE]), .max = 16 },
	{ .name = NULL },
};

static const struct conf_key language_keys[] = {
	{ .name = "name", .type = CONF_STRING, .required = true, AT(name), .max = PROTO_NAME_SIZE - 1, .form = &conf_form_name },
	{ .name = "aliases", .type = CONF_STRINGS, AT(aliases), .max = 16, .form = &conf_form_name },
	{ .name = "family", .type = CONF_STRING, AT(family), .max = PROTO_NAME_SIZE - 1, .form = &conf_form_name },
	{ .name = "main_file",
	    .type = CONF_STRING,
	    .required = true,
	    AT(main_file),
	    .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "start", .type = CONF_CHOICE, AT(start), .choices = start_names, .number = START_ZYGOTE },
	{ .name = "driver", .type = CONF_STRING, AT(driver), .max = PROTO_NAME_SIZE - 1, .form = &conf_form_name },
	{ .name = "interpreter", .type = CONF_STRING, AT(interpreter), .max = PATH_BYTES, .form = &conf_form_absolute },
	{ .name = "packages", .type = CONF_CHOICE, AT(packages), .choices = packages_names, .number = PACKAGES_NONE },
	{ .name = "run", .type = CONF_STRINGS, AT(run), .max = CONFIG_MAX_WORDS },
	{ .name = "compile", .type = CONF_GROUP, .keys = compile_keys },
	{ .name = "out_of_memory", .type = CONF_STRING, AT(out_of_memory), .max = 128 },
	{ .name = "version", .type = CONF_STRINGS, AT(version), .max = CONFIG_MAX_WORDS },
	{ .name = "root", .type = CONF_STRINGS, AT(root), .max = 64, .form = &form_root },
	{ .name = "more_root", .type = CONF_STRINGS, AT(more_root), .max = 64, .form = &form_root },
	{ .name = "links", .type = CONF_STRINGS, AT(links), .max = 16, .form = &form_link },
	{ .name = "env", .type = CONF_STRINGS, AT(env), .max = 64, .form = &form_environment },
	{ .name = "policy",
	    .type = CONF_STRING,
	    .required = true,
	    AT(policy),
	    .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "idle_s", .type = CONF_UINT64, AT(idle_s), .min = 0, .max = 31536000, .number = 300 },
	{ .name = "armed", .type = CONF_UINT32, AT(warm[0].armed), .min = 0, .max = 4096, .number = 1 },
	{ .name = "recycle_runs", .type = CONF_UINT64, AT(recycle_runs), .min = 1, .max = 1000000000, .number = 10000 },
	{ .name = "warm", .type = CONF_LIST, .min = 1, .max = CONFIG_MAX_WARM },
	{ .name = "limits", .type = CONF_GROUP, AT(limits), .keys = config_limits_keys },
	{ .name = "adapters", .type = CONF_GROUP, .keys = adapter_keys },
	{ .name = NULL },
};

#undef AT
#define AT(member) .offset = offsetof(struct warm_set, member)

static const struct conf_key warm_keys[] = {
	{ .name = "name", .type = CONF_STRING, .required = true, AT(name), .max = PROTO_NAME_SIZE - 1, .form = &conf_form_name },
	{ .name = "imports", .type = CONF_STRINGS, AT(imports), .max = 256 },
	{ .name = "hints", .type = CONF_STRINGS, AT(hints), .max = 64 },
	{ .name = "armed", .type = CONF_UINT32, AT(armed), .min = 0, .max = 4096, .number = 1 },
	{ .name = "zygotes", .type = CONF_UINT32, AT(zygotes), .min = 1, .max = 64, .number = 1 },
	{ .name = NULL },
};

int
config_language_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (strcasecmp(language->name, name) == 0)
			return (int)i;
		for (size_t a = 0; a < language->aliases.count; a++) {
			if (strcasecmp(language->aliases.item[a], name) == 0)
				return (int)i;
		}
	}
	return -1;
}

int
config_language_check_families(const struct config *config, char *error, size_t error_size)
{
	for (size_t i = 0; i < config->language_count; i++) {
		struct language_config *language = config->language[i];
		int found = config_language_find(config, language->family);

		if (found < 0 || strcmp(config->language[found]->family, language->family) != 0) {
			snprintf(error, error_size,
			    "%s: family: no language of the family \"%s\" has that name or alias, by which it would be "
			    "the default",
			    language->file, language->family);
			return -1;
		}
		language->is_default = (size_t)found == i;
	}
	return 0;
}

/* A name or alias must stand for one language. */
static int
check_names(const struct conf_file *file, const struct config *config, const struct language_config *language)
{
	const config_setting_t *root = config_root_setting(&file->parsed);

	for (size_t i = 0; i <= language->aliases.count; i++) {
		const char *name = i == 0 ? language->name : language->aliases.item[i - 1];
		const config_setting_t *at = config_setting_get_member(root, i == 0 ? "name" : "aliases");
		int other = config_language_find(config, name);

		if (other >= 0)
			return conf_file_fail(file, at, "\"%s\" is already a name in %s", name, config->language[other]->file);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(name, j == 0 ? language->name : language->aliases.item[j - 1]) == 0)
				return conf_file_fail(file, at, "duplicate name \"%s\"", name);
		}
	}
	return 0;
}

/*
 * Armed cells count against runner.cells. With more of them than cells, some warm set would never
 * get one. Languages that sleep when they are not used (idle_s) do not count: they share the cells
 * that the others leave.
 */
static int
check_armed(const struct conf_file *file, const struct config *config, const struct language_config *language)
{
	const char *name = language->driver != NULL ? "warm" : "armed";
	uint64_t armed = 0;

	for (size_t i = 0; i <= config->language_count; i++) {
		const struct language_config *one = i < config->language_count ? config->language[i] : language;

		for (size_t w = 0; one->idle_s == 0 && w < one->warm_count; w++)
			armed += one->warm[w].armed + config_network_armed(config, &one->warm[w]);
	}
	if (language->idle_s != 0 || armed <= config->cells)
		return 0;
	return conf_file_fail(file, config_lookup(&file->parsed, name),
	    "%s: with this file, %" PRIu64 " cells would be armed; allowed: up to runner.cells, %" PRIu32, name, armed,
	    config->cells);
}

/* The program of a command is not searched in PATH. */
static int
check_command(const struct conf_file *file, const char *name, const struct strings *command)
{
	if (command->count == 0 || command->item[0][0] == '/')
		return 0;
	return conf_file_fail(file, config_lookup(&file->parsed, name),
	    "%s[0]: \"%.64s\" is malformed; allowed: an absolute path", name, command->item[0]);
}

static int
fail_key(const struct conf_file *file, const char *name, const char *why)
{
	return conf_file_fail(file, config_lookup(&file->parsed, name), "%s: %s", name, why);
}

/*
 * Check the keys that a language with a driver must have or must not have, and those of one
 * without.
 */
static int
check_driver(const struct conf_file *file, const struct language_config *language)
{
	static const char *const of_drivers[] = { "interpreter", "warm" };
	const config_setting_t *root = config_root_setting(&file->parsed);
	bool has_driver = language->driver != NULL;

	if (has_driver && language->start != START_ZYGOTE)
		return fail_key(file, "driver", "is allowed only with start = \"zygote\"");
	for (size_t i = 0; i < sizeof of_drivers / sizeof of_drivers[0]; i++) {
		bool is_there = config_setting_get_member(root, of_drivers[i]) != NULL;

		if (has_driver && !is_there)
			return conf_file_fail(file, root, "%s is missing; required with a driver", of_drivers[i]);
		if (!has_driver && is_there)
			return fail_key(file, of_drivers[i], "is allowed only with a driver");
	}
	if (!has_driver && language->packages != PACKAGES_NONE)
		return fail_key(file, "packages", "is allowed only with a driver");
	if (has_driver && config_setting_get_member(root, "armed") != NULL)
		return fail_key(file, "armed", "with a driver, is a key of each set of warm");
	if (!has_driver && language->version.count == 0)
		return conf_file_fail(file, root, "version is missing; required without a driver");
	return 0;
}

/* The word for the sources and the list of their names belong together. */
static int
check_sources(const struct conf_file *file, const struct language_config *language)
{
	const struct strings *command = &language->compile.command;
	bool has_word = false;

	for (size_t i = 0; i < command->count; i++)
		has_word = has_word || strcmp(command->item[i], CONFIG_SOURCES_WORD) == 0;
	if (has_word == (language->compile.sources.count > 0))
		return 0;
	return fail_key(file, "compile",
	    has_word ? "has the word " CONFIG_SOURCES_WORD " in its command, and no sources" :
	               "has sources, and no word " CONFIG_SOURCES_WORD " in its command");
}

/* Check the keys that each kind of start needs, and those that mean nothing to it. */
static int
check_start(const struct conf_file *file, const struct language_config *language)
{
	const config_setting_t *root = config_root_setting(&file->parsed);

	if (check_driver(file, language) != 0)
		return -1;
	if (language->start != START_COLD && config_is_compiled(language))
		return fail_key(file, "compile", "is allowed only with start = \"cold\"");
	if (language->driver == NULL && language->run.count == 0 && !config_is_compiled(language))
		return conf_file_fail(file, root, "run is missing; required without a driver and compile");
	return check_command(file, "run", &language->run) != 0 || check_command(file, "version", &language->version) != 0 ||
	        check_command(file, "compile.command", &language->compile.command) != 0 ?
	    -1 :
	    0;
}

static int
read_warm(const struct conf_file *file, struct language_config *language)
{
	const config_setting_t *root = config_root_setting(&file->parsed);

	if (language->driver == NULL) {
		language->warm[0].zygotes = 1;
		language->warm_count = 1;
		return 0;
	}
	for (unsigned i = 0; i < conf_list_count(root, "warm"); i++) {
		const config_setting_t *group = conf_list_element(root, "warm", i);
		struct warm_set *set = &language->warm[language->warm_count++];

		conf_schema_defaults(file, warm_keys, set);
		if (conf_schema_read(file, group, warm_keys, set) != 0)
			return -1;
		if (i == 0 && set->hints.count > 0)
			return conf_file_fail(file, group,
			    "warm[0].hints: the first set is for all other programs; allowed: no hints");
		if (i > 0 && set->hints.count == 0)
			return conf_file_fail(file, group, "warm[%u].hints is missing; allowed: 1 or more words", i);
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(set->name, language->warm[j].name) == 0)
				return conf_file_fail(file, group, "warm[%u].name: \"%s\" is already the name of warm[%u]", i,
				    set->name, j);
		}
	}
	return 0;
}

void
config_language_free(struct language_config *language)
{
	for (size_t i = 0; i < language->warm_count; i++)
		conf_schema_free(warm_keys, &language->warm[i]);
	conf_schema_free(language_keys, language);
	free(language->packages_link);
	free(language->file);
	free(language);
}

struct language_config *
config_language_load(struct config *config, const char *path, char *error, size_t error_size)
{
	struct language_config *language;
	struct conf_file file;

	if (conf_file_open(&file, path, &config->digest, error, error_size) != 0)
		return NULL;
	language = calloc(1, sizeof *language);
	if (language == NULL)
		die("out of memory");
	language->file = conf_strdup(path);
	conf_schema_defaults(&file, language_keys, language);
	language->limits = config->limits;
	language->has_root = config_setting_get_member(config_root_setting(&file.parsed), "root") != NULL;
	if (conf_schema_read(&file, config_root_setting(&file.parsed), language_keys, language) != 0 ||
	    config_limits_check(&file, &language->limits) != 0 || check_start(&file, language) != 0 ||
	    check_sources(&file, language) != 0 || check_names(&file, config, language) != 0 || read_warm(&file, language) != 0 ||
	    check_armed(&file, config, language) != 0) {
		config_language_free(language);
		language = NULL;
	} else {
		config_limits_settle(&language->limits, config->cgroup == LAYER_REQUIRED);
		if (language->family == NULL)
			language->family = conf_strdup(language->name);
		if (language->packages != PACKAGES_NONE &&
		    asprintf(&language->packages_link, "%s/%s/current", config->dependencies.sets, language->name) < 0)
			die("out of memory");
	}
	conf_file_close(&file);
	return language;
}
