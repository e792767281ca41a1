/* config_load.c - see config_load.h. cellblock.conf(5) describes the tables below. */
#define _GNU_SOURCE
#include "config_load.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf_schema.h"
#include "config_dependencies.h"
#include "config_key.h"
#include "config_language.h"
#include "config_limits.h"
#include "config_network.h"
#include "log.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define PATH_BYTES 1024
#define NOTE_BYTES 2000
#define FIRST_UID_MIN 10000
#define FIRST_UID_UIDS 16388 /* two generations of the largest configuration, as script/server counts them */
#define NOBODY_UID 65534
#define RESERVE_DEFAULT UINT32_MAX /* an eighth of the cells */

static const char *const adapter_names[] = {
	[ADAPTER_PISTON] = "piston", [ADAPTER_SANDBOXFUSION] = "sandboxfusion", [ADAPTER_JOBE] = "jobe"
};

int
config_adapter_find(const char *name)
{
	for (int i = 0; i < ADAPTER_COUNT; i++) {
		if (strcmp(adapter_names[i], name) == 0)
			return i;
	}
	return -1;
}

bool
config_has_adapter(const struct config *config, enum adapter_protocol protocol)
{
	for (size_t i = 0; i < config->adapters.count; i++) {
		if (strcmp(config->adapters.item[i], adapter_names[protocol]) == 0)
			return true;
	}
	return false;
}

static bool
is_user(const char *text)
{
	return isalpha((unsigned char)text[0]) || text[0] == '_';
}

/*
 * As a browser sends it: no path, and not even a slash at its end. It goes into a header as it is.
 */
static bool
is_origin(const char *text)
{
	const char *host = strstr(text, "://");

	if (strcmp(text, "*") == 0)
		return true;
	if (host == NULL || host == text || strlen(text) > 200)
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && strchr("+-.:[]_", *c) == NULL && (c < host || c > host + 2))
			return false;
	}
	return host[3] != '\0';
}

static const struct conf_form form_origin = { is_origin, "\"*\", or SCHEME://HOST or SCHEME://HOST:PORT without a path" };

static const struct conf_form form_user = { is_user, "a user's name" };

/* The name of a file below /usr/share/zoneinfo, such as "America/Argentina/Ushuaia". */
static bool
is_zone(const char *text)
{
	if (!isalnum((unsigned char)text[0]))
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && strchr("+-_/", *c) == NULL)
			return false;
	}
	return true;
}

static bool
is_below_etc(const char *text)
{
	return strncmp(text, "/etc/", 5) == 0 && text[5] != '\0' && strstr(text, "//") == NULL && strstr(text, "/.") == NULL;
}

static const struct conf_form form_zone = { is_zone, "the name of a time zone (\"Europe/Vienna\")" };

static const struct conf_form form_below_etc = { is_below_etc,
	"a path below /etc, or a pattern of such paths, without a part that starts with a point" };

static const char *const requirement_names[] = {
	[LAYER_OFF] = "off", [LAYER_OPTIONAL] = "optional", [LAYER_REQUIRED] = "required", NULL
};
static const char *const level_names[] = { [LEVEL_NAMESPACES] = "namespaces", [LEVEL_CHROOT] = "chroot", NULL };

#define AT(member) .offset = offsetof(struct config, member)

