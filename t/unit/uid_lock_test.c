/* uid_lock_test.c - two runners cannot hold the same uid. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "start/uid_lock.h"

static char directory[] = "/tmp/uid_lock_test-XXXXXX";
static char path[64];
static char error[256];

static int
make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/uids", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static int
take(uint32_t first, uint32_t count)
{
	return uid_lock_take(path, first, count, 0, error, sizeof error);
}

static void
ranges_that_overlap(void **state)
{
	int one = take(2000000, 33), other;

	(void)state;
	assert_true(one >= 0);
	assert_int_equal(fcntl(one, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(take(2000000, 33), -1);
	assert_non_null(strstr(error, "2000000 to 2000032"));
	assert_int_equal(take(2000032, 1), -1);
	assert_int_equal(take(1999990, 11), -1);
	assert_int_equal(take(1000000, 3000000), -1);
	other = take(2000033, 5);
	assert_true(other >= 0);
	close(other);
	other = take(1999990, 10);
	assert_true(other >= 0);
	close(other);
	close(one);
	other = take(2000000, 33);
	assert_true(other >= 0);
	close(other);
}

static void
the_highest_uids(void **state)
{
	int fd = take(4000000000u, 8193);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(take(4000008192u, 1), -1);
	close(fd);
}

/* The lock is the descriptor's, whichever process holds it, and waits for its end. */
static void
the_last_holder(void **state)
{
	int fd = take(70000, 10), gate[2], other;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		close(gate[1]);
		_exit(read(gate[0], &byte, 1) != 0);
	}
	close(gate[0]);
	close(fd);
	assert_int_equal(take(70005, 1), -1);
	close(gate[1]);
	other = uid_lock_take(path, 70005, 1, 5000, error, sizeof error);
	assert_true(other >= 0);
	close(other);
	waitpid(pid, NULL, 0);
}

static void
no_such_file(void **state)
{
	(void)state;
	assert_int_equal(uid_lock_take("/no/such/directory/uids", 70000, 1, 0, error, sizeof error), -2);
	assert_non_null(strstr(error, "No such file"));
	assert_int_equal(uid_lock_take(directory, 70000, 1, 0, error, sizeof error), -2);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(take(70000, 1), -2);
	assert_non_null(strstr(error, "not a file"));
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(take(70000, 1), -2);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_that_overlap),
		cmocka_unit_test(the_highest_uids),
		cmocka_unit_test(the_last_holder),
		cmocka_unit_test(no_such_file),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
