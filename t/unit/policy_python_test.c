/*
 * policy_python_test.c - whole Python programs (policy_guest.py) behind the shipped policy, loaded
 * into the kernel.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "behind_filters.h"
#include "mark.h"
#include "missing.h"
#include "policy.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define PYTHON "/usr/bin/python3"

static char script[512];

static int
find_script(void **state)
{
	const char *srcdir = getenv("srcdir");

	(void)state;
	snprintf(script, sizeof script, "%s/t/unit/policy_guest.py", srcdir != NULL ? srcdir : ".");
	return 0;
}

static int
memfd_of(const struct bpf *bpf)
{
	size_t size = bpf->count * sizeof bpf->code[0];
	int fd = memfd_create("filter", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bpf->code, size), size);
	return fd;
}

/* In a child: Python loads the filters itself, because they would not let it start. */
static void
exec_python(const struct policy *policy, unsigned grant, int tell_fd, int go_fd)
{
	const long values[] = { SYS_seccomp, (long)ZYGOTE_MARK, memfd_of(&policy->base[grant]), memfd_of(&policy->last), tell_fd,
		go_fd, grant };
	char text[LENGTH(values)][24];
	char *argv[LENGTH(values) + 4] = { (char *)PYTHON, (char *)"-I", script };

	for (size_t i = 0; i < LENGTH(values); i++) {
		snprintf(text[i], sizeof text[i], "%ld", values[i]);
		argv[3 + i] = text[i];
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		execv(PYTHON, argv);
	behind_filters_end(STATUS_NO_FILTER);
}

static void
run_python(unsigned grant)
{
	struct policy *policy;
	int tell[2], go[2], number, listener_fd, pid_fd;
	pid_t pid;

	if (missing(access(PYTHON, X_OK) != 0, "there is no " PYTHON))
		return;
	policy = behind_filters_load("python3");
	assert_int_equal(pipe(tell) | pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(tell[0]);
		close(go[1]);
		exec_python(policy, grant, tell[1], go[0]);
	}
	close(tell[1]);
	close(go[0]);
	assert_int_equal(read(tell[0], &number, sizeof number), sizeof number);
	pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener_fd = (int)syscall(SYS_pidfd_getfd, pid_fd, number, 0);
	assert_true(listener_fd >= 0);
	assert_int_equal(write(go[1], "", 1), 1);
	behind_filters_refuse_all(listener_fd, pid, EPERM);
	close(listener_fd);
	close(pid_fd);
	close(tell[0]);
	close(go[1]);
	policy_free(policy);
	assert_int_equal(behind_filters_wait(pid), 0);
}

static void
test_python(void **state)
{
	(void)state;
	run_python(0);
}

static void
test_python_with_processes(void **state)
{
	(void)state;
	run_python(GRANT_PROCESSES);
}

static void
test_python_with_network(void **state)
{
	(void)state;
	run_python(GRANT_NETWORK);
}

static void
test_python_with_both(void **state)
{
	(void)state;
	run_python(GRANT_PROCESSES | GRANT_NETWORK);
}

static void
test_python_with_loopback(void **state)
{
	(void)state;
	run_python(GRANT_LOOPBACK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_python_with_processes),
		cmocka_unit_test(test_python_with_network),
		cmocka_unit_test(test_python_with_both),
		cmocka_unit_test(test_python_with_loopback),
	};

	return cmocka_run_group_tests_name("policy_python", tests, find_script, NULL);
}
