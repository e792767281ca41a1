/* policy_directory.c - see policy_directory.h. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy_directory.h"

char policy_directory[POLICY_DIRECTORY_SIZE] = "/tmp/policy_test.XXXXXX";
char policy_path[POLICY_DIRECTORY_SIZE + 16], policy_other_path[POLICY_DIRECTORY_SIZE + 16];
char policy_shipped[512];

int
policy_directory_make(void **state)
{
	const char *srcdir = getenv("srcdir");

	(void)state;
	assert_non_null(mkdtemp(policy_directory));
	snprintf(policy_path, sizeof policy_path, "%s/p.conf", policy_directory);
	snprintf(policy_other_path, sizeof policy_other_path, "%s/other.conf", policy_directory);
	snprintf(policy_shipped, sizeof policy_shipped, "%s/etc/seccomp", srcdir != NULL ? srcdir : ".");
	return 0;
}

int
policy_directory_remove(void **state)
{
	(void)state;
	unlink(policy_path);
	unlink(policy_other_path);
	return rmdir(policy_directory);
}

void
policy_directory_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}
