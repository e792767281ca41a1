/*
 * config_key.h - reads the API keys: one file for each, NAME.conf in keys.directory.
 *
 * The workers read them at their start, and cellblock-key. The runner does not: it learns from the
 * workers what a key may have (struct run_share).
 */
#ifndef CELLBLOCK_CONFIG_KEY_H
#define CELLBLOCK_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CONFIG_MAX_KEYS 10000
#define CONFIG_KEY_DIGEST_SIZE 32 /* SHA-256 */

/* The ranges of struct key_limits. */
#define CONFIG_KEY_WEIGHT_MAX 1000
#define CONFIG_KEY_RUNNING_MAX 4096
#define CONFIG_KEY_WAITING_MAX 65536
#define CONFIG_KEY_RATE_MAX 1000000

struct key_config {
	char *file;                             /* its path, for messages */
	char *name;                             /* that of the file, without ".conf" */
	uint8_t digest[CONFIG_KEY_DIGEST_SIZE]; /* SHA-256 of the key; the key itself is nowhere */
	struct key_limits share;
	enum busy_status busy_status;
	struct run_limits maximum; /* of each limit; UINT64_MAX: as in the configuration */
	bool all_languages;
	bool language[CONFIG_MAX_LANGUAGES]; /* those that it may use, by their index */
	bool no_network;
	bool loopback;        /* its runs may have a loopback of their own, where the configuration allows that */
	uint32_t proxy;       /* index of the proxy of its runs */
	uint64_t store_bytes; /* that it may have in the store */
	bool is_operator;     /* it may use the routes for operators */
	bool is_open;         /* requests without a key have it */
	uint64_t expires_s;   /* it is valid before this time, in seconds since 1970; 0: for ever */

	/* as in the file, for config_keys_load and cellblock-key; NULL without the setting */
	char *sha256;
	char *network;
	char *expires;
	struct strings languages;
};

struct key_list {
	struct key_config *key; /* sorted by name */
	size_t count;
};

/*
 * Read and check all keys in config->key_dir. Returns 0, and the list is then for config_keys_free;
 * or -1 with one line in `error`: FILE:LINE, the fault, and the allowed values.
 */
int config_keys_load(const struct config *config, struct key_list *keys, char *error, size_t error_size);

void config_keys_free(struct key_list *keys);

/*
 * Read and check the file `path` of the key `name`. Returns 0, and the key is then for
 * config_key_free; or -1 with one line in `error`.
 */
int config_key_load(const struct config *config, const char *path, const char *name, struct key_config *key, char *error,
    size_t error_size);

void config_key_free(struct key_config *key);

/* Whether `name` can be that of a key: 1 to 63 of A-Z a-z 0-9 . _ -, and no '.' first. */
bool config_key_is_name(const char *name);

/* The key with this digest, or NULL. The time that it takes does not depend on the digests. */
const struct key_config *config_key_find(const struct key_list *keys, const uint8_t digest[CONFIG_KEY_DIGEST_SIZE]);

/* The key of requests that present none, or NULL. */
const struct key_config *config_key_open(const struct key_list *keys);

/* A digest as in the files: 64 hexadecimal digits and a NUL. */
void config_key_hex(const uint8_t digest[CONFIG_KEY_DIGEST_SIZE], char text[2 * CONFIG_KEY_DIGEST_SIZE + 1]);

#endif
