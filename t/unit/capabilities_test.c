/*
 * capabilities_test.c - unit tests of common/capabilities.c. Each changes the capabilities of a
 * child process.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capabilities.h"
#include "missing.h"

#define TWO (CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_KILL))
#define NOT_FOUND UINT64_C(0xbad)

/* A set of this process: CapPrm, CapEff, CapInh, CapBnd or CapAmb of proc(5). */
static uint64_t
set_of(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t set = NOT_FOUND;
	char line[256];

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), ": %" SCNx64, &set);
	}
	if (file != NULL)
		fclose(file);
	return set;
}

static bool
holds(uint64_t set, uint64_t bounding_set)
{
	return set_of("CapPrm") == set && set_of("CapEff") == set && set_of("CapInh") == 0 && set_of("CapAmb") == 0 &&
	    set_of("CapBnd") == bounding_set;
}

static bool
keeps_two(void)
{
	return capabilities_keep(TWO) == 0 && holds(TWO, TWO);
}

static bool
keeps_none(void)
{
	return capabilities_keep(0) == 0 && holds(0, 0);
}

/* Without CAP_SETPCAP the bounding set cannot change. */
static bool
is_denied_without_setpcap(void)
{
	uint64_t bounding_set = set_of("CapBnd");

	return capabilities_set(TWO) == 0 && holds(TWO, bounding_set) && capabilities_keep(0) == -1 && errno == EPERM &&
	    set_of("CapBnd") == bounding_set;
}

static bool
is_denied_what_it_lacks(void)
{
	return capabilities_keep(CAPABILITY(CAP_CHOWN)) == 0 && capabilities_set(TWO) == -1 && errno == EPERM &&
	    holds(CAPABILITY(CAP_CHOWN), CAPABILITY(CAP_CHOWN));
}

/* The bounding set is empty already, so no right is needed. */
static bool
bounds_again(void)
{
	return capabilities_keep(0) == 0 && capabilities_bound(0) == 0 && capabilities_keep(0) == 0;
}

/*
 * Run a test in a child with all capabilities, of a user namespace if need be. Exit status 2: it
 * gets none.
 */
static void
in_child(bool (*is_right)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
			_exit(2);
		_exit(is_right() ? 0 : 1);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (missing(WEXITSTATUS(status) == 2, "no user namespace to be had"))
		return;
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_keep(void **state)
{
	(void)state;
	in_child(keeps_two);
	in_child(keeps_none);
	in_child(bounds_again);
}

static void
test_denied(void **state)
{
	(void)state;
	in_child(is_denied_without_setpcap);
	in_child(is_denied_what_it_lacks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_denied),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
