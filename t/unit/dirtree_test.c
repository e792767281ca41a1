/* dirtree_test.c - directories with arbitrary contents that a program has made. */
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

#define DEEP 3000 /* nested directories: deeper than any path can be long */

static char base[] = "/tmp/folder-test-XXXXXX";
static int base_fd;

static int
make_base(void **state)
{
	(void)state;
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 || mkdirat(base_fd, "box", 0755) != 0 ? -1 : 0;
}

static int
remove_base(void **state)
{
	(void)state;
	close(base_fd);
	return rmdir(base);
}

static void
make_file(int dir_fd, const char *name, off_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int
open_box(void)
{
	int fd = openat(base_fd, "box", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A directory beside the box, with a file, and all kinds of links in the box that lead there. */
static void
fill(int box)
{
	assert_int_equal(mkdirat(base_fd, "outside", 0755), 0);
	make_file(base_fd, "outside/kept", 1);
	assert_int_equal(symlinkat("../outside", box, "link"), 0);
	assert_int_equal(symlinkat("/nowhere", box, "broken"), 0);
	assert_int_equal(mkfifoat(box, "fifo", 0), 0);
	make_file(box, "file", 12345);
	assert_int_equal(linkat(box, "file", box, "hard", 0), 0);
	assert_int_equal(mkdirat(box, "shut", 0700), 0);
	assert_int_equal(symlinkat("../../outside", box, "shut/link"), 0);
	make_file(box, "shut/in", 1);
	assert_int_equal(mkdirat(box, "shut/below", 0), 0);
	assert_int_equal(fchmodat(box, "shut", 0, 0), 0);
	/* Names that directories get when they are moved. */
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		if (i % 2 == 0)
			make_file(box, name, 0);
		else
			assert_int_equal(mkdirat(box, name, 0700), 0);
	}
}

static void
go_deep(int box)
{
	int at = dup(box), next;

	for (int i = 0; i < DEEP; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	make_file(at, "end", 0);
	close(at);
}

static void
empties_everything(void **state)
{
	int box = open_box();
	struct stat st;

	(void)state;
	fill(box);
	go_deep(box);
	assert_int_equal(fchmod(box, 0), 0);
	close(box);
	assert_int_equal(dirtree_empty(base_fd, "box"), 0);
	assert_int_equal(fstatat(base_fd, "box", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(unlinkat(base_fd, "box", AT_REMOVEDIR), 0);
	/* The targets of links still exist. */
	assert_int_equal(fstatat(base_fd, "outside/kept", &st, 0), 0);
	assert_int_equal(dirtree_remove(base_fd, "outside"), 0);
	assert_int_equal(dirtree_remove(base_fd, "outside"), 0);
	assert_int_equal(mkdirat(base_fd, "box", 0755), 0);
}

static void
takes_no_link_for_a_folder(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(symlinkat("box", base_fd, "link"), 0);
	make_file(base_fd, "box/kept", 1);
	assert_int_equal(dirtree_empty(base_fd, "link"), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(dirtree_remove(base_fd, "link"), -1);
	assert_int_equal(fstatat(base_fd, "box/kept", &st, 0), 0);
	assert_int_equal(unlinkat(base_fd, "link", 0), 0);
	assert_int_equal(dirtree_empty(base_fd, "box"), 0);
}

static void
measures(void **state)
{
	struct dirtree_size size = { 0 };
	int box = open_box();

	(void)state;
	make_file(box, "sparse", 1 << 30);
	assert_int_equal(mkdirat(box, "folder", 0700), 0);
	make_file(box, "folder/small", 5);
	assert_int_equal(symlinkat("/usr", box, "link"), 0);
	dirtree_measure(base_fd, "box", 100, &size);
	assert_int_equal(size.entries, 4);
	assert_int_equal(size.largest, 1 << 30);
	assert_true(size.bytes < 1 << 20);
	/* It ends. */
	size = (struct dirtree_size){ 0 };
	dirtree_measure(base_fd, "box", 2, &size);
	assert_int_equal(size.entries, 2);
	go_deep(box);
	size = (struct dirtree_size){ 0 };
	dirtree_measure(base_fd, "box", 100000, &size);
	assert_int_equal(size.entries, 100000);
	close(box);
	assert_int_equal(dirtree_remove(base_fd, "box"), 0);
	size = (struct dirtree_size){ 0 };
	dirtree_measure(base_fd, "box", 100, &size);
	assert_int_equal(size.entries, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empties_everything),
		cmocka_unit_test(takes_no_link_for_a_folder),
		cmocka_unit_test(measures),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
