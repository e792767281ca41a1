/* config_key.c - see config_key.h. cellblock.conf(5) describes the table below. */
#define _GNU_SOURCE
#include "config_key.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf_schema.h"
#include "config_language.h"
#include "config_limits.h"
#include "config_network.h"
#include "log.h"

#define SUFFIX ".conf"
#define TEXT_BYTES 256

bool
config_key_is_name(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length < PROTO_KEY_NAME_SIZE && name[0] != '.' &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

static bool
is_sha256(const char *text)
{
	return strlen(text) == 2 * CONFIG_KEY_DIGEST_SIZE && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

/* Seconds since 1970 of a date, or of a date and time, in UTC; 0 if it is none. */
static uint64_t
time_of(const char *text)
{
	struct tm tm = { 0 }, given;
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	time_t seconds;

	if (end != NULL && *end == 'T')
		end = strptime(end, "T%H:%M:%SZ", &tm);
	if (end == NULL || *end != '\0')
		return 0;
	/* strptime(3) takes a 31st of February, which timegm(3) moves to March. */
	given = tm;
	seconds = timegm(&tm);
	return seconds > 0 && tm.tm_mday == given.tm_mday && tm.tm_sec == given.tm_sec ? (uint64_t)seconds : 0;
}

static bool
is_time(const char *text)
{
	return time_of(text) > 0;
}

static const struct conf_form form_sha256 = { is_sha256, "64 hexadecimal digits" };
static const struct conf_form form_time = { is_time, "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, in UTC" };

static const char *const busy_names[] = { [BUSY_429] = "429", [BUSY_503] = "503", NULL };

#define AT(member) .offset = offsetof(struct key_config, member)

static const struct conf_key key_keys[] = {
	{ .name = "sha256",
	    .type = CONF_STRING,
	    .required = true,
	    AT(sha256),
	    .max = 2 * CONFIG_KEY_DIGEST_SIZE,
	    .form = &form_sha256 },
	{ .name = "weight", .type = CONF_UINT32, AT(share.weight), .min = 1, .max = CONFIG_KEY_WEIGHT_MAX },
	{ .name = "running", .type = CONF_UINT32, AT(share.running), .max = CONFIG_KEY_RUNNING_MAX },
	{ .name = "waiting", .type = CONF_UINT32, AT(share.waiting), .max = CONFIG_KEY_WAITING_MAX },
	{ .name = "rate", .type = CONF_UINT32, AT(share.rate), .max = CONFIG_KEY_RATE_MAX },
	{ .name = "burst", .type = CONF_UINT32, AT(share.burst), .max = CONFIG_KEY_RATE_MAX },
	{ .name = "busy_status", .type = CONF_CHOICE, AT(busy_status), .choices = busy_names },
	{ .name = "limits", .type = CONF_GROUP, AT(maximum), .keys = config_compile_limits_keys },
	{ .name = "languages",
	    .type = CONF_STRINGS,
	    AT(languages),
	    .min = 1,
	    .max = CONFIG_MAX_LANGUAGES,
	    .form = &conf_form_name },
	{ .name = "network", .type = CONF_STRING, AT(network), .max = PROTO_NAME_SIZE - 1, .form = &conf_form_name },
	{ .name = "loopback", .type = CONF_BOOL, AT(loopback) },
	{ .name = "store_bytes", .type = CONF_UINT64, AT(store_bytes), .max = UINT64_C(1) << 50 },
	{ .name = "operator", .type = CONF_BOOL, AT(is_operator) },
	{ .name = "open", .type = CONF_BOOL, AT(is_open) },
	{ .name = "expires", .type = CONF_STRING, AT(expires), .max = 32, .form = &form_time },
	{ .name = NULL },
};

static unsigned
digit(char c)
{
	return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a') + 10;
}

void
config_key_hex(const uint8_t digest[CONFIG_KEY_DIGEST_SIZE], char text[2 * CONFIG_KEY_DIGEST_SIZE + 1])
{
	for (size_t i = 0; i < CONFIG_KEY_DIGEST_SIZE; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
}

static int
read_languages(const struct config *config, const struct conf_file *file, struct key_config *key)
{
	const config_setting_t *at = config_lookup(&file->parsed, "languages");

	key->all_languages = at == NULL;
	for (size_t i = 0; i < key->languages.count; i++) {
		int language = config_language_find(config, key->languages.item[i]);

		if (language < 0)
			return conf_file_fail(file, config_setting_get_elem(at, (unsigned)i),
			    "languages[%zu]: \"%s\" is unknown; allowed: a language or alias of %s", i, key->languages.item[i],
			    config->language_dir);
		key->language[language] = true;
	}
	return 0;
}

/*
 * A name restricts its key to one proxy. If that is missing, the key must not reach what another
 * one allows.
 */
static int
read_network(const struct config *config, const struct conf_file *file, struct key_config *key)
{
	const config_setting_t *at = config_lookup(&file->parsed, "network");
	char names[TEXT_BYTES] = "\"" PROXY_NONE "\"";
	int proxy;

	key->no_network = at != NULL && strcmp(key->network, PROXY_NONE) == 0;
	if (at == NULL || key->no_network)
		return 0;
	proxy = config->network == NETWORK_PROXY ? config_network_find_proxy(config, key->network) : -1;
	if (proxy >= 0) {
		key->proxy = (uint32_t)proxy;
		return 0;
	}
	for (size_t i = 0; config->network == NETWORK_PROXY && i < config->proxy_count; i++) {
		size_t length = strlen(names);

		snprintf(names + length, sizeof names - length, ", \"%s\"", config->proxy[i].name);
	}
	return conf_file_fail(file, at, "network: there is no proxy \"%s\" in network.proxies of %s%s; allowed: %s", key->network,
	    config->path, config->network == NETWORK_PROXY ? "" : ", or network.mode is not \"proxy\"", names);
}

int
config_key_load(const struct config *config, const char *path, const char *name, struct key_config *key, char *error,
    size_t error_size)
{
	struct conf_file file;
	int failed;

	*key = (struct key_config){ .share = config->key_limits,
		.busy_status = config->busy_status,
		.loopback = true,
		.store_bytes = config->store_key_bytes };
	memset(&key->maximum, 0xff, sizeof key->maximum);
	if (!config_key_is_name(name)) {
		snprintf(error, error_size,
		    "%s: the name of a key is malformed; allowed: NAME" SUFFIX
		    ", with 1 to %d of A-Z a-z 0-9 . _ - as NAME, the first not a '.'",
		    path, PROTO_KEY_NAME_SIZE - 1);
		return -1;
	}
	if (conf_file_open(&file, path, NULL, error, error_size) != 0)
		return -1;
	key->file = conf_strdup(path);
	key->name = conf_strdup(name);
	failed = conf_schema_read(&file, config_root_setting(&file.parsed), key_keys, key) != 0 ||
	    read_languages(config, &file, key) != 0 || read_network(config, &file, key) != 0;
	conf_file_close(&file);
	if (failed) {
		config_key_free(key);
		return -1;
	}
	for (size_t i = 0; i < CONFIG_KEY_DIGEST_SIZE; i++)
		key->digest[i] = (uint8_t)(digit(key->sha256[2 * i]) << 4 | digit(key->sha256[2 * i + 1]));
	if (key->expires != NULL)
		key->expires_s = time_of(key->expires);
	return 0;
}

void
config_key_free(struct key_config *key)
{
	conf_schema_free(key_keys, key);
	free(key->file);
	free(key->name);
	*key = (struct key_config){ 0 };
}

static int
is_key_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length >= sizeof SUFFIX - 1 &&
	    strcmp(entry->d_name + length - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

static int
by_file(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
by_digest(const void *a, const void *b)
{
	const struct key_config *one = *(const struct key_config *const *)a, *other = *(const struct key_config *const *)b;
	int order = memcmp(one->digest, other->digest, sizeof one->digest);

	return order != 0 ? order : strcmp(one->name, other->name);
}

/*
 * The same key under two names would have two accounts, and one could not be told from the other.
 */
static int
check_different(const struct key_list *keys, char *error, size_t error_size)
{
	const struct key_config **sorted = calloc(keys->count + 1, sizeof *sorted);
	int failed = 0;

	if (sorted == NULL)
		die("out of memory");
	for (size_t i = 0; i < keys->count; i++)
		sorted[i] = &keys->key[i];
	qsort(sorted, keys->count, sizeof *sorted, by_digest);
	for (size_t i = 1; i < keys->count && failed == 0; i++) {
		if (memcmp(sorted[i - 1]->digest, sorted[i]->digest, sizeof sorted[i]->digest) != 0)
			continue;
		snprintf(error, error_size, "%s: sha256: %s has the same key; allowed: a key of its own for each name",
		    sorted[i]->file, sorted[i - 1]->file);
		failed = -1;
	}
	free(sorted);
	return failed;
}

int
config_keys_load(const struct config *config, struct key_list *keys, char *error, size_t error_size)
{
	struct dirent **entry;
	int count = scandir(config->key_dir, &entry, is_key_file, by_file), failed = 0;

	*keys = (struct key_list){ NULL, 0 };
	if (count < 0 || count > CONFIG_MAX_KEYS) {
		if (count < 0)
			snprintf(error, error_size, "%s: keys.directory: cannot read %s: %s", config->path, config->key_dir,
			    strerror(errno));
		else
			snprintf(error, error_size, "%s: keys.directory: %s has %d files named *" SUFFIX "; allowed: at most %d",
			    config->path, config->key_dir, count, CONFIG_MAX_KEYS);
		failed = -1;
	} else {
		keys->key = calloc((size_t)count + 1, sizeof *keys->key);
		if (keys->key == NULL)
			die("out of memory");
	}
	for (int i = 0; i < count; i++) {
		char *path, *name = entry[i]->d_name;

		if (asprintf(&path, "%s/%s", config->key_dir, name) < 0)
			die("out of memory");
		name[strlen(name) - (sizeof SUFFIX - 1)] = '\0';
		if (failed == 0)
			failed = config_key_load(config, path, name, &keys->key[keys->count], error, error_size);
		if (failed == 0)
			keys->count++;
		free(path);
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
	if (failed == 0)
		failed = check_different(keys, error, error_size);
	if (failed != 0)
		config_keys_free(keys);
	return failed;
}

void
config_keys_free(struct key_list *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		config_key_free(&keys->key[i]);
	free(keys->key);
	*keys = (struct key_list){ NULL, 0 };
}

const struct key_config *
config_key_find(const struct key_list *keys, const uint8_t digest[CONFIG_KEY_DIGEST_SIZE])
{
	size_t found = 0; /* the key's number, counted from 1 */

	for (size_t i = 0; i < keys->count; i++) {
		unsigned differs = 0;

		for (size_t byte = 0; byte < CONFIG_KEY_DIGEST_SIZE; byte++)
			differs |= keys->key[i].digest[byte] ^ digest[byte];
		/* All bits are set if nothing differs. */
		found |= (i + 1) & ((size_t)(differs == 0) * SIZE_MAX);
	}
	return found > 0 ? &keys->key[found - 1] : NULL;
}

const struct key_config *
config_key_open(const struct key_list *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->key[i].is_open)
			return &keys->key[i];
	}
	return NULL;
}
