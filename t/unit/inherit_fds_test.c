/*
 * inherit_fds_test.c - a child has the descriptors that it is meant to have, in their order, and no
 * other.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/inherit_fds.h"

#define MANY 20

/* A descriptor at `number` of a new file of `size` bytes: the size says later which file it is. */
static void
open_at(int number, int size)
{
	int fd = memfd_create("file", 0);

	if (fd < 0 || ftruncate(fd, size) != 0 || (fd != number && (dup2(fd, number) < 0 || close(fd) != 0)))
		_exit(99);
}

/* The size of the file at `number`, or -1 if nothing is open there. */
static int
at(int number)
{
	struct stat st;

	return fstat(number, &st) != 0 ? -1 : (int)st.st_size;
}

/* Run `child` in a child that has the files 3 to MANY - 1 open, each of the size of its number. */
static void
in_child(int (*child)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (int number = 3; number < MANY; number++)
			open_at(number, number);
		_exit(child());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			printf("# line %d: %s\n", __LINE__, #condition); \
			fflush(stdout); \
			return 1; \
		} \
	} while (0)

static int
only_listed(void)
{
	const int from[] = { 7, 12, 9 };

	MUST(inherit_fds_only(from, 3, false) == 0);
	MUST(at(3) == 7 && at(4) == 12 && at(5) == 9);
	for (int number = 6; number < 2 * MANY; number++)
		MUST(at(number) == -1);
	for (int number = 0; number < 3; number++)
		MUST(fcntl(number, F_GETFD) >= 0);
	for (int number = 3; number < 6; number++)
		MUST(fcntl(number, F_GETFD) == 0);
	return 0;
}

/* Each stands where another is to go. */
static int
crossed(void)
{
	const int from[] = { 4, 5, 3, 6 };

	MUST(inherit_fds_only(from, 4, true) == 0);
	MUST(at(3) == 4 && at(4) == 5 && at(5) == 3 && at(6) == 6);
	MUST(at(7) == -1);
	for (int number = 3; number < 7; number++)
		MUST(fcntl(number, F_GETFD) == FD_CLOEXEC);
	return 0;
}

static int
one_twice(void)
{
	const int from[] = { 3, 3 };

	MUST(inherit_fds_only(from, 2, false) == 0);
	MUST(at(3) == 3 && at(4) == 3 && at(5) == -1);
	return 0;
}

static int
none(void)
{
	MUST(inherit_fds_only(NULL, 0, false) == 0);
	MUST(at(3) == -1 && at(MANY - 1) == -1);
	return 0;
}

/* Placing closes nothing but what stood at these numbers. */
static int
placed(void)
{
	const int from[] = { 11, 6 };

	MUST(inherit_fds_place(from, 2, 5, true) == 0);
	MUST(at(5) == 11 && at(6) == 6 && at(3) == 3 && at(11) == 11 && at(7) == 7);
	MUST(at(MANY) == -1);
	return 0;
}

static int
failures(void)
{
	const int closed[] = { 5, 77 }, many[INHERIT_FDS_MAX + 1] = { 3 };

	MUST(inherit_fds_place(closed, 2, 3, false) == -1 && errno == EBADF);
	MUST(at(3) == 3 && at(MANY) == -1);
	MUST(inherit_fds_only(closed, 2, false) == -1 && errno == EBADF);
	MUST(inherit_fds_only(many, INHERIT_FDS_MAX + 1, false) == -1 && errno == EINVAL);
	return 0;
}

static void
the_listed_ones_and_no_other(void **state)
{
	(void)state;
	in_child(only_listed);
}

static void
ones_that_stand_in_each_other_s_place(void **state)
{
	(void)state;
	in_child(crossed);
}

static void
one_descriptor_twice(void **state)
{
	(void)state;
	in_child(one_twice);
}

static void
an_empty_list(void **state)
{
	(void)state;
	in_child(none);
}

static void
placing_alone(void **state)
{
	(void)state;
	in_child(placed);
}

static void
failures_are_told(void **state)
{
	(void)state;
	in_child(failures);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_listed_ones_and_no_other),
		cmocka_unit_test(ones_that_stand_in_each_other_s_place),
		cmocka_unit_test(one_descriptor_twice),
		cmocka_unit_test(an_empty_list),
		cmocka_unit_test(placing_alone),
		cmocka_unit_test(failures_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
