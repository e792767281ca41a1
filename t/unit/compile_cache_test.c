/*
 * compile_cache_test.c - the compile cache: which entries are found, and which are dropped first.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/compile_cache.h"

static struct compile_cache cache;

static int
make_cache(void **state)
{
	(void)state;
	cache = (struct compile_cache){ .most_bytes = 1000 };
	return 0;
}

static int
empty_cache(void **state)
{
	(void)state;
	compile_cache_free(&cache);
	return 0;
}

static struct compile_key
key_of(unsigned number)
{
	return (struct compile_key){ .language = 1,
		.compiler = { { 2, 3, 4 }, { 5, 6, 7 } },
		.digest = { [0] = (uint8_t)number, [1] = (uint8_t)(number >> 8) } };
}

/*
 * Keep an output of `size` bytes for an API key. The cache duplicates the descriptor, so this one
 * is closed.
 */
static void
keep_for(const char *name, unsigned number, off_t size)
{
	struct compile_key key = key_of(number);
	int fd = memfd_create("output", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	compile_cache_keep(&cache, &key, name, fd);
	close(fd);
}

static void
keep(unsigned number, off_t size)
{
	keep_for("one", number, size);
}

/* The size of the entry that is found, or -1. */
static long
find(unsigned number)
{
	struct compile_key key = key_of(number);
	int fd = compile_cache_find(&cache, &key);
	struct stat st;

	if (fd < 0)
		return -1;
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return (long)st.st_size;
}

static void
test_found_again(void **state)
{
	(void)state;
	assert_int_equal(find(1), -1);
	keep(1, 10);
	keep(2, 20);
	assert_int_equal(find(1), 10);
	assert_int_equal(find(2), 20);
	assert_int_equal(find(1), 10);
	assert_int_equal(find(3), -1);
	assert_int_equal(cache.bytes, 30);
}

/* Keys that differ in any one part are different keys. */
static void
test_every_part_of_the_key_counts(void **state)
{
	struct compile_key key;

	(void)state;
	keep(1, 10);
	key = key_of(1);
	key.language++;
	assert_int_equal(compile_cache_find(&cache, &key), -1);
	for (int i = 0; i < 6; i++) {
		key = key_of(1);
		key.compiler[i / 3][i % 3]++;
		assert_int_equal(compile_cache_find(&cache, &key), -1);
	}
	key = key_of(1);
	key.digest[PROTO_DIGEST_SIZE - 1]++;
	assert_int_equal(compile_cache_find(&cache, &key), -1);
}

static void
test_replaced(void **state)
{
	(void)state;
	keep(1, 600);
	keep(2, 300);
	keep(1, 700);
	assert_int_equal(find(1), 700);
	assert_int_equal(find(2), 300);
	assert_int_equal(cache.count, 2);
	assert_int_equal(cache.bytes, 1000);
}

static void
test_least_recently_used_goes_first(void **state)
{
	(void)state;
	keep(1, 400);
	keep(2, 300);
	keep(3, 300);
	assert_int_equal(find(1), 400);
	keep(4, 300);
	assert_int_equal(find(2), -1);
	assert_int_equal(find(1), 400);
	assert_int_equal(find(3), 300);
	assert_int_equal(find(4), 300);
	/* As many entries as needed. */
	keep(5, 700);
	assert_int_equal(find(1), -1);
	assert_int_equal(find(3), -1);
	assert_int_equal(find(4), 300);
	assert_int_equal(find(5), 700);
	assert_int_equal(cache.bytes, 1000);
}

static void
test_too_large(void **state)
{
	(void)state;
	keep(1, 400);
	keep(2, 1001);
	assert_int_equal(find(1), 400);
	assert_int_equal(find(2), -1);
	/* The older entry of the same key is stale. */
	keep(1, 1001);
	assert_int_equal(find(1), -1);
	assert_int_equal(cache.bytes, 0);
	keep(3, 1000);
	assert_int_equal(find(3), 1000);
}

static void
test_none(void **state)
{
	(void)state;
	cache.most_bytes = 0;
	keep(1, 1);
	assert_int_equal(find(1), -1);
	assert_null(cache.entry);
}

/* Each entry holds a descriptor, so their number is limited, too. */
static void
test_many_small_ones(void **state)
{
	(void)state;
	cache.most_bytes = 1 << 20;
	for (unsigned i = 0; i < 1100; i++)
		keep(i, 1);
	assert_true(cache.count < 1100);
	assert_int_equal(cache.bytes, cache.count);
	assert_int_equal(find(0), -1);
	assert_int_equal(find(1099), 1);
}

/* One key may have all of it, until others want their share. */
static void
test_a_key_keeps_its_share(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		keep_for("much", i, 100);
	assert_int_equal(cache.bytes, 1000);
	keep_for("little", 20, 200);
	keep_for("little", 21, 200);
	assert_int_equal(find(3), -1);
	assert_int_equal(find(4), 100);
	/* More programs of the first one now cost itself alone. */
	for (unsigned i = 30; i < 60; i++)
		keep_for("much", i, 100);
	keep_for("much", 61, 600);
	keep_for("much", 62, 600);
	assert_int_equal(find(20), 200);
	assert_int_equal(find(21), 200);
	assert_int_equal(find(62), 600);
	/* A program above the share of its key, and above all that others have, is not kept. */
	keep_for("little", 22, 700);
	assert_int_equal(find(22), -1);
	assert_int_equal(find(62), 600);
	assert_true(cache.bytes <= 1000);
}

/* The same for the number of entries. */
static void
test_many_small_ones_cost_their_key(void **state)
{
	(void)state;
	cache.most_bytes = 1 << 20;
	for (unsigned i = 0; i < 10; i++)
		keep_for("few", i, 1);
	for (unsigned i = 100; i < 2500; i++)
		keep_for("many", i, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(find(i), 1);
	assert_int_equal(find(100), -1);
	assert_int_equal(find(2499), 1);
	/* Every entry has another owner. */
	for (unsigned i = 3000; i < 3000 + 2 * COMPILE_CACHE_ENTRIES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof name, "%u", i);
		keep_for(name, i, 1);
	}
	assert_int_equal(cache.count, COMPILE_CACHE_ENTRIES_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_again, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_every_part_of_the_key_counts, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_replaced, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_least_recently_used_goes_first, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_too_large, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_none, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_many_small_ones, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_a_key_keeps_its_share, make_cache, empty_cache),
		cmocka_unit_test_setup_teardown(test_many_small_ones_cost_their_key, make_cache, empty_cache),
	};

	return cmocka_run_group_tests_name("compiled", tests, NULL, NULL);
}
