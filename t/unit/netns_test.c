/* netns_test.c - kernel/netns.c: whether sockets are left in a network namespace. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/netns.h"
#include "missing.h"

static void
sockets_are_seen_until_they_are_closed(void **state)
{
	int pair[2], listener;

	(void)state;
	if (missing(unshare(CLONE_NEWNET) != 0, "a network namespace"))
		return;
	if (missing(netns_has_unix_sockets() < 0, "CONFIG_UNIX_DIAG"))
		return;
	assert_int_equal(netns_has_unix_sockets(), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(netns_has_unix_sockets(), 1);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(netns_has_unix_sockets(), 0);
	listener = netns_listen_abstract(-1, "a name");
	assert_true(listener >= 0);
	assert_int_equal(netns_has_unix_sockets(), 1);
	close(listener);
	assert_int_equal(netns_has_unix_sockets(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_are_seen_until_they_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
