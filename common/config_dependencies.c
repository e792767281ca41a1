/*
 * config_dependencies.c - see config_dependencies.h. cellblock.conf(5) describes the table below.
 */
#define _GNU_SOURCE
#include "config_dependencies.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 1024
#define URL_BYTES 1024
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* A URL becomes a word of a command, so it must not look like an option. */
static bool
is_url(const char *text)
{
	const char *rest = strstr(text, "://");

	return rest != NULL && rest > text && rest[3] != '\0' && text[0] != '-' && strpbrk(text, " \t\n\"'\\") == NULL;
}

/* The same for a host. */
static bool
is_host(const char *text)
{
	return text[0] != '-' && strpbrk(text, " \t\n\"'\\/") == NULL;
}

static const struct conf_form form_url = { is_url, "a URL" };
static const struct conf_form form_host = { is_host, "HOST or HOST:PORT" };

static const char *const network_names[] = { [BUILD_NETWORK_NONE] = "none", [BUILD_NETWORK_HOST] = "host", NULL };
static const char *const requirement_names[] = {
	[LAYER_OFF] = "off", [LAYER_OPTIONAL] = "optional", [LAYER_REQUIRED] = "required", NULL
};

#define AT(member) .offset = offsetof(struct config, dependencies.member)

const struct conf_key config_dependencies_keys[] = {
	{ .name = "requirements", .type = CONF_PATH, AT(requirements), .max = PATH_BYTES, .string = "dependencies" },
	{ .name = "sets", .type = CONF_PATH, AT(sets), .max = PATH_BYTES, .string = "/var/lib/cellblock/dependencies" },
	{ .name = "cell", .type = CONF_CHOICE, AT(cell), .choices = requirement_names, .number = LAYER_REQUIRED },
	{ .name = "network", .type = CONF_CHOICE, AT(network), .choices = network_names, .number = BUILD_NETWORK_HOST },
	{ .name = "proxy", .type = CONF_STRING, AT(proxy), .max = URL_BYTES, .form = &form_url },
	{ .name = "index_url", .type = CONF_STRING, AT(index_url), .max = URL_BYTES, .form = &form_url },
	{ .name = "registry", .type = CONF_STRING, AT(registry), .max = URL_BYTES, .form = &form_url },
	{ .name = "trusted_hosts", .type = CONF_STRINGS, AT(trusted_hosts), .max = 16, .form = &form_host },
	{ .name = "archives", .type = CONF_PATH, AT(archives), .max = PATH_BYTES },
	{ .name = "certificates",
	    .type = CONF_PATH,
	    AT(certificates),
	    .max = PATH_BYTES,
	    .string = "/etc/ssl/certs/ca-certificates.crt" },
	{ .name = "npm", .type = CONF_PATH, AT(npm), .max = PATH_BYTES, .string = "/usr/bin/npm" },
	{ .name = "bytes", .type = CONF_UINT64, AT(bytes), .min = MIB(1), .max = GIB(1024), .number = GIB(4) },
	{ .name = "memory_bytes", .type = CONF_UINT64, AT(memory_bytes), .min = MIB(64), .max = GIB(1024), .number = GIB(2) },
	{ .name = "build_ms", .type = CONF_UINT64, AT(build_ms), .min = 1000, .max = 3600000, .number = 900000 },
	{ .name = "update_s", .type = CONF_UINT64, AT(update_s), .min = 0, .max = 31536000, .number = 0 },
	{ .name = NULL },
};

int
config_dependencies_check(const struct conf_file *file, const struct config *config)
{
	const struct dependencies_config *from = &config->dependencies;

	if (from->network == BUILD_NETWORK_NONE && from->proxy != NULL)
		return conf_file_fail(file, config_lookup(&file->parsed, "dependencies.proxy"),
		    "dependencies.proxy: cannot be reached with network = \"none\"");
	return 0;
}

int
config_dependencies_find(const struct language_config *language, char *path, size_t size)
{
	char found[PATH_MAX];
	struct stat st;

	if (language->packages_link == NULL || realpath(language->packages_link, found) == NULL || stat(found, &st) != 0 ||
	    !S_ISDIR(st.st_mode))
		return -1;
	return snprintf(path, size, "%s", found) < (int)size ? 0 : -1;
}
