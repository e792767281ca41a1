/*
 * cellblock-key.c - the operator's tool for API keys: adds, lists and revokes their files.
 *
 * A new key is printed once and kept nowhere: its file has only the SHA-256 of it. The file is
 * checked by the loader that the workers use before it gets its name.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "config_key.h"
#include "config_load.h"

#define ERROR_SIZE 512
#define RANDOM_BYTES 32
#define KEY_LEAST 8
#define KEY_MOST 200
#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
#define FILE_MODE 0640
#define DIRECTORY_MODE 0750

/* The settings of a key's file, as options of "add". */
enum form { NUMBER, STRING, LIST, FLAG, FLAG_OFF };
static const struct setting {
	const char *option;
	const char *name;
	enum form form;
} settings[] = {
	{ "weight", "weight", NUMBER },
	{ "running", "running", NUMBER },
	{ "waiting", "waiting", NUMBER },
	{ "rate", "rate", NUMBER },
	{ "burst", "burst", NUMBER },
	{ "busy-status", "busy_status", STRING },
	{ "languages", "languages", LIST },
	{ "network", "network", STRING },
	{ "no-loopback", "loopback", FLAG_OFF },
	{ "store-bytes", "store_bytes", NUMBER },
	{ "operator", "operator", FLAG },
	{ "expires", "expires", STRING },
};
#define SETTINGS (sizeof settings / sizeof settings[0])
enum { OPTION_SETTING = 1000, OPTION_LIMIT = OPTION_SETTING + SETTINGS, OPTION_STDIN };

struct options {
	const char *config_path;
	const char *command;
	const char *name;
	bool from_stdin;
	char *text; /* the settings for the key's file, but its sha256 */
	size_t text_size;
	char *limits; /* those inside its group `limits` */
	size_t limits_size;
};

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list args;

	fputs("cellblock-key: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void
usage(FILE *to)
{
	fputs("usage: cellblock-key [-c FILE] add NAME [OPTION]...\n"
	      "       cellblock-key [-c FILE] list\n"
	      "       cellblock-key [-c FILE] revoke NAME\n\n"
	      "  -c, --config FILE     the configuration (default " SYSCONFDIR "/cellblock/cellblock.conf)\n"
	      "  --stdin               add: read the key from standard input instead of making one\n"
	      "  --weight N, --running N, --waiting N, --rate N, --burst N, --busy-status 429|503\n"
	      "  --languages A,B,...   those that the key may use\n"
	      "  --network NAME        the proxy of its runs, or \"none\"\n"
	      "  --no-loopback         its runs may not have a loopback\n"
	      "  --limit NAME=N        the most that it may ask for, as wall_ms=60000; may be repeated\n"
	      "  --expires TIME        YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, in UTC\n"
	      "  --store-bytes N       the most bytes of its files in the store\n"
	      "  --operator            it may use the routes for operators\n"
	      "  -V, --version         print the version, and end\n"
	      "  -h, --help            print this, and end\n\n"
	      "cellblock.conf(5) has what the options mean. The workers read the keys at their start.\n",
	    to);
}

static void __attribute__((noreturn)) bad_usage(const char *text)
{
	fprintf(stderr, "cellblock-key: %s\n", text);
	usage(stderr);
	exit(2);
}

/*
 * A value goes into the file as it is, so it must not end its string. The loader checks the rest.
 */
static const char *
plain(const char *option, const char *value)
{
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			fail("--%s: %s: must not contain a quote, a backslash or a control character", option, value);
	}
	return value;
}

static const char *
number(const char *option, const char *value)
{
	if (*value == '\0' || strspn(value, "0123456789") != strlen(value))
		fail("--%s: %s: must be a whole number", option, value);
	return value;
}

static void
print_list(FILE *to, const char *items)
{
	while (*items != '\0') {
		size_t length = strcspn(items, ",");

		fprintf(to, "\"%.*s\"", (int)length, items);
		items += length;
		if (*items == ',' && *++items != '\0')
			fputs(", ", to);
	}
}

static void
take_setting(FILE *to, const struct setting *setting, const char *value)
{
	switch (setting->form) {
	case NUMBER:
		fprintf(to, "%s = %s;\n", setting->name, number(setting->option, value));
		break;
	case STRING:
		fprintf(to, "%s = \"%s\";\n", setting->name, plain(setting->option, value));
		break;
	case LIST:
		fprintf(to, "%s = [", setting->name);
		print_list(to, plain(setting->option, value));
		fputs("];\n", to);
		break;
	case FLAG:
		fprintf(to, "%s = true;\n", setting->name);
		break;
	case FLAG_OFF:
		fprintf(to, "%s = false;\n", setting->name);
		break;
	}
}

static void
take_limit(FILE *to, const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text || strspn(text, "abcdefghijklmnopqrstuvwxyz_") != (size_t)(equals - text))
		fail("--limit: %s: must be NAME=N", text);
	fprintf(to, " %.*s = %s;", (int)(equals - text), text, number("limit", equals + 1));
}

