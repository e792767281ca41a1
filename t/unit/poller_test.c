/* poller_test.c - kernel/poller.c: events reach the watch that they are for, or nobody. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "kernel/poller.h"

static struct poller poller;
static struct watch *watches; /* of the test that runs */
static int calls[3];

static int
set_up(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		calls[i] = 0;
	return poller_open(&poller);
}

static int
tear_down(void **state)
{
	(void)state;
	return close(poller.epoll_fd);
}

/* A descriptor that can be read: the read end of a pipe whose other end is closed. */
static int
readable_fd(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[1]);
	return fds[0];
}

/* One that cannot. *other: its other end. */
static int
quiet_fd(int *other)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*other = fds[1];
	return fds[0];
}

static void
count(void *context, struct watch *watch, uint32_t events)
{
	assert_ptr_equal(context, &calls);
	assert_true(events != 0);
	calls[watch - watches]++;
	poller_close(&poller, watch);
}

static void
calls_the_watch_that_is_ready(void **state)
{
	struct watch two[2];
	int other;

	(void)state;
	watches = two;
	assert_int_equal(poller_add(&poller, &two[0], quiet_fd(&other), EPOLLIN, count), 0);
	assert_int_equal(poller_add(&poller, &two[1], readable_fd(), EPOLLIN, count), 0);
	assert_int_equal(poller_turn(&poller, -1, &calls), 0);
	assert_int_equal(calls[0], 0);
	assert_int_equal(calls[1], 1);
	assert_int_equal(two[1].fd, -1);
	poller_close(&poller, &two[0]);
	close(other);
}

/* Closes the other one of two, whose event comes in the same turn. */
static void
close_the_other(void *context, struct watch *watch, uint32_t events)
{
	(void)context;
	(void)events;
	calls[watch - watches]++;
	poller_close(&poller, &watches[1 - (watch - watches)]);
}

static void
a_closed_watch_gets_no_event_of_the_turn(void **state)
{
	struct watch two[2];

	(void)state;
	watches = two;
	for (int i = 0; i < 2; i++)
		assert_int_equal(poller_add(&poller, &two[i], readable_fd(), EPOLLIN, close_the_other), 0);
	assert_int_equal(poller_turn(&poller, -1, &calls), 0);
	assert_int_equal(calls[0] + calls[1], 1);
	for (int i = 0; i < 2; i++)
		poller_close(&poller, &two[i]);
}

static int quiet_end;

/* Puts a new descriptor in the place of the other one's. */
static void
replace_the_other(void *context, struct watch *watch, uint32_t events)
{
	struct watch *other = &watches[1 - (watch - watches)];

	(void)context;
	(void)events;
	calls[watch - watches]++;
	poller_close(&poller, other);
	assert_int_equal(poller_add(&poller, other, quiet_fd(&quiet_end), EPOLLIN, replace_the_other), 0);
}

static void
a_stale_event_does_not_reach_the_descriptor_that_came_in_its_place(void **state)
{
	struct watch two[2];

	(void)state;
	watches = two;
	for (int i = 0; i < 2; i++)
		assert_int_equal(poller_add(&poller, &two[i], readable_fd(), EPOLLIN, replace_the_other), 0);
	assert_int_equal(poller_turn(&poller, -1, &calls), 0);
	assert_int_equal(calls[0] + calls[1], 1);
	for (int i = 0; i < 2; i++)
		poller_close(&poller, &two[i]);
	close(quiet_end);
}

static void
a_released_descriptor_is_the_callers(void **state)
{
	struct watch one;
	int other, fd = quiet_fd(&other);

	(void)state;
	watches = &one;
	assert_int_equal(poller_add(&poller, &one, fd, EPOLLIN, count), 0);
	assert_int_equal(poller_release(&poller, &one), fd);
	assert_int_equal(one.fd, -1);
	assert_int_equal(write(other, "x", 1), 1);
	assert_int_equal(poller_turn(&poller, 0, &calls), 0);
	assert_int_equal(calls[0], 0);
	close(fd);
	close(other);
}

static void
a_descriptor_that_cannot_be_watched_stays_the_callers(void **state)
{
	struct watch one = { .fd = -1 };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(poller_add(&poller, &one, fd, EPOLLIN, count), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(one.fd, -1);
	assert_int_equal(close(fd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(calls_the_watch_that_is_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_watch_gets_no_event_of_the_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stale_event_does_not_reach_the_descriptor_that_came_in_its_place, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(a_released_descriptor_is_the_callers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_descriptor_that_cannot_be_watched_stays_the_callers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
