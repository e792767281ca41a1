/*
 * tree_stock_test.c - the stock of trees: the owner of a tree, its content; stamps of an image.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/dirtree.h"
#include "warden/tree_stamp.h"
#include "warden/tree_stock.h"

static char base[] = "/tmp/stock-test-XXXXXX";
static int base_fd;

static int
make_base(void **state)
{
	(void)state;
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 ? -1 : 0;
}

static int
remove_base(void **state)
{
	(void)state;
	close(base_fd);
	return dirtree_remove(AT_FDCWD, base);
}

/* A stock with two trees, each with /usr and what an earlier language left. */
static int
make_stock(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char path[64];

		snprintf(path, sizeof path, "%u", i);
		if (mkdirat(base_fd, path, 0755) != 0)
			return -1;
		snprintf(path, sizeof path, "%u/usr", i);
		if (mkdirat(base_fd, path, 0755) != 0)
			return -1;
		snprintf(path, sizeof path, "%u/etc", i);
		if (mkdirat(base_fd, path, 0755) != 0)
			return -1;
		snprintf(path, sizeof path, "%u/etc/passwd", i);
		close(openat(base_fd, path, O_CREAT | O_CLOEXEC, 0644));
		snprintf(path, sizeof path, "%u/link", i);
		if (symlinkat("/etc", base_fd, path) != 0)
			return -1;
	}
	return 0;
}

static int
remove_stock(void **state)
{
	(void)state;
	return dirtree_remove(base_fd, "0") != 0 || dirtree_remove(base_fd, "1") != 0;
}

static void
a_tree_has_one_owner(void **state)
{
	uint32_t first, second, third;
	int one, two;

	(void)state;
	one = tree_stock_take(base_fd, &first);
	two = tree_stock_take(base_fd, &second);
	assert_true(one >= 0 && two >= 0);
	assert_int_equal(first, 0);
	assert_int_equal(second, 1);
	assert_int_equal(tree_stock_take(base_fd, &third), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(tree_stock_open_tree(base_fd, 0, true), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(one);
	one = tree_stock_take(base_fd, &first);
	assert_true(one >= 0);
	assert_int_equal(first, 0);
	close(one);
	close(two);
}

/* A reaper has a copy of the warden's descriptor. */
static void
a_copy_of_the_descriptor_keeps_it(void **state)
{
	uint32_t number;
	int one, copy;

	(void)state;
	one = tree_stock_take(base_fd, &number);
	copy = fcntl(one, F_DUPFD_CLOEXEC, 0);
	close(one);
	assert_int_equal(tree_stock_open_tree(base_fd, number, true), -1);
	close(copy);
	one = tree_stock_open_tree(base_fd, number, true);
	assert_true(one >= 0);
	close(one);
}

static void
a_tree_that_is_taken_has_usr_alone(void **state)
{
	uint32_t number;
	int fd = tree_stock_take(base_fd, &number);

	(void)state;
	assert_int_equal(faccessat(fd, "usr", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "etc", F_OK, 0), -1);
	assert_int_equal(faccessat(fd, "link", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	close(fd);
	/* Nobody else's is touched. */
	assert_int_equal(faccessat(base_fd, "1/etc/passwd", F_OK, 0), 0);
}

static void
make_stamp(const char *path, enum tree_stamp_kind kind)
{
	struct tree_stamp stamp;
	struct stat st;

	assert_int_equal(tree_stamp_begin(&stamp, base_fd, "stamp", kind), 0);
	assert_int_equal(stat(path, &st), 0);
	tree_stamp_add(&stamp, path, &st);
	assert_int_equal(tree_stamp_finish(&stamp), 0);
}

/* The files of an image have other inodes where it is used, and times of whole seconds. */
static void
a_stamp_of_an_image_holds_elsewhere(void **state)
{
	const struct timespec built[2] = { { .tv_sec = 1000, .tv_nsec = 999999999 }, { .tv_sec = 1000, .tv_nsec = 999999999 } },
	                      used[2] = { { .tv_sec = 2000 }, { .tv_sec = 1000 } },
	                      changed[2] = { { .tv_sec = 1000 }, { .tv_sec = 1001 } };
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s/directory", base);
	assert_int_equal(mkdir(path, 0755), 0);
	for (enum tree_stamp_kind kind = STAMP_OF_HOST; kind <= STAMP_OF_IMAGE; kind++) {
		assert_int_equal(utimensat(AT_FDCWD, path, built, 0), 0);
		make_stamp(path, kind);
		assert_true(tree_stamp_holds(base_fd, "stamp", kind));
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(utimensat(AT_FDCWD, path, used, 0), 0);
		assert_int_equal(tree_stamp_holds(base_fd, "stamp", kind), kind == STAMP_OF_IMAGE);
		assert_int_equal(utimensat(AT_FDCWD, path, changed, 0), 0);
		assert_false(tree_stamp_holds(base_fd, "stamp", kind));
	}
	assert_int_equal(rmdir(path), 0);
	assert_false(tree_stamp_holds(base_fd, "stamp", STAMP_OF_IMAGE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_tree_has_one_owner, make_stock, remove_stock),
		cmocka_unit_test_setup_teardown(a_copy_of_the_descriptor_keeps_it, make_stock, remove_stock),
		cmocka_unit_test_setup_teardown(a_tree_that_is_taken_has_usr_alone, make_stock, remove_stock),
		cmocka_unit_test(a_stamp_of_an_image_holds_elsewhere),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
