/* check_config.c - see check_config.h. */
#define _GNU_SOURCE
#include "check/check_config.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_file.h"
#include "config_key.h"
#include "policy.h"
#include "start/language_prepare.h"
#include "start/memory_budget.h"
#include "warden/cell_etc.h"

#define ERROR_SIZE 512

/* The findings so far. */
struct check {
	const struct config *config;
	unsigned mistakes; /* that a start would end with */
	unsigned warnings;
	size_t available; /* languages */
	struct policy_cache policies;
};

/* ---- the lines of the report ---------------------------------------------------------------- */

/* The line of the setting `key` in `path`; 0 where the file does not have it. */
static unsigned
line_of(const char *path, const char *key)
{
	char error[ERROR_SIZE];
	struct conf_file file;
	const config_setting_t *setting;
	unsigned line = 0;

	if (conf_file_open(&file, path, NULL, error, sizeof error) != 0)
		return 0;
	setting = config_lookup(&file.parsed, key);
	if (setting != NULL)
		line = config_setting_source_line(setting);
	conf_file_close(&file);
	return line;
}

/* Print "FILE:LINE: " of a setting, or "FILE: " where the setting is not in the file. */
static void
print_place(FILE *to, const char *path, const char *key)
{
	unsigned line = line_of(path, key);

	fflush(stdout); /* the report is in order where both streams lead to one place */
	if (line > 0)
		fprintf(to, "%s:%u: ", path, line);
	else
		fprintf(to, "%s: ", path);
}