static const struct conf_key runner_keys[] = {
	{ .name = "socket",
	    .type = CONF_PATH,
	    AT(socket_path),
	    .max = sizeof((struct sockaddr_un *)0)->sun_path - 1,
	    .string = "/run/cellblock/runner.sock" },
	{ .name = "worker_user", .type = CONF_STRING, AT(worker_user), .max = 255, .form = &form_user },
	/*
	 * A cell's uid must be below (uid_t)-1 and differ from 65534, which stands for every uid
	 * that is not mapped (check_first_uid).
	 */
	{ .name = "first_uid", .type = CONF_UINT32, AT(first_uid), .min = FIRST_UID_MIN, .max = 4000000000, .number = 2000000 },
	{ .name = "cells", .type = CONF_UINT32, AT(cells), .min = 1, .max = 4096, .number = 32 },
	{ .name = "reserve", .type = CONF_UINT32, AT(reserve), .min = 0, .max = 4095, .number = RESERVE_DEFAULT },
	{ .name = "queue", .type = CONF_UINT32, AT(queue), .min = 0, .max = 65536, .number = 256 },
	{ .name = "queue_ms", .type = CONF_UINT64, AT(queue_ms), .min = 1, .max = 600000, .number = 10000 },
	{ .name = "memory_bytes", .type = CONF_UINT64, AT(memory_bytes), .min = 0, .max = GIB(1 << 20), .number = 0 },
	{ .name = "stall_percent", .type = CONF_UINT32, AT(stall_percent), .min = 0, .max = 10000, .number = 400 },
	{ .name = "drain_ms", .type = CONF_UINT64, AT(drain_ms), .min = 0, .max = 86400000, .number = 30000 },
	{ .name = "compiled_bytes", .type = CONF_UINT64, AT(compiled_bytes), .min = 0, .max = GIB(1024), .number = MIB(128) },
	{ .name = NULL },
};

static const struct conf_key isolation_keys[] = {
	{ .name = "level", .type = CONF_CHOICE, AT(level), .choices = level_names, .number = LEVEL_NAMESPACES },
	{ .name = "level_note", .type = CONF_STRING, AT(level_note), .max = NOTE_BYTES },
	{ .name = "chroot_dir", .type = CONF_PATH, AT(chroot_dir), .max = PATH_BYTES, .string = "/var/lib/cellblock" },
	{ .name = "chroot_stock", .type = CONF_STRING, AT(chroot_stock), .max = PATH_BYTES, .form = &conf_form_absolute },
	{ .name = "chroot_leave_out", .type = CONF_STRINGS, AT(chroot_leave_out), .max = 64, .form = &conf_form_absolute },
	{ .name = "cgroup", .type = CONF_CHOICE, AT(cgroup), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "cgroup_parent", .type = CONF_STRING, AT(cgroup_parent), .max = PATH_BYTES, .form = &conf_form_absolute },
	{ .name = "landlock", .type = CONF_CHOICE, AT(landlock), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "uid_per_cell", .type = CONF_CHOICE, AT(uid_per_cell), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "cpu_percent", .type = CONF_UINT32, AT(cpu_percent), .min = 1, .max = 100000, .number = 100 },
	{ .name = "cell_runs", .type = CONF_UINT32, AT(cell_runs), .min = 1, .max = 1000000, .number = 32 },
	{ .name = "threads", .type = CONF_MOVED, .string = "limits.threads" },
	{ .name = "open_files", .type = CONF_MOVED, .string = "limits.open_files" },
	{ .name = "inodes", .type = CONF_MOVED, .string = "limits.inodes" },
	{ .name = NULL },
};

static const char *const preload_names[] = { [PRELOAD_RUN] = "run", [PRELOAD_IGNORE] = "ignore", NULL };

static const struct conf_key worker_keys[] = {
	{ .name = "requests", .type = CONF_UINT32, AT(requests), .min = 1, .max = 64, .number = 32 },
	{ .name = "body_bytes", .type = CONF_UINT64, AT(body_bytes), .min = KIB(1), .max = GIB(1), .number = MIB(32) },
	{ .name = "preload", .type = CONF_CHOICE, AT(preload), .choices = preload_names, .number = PRELOAD_RUN },
	{ .name = "landlock", .type = CONF_CHOICE, AT(worker_landlock), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "cors", .type = CONF_STRINGS, AT(cors), .max = 64, .form = &form_origin },
	{ .name = "heartbeat_ms", .type = CONF_UINT64, AT(heartbeat_ms), .min = 0, .max = 3600000, .number = 10000 },
	{ .name = NULL },
};

