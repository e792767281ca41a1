/* settings.c - see settings.h. */
#define _GNU_SOURCE
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exit_codes.h"
#include "say.h"

#define DEFAULT_URL "http://127.0.0.1:8194"
#define DEFAULT_RETRY_S 30
#define RETRY_MAX_S 86400
#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
#define KEY_LEAST 8
#define KEY_MOST 200

static char *
copy(const char *text)
{
	char *copied = strdup(text);

	if (copied == NULL)
		say_no_memory();
	return copied;
}

/* The file that is read where no option names one; NULL: there is no place for it. */
static char *
default_path(void)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path;
	int n;

	if (base != NULL && *base == '/')
		n = asprintf(&path, "%s/cellblock/cellblock.conf", base);
	else if (home != NULL && *home == '/')
		n = asprintf(&path, "%s/.config/cellblock/cellblock.conf", home);
	else
		return NULL;
	if (n < 0)
		say_no_memory();
	return path;
}

/* The file has a key, so nobody else may read it; and nobody else may say where the key is sent. */
static void
check_mode(const char *path, int fd, bool has_key)
{
	struct stat found;

	if (fstat(fd, &found) != 0)
		say_fatal(EXIT_USE, "%s: %s", path, strerror(errno));
	if (!S_ISREG(found.st_mode))
		say_fatal(EXIT_USE, "%s: must be a regular file", path);
	if (found.st_uid != geteuid() && found.st_uid != 0)
		say_fatal(EXIT_USE, "%s: belongs to another user", path);
	if ((found.st_mode & 022) != 0)
		say_fatal(EXIT_USE, "%s: other users can write to it; run: chmod 600 %s", path, path);
	if (has_key && (found.st_mode & 077) != 0)
		say_fatal(EXIT_USE, "%s: has a key, and other users can read it; run: chmod 600 %s", path, path);
}

static char *
take_text(config_t *file, const char *path, const char *name)
{
	config_setting_t *setting = config_lookup(file, name);

	if (setting == NULL)
		return NULL;
	if (config_setting_type(setting) != CONFIG_TYPE_STRING)
		say_fatal(EXIT_USE, "%s:%d: %s: must be a text in double quotes", path, config_setting_source_line(setting),
		    name);
	return copy(config_setting_get_string(setting));
}

static void
take_retry(config_t *file, const char *path, long *retry_s)
{
	config_setting_t *setting = config_lookup(file, "retry_seconds");
	int value;

	if (setting == NULL)
		return;
	value = config_setting_get_int(setting);
	if (config_setting_type(setting) != CONFIG_TYPE_INT || value < 0 || value > RETRY_MAX_S)
		say_fatal(EXIT_USE, "%s:%d: retry_seconds: must be an integer from 0 to %d", path,
		    config_setting_source_line(setting), RETRY_MAX_S);
	*retry_s = value;
}

/* A name that is misspelt would not hold, and nobody would notice. */
static void
check_names(config_t *file, const char *path)
{
	config_setting_t *root = config_root_setting(file);

	for (int i = 0; i < config_setting_length(root); i++) {
		config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(setting);

		if (strcmp(name, "url") != 0 && strcmp(name, "api_key") != 0 && strcmp(name, "ca") != 0 &&
		    strcmp(name, "retry_seconds") != 0)
			say_fatal(EXIT_USE, "%s:%d: %s: there is no such setting; there are: url, api_key, ca, retry_seconds",
			    path, config_setting_source_line(setting), name);
	}
}

static void
read_file(struct settings *settings, const char *path, bool must_exist)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	config_t file;
	FILE *in;

	if (fd < 0 && errno == ENOENT && !must_exist)
		return;
	if (fd < 0)
		say_fatal(EXIT_USE, "%s: %s", path, strerror(errno));
	check_mode(path, fd, false);
	in = fdopen(fd, "r");
	if (in == NULL)
		say_no_memory();
	config_init(&file);
	if (config_read(&file, in) != CONFIG_TRUE)
		say_fatal(EXIT_USE, "%s:%d: %s", path, config_error_line(&file), config_error_text(&file));
	check_names(&file, path);
	settings->url = take_text(&file, path, "url");
	settings->key = take_text(&file, path, "api_key");
	settings->ca = take_text(&file, path, "ca");
	take_retry(&file, path, &settings->retry_s);
	if (settings->key != NULL)
		check_mode(path, fd, true);
	config_destroy(&file);
	fclose(in);
}

/* Let a variable of the environment replace a setting. An empty one counts as none. */
static void
take_variable(const char *name, char **setting)
{
	const char *value = getenv(name);

	if (value == NULL || *value == '\0')
		return;
	free(*setting);
	*setting = copy(value);
}

static void
check(struct settings *settings)
{
	size_t length;

	if (strncmp(settings->url, "http://", 7) != 0 && strncmp(settings->url, "https://", 8) != 0)
		say_fatal(EXIT_USE, "the URL of the service must begin with http:// or https://: %s", settings->url);
	length = strlen(settings->url);
	while (length > 0 && settings->url[length - 1] == '/')
		settings->url[--length] = '\0';
	if (settings->key == NULL)
		return;
	length = strlen(settings->key);
	if (length < KEY_LEAST || length > KEY_MOST || strspn(settings->key, KEY_CHARACTERS) != length)
		say_fatal(EXIT_USE, "the API key must be %d to %d letters, digits and ._~+/=-", KEY_LEAST, KEY_MOST);
}

void
settings_read(struct settings *settings, const char *config, const char *url, long retry_s)
{
	char *path = config == NULL ? default_path() : NULL;

	*settings = (struct settings){ .retry_s = DEFAULT_RETRY_S };
	if (config != NULL || path != NULL)
		read_file(settings, config != NULL ? config : path, config != NULL);
	free(path);
	take_variable("CELLBLOCK_URL", &settings->url);
	take_variable("CELLBLOCK_API_KEY", &settings->key);
	take_variable("CELLBLOCK_CA", &settings->ca);
	if (url != NULL) {
		free(settings->url);
		settings->url = copy(url);
	}
	if (settings->url == NULL)
		settings->url = copy(DEFAULT_URL);
	if (retry_s >= 0)
		settings->retry_s = retry_s;
	check(settings);
}

void
settings_free(struct settings *settings)
{
	free(settings->url);
	free(settings->key);
	free(settings->ca);
}
