/* config.c - see config.h. The tables below are what cellblock.conf(5) describes. */
#define _GNU_SOURCE
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf_read.h"
#include "log.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define DAY_MS 86400000
#define PATH_BYTES 1024

static bool
is_user(const char *text)
{
	return isalpha((unsigned char)text[0]) || text[0] == '_';
}

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

static const struct conf_form form_user = { is_user, "a user's name" };
static const struct conf_form form_environment = { is_environment, "NAME=value" };
static const struct conf_form form_root = { is_root, "an absolute path, or '?' and one" };

static const char *const requirement_names[] = {
	[LAYER_OFF] = "off", [LAYER_OPTIONAL] = "optional", [LAYER_REQUIRED] = "required", NULL
};
static const char *const network_names[] = { [NETWORK_NONE] = "none", NULL };
static const char *const start_names[] = { [START_ZYGOTE] = "zygote", NULL };

/* The default and the maximum of one limit. Check_limits counts on this order. */
#define LIMIT_KEYS(field, least, most, standard_value, maximum_value)                                                  \
	static const struct conf_key field##_keys[] = {                                                                \
		{ .name = "default", .type = CONF_UINT64, .offset = offsetof(struct limits_config, standard.field),    \
		    .min = (least), .max = (most), .number = (standard_value) },                                       \
		{ .name = "maximum", .type = CONF_UINT64, .offset = offsetof(struct limits_config, maximum.field),     \
		    .min = (least), .max = (most), .number = (maximum_value) },                                        \
		{ .name = NULL },                                                                                      \
	}
LIMIT_KEYS(wall_ms, 1, DAY_MS, 15000, 120000);
LIMIT_KEYS(cpu_ms, 1, DAY_MS, 15000, 120000);
LIMIT_KEYS(memory_bytes, MIB(1), GIB(1024), MIB(256), GIB(1));
LIMIT_KEYS(processes, 1, 32768, 1, 1);
LIMIT_KEYS(output_bytes, 1, GIB(1), MIB(32), MIB(64));
LIMIT_KEYS(disk_bytes, KIB(4), GIB(1024), MIB(64), MIB(512));

static const struct conf_key limits_keys[] = {
	{ .name = "wall_ms", .type = CONF_GROUP, .keys = wall_ms_keys },
	{ .name = "cpu_ms", .type = CONF_GROUP, .keys = cpu_ms_keys },
	{ .name = "memory_bytes", .type = CONF_GROUP, .keys = memory_bytes_keys },
	{ .name = "processes", .type = CONF_GROUP, .keys = processes_keys },
	{ .name = "output_bytes", .type = CONF_GROUP, .keys = output_bytes_keys },
	{ .name = "disk_bytes", .type = CONF_GROUP, .keys = disk_bytes_keys },
	{ .name = NULL },
};

#define AT(member) .offset = offsetof(struct config, member)

static const struct conf_key runner_keys[] = {
	{ .name = "socket", .type = CONF_PATH, AT(socket_path), .max = sizeof((struct sockaddr_un *)0)->sun_path - 1,
	    .string = "/run/cellblock/runner.sock" },
	{ .name = "worker_user", .type = CONF_STRING, AT(worker_user), .max = 255, .form = &form_user },
	/* A cell's uid must stay below (uid_t)-1 and clear of 65534, which stands for every uid that is not mapped. */
	{ .name = "first_uid", .type = CONF_UINT32, AT(first_uid), .min = 65536, .max = 4000000000, .number = 2000000 },
	{ .name = "cells", .type = CONF_UINT32, AT(cells), .min = 1, .max = 4096, .number = 32 },
	{ .name = "queue", .type = CONF_UINT32, AT(queue), .min = 0, .max = 65536, .number = 256 },
	{ .name = "queue_ms", .type = CONF_UINT64, AT(queue_ms), .min = 1, .max = 600000, .number = 10000 },
	{ .name = NULL },
};

