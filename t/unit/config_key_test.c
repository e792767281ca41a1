/* config_key_test.c - the files of API keys: what they may say, and what the errors say. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_key.h"
#include "log.h"
#include "request_config.h"

#define SHA_A "sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\";\n"
#define SHA_B "sha256 = \"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\";\n"

static char directory[] = "/tmp/cellblock-keys-XXXXXX";
static struct key_list keys;
static char error[512];

static void
put(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
clear(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	config_keys_free(&keys);
	while ((entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

static void
good(void)
{
	error[0] = '\0';
	if (config_keys_load(&config, &keys, error, sizeof error) != 0)
		fail_msg("%s", error);
}

/* The keys are refused with an error that contains `text`. */
static void
bad(const char *text)
{
	if (config_keys_load(&config, &keys, error, sizeof error) == 0)
		fail_msg("accepted, instead of: %s", text);
	if (strstr(error, text) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", error, text);
	clear();
}

static void
bad_key(const char *settings, const char *text)
{
	char file[1024];

	snprintf(file, sizeof file, SHA_A "%s\n", settings);
	put("a.conf", file);
	bad(text);
}

static void
test_defaults(void **state)
{
	(void)state;
	put("a.conf", SHA_A);
	put("b.conf",
	    SHA_B "weight = 7; running = 1; waiting = 0; rate = 3; burst = 4; busy_status = \"503\"; operator = true;\n"
	          "languages = [\"py\"]; network = \"none\"; expires = \"2030-01-02\"; limits = { wall_ms = 1000; };\n");
	put(".hidden.conf", "nonsense");
	put("notes", "nonsense");
	good();
	assert_int_equal(keys.count, 2);
	assert_string_equal(keys.key[0].name, "a");
	assert_int_equal(keys.key[0].digest[0], 0xaa);
	assert_int_equal(keys.key[0].share.weight, 10);
	assert_int_equal(keys.key[0].share.rate, 5000);
	assert_int_equal(keys.key[0].busy_status, BUSY_429);
	assert_true(keys.key[0].all_languages && !keys.key[0].no_network && !keys.key[0].is_operator);
	assert_int_equal(keys.key[0].expires_s, 0);
	assert_true(keys.key[0].maximum.wall_ms == UINT64_MAX);
	assert_int_equal(keys.key[1].digest[31], 0xbb);
	assert_int_equal(keys.key[1].share.weight, 7);
	assert_int_equal(keys.key[1].share.burst, 4);
	assert_int_equal(keys.key[1].busy_status, BUSY_503);
	assert_true(keys.key[1].language[1] && !keys.key[1].language[0] && !keys.key[1].all_languages);
	assert_true(keys.key[1].no_network && keys.key[1].is_operator);
	assert_int_equal(keys.key[1].expires_s, 1893542400);
	assert_int_equal(keys.key[1].maximum.wall_ms, 1000);
	assert_true(keys.key[1].maximum.cpu_ms == UINT64_MAX);
	clear();
	good();
	assert_int_equal(keys.count, 0);
	config_keys_free(&keys);
}

static void
test_find(void **state)
{
	uint8_t digest[CONFIG_KEY_DIGEST_SIZE];
	char hex[2 * CONFIG_KEY_DIGEST_SIZE + 1];

	(void)state;
	put("a.conf", SHA_A);
	put("b.conf", SHA_B);
	good();
	memset(digest, 0xbb, sizeof digest);
	assert_ptr_equal(config_key_find(&keys, digest), &keys.key[1]);
	config_key_hex(digest, hex);
	assert_int_equal(strspn(hex, "b"), 64);
	digest[31] = 0;
	assert_null(config_key_find(&keys, digest));
	memset(digest, 0xaa, sizeof digest);
	assert_ptr_equal(config_key_find(&keys, digest), &keys.key[0]);
	clear();
	assert_null(config_key_find(&keys, digest));
}

static void
test_errors(void **state)
{
	(void)state;
	put("a.conf", "weight = 1;\n");
	bad("a.conf:1: sha256 is missing; allowed: 64 hexadecimal digits");
	put("a.conf", "sha256 = \"abc\";\n");
	bad("a.conf:1: sha256: \"abc\" is malformed; allowed: 64 hexadecimal digits");
	put("b.conf", SHA_A);
	put("a.conf", SHA_A);
	bad("/b.conf: sha256: ");
	put("a b.conf", SHA_A);
	bad("/a b.conf: the name of a key is malformed; allowed: NAME.conf");
	put("a123456789012345678901234567890123456789012345678901234567890123.conf", SHA_A);
	bad("the name of a key is malformed");
	bad_key("weightt = 1;", "a.conf:2: unknown key \"weightt\"; allowed: sha256, weight, running,");
	bad_key("weight = 0;", "a.conf:2: weight: 0 is out of range; allowed: 1 to 1000");
	bad_key("busy_status = 503;", "a.conf:2: busy_status: is not a string; allowed: \"429\", \"503\"");
	bad_key("languages = [\"python3\", \"cobol\"];", "a.conf:2: languages[1]: \"cobol\" is unknown");
	bad_key("languages = [];", "a.conf:2: languages: has 0 elements");
	bad_key("limits = { wall_ms = 0; };", "a.conf:2: limits.wall_ms: 0 is out of range");
	bad_key("limits = { wall = 1; };", "a.conf:2: unknown key \"wall\" in limits");
	bad_key("expires = \"2026-02-31\";", "a.conf:2: expires: \"2026-02-31\" is malformed; allowed: YYYY-MM-DD");
	bad_key("expires = \"tomorrow\";", "a.conf:2: expires: \"tomorrow\" is malformed");
	bad_key("expires = \"2026-02-01T25:00:00Z\";", "is malformed");
	bad_key("network = \"few\";", "or network.mode is not \"proxy\"; allowed: \"none\"");
	config.key_dir = (char *)"/nowhere";
	bad("keys.directory: cannot read /nowhere: No such file or directory");
	config.key_dir = directory;
}

static void
test_proxies(void **state)
{
	(void)state;
	config.network = NETWORK_PROXY;
	config.proxy[0] = (struct proxy_config){ (char *)"all", (char *)"a:1" };
	config.proxy[1] = (struct proxy_config){ (char *)"few", (char *)"b:1" };
	config.proxy_count = 2;
	put("a.conf", SHA_A "network = \"few\";\n");
	put("b.conf", SHA_B);
	good();
	assert_int_equal(keys.key[0].proxy, 1);
	assert_int_equal(keys.key[1].proxy, 0);
	clear();
	/* An unknown name must not mean the first proxy. */
	bad_key("network = \"fewer\";",
	    "a.conf:2: network: there is no proxy \"fewer\" in network.proxies of test.conf; "
	    "allowed: \"none\", \"all\", \"few\"");
	config.network = NETWORK_HOST;
	bad_key("network = \"few\";", "there is no proxy \"few\"");
	config.network = NETWORK_NONE;
	config.proxy_count = 0;
}

static void
test_times(void **state)
{
	(void)state;
	put("a.conf", SHA_A "expires = \"2030-01-02T03:04:05Z\";\n");
	good();
	assert_int_equal(keys.key[0].expires_s, 1893553445);
	clear();
}

static int
set_up(void **state)
{
	(void)state;
	config.path = (char *)"test.conf";
	config.key_dir = mkdtemp(directory);
	config.language_dir = (char *)"languages";
	config.key_limits = (struct key_limits){ 10, 0, 512, 5000, 5000 };
	return config.key_dir == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	clear();
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests_name("config_key", tests, set_up, tear_down);
}