static void __attribute__((format(printf, 4, 5)))
mistake(struct check *check, const char *path, const char *key, const char *format, ...)
{
	va_list args;

	check->mistakes++;
	print_place(stderr, path, key);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void __attribute__((format(printf, 4, 5)))
warning(struct check *check, const char *path, const char *key, const char *format, ...)
{
	va_list args;

	check->warnings++;
	print_place(stdout, path, key);
	fputs("warning: ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* ---- cellblock.conf ------------------------------------------------------------------------- */

/* See door_worker_uid. */
static void
check_worker_user(struct check *check)
{
	const struct config *config = check->config;
	const struct passwd *user;

	if (config->worker_user == NULL)
		return;
	user = getpwnam(config->worker_user);
	if (user == NULL)
		mistake(check, config->path, "runner.worker_user", "runner.worker_user: there is no user \"%s\"",
		    config->worker_user);
	else if (geteuid() != 0 && user->pw_uid != geteuid())
		warning(check, config->path, "runner.worker_user",
		    "runner.worker_user: only a start as root can let in another user than its own (\"%s\")",
		    config->worker_user);
}

/* The start makes the socket's directory, but none above it. */
static void
check_socket(struct check *check)
{
	const char *path = check->config->socket_path;
	char parent[PATH_MAX];
	char *slash;

	snprintf(parent, sizeof parent, "%s", path);
	for (unsigned up = 0; up < 2; up++) {
		slash = strrchr(parent, '/');
		if (slash == NULL || slash == parent)
			return;
		*slash = '\0';
	}
	if (access(parent, F_OK) != 0)
		mistake(check, check->config->path, "runner.socket", "runner.socket: %s: %s", parent, strerror(errno));
}

/* Returns whether the directory is there. */
static bool
check_drivers(struct check *check)
{
	const struct config *config = check->config;
	struct stat st;

	if (stat(config->driver_dir, &st) != 0)
		mistake(check, config->path, "drivers", "drivers: %s: %s", config->driver_dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		mistake(check, config->path, "drivers", "drivers: %s: %s", config->driver_dir, strerror(ENOTDIR));
	else
		return true;
	return false;
}

/* See the `check` of level_chroot.c. */
static void
check_level(struct check *check)
{
	const struct config *config = check->config;

	if (config->level != LEVEL_CHROOT)
		return;
	if (config->network == NETWORK_HOST)
		mistake(check, config->path, "network.mode",
		    "network.mode: at level \"chroot\" there are \"none\" and \"proxy\" only, since cells have no network of "
		    "their own");
	if (geteuid() != 0)
		warning(check, config->path, "isolation.level", "isolation.level: \"chroot\" needs a start as root");
}

/* A file that is empty by accident is valid, and then nothing is as the operator wrote it. */
static void
check_emptiness(struct check *check)
{
	char error[ERROR_SIZE];
	struct conf_file file;

	if (conf_file_open(&file, check->config->path, NULL, error, sizeof error) != 0)
		return;
	if (config_setting_length(config_root_setting(&file.parsed)) == 0)
		warning(check, check->config->path, "", "the file sets nothing, so every key has its default");
	conf_file_close(&file);
}

/* Returns whether the drivers of the languages are there. */
static bool
check_main_file(struct check *check)
{
	bool has_drivers;
	unsigned mistakes = check->mistakes, warnings = check->warnings;

	check_emptiness(check);
	check_worker_user(check);
	check_socket(check);
	has_drivers = check_drivers(check);
	check_level(check);
	if (check->mistakes == mistakes && check->warnings == warnings)
		printf("%s: good\n", check->config->path);
	return has_drivers;
}

/* ---- the files that it names ---------------------------------------------------------------- */

static void
check_language(struct check *check, const struct language_config *language, uid_t probe_uid)
{
	char version[PROTO_NAME_SIZE], key[LANGUAGE_KEY_SIZE], error[ERROR_SIZE];
	size_t length = strlen(language->file);

	switch (language_prepare_check(check->config, language, probe_uid, &check->policies, version, key, error, sizeof error)) {
	case LANGUAGE_GOOD:
		check->available++;
		printf("%s: good: version %s\n", language->file, version);
		break;
	case LANGUAGE_NOT_HERE:
		warning(check, language->file, key, "%s is not available: %s", language->name, error);
		break;
	case LANGUAGE_WRONG:
		if (strncmp(error, language->file, length) == 0 && error[length] == ':') {
			mistake(check, language->file, key, "%s", error + length + 2);
		} else {
			fflush(stdout);
			fprintf(stderr, "%s\n", error); /* it names a place in the policy */
			check->mistakes++;
		}
		break;
	}
}

/* A policy that is not a language's. */
static void
check_policy(struct check *check, const char *name)
{
	char error[ERROR_SIZE];
	struct policy *policy = policy_load(check->config->policy_dir, name, POLICY_UNIX_ALL, error, sizeof error);

	if (policy != NULL) {
		printf("%s/%s.conf: good\n", check->config->policy_dir, name);
	} else {
		fflush(stdout);
		fprintf(stderr, "%s\n", error);
		check->mistakes++;
	}
	policy_free(policy);
}

/* The keys, which the workers read at their start. */
static void
check_keys(struct check *check)
{
	const struct config *config = check->config;
	char error[ERROR_SIZE];
	struct key_list keys;

	if (access(config->key_dir, R_OK | X_OK) != 0) {
		warning(check, config->path, "keys.directory",
		    "keys.directory: %s: %s: workers do not start without it; "
		    "cellblock-key adds a key",
		    config->key_dir, strerror(errno));
		return;
	}
	if (config_keys_load(config, &keys, error, sizeof error) != 0) {
		/* The files are for root alone. */
		if (geteuid() != 0 && strstr(error, strerror(EACCES)) != NULL) {
			printf("Not checked, because that needs root: %s\n", error);
			return;
		}
		fflush(stdout);
		fprintf(stderr, "%s\n", error);
		check->mistakes++;
		return;
	}
	if (keys.count == 0)
		warning(check, config->path, "keys.directory",
		    "keys.directory: %s has no key, so no request is let in; cellblock-key adds one", config->key_dir);
	else
		printf("%s: good: %zu key%s\n", config->key_dir, keys.count, keys.count == 1 ? "" : "s");
	config_keys_free(&keys);
}

static void
check_memory(struct check *check)
{
	uint64_t memory_bytes;
	char text[ERROR_SIZE * 2];

	if (memory_budget_find(check->config, &memory_bytes, text, sizeof text) == 0)
		return;
	fflush(stdout);
	fprintf(stderr, "%s\n", text);
	check->mistakes++;
}

static void
check_time_zone(struct check *check)
{
	char error[ERROR_SIZE * 2];
	size_t length = strlen(check->config->path);

	if (cell_etc_check(check->config, error, sizeof error) != 0)
		mistake(check, check->config->path, "etc.timezone", "%s", error + length + 2);
}

int
check_config(const struct config *config)
{
	struct check check = { .config = config, .policies = { .dir = config->policy_dir, .place = POLICY_UNIX_ALL } };
	uid_t probe_uid = geteuid() == 0 ? (uid_t)config->first_uid : (uid_t)-1;
	/* Without its drivers, every language would be blamed. */
	size_t checked = check_main_file(&check) ? config->language_count : 0;

	for (size_t i = 0; i < checked; i++)
		check_language(&check, config->language[i], probe_uid);
	policy_cache_free(&check.policies);
	check_policy(&check, "worker");
	check_policy(&check, "status");
	check_policy(&check, "store");
	check_policy(&check, "relay");
	check_memory(&check);
	check_time_zone(&check);
	check_keys(&check);
	if (check.mistakes == 0 && check.available == 0)
		mistake(&check, config->path, "languages", "languages: none is available");
	if (check.mistakes > 0)
		return 1;
	if (probe_uid == (uid_t)-1)
		printf("Not checked, because that needs root: whether interpreters run as runner.first_uid, %u. "
		       "They were tried as uid %u.\n",
		    config->first_uid, (unsigned)geteuid());
	printf("Good: %zu of %zu languages are available, %u warning%s\n", check.available, config->language_count,
	    check.warnings, check.warnings == 1 ? "" : "s");
	return 0;
}