static const struct conf_key isolation_keys[] = {
	{ .name = "cgroup", .type = CONF_CHOICE, AT(cgroup), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "cgroup_parent", .type = CONF_STRING, AT(cgroup_parent), .max = PATH_BYTES,
	    .form = &conf_form_absolute },
	{ .name = "cpu_percent", .type = CONF_UINT32, AT(cpu_percent), .min = 1, .max = 100000, .number = 100 },
	{ .name = "threads", .type = CONF_UINT32, AT(threads), .min = 1, .max = 32768, .number = 64 },
	{ .name = "open_files", .type = CONF_UINT32, AT(open_files), .min = 16, .max = 1048576, .number = 256 },
	{ .name = "inodes", .type = CONF_UINT32, AT(inodes), .min = 16, .max = 16777216, .number = 4096 },
	{ .name = NULL },
};

static const struct conf_key worker_keys[] = {
	{ .name = "body_bytes", .type = CONF_UINT64, AT(body_bytes), .min = KIB(1), .max = GIB(1), .number = MIB(32) },
	{ .name = "landlock", .type = CONF_CHOICE, AT(landlock), .choices = requirement_names,
	    .number = LAYER_REQUIRED },
	{ .name = NULL },
};

static const struct conf_key network_keys[] = {
	{ .name = "mode", .type = CONF_CHOICE, AT(network), .choices = network_names, .number = NETWORK_NONE },
	{ .name = "strict", .type = CONF_BOOL, AT(network_strict), .number = false },
	{ .name = NULL },
};

static const struct conf_key config_keys[] = {
	{ .name = "languages", .type = CONF_PATH, AT(language_dir), .max = PATH_BYTES, .string = "languages" },
	{ .name = "policies", .type = CONF_PATH, AT(policy_dir), .max = PATH_BYTES, .string = "seccomp" },
	{ .name = "drivers", .type = CONF_PATH, AT(driver_dir), .max = PATH_BYTES, .string = PKGLIBDIR },
	{ .name = "runner", .type = CONF_GROUP, .keys = runner_keys },
	{ .name = "isolation", .type = CONF_GROUP, .keys = isolation_keys },
	{ .name = "worker", .type = CONF_GROUP, .keys = worker_keys },
	{ .name = "network", .type = CONF_GROUP, .keys = network_keys },
	{ .name = "limits", .type = CONF_GROUP, AT(limits), .keys = limits_keys },
	{ .name = NULL },
};

#undef AT
#define AT(member) .offset = offsetof(struct language_config, member)

static const struct conf_key language_keys[] = {
	{ .name = "name", .type = CONF_STRING, .required = true, AT(name), .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "aliases", .type = CONF_STRINGS, AT(aliases), .max = 16, .form = &conf_form_name },
	{ .name = "main_file", .type = CONF_STRING, .required = true, AT(main_file), .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "start", .type = CONF_CHOICE, AT(start), .choices = start_names, .number = START_ZYGOTE },
	{ .name = "driver", .type = CONF_STRING, .required = true, AT(driver), .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "interpreter", .type = CONF_STRING, .required = true, AT(interpreter), .max = PATH_BYTES,
	    .form = &conf_form_absolute },
	{ .name = "root", .type = CONF_STRINGS, AT(root), .max = 64, .form = &form_root },
	{ .name = "env", .type = CONF_STRINGS, AT(env), .max = 64, .form = &form_environment },
	{ .name = "policy", .type = CONF_STRING, .required = true, AT(policy), .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "recycle_runs", .type = CONF_UINT64, AT(recycle_runs), .min = 1, .max = 1000000000, .number = 10000 },
	{ .name = "warm", .type = CONF_LIST, .required = true, .min = 1, .max = CONFIG_MAX_WARM },
	{ .name = "limits", .type = CONF_GROUP, AT(limits), .keys = limits_keys },
	{ .name = NULL },
};

