/* store_test.c - the index of the store: whose files there are, the quotas, and which file goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

static struct index files;
static char removed[256]; /* "key:first byte of the digest ", in the order of their removal */

static void
note_removal(void *context, const struct index_entry *entry)
{
	size_t at = strlen(removed);

	assert_ptr_equal(context, &files);
	snprintf(removed + at, sizeof removed - at, "%s:%d ", entry->owner->name, entry->digest[0]);
}

static const uint8_t *
digest_of(int number)
{
	static uint8_t digest[PROTO_DIGEST_SIZE];

	memset(digest, 0, sizeof digest);
	digest[0] = (uint8_t)number;
	return digest;
}

static int
begin(void **state)
{
	(void)state;
	removed[0] = '\0';
	return index_init(&files, 100 * INDEX_BLOCK, note_removal, &files);
}

static int
end(void **state)
{
	(void)state;
	index_free(&files);
	return 0;
}

/* Add a file of so many blocks. */
static enum store_fault
add(const char *key, int number, uint64_t blocks, uint64_t quota, uint64_t now)
{
	struct index_owner *owner = index_owner(&files, key);
	enum store_fault fault;

	assert_non_null(owner);
	fault = index_reserve(&files, owner, quota * INDEX_BLOCK, blocks * INDEX_BLOCK);
	if (fault == STORE_OK)
		assert_int_equal(index_add(&files, owner, digest_of(number), false, blocks * INDEX_BLOCK, now), 0);
	else
		index_leave(&files, owner);
	return fault;
}

static void
test_charge(void **state)
{
	(void)state;
	assert_int_equal(index_charge(0), INDEX_BLOCK);
	assert_int_equal(index_charge(1), INDEX_BLOCK);
	assert_int_equal(index_charge(INDEX_BLOCK), INDEX_BLOCK);
	assert_int_equal(index_charge(INDEX_BLOCK + 1), 2 * INDEX_BLOCK);
}

static void
test_keys_are_apart(void **state)
{
	(void)state;
	assert_int_equal(add("a", 1, 2, 100, 1), STORE_OK);
	assert_non_null(index_find(&files, "a", digest_of(1)));
	assert_null(index_find(&files, "b", digest_of(1)));
	assert_null(index_find(&files, "", digest_of(1)));
	assert_int_equal(add("b", 1, 3, 100, 1), STORE_OK);
	assert_int_equal(index_find(&files, "a", digest_of(1))->size, 2 * INDEX_BLOCK);
	assert_int_equal(index_find(&files, "b", digest_of(1))->size, 3 * INDEX_BLOCK);
	assert_int_equal(files.bytes, 5 * INDEX_BLOCK);
	assert_int_equal(files.keys, 2);
	index_drop(&files, index_find(&files, "a", digest_of(1)));
	assert_string_equal(removed, "a:1 ");
	assert_non_null(index_find(&files, "b", digest_of(1)));
	assert_int_equal(files.keys, 1);
	index_drop(&files, index_find(&files, "b", digest_of(1)));
	assert_null(files.owners);
	assert_int_equal(files.bytes, 0);
	assert_int_equal(files.reserved, 0);
}

static void
test_quota_of_a_key(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++)
		assert_int_equal(add("a", i, 3, 10, (uint64_t)i), STORE_OK);
	assert_int_equal(add("b", 9, 3, 10, 0), STORE_OK);
	index_use(index_find(&files, "a", digest_of(1)), 4);
	assert_int_equal(add("a", 4, 3, 10, 5), STORE_OK);
	assert_string_equal(removed, "a:2 ");
	/* Nothing goes for a file that would never fit. */
	assert_int_equal(add("a", 5, 11, 10, 6), STORE_KEY_FULL);
	assert_int_equal(add("a", 5, 101, 200, 6), STORE_FULL);
	assert_string_equal(removed, "a:2 ");
	/* One that takes all of the quota. */
	assert_int_equal(add("a", 6, 10, 10, 7), STORE_OK);
	assert_string_equal(removed, "a:2 a:3 a:1 a:4 ");
	assert_int_equal(files.evicted, 4);
	assert_non_null(index_find(&files, "b", digest_of(9)));
}

