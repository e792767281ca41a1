/* sealed_memfd_test.c - sealed memfds: all of the content is there, and nobody can change it. */
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
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sealed_memfd.h"

#define LARGE (3u << 20)

static void
refuses_every_change(int fd)
{
	char path[64];
	int again;

	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0), -1);
	/* A second open file description of it changes nothing. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		close(again);
	}
}

static void
holds_all_parts(void **state)
{
	char *large = malloc(LARGE), *found = malloc(LARGE);
	struct iovec iov[] = { { (void *)(uintptr_t) "abc", 3 }, { NULL, 0 }, { large, LARGE }, { (void *)(uintptr_t) "de", 2 } };
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(large);
	assert_non_null(found);
	memset(large, 7, LARGE);
	fd = sealed_memfd_make("test", SEALED_MEMFD_DATA, iov, 4);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, LARGE + 5);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(read(fd, found, 3), 3);
	assert_memory_equal(found, "abc", 3);
	assert_int_equal(read(fd, found, LARGE), LARGE);
	assert_memory_equal(found, large, LARGE);
	assert_int_equal(read(fd, found, 10), 2);
	assert_memory_equal(found, "de", 2);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	refuses_every_change(fd);
	close(fd);
	free(large);
	free(found);
}

static void
an_empty_one_is_sealed_too(void **state)
{
	struct stat st;
	int fd = sealed_memfd_make("test", SEALED_MEMFD_DATA, NULL, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	close(fd);
}

static void
a_program_can_be_executed(void **state)
{
	struct stat st;
	int fd = sealed_memfd_begin("test", SEALED_MEMFD_PROGRAM);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(sealed_memfd_finish(fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0111, 0111);
	refuses_every_change(fd);
	close(fd);
}

/* A write that fails half way is a failure of the whole, and leaves no descriptor. */
static void
a_failed_write_is_told(void **state)
{
	struct iovec iov[] = { { (void *)(uintptr_t) "abc", 3 }, { (void *)8, 4096 } };
	int before = dup(0), after;

	(void)state;
	close(before);
	assert_int_equal(sealed_memfd_make("test", SEALED_MEMFD_DATA, iov, 2), -1);
	assert_int_equal(errno, EFAULT);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_all_parts),
		cmocka_unit_test(an_empty_one_is_sealed_too),
		cmocka_unit_test(a_program_can_be_executed),
		cmocka_unit_test(a_failed_write_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