static void
take_arguments(struct options *options, int argc, char **argv)
{
	if (optind == argc)
		bad_usage("a command is missing");
	options->command = argv[optind++];
	if (strcmp(options->command, "list") != 0) {
		if (strcmp(options->command, "add") != 0 && strcmp(options->command, "revoke") != 0)
			bad_usage("the command must be add, list or revoke");
		if (optind == argc)
			bad_usage("the name of the key is missing");
		options->name = argv[optind++];
		if (!config_key_is_name(options->name))
			fail("%s: the name of a key has 1 to %d of A-Z a-z 0-9 . _ -, the first not a '.'", options->name,
			    PROTO_KEY_NAME_SIZE - 1);
	}
	if (optind != argc)
		bad_usage("there is an argument too many");
}

static struct options
parse_options(int argc, char **argv)
{
	struct options options = { .config_path = SYSCONFDIR "/cellblock/cellblock.conf" };
	struct option known[SETTINGS + 6] = {
		{ "config", required_argument, NULL, 'c' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ "stdin", no_argument, NULL, OPTION_STDIN },
		{ "limit", required_argument, NULL, OPTION_LIMIT },
	};
	FILE *text = open_memstream(&options.text, &options.text_size);
	FILE *limits = open_memstream(&options.limits, &options.limits_size);
	bool is_new = false;
	int option;

	if (text == NULL || limits == NULL)
		fail("out of memory");
	for (size_t i = 0; i < SETTINGS; i++)
		known[5 + i] = (struct option){ settings[i].option, settings[i].form >= FLAG ? no_argument : required_argument,
			NULL, (int)(OPTION_SETTING + i) };
	while ((option = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		is_new |= option >= OPTION_SETTING;
		if (option >= OPTION_SETTING && option < (int)OPTION_LIMIT)
			take_setting(text, &settings[option - OPTION_SETTING], optarg);
		else if (option == OPTION_LIMIT)
			take_limit(limits, optarg);
		else if (option == OPTION_STDIN)
			options.from_stdin = true;
		else if (option == 'c')
			options.config_path = optarg;
		else if (option == 'V' || option == 'h') {
			if (option == 'V')
				puts("cellblock-key " PACKAGE_VERSION);
			else
				usage(stdout);
			exit(0);
		} else {
			usage(stderr);
			exit(2);
		}
	}
	if (fclose(text) != 0 || fclose(limits) != 0)
		fail("out of memory");
	take_arguments(&options, argc, argv);
	if (is_new && strcmp(options.command, "add") != 0)
		bad_usage("only -c is an option of this command");
	return options;
}

/* Read a key from standard input, up to the end of the line. */
static void
read_key(char *key, size_t size)
{
	if (fgets(key, (int)size, stdin) == NULL)
		fail("standard input has no key");
	key[strcspn(key, "\n")] = '\0';
	if (strlen(key) < KEY_LEAST || strlen(key) > KEY_MOST || strspn(key, KEY_CHARACTERS) != strlen(key))
		fail("standard input: a key has %d to %d of A-Z a-z 0-9 . _ ~ + / = -", KEY_LEAST, KEY_MOST);
}

/* A key of 256 random bits, which can be put into a header, a URL or a shell as it is. */
static void
make_key(char *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t bytes[RANDOM_BYTES + 1] = { 0 };

	if (getrandom(bytes, RANDOM_BYTES, 0) != RANDOM_BYTES)
		fail("getrandom: %s", strerror(errno));
	key += sprintf(key, "cb_");
	for (size_t bit = 0; bit < 8 * RANDOM_BYTES; bit += 6) {
		unsigned two = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

		*key++ = digits[two >> (10 - bit % 8) & 63];
	}
	*key = '\0';
	explicit_bzero(bytes, sizeof bytes);
}

/*
 * Give the directory or file to the group of the workers, which are to read it and not to change
 * it.
 */
static void
give_to_workers(const struct config *config, int fd, const char *path, mode_t mode)
{
	const struct passwd *user = config->worker_user != NULL ? getpwnam(config->worker_user) : NULL;

	if (config->worker_user != NULL && user == NULL)
		fail("%s: runner.worker_user: there is no user \"%s\"", config->path, config->worker_user);
	if (fchmod(fd, mode) != 0 || (user != NULL && fchown(fd, (uid_t)-1, user->pw_gid) != 0))
		fail("%s: cannot be given to the group of %s: %s", path, user != NULL ? user->pw_name : "the workers",
		    strerror(errno));
}

static int
open_directory(const struct config *config)
{
	bool is_new = mkdir(config->key_dir, DIRECTORY_MODE) == 0;
	int fd = open(config->key_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail("%s: %s", config->key_dir, strerror(errno));
	if (is_new)
		give_to_workers(config, fd, config->key_dir, DIRECTORY_MODE);
	return fd;
}

static char *
path_of(const struct config *config, const char *prefix, const char *name, const char *suffix)
{
	char *path;

	if (asprintf(&path, "%s/%s%s%s", config->key_dir, prefix, name, suffix) < 0)
		fail("out of memory");
	return path;
}

static void
write_file(const struct config *config, int fd, const char *path, const struct options *options, const char *hex)
{
	FILE *file = fdopen(fd, "w");

	if (file == NULL)
		fail("%s: %s", path, strerror(errno));
	fprintf(file, "# The API key \"%s\". See cellblock.conf(5).\nsha256 = \"%s\";\n%s", options->name, hex, options->text);
	if (options->limits_size > 0)
		fprintf(file, "limits = {%s };\n", options->limits);
	give_to_workers(config, fd, path, FILE_MODE);
	if (fflush(file) != 0 || fsync(fd) != 0 || fclose(file) != 0) {
		int error = errno;

		unlink(path);
		fail("%s: %s", path, strerror(error));
	}
}

static void
check_file(const struct config *config, const struct key_list *keys, const char *path, const char *name)
{
	const struct key_config *same;
	struct key_config key;
	char error[ERROR_SIZE];

	if (config_key_load(config, path, name, &key, error, sizeof error) != 0) {
		const char *place = strstr(error, ": ");

		unlink(path);
		/* The place is in a file that is not there any more. */
		fail("%s", place != NULL ? place + 2 : error);
	}
	same = config_key_find(keys, key.digest);
	if (same != NULL) {
		unlink(path);
		fail("%s has the same key", same->file);
	}
	config_key_free(&key);
}

static void
add(const struct config *config, const struct key_list *keys, const struct options *options)
{
	int directory = open_directory(config);
	char *temporary = path_of(config, ".", options->name, ".XXXXXX"), *path = path_of(config, "", options->name, ".conf");
	char key[KEY_MOST + 2], hex[2 * CONFIG_KEY_DIGEST_SIZE + 1];
	uint8_t digest[CONFIG_KEY_DIGEST_SIZE];
	SHA2_CTX context;
	int fd;

	if (options->from_stdin)
		read_key(key, sizeof key);
	else
		make_key(key);
	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)key, strlen(key));
	SHA256Final(digest, &context);
	config_key_hex(digest, hex);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", temporary, strerror(errno));
	write_file(config, fd, temporary, options, hex);
	check_file(config, keys, temporary, options->name);
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
		int error = errno;

		unlink(temporary);
		fail("%s: %s", path, error == EEXIST ? "there is a key of this name" : strerror(error));
	}
	fsync(directory);
	close(directory);
	if (!options->from_stdin)
		puts(key);
	explicit_bzero(key, sizeof key);
	fprintf(stderr, "%s is added. Workers that start from now on know the key.\n", path);
	free(temporary);
	free(path);
}