static void
test_bound_of_all(void **state)
{
	(void)state;
	assert_int_equal(add("a", 1, 30, 100, 1), STORE_OK);
	assert_int_equal(add("b", 2, 20, 100, 2), STORE_OK);
	assert_int_equal(add("b", 3, 20, 100, 3), STORE_OK);
	assert_int_equal(add("c", 4, 30, 100, 4), STORE_OK);
	/* "b" has most, though another one's file is older. */
	assert_int_equal(add("d", 5, 10, 100, 5), STORE_OK);
	assert_string_equal(removed, "b:2 ");
	assert_true(files.bytes <= files.most);
}

static void
test_reservations(void **state)
{
	struct index_owner *a = index_owner(&files, "a"), *b;

	(void)state;
	a->uploads = 1;
	assert_int_equal(index_reserve(&files, a, 10 * INDEX_BLOCK, 6 * INDEX_BLOCK), STORE_OK);
	/* A reservation cannot go. */
	assert_int_equal(index_reserve(&files, a, 10 * INDEX_BLOCK, 5 * INDEX_BLOCK), STORE_KEY_FULL);
	assert_int_equal(index_reserve(&files, a, 200 * INDEX_BLOCK, 94 * INDEX_BLOCK), STORE_OK);
	b = index_owner(&files, "b");
	assert_int_equal(index_reserve(&files, b, 100 * INDEX_BLOCK, INDEX_BLOCK), STORE_FULL);
	index_leave(&files, b);
	index_release(&files, a, 100 * INDEX_BLOCK);
	index_leave(&files, a);
	assert_ptr_equal(files.owners, a);
	a->uploads = 0;
	index_leave(&files, a);
	assert_null(files.owners);
	assert_int_equal(files.bytes, 0);
	assert_int_equal(files.reserved, 0);
	assert_string_equal(removed, "");
}

static void
test_expiry(void **state)
{
	(void)state;
	for (int i = 1; i <= 4; i++)
		assert_int_equal(add(i % 2 == 0 ? "a" : "b", i, 1, 100, (uint64_t)i), STORE_OK);
	index_use(index_find(&files, "b", digest_of(1)), 9);
	index_expire(&files, 4);
	assert_null(index_find(&files, "a", digest_of(2)));
	assert_null(index_find(&files, "b", digest_of(3)));
	assert_non_null(index_find(&files, "b", digest_of(1)));
	assert_non_null(index_find(&files, "a", digest_of(4)));
	assert_int_equal(files.expired, 2);
	index_expire(&files, UINT64_MAX);
	assert_null(files.owners);
	assert_int_equal(files.files, 0);
}

/* Many steps at random: the sums are those of the entries, and no bound is exceeded. */
static void
test_sums(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	unsigned seed = 1;

	(void)state;
	for (int step = 0; step < 100000; step++) {
		const char *name;
		int number;
		uint64_t blocks, sum = 0, count = 0;

		seed = seed * 1103515245 + 12345;
		name = names[(seed >> 16) % 3];
		number = (int)((seed >> 8) % 40);
		blocks = 1 + (seed >> 20) % 30;
		if (index_find(&files, name, digest_of(number)) != NULL)
			index_drop(&files, index_find(&files, name, digest_of(number)));
		else
			assert_int_equal(add(name, number, blocks, 45, (uint64_t)step), STORE_OK);
		if (step % 100 != 0)
			continue;
		for (struct index_owner *owner = files.owners; owner != NULL; owner = owner->next) {
			uint64_t of_owner = 0;

			for (struct index_entry *entry = owner->oldest; entry != NULL; entry = entry->newer) {
				of_owner += index_charge(entry->size);
				count++;
			}
			assert_int_equal(owner->bytes, of_owner);
			assert_true(of_owner <= 45 * INDEX_BLOCK);
			sum += of_owner;
		}
		assert_int_equal(files.bytes, sum);
		assert_int_equal(files.files, count);
		assert_true(sum <= files.most);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_charge, begin, end),
		cmocka_unit_test_setup_teardown(test_keys_are_apart, begin, end),
		cmocka_unit_test_setup_teardown(test_quota_of_a_key, begin, end),
		cmocka_unit_test_setup_teardown(test_bound_of_all, begin, end),
		cmocka_unit_test_setup_teardown(test_reservations, begin, end),
		cmocka_unit_test_setup_teardown(test_expiry, begin, end),
		cmocka_unit_test_setup_teardown(test_sums, begin, end),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
