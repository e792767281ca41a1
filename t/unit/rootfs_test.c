/* rootfs_test.c - the list of a root: what covers what, and that no allocation goes unchecked. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "start/rootfs.h"

static char error[256];
static unsigned allocations, failing; /* the number of the one that fails; 0: none */

char *__real_strdup(const char *text);
void *__real_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_realloc(void *memory, size_t size);

char *
__wrap_strdup(const char *text)
{
	errno = ENOMEM;
	return ++allocations == failing ? NULL : __real_strdup(text);
}

void *
__wrap_realloc(void *memory, size_t size)
{
	errno = ENOMEM;
	return ++allocations == failing ? NULL : __real_realloc(memory, size);
}

static const struct rootfs_entry *
find(const struct rootfs *fs, const char *path)
{
	for (size_t i = 0; i < fs->count; i++) {
		if (strcmp(fs->entry[i].path, path) == 0)
			return &fs->entry[i];
	}
	return NULL;
}

/* One call of each kind. Returns 0, or -1 if one of them failed. */
static int
add_all(struct rootfs *fs)
{
	return rootfs_init(fs, error, sizeof error) != 0 || rootfs_add(fs, "/usr/bin/env", error, sizeof error) != 0 ||
	        rootfs_add(fs, "/etc/passwd", error, sizeof error) != 0 ||
	        rootfs_add_at(fs, "/usr/lib/at", "/etc/group", error, sizeof error) != 0 ||
	        rootfs_add_link(fs, "/where", "/etc", error, sizeof error) != 0 ||
	        rootfs_add_text(fs, "/etc/hosts", "127.0.0.1 localhost\n", error, sizeof error) != 0 ||
	        rootfs_add(fs, "/usr/bin", error, sizeof error) != 0 || rootfs_add(fs, "/usr", error, sizeof error) != 0 ?
	    -1 :
	    0;
}

static void
a_directory_covers_all_below_it(void **state)
{
	struct rootfs fs;

	(void)state;
	failing = 0;
	assert_int_equal(add_all(&fs), 0);
	assert_non_null(find(&fs, "/usr"));
	assert_true(find(&fs, "/usr")->is_dir);
	assert_null(find(&fs, "/usr/bin"));
	assert_null(find(&fs, "/usr/bin/env"));
	assert_null(find(&fs, "/usr/lib/at"));
	assert_non_null(find(&fs, "/etc/passwd"));
	assert_string_equal(find(&fs, "/etc/hosts")->target, "127.0.0.1 localhost\n");
	assert_string_equal(find(&fs, "/where")->target, "/etc");
	assert_int_equal(rootfs_add_at(&fs, "/usr/at", "/etc/group", error, sizeof error), 0);
	assert_null(find(&fs, "/usr/at"));
	assert_int_equal(rootfs_add_at(&fs, "/opt/at", "/etc/group", error, sizeof error), 0);
	assert_string_equal(find(&fs, "/opt/at")->source, "/etc/group");
	assert_int_equal(rootfs_add(&fs, "/no/such/path", error, sizeof error), -1);
	assert_non_null(strstr(error, "/no/such/path"));
	assert_int_equal(rootfs_add(&fs, "relative", error, sizeof error), -1);
	rootfs_free(&fs);
}

/* Whichever allocation fails, the call says so, and the list has no entry with a piece missing. */
static void
no_memory_is_told(void **state)
{
	struct rootfs fs;
	unsigned count;

	(void)state;
	failing = allocations = 0;
	assert_int_equal(add_all(&fs), 0);
	rootfs_free(&fs);
	count = allocations;
	assert_true(count > 20);
	for (unsigned n = 1; n <= count; n++) {
		allocations = 0;
		failing = n;
		error[0] = '\0';
		assert_int_equal(add_all(&fs), -1);
		assert_non_null(strstr(error, "Cannot allocate memory"));
		for (size_t i = 0; i < fs.count; i++) {
			const struct rootfs_entry *entry = &fs.entry[i];

			assert_non_null(entry->path);
			assert_true(entry->target != NULL || (entry->kind != ROOTFS_LINK && entry->kind != ROOTFS_TEXT));
			assert_true(entry->source != NULL || strcmp(entry->path, "/usr/lib/at") != 0);
		}
		rootfs_free(&fs);
	}
	failing = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_covers_all_below_it),
		cmocka_unit_test(no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