#undef AT
#define AT(member) .offset = offsetof(struct warm_set, member)

static const struct conf_key warm_keys[] = {
	{ .name = "name", .type = CONF_STRING, .required = true, AT(name), .max = PROTO_NAME_SIZE - 1,
	    .form = &conf_form_name },
	{ .name = "imports", .type = CONF_STRINGS, AT(imports), .max = 256 },
	{ .name = "hints", .type = CONF_STRINGS, AT(hints), .max = 64 },
	{ .name = "armed", .type = CONF_UINT32, AT(armed), .min = 0, .max = 4096, .number = 1 },
	{ .name = "zygotes", .type = CONF_UINT32, AT(zygotes), .min = 1, .max = 64, .number = 1 },
	{ .name = NULL },
};

static int
check_limits(const struct conf_file *file, const struct limits_config *limits)
{
	for (const struct conf_key *key = limits_keys; key->name != NULL; key++) {
		uint64_t standard, maximum;
		const config_setting_t *at;

		memcpy(&standard, (const char *)limits + key->keys[0].offset, sizeof standard);
		memcpy(&maximum, (const char *)limits + key->keys[1].offset, sizeof maximum);
		if (standard <= maximum)
			continue;
		/* The file has this limit, or it would still have values that fit. */
		at = config_setting_get_member(config_lookup(&file->parsed, "limits"), key->name);
		return conf_fail(file, at, "limits.%s: default %" PRIu64 " is above the maximum; allowed: up to %" PRIu64,
		    key->name, standard, maximum);
	}
	return 0;
}

/* No name may mean two languages. */
static int
check_names(const struct conf_file *file, const struct config *config, const struct language_config *language)
{
	const config_setting_t *root = config_root_setting(&file->parsed);

	for (size_t i = 0; i <= language->aliases.count; i++) {
		const char *name = i == 0 ? language->name : language->aliases.item[i - 1];
		const config_setting_t *at = config_setting_get_member(root, i == 0 ? "name" : "aliases");
		int other = config_find_language(config, name);

		if (other >= 0)
			return conf_fail(file, at, "\"%s\" is taken by %s; allowed: a name of its own", name,
			    config->language[other]->file);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(name, j == 0 ? language->name : language->aliases.item[j - 1]) == 0)
				return conf_fail(file, at, "\"%s\" is there twice; allowed: once", name);
		}
	}
	return 0;
}

/* Every armed cell is a cell: asking for more than there are would leave some set without any. */
static int
check_armed(const struct conf_file *file, const struct config *config, const struct language_config *language)
{
	uint64_t armed = 0;

	for (size_t i = 0; i <= config->language_count; i++) {
		const struct language_config *one = i < config->language_count ? config->language[i] : language;

		for (size_t w = 0; w < one->warm_count; w++)
			armed += one->warm[w].armed;
	}
	if (armed <= config->cells)
		return 0;
	return conf_fail(file, config_lookup(&file->parsed, "warm"), "warm: with this file %" PRIu64
	    " cells are to be armed; allowed: up to runner.cells, %" PRIu32, armed, config->cells);
}

static int
read_warm(const struct conf_file *file, struct language_config *language)
{
	const config_setting_t *root = config_root_setting(&file->parsed);

	for (unsigned i = 0; i < conf_list_count(root, "warm"); i++) {
		const config_setting_t *group = conf_list_element(root, "warm", i);
		struct warm_set *set = &language->warm[language->warm_count++];

		conf_defaults(file, warm_keys, set);
		if (conf_read(file, group, warm_keys, set) < 0)
			return -1;
		if (i == 0 && set->hints.count > 0)
			return conf_fail(file, group, "warm[0].hints: the first set is for what fits no other; allowed: none");
		if (i > 0 && set->hints.count == 0)
			return conf_fail(file, group, "warm[%u].hints is missing; allowed: 1 or more words", i);
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(set->name, language->warm[j].name) == 0)
				return conf_fail(file, group, "warm[%u].name: \"%s\" is the name of warm[%u]; allowed: another", i,
				    set->name, j);
		}
	}
	return 0;
}