static const struct conf_key files_keys[] = {
	{ .name = "collect_bytes", .type = CONF_UINT64, AT(collect_bytes), .min = 0, .max = GIB(1), .number = MIB(16) },
	{ .name = "collect_store_bytes",
	    .type = CONF_UINT64,
	    AT(collect_store_bytes),
	    .min = 0,
	    .max = GIB(16),
	    .number = MIB(64) },
	{ .name = "store", .type = CONF_PATH, AT(store_dir), .max = PATH_BYTES, .string = "/var/lib/cellblock-store" },
	{ .name = "store_bytes", .type = CONF_UINT64, AT(store_bytes), .min = 0, .max = GIB(1 << 20), .number = GIB(2) },
	{ .name = "store_key_bytes", .type = CONF_UINT64, AT(store_key_bytes), .min = 0, .max = GIB(1 << 20), .number = GIB(1) },
	{ .name = "store_file_bytes", .type = CONF_UINT64, AT(store_file_bytes), .min = 1, .max = GIB(1024), .number = MIB(512) },
	{ .name = "store_run_bytes", .type = CONF_UINT64, AT(store_run_bytes), .min = 0, .max = GIB(1024), .number = GIB(1) },
	{ .name = "store_s", .type = CONF_UINT64, AT(store_s), .min = 0, .max = 31536000, .number = 86400 },
	{ .name = NULL },
};

static const struct conf_key tests_keys[] = {
	{ .name = "most", .type = CONF_UINT32, AT(tests_most), .min = 0, .max = 10000, .number = 2000 },
	{ .name = "at_once", .type = CONF_UINT32, AT(tests_at_once), .min = 1, .max = 64, .number = 8 },
	{ .name = "request_ms", .type = CONF_UINT64, AT(tests_ms), .min = 1000, .max = 3600000, .number = 600000 },
	{ .name = NULL },
};

static bool
is_adapter(const char *text)
{
	return config_adapter_find(text) >= 0;
}

static const struct conf_form form_adapter = { is_adapter, "\"piston\", \"sandboxfusion\" or \"jobe\"" };

static const struct conf_form form_key_name = { config_key_is_name, "the name of a key" };

static const struct conf_key adapters_keys[] = {
	{ .name = "protocols", .type = CONF_STRINGS, AT(adapters), .max = ADAPTER_COUNT, .form = &form_adapter },
	{ .name = "local_key", .type = CONF_STRING, AT(adapter_local_key), .max = 63, .form = &form_key_name },
	{ .name = NULL },
};

static const char *const busy_names[] = { [BUSY_429] = "429", [BUSY_503] = "503", NULL };

static const struct conf_key key_keys[] = {
	{ .name = "directory", .type = CONF_PATH, AT(key_dir), .max = PATH_BYTES, .string = "keys" },
	{ .name = "weight", .type = CONF_UINT32, AT(key_limits.weight), .min = 1, .max = CONFIG_KEY_WEIGHT_MAX, .number = 10 },
	{ .name = "running", .type = CONF_UINT32, AT(key_limits.running), .min = 0, .max = CONFIG_KEY_RUNNING_MAX, .number = 0 },
	{ .name = "waiting",
	    .type = CONF_UINT32,
	    AT(key_limits.waiting),
	    .min = 0,
	    .max = CONFIG_KEY_WAITING_MAX,
	    .number = 512 },
	{ .name = "rate", .type = CONF_UINT32, AT(key_limits.rate), .min = 0, .max = CONFIG_KEY_RATE_MAX, .number = 5000 },
	{ .name = "burst", .type = CONF_UINT32, AT(key_limits.burst), .min = 0, .max = CONFIG_KEY_RATE_MAX, .number = 5000 },
	{ .name = "busy_status", .type = CONF_CHOICE, AT(busy_status), .choices = busy_names, .number = BUSY_429 },
	{ .name = NULL },
};

static const struct conf_key etc_keys[] = {
	{ .name = "timezone", .type = CONF_STRING, AT(timezone), .max = 255, .form = &form_zone },
	{ .name = "files", .type = CONF_STRINGS, AT(etc_files), .max = 256, .form = &form_below_etc },
	{ .name = NULL },
};

