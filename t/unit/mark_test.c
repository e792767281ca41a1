/* mark_test.c - a marked call works as syscall(2) does, and leaves no mark behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "mark.h"

#define BELOW 4096 /* bytes of the stack that the call may have used */

static void
test_result(void **state)
{
	(void)state;
	assert_int_equal(mark_syscall(SYS_getpid, 0, 0, 0, 0, 0), getpid());
	errno = 0;
	assert_int_equal(mark_syscall(SYS_close, -1, 0, 0, 0, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void __attribute__((noinline)) call(void)
{
	mark_syscall(SYS_getpid, 0, 0, 0, 0, 0);
	mark_syscall(SYS_close, -1, 1, 2, 3, 4);
}

/* How often the mark is on the stack below this function, in what an earlier call has left. */
static int __attribute__((noinline, no_sanitize_address)) count_below(void)
{
	volatile uint64_t *frame = __builtin_frame_address(0);
	int count = 0;

	for (size_t i = 1; i < BELOW / sizeof *frame; i++)
		count += frame[-(ptrdiff_t)i] == ZYGOTE_MARK;
	return count;
}

static void
test_nothing_is_left(void **state)
{
	(void)state;
	call();
	assert_int_equal(count_below(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
