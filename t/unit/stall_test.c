/*
 * stall_test.c - what a run has waited for a processor, from a directory with the files of a /proc.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/stall.h"
#include "clock.h"

#define GUEST 7
#define S 1000000u /* in us */

static char proc[] = "/tmp/stall_test_XXXXXX";

/* ---- the files -------------------------------------------------------------------------------------------------- */

static void
write_file(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof full, "%s/%s", proc, path);
	file = fopen(full, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void
make_directory(const char *path)
{
	char full[256];

	snprintf(full, sizeof full, "%s/%s", proc, path);
	mkdir(full, 0755);
}

/* A thread that ran and waited for so many seconds, and its children. */
static void
add_thread(int process, int thread, unsigned ran, unsigned waited, const char *children)
{
	char path[128], text[128];

	snprintf(path, sizeof path, "%d", process);
	make_directory(path);
	snprintf(path, sizeof path, "%d/task", process);
	make_directory(path);
	snprintf(path, sizeof path, "%d/task/%d", process, thread);
	make_directory(path);
	snprintf(path, sizeof path, "%d/task/%d/schedstat", process, thread);
	snprintf(text, sizeof text, "%u000000000 %u000000000 12\n", ran, waited);
	write_file(path, text);
	snprintf(path, sizeof path, "%d/task/%d/children", process, thread);
	write_file(path, children);
}

/* The guest was made so many seconds ago. */
static void
set_age(unsigned seconds)
{
	long ticks = sysconf(_SC_CLK_TCK);
	struct timespec now;
	char text[512];

	clock_gettime(CLOCK_BOOTTIME, &now);
	snprintf(text, sizeof text, "%d (a) S 1 (b)) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %lld 20 21\n", GUEST,
	    ((long long)now.tv_sec - (long long)seconds) * ticks);
	write_file("7/stat", text);
}

static int
begin(void **state)
{
	(void)state;
	snprintf(proc, sizeof proc, "/tmp/stall_test_XXXXXX");
	assert_non_null(mkdtemp(proc));
	return 0;
}

static int
end(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", proc);
	return system(command); /* NOLINT(cert-env33-c): the name is ours */
}

/* The busiest thread of a guest that was armed so many seconds ago, which took so many. */
static struct busiest
find(unsigned armed, unsigned arming, uint64_t processes)
{
	struct cell cell = { .guest_pid = GUEST,
		.limits = { .processes = processes },
		.armed_us = clock_us() - (uint64_t)armed * S,
		.arming_us = (uint64_t)arming * S };
	struct broker *broker = calloc(1, sizeof *broker);
	struct busiest busiest;

	assert_non_null(broker);
	broker->tasks_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	busiest = stall_find_busiest(broker, &cell);
	close(broker->tasks_fd);
	free(broker);
	return busiest;
}

static uint64_t
busiest_us(unsigned armed, unsigned arming, uint64_t processes)
{
	return find(armed, arming, processes).us;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void
test_threads(void **state)
{
	(void)state;
	add_thread(GUEST, GUEST, 1, 2, "");
	add_thread(GUEST, 8, 3, 4, "");
	add_thread(GUEST, 9, 5, 0, "");
	set_age(10);
	assert_int_equal(busiest_us(10, 0, 1), 7 * S);
}

/* The busiest thread alone decides whether the run may be waiting. */
static void
test_state(void **state)
{
	(void)state;
	add_thread(GUEST, GUEST, 1, 2, "");
	add_thread(GUEST, 8, 3, 4, "");
	set_age(10);
	assert_false(find(10, 0, 1).is_runnable);
	write_file("7/task/7/stat", "7 (a) R 1");
	write_file("7/task/8/stat", "8 (R) R) S 1");
	assert_false(find(10, 0, 1).is_runnable);
	write_file("7/task/8/stat", "8 (a) S 1) R 1");
	assert_true(find(10, 0, 1).is_runnable);
}

/* Only if the run may have some. Theirs may have more, and all of that ends. */
static void
test_children(void **state)
{
	(void)state;
	add_thread(GUEST, GUEST, 1, 0, "8 9 ");
	add_thread(8, 8, 2, 0, "");
	add_thread(9, 9, 1, 1, "10 11 ");
	add_thread(10, 10, 3, 3, "8 9 10 11 ");
	set_age(10);
	assert_int_equal(busiest_us(10, 0, 1), 1 * S);
	assert_int_equal(busiest_us(10, 0, 64), 6 * S);
}

/* The time of a guest before its run came is none of the run's, and no longer than its arming. */
static void
test_before(void **state)
{
	(void)state;
	add_thread(GUEST, GUEST, 5, 4, "");
	set_age(10);
	assert_in_range(busiest_us(8, 5, 1), 6 * S, 7 * S); /* made 2 s before it was armed, up to a second more */
	assert_int_equal(busiest_us(8, 1, 1), 8 * S);
	assert_int_equal(busiest_us(0, 9, 1), 0);
}

/* No more than so many, whatever there is. */
static void
test_bound(void **state)
{
	(void)state;
	for (int i = 0; i < 3 * STALL_THREADS; i++)
		add_thread(GUEST, GUEST + i, 1, 0, "100 100 100 100 100 100 100 100 100 100 100 100 ");
	set_age(10);
	assert_int_equal(busiest_us(10, 0, 64), 1 * S);
}

static void
test_unknown(void **state)
{
	struct broker *broker = calloc(1, sizeof *broker);
	struct cell cell = { .guest_pid = GUEST };

	(void)state;
	assert_non_null(broker);
	assert_int_equal(busiest_us(10, 0, 1), 0);
	make_directory("7");
	write_file("7/stat", "7 (");
	assert_int_equal(busiest_us(10, 0, 1), 0);
	write_file("7/stat", "7 (a) R 1 2");
	assert_int_equal(busiest_us(10, 0, 1), 0);
	set_age(10);
	assert_int_equal(busiest_us(10, 0, 1), 0);
	broker->tasks_fd = -1;
	assert_int_equal(stall_find_busiest(broker, &cell).us, 0);
	free(broker);
}

static void
test_own_fault(void **state)
{
	(void)state;
	/* One thread that had a fourth of a processor, and one that had all it wanted. */
	assert_int_equal(stall_of(4 * S, 1 * S, 100), 3 * S);
	assert_int_equal(stall_of(1 * S, 1 * S, 100), 0);
	/* Eight threads on one processor: each waits for the others. */
	assert_int_equal(stall_of(4 * S, 4 * S, 400), 0);
	/* A thread whose share is the half of a processor; the same with others there. */
	assert_int_equal(stall_of(4 * S, 2 * S, 50), 0);
	assert_int_equal(stall_of(4 * S, 1 * S, 50), 2 * S);
	assert_int_equal(stall_of(4 * S, 2 * S, 0), 2 * S);
	assert_int_equal(stall_of(1 * S, 2 * S, 200), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, begin, end),
		cmocka_unit_test_setup_teardown(test_state, begin, end),
		cmocka_unit_test_setup_teardown(test_children, begin, end),
		cmocka_unit_test_setup_teardown(test_before, begin, end),
		cmocka_unit_test_setup_teardown(test_bound, begin, end),
		cmocka_unit_test_setup_teardown(test_unknown, begin, end),
		cmocka_unit_test(test_own_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