static void
list(const struct config *config, const struct key_list *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		const struct key_config *key = &keys->key[i];

		printf("%s weight=%u running=%u waiting=%u rate=%u burst=%u busy_status=%s", key->name, key->share.weight,
		    key->share.running, key->share.waiting, key->share.rate, key->share.burst,
		    key->busy_status == BUSY_503 ? "503" : "429");
		for (size_t l = 0, count = 0; l < config->language_count && !key->all_languages; l++) {
			if (key->language[l])
				printf("%s%s", count++ == 0 ? " languages=" : ",", config->language[l]->name);
		}
		if (key->network != NULL)
			printf(" network=%s", key->network);
		if (!key->loopback)
			printf(" no-loopback");
		if (key->store_bytes != config->store_key_bytes)
			printf(" store_bytes=%" PRIu64, key->store_bytes);
		if (key->is_operator)
			printf(" operator");
		if (key->expires != NULL)
			printf(" expires=%s%s", key->expires, (uint64_t)time(NULL) >= key->expires_s ? " (expired)" : "");
		putchar('\n');
	}
}

static void
remove_key(const struct config *config, const char *name)
{
	int directory = open_directory(config);
	char *path = path_of(config, "", name, ".conf");

	if (unlink(path) != 0)
		fail("%s: %s", path, errno == ENOENT ? "there is no key of this name" : strerror(errno));
	fsync(directory);
	close(directory);
	fprintf(stderr, "%s is removed. Workers that run know the key until they are started again.\n", path);
	free(path);
}

int
main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	char error[ERROR_SIZE];
	struct config *config = config_load(options.config_path, error, sizeof error);
	struct key_list keys = { NULL, 0 };

	if (config == NULL)
		fail("%s", error);
	if (strcmp(options.command, "revoke") == 0) {
		/* A bad file of another key must not keep this one valid. */
		remove_key(config, options.name);
	} else {
		if (strcmp(options.command, "add") == 0)
			close(open_directory(config));
		if (config_keys_load(config, &keys, error, sizeof error) != 0)
			fail("%s", error);
		if (strcmp(options.command, "add") == 0)
			add(config, &keys, &options);
		else
			list(config, &keys);
	}
	config_keys_free(&keys);
	config_free(config);
	free(options.text);
	free(options.limits);
	if (fflush(stdout) != 0)
		fail("standard output: %s", strerror(errno));
	return 0;
}