static const char *const log_format_names[] = { [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL };

static const struct conf_key log_keys[] = {
	{ .name = "format", .type = CONF_CHOICE, AT(log_format), .choices = log_format_names, .number = LOG_FORMAT_TEXT },
	{ .name = NULL },
};

static const struct conf_key config_keys[] = {
	{ .name = "languages", .type = CONF_PATH, AT(language_dir), .max = PATH_BYTES, .string = "languages" },
	{ .name = "policies", .type = CONF_PATH, AT(policy_dir), .max = PATH_BYTES, .string = "seccomp" },
	{ .name = "drivers", .type = CONF_PATH, AT(driver_dir), .max = PATH_BYTES, .string = PKGLIBDIR },
	{ .name = "runner", .type = CONF_GROUP, .keys = runner_keys },
	{ .name = "isolation", .type = CONF_GROUP, .keys = isolation_keys },
	{ .name = "worker", .type = CONF_GROUP, .keys = worker_keys },
	{ .name = "files", .type = CONF_GROUP, .keys = files_keys },
	{ .name = "adapters", .type = CONF_GROUP, .keys = adapters_keys },
	{ .name = "tests", .type = CONF_GROUP, .keys = tests_keys },
	{ .name = "keys", .type = CONF_GROUP, .keys = key_keys },
	{ .name = "network", .type = CONF_GROUP, .keys = config_network_keys },
	{ .name = "etc", .type = CONF_GROUP, .keys = etc_keys },
	{ .name = "dependencies", .type = CONF_GROUP, .keys = config_dependencies_keys },
	{ .name = "log", .type = CONF_GROUP, .keys = log_keys },
	{ .name = "limits", .type = CONF_GROUP, AT(limits), .keys = config_limits_keys },
	{ .name = NULL },
};

#undef AT

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

/*
 * Read all *.conf in language_dir, in an order that does not depend on the directory or the locale.
 */
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
		return conf_file_fail(file, at, "languages: cannot read %s: %s", config->language_dir, strerror(errno));
	if (count == 0 || count > CONFIG_MAX_LANGUAGES)
		failed = conf_file_fail(file, at, "languages: %s has %d files named *.conf; allowed: 1 to %d",
		    config->language_dir, count, CONFIG_MAX_LANGUAGES);
	for (int i = 0; i < count; i++) {
		struct language_config *language = NULL;
		char *path;

		if (asprintf(&path, "%s/%s", config->language_dir, entry[i]->d_name) < 0)
			die("out of memory");
		if (failed == 0)
			language = config_language_load(config, path, file->error, file->error_size);
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

/* `reserve` depends on `cells`. */
static int
check_reserve(struct config *config, const struct conf_file *file)
{
	if (config->reserve == RESERVE_DEFAULT)
		config->reserve = config->cells / 8;
	if (config->reserve < config->cells)
		return 0;
	return conf_file_fail(file, config_lookup(&file->parsed, "runner.reserve"),
	    "runner.reserve: %u cells are reserved of %u in runner.cells; allowed: fewer", config->reserve, config->cells);
}

/* The uids of the cells follow first_uid. */
static int
check_first_uid(const struct config *config, const struct conf_file *file)
{
	if (config->first_uid > NOBODY_UID + 1 || config->first_uid + FIRST_UID_UIDS <= NOBODY_UID)
		return 0;
	return conf_file_fail(file, config_lookup(&file->parsed, "runner.first_uid"),
	    "runner.first_uid: %u is too near to %u, which is nobody; allowed: %u to %u, or %u to 4000000000", config->first_uid,
	    NOBODY_UID, FIRST_UID_MIN, NOBODY_UID - FIRST_UID_UIDS, NOBODY_UID + 2);
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
	if (conf_file_open(&file, config->path, &config->digest, error, error_size) != 0) {
		config_free(config);
		return NULL;
	}
	conf_schema_defaults(&file, config_keys, config);
	if (conf_schema_read(&file, config_root_setting(&file.parsed), config_keys, config) != 0 ||
	    check_reserve(config, &file) != 0 || check_first_uid(config, &file) != 0 ||
	    config_limits_check(&file, &config->limits) != 0 || config_network_read(&file, config) != 0 ||
	    config_dependencies_check(&file, config) != 0 || read_languages(config, &file) != 0 ||
	    config_language_check_families(config, error, error_size) != 0) {
		config_free(config);
		config = NULL;
	} else {
		config_limits_settle(&config->limits, config->cgroup == LAYER_REQUIRED);
	}
	conf_file_close(&file);
	return config;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->language_count; i++)
		config_language_free(config->language[i]);
	config_network_free(config);
	conf_schema_free(config_keys, config);
	free(config->path);
	free(config);
}