static void
language_free(struct language_config *language)
{
	for (size_t i = 0; i < language->warm_count; i++)
		conf_free(warm_keys, &language->warm[i]);
	conf_free(language_keys, language);
	free(language->file);
	free(language);
}

static struct language_config *
language_load(struct config *config, const char *path, char *error, size_t error_size)
{
	struct language_config *language;
	struct conf_file file;

	if (conf_open(&file, path, &config->digest, error, error_size) < 0)
		return NULL;
	language = calloc(1, sizeof *language);
	if (language == NULL)
		die("out of memory");
	language->file = conf_strdup(path);
	conf_defaults(&file, language_keys, language);
	language->limits = config->limits;
	if (conf_read(&file, config_root_setting(&file.parsed), language_keys, language) < 0 ||
	    check_limits(&file, &language->limits) < 0 || check_names(&file, config, language) < 0 ||
	    read_warm(&file, language) < 0 || check_armed(&file, config, language) < 0) {
		language_free(language);
		language = NULL;
	}
	conf_close(&file);
	return language;
}

static int
is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int
by_file(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct language_config *const *)a)->name, (*(struct language_config *const *)b)->name);
}

/* Read every *.conf of language_dir, in an order that does not depend on the directory or the locale. */
static int
read_languages(struct config *config, const struct conf_file *file)
{
	const config_setting_t *at = config_lookup(&file->parsed, "languages");
	struct dirent **entry;
	int count, failed = 0;

	if (at == NULL)
		at = config_root_setting(&file->parsed);
	count = scandir(config->language_dir, &entry, is_conf, by_file);
	if (count < 0)
		return conf_fail(file, at, "languages: %s cannot be read: %s", config->language_dir, strerror(errno));
	if (count == 0 || count > CONFIG_MAX_LANGUAGES)
		failed = conf_fail(file, at, "languages: %s has %d files *.conf; allowed: 1 to %d", config->language_dir, count,
		    CONFIG_MAX_LANGUAGES);
	for (int i = 0; i < count; i++) {
		struct language_config *language = NULL;
		char *path;

		if (asprintf(&path, "%s/%s", config->language_dir, entry[i]->d_name) < 0)
			die("out of memory");
		if (failed == 0)
			language = language_load(config, path, file->error, file->error_size);
		if (language != NULL)
			config->language[config->language_count++] = language;
		else
			failed = -1;
		free(path);
		free(entry[i]);
	}
	free(entry);
	qsort(config->language, config->language_count, sizeof config->language[0], by_name);
	return failed;
}

struct config *
config_load(const char *path, char *error, size_t error_size)
{
	struct config *config = calloc(1, sizeof *config);
	struct conf_file file;

	if (config == NULL)
		die("out of memory");
	config->path = conf_strdup(path);
	config->digest = CONF_DIGEST_START;
	if (conf_open(&file, config->path, &config->digest, error, error_size) < 0) {
		config_free(config);
		return NULL;
	}
	conf_defaults(&file, config_keys, config);
	if (conf_read(&file, config_root_setting(&file.parsed), config_keys, config) < 0 ||
	    check_limits(&file, &config->limits) < 0 || read_languages(config, &file) < 0) {
		config_free(config);
		config = NULL;
	}
	conf_close(&file);
	return config;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->language_count; i++)
		language_free(config->language[i]);
	conf_free(config_keys, config);
	free(config->path);
	free(config);
}

int
config_find_language(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (strcmp(language->name, name) == 0)
			return (int)i;
		for (size_t a = 0; a < language->aliases.count; a++) {
			if (strcmp(language->aliases.item[a], name) == 0)
				return (int)i;
		}
	}
	return -1;
}
