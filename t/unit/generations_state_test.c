/* generations_state_test.c - a parent's state survives its way through the environment. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "generations.h"
#include "generations_state.h"

/* In a child, since the function closes descriptors. Returns the exit status of `check`. */
static int
in_child(int (*check)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(check());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
save_and_load(void)
{
	int listen_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 20), report_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 30);
	int stray = fcntl(STDERR_FILENO, F_DUPFD, 25), high = fcntl(STDERR_FILENO, F_DUPFD, 40);
	struct parent before = { .path = strdup("/opt/a b/bin/program"),
		.listen_fd = listen_fd,
		.last = 7,
		.current = 6,
		.current_slot = 1,
		.current_count = 2,
		.current_ready = true,
		.ever_ready = true };
	struct parent after;

	for (unsigned i = 0; i < 40; i++)
		generations_state_add(&before,
		    &(struct process){ .pid = (pid_t)(100 + i),
		        .report_fd = i == 0 ? report_fd : -1,
		        .generation = 6,
		        .slot = 1,
		        .state = PROCESS_SERVING,
		        .started_us = UINT64_C(123456789012) + i,
		        .kill_us = UINT64_MAX,
		        .has_moved = i % 2 == 0,
		        .told_alone = i % 3 == 0 });
	if (generations_state_save(&before) != 0 || !generations_continue())
		return 1;
	/* execve(2) leaves them open. */
	if (fcntl(listen_fd, F_GETFD) != 0 || fcntl(report_fd, F_GETFD) != 0)
		return 2;
	generations_state_load(&after);
	if (generations_continue() || strcmp(after.path, before.path) != 0 || after.listen_fd != listen_fd || after.last != 7 ||
	    after.current != 6 || after.current_slot != 1 || after.current_count != 2 || !after.current_ready ||
	    !after.ever_ready || after.count != 40)
		return 3;
	for (unsigned i = 0; i < 40; i++) {
		if (memcmp(&after.process[i].pid, &before.process[i].pid, sizeof(pid_t)) != 0 ||
		    after.process[i].report_fd != before.process[i].report_fd ||
		    after.process[i].started_us != before.process[i].started_us || after.process[i].kill_us != UINT64_MAX ||
		    after.process[i].state != PROCESS_SERVING || after.process[i].slot != 1 ||
		    after.process[i].has_moved != (i % 2 == 0) || after.process[i].told_alone != (i % 3 == 0))
			return 4;
	}
	/*
	 * Its own descriptors are closed by the next execve(2) again, and all others are closed
	 * now.
	 */
	if (fcntl(listen_fd, F_GETFD) != FD_CLOEXEC || fcntl(report_fd, F_GETFD) != FD_CLOEXEC)
		return 5;
	return fcntl(stray, F_GETFD) == -1 && fcntl(high, F_GETFD) == -1 ? 0 : 6;
}

static void
a_state_survives(void **state)
{
	(void)state;
	assert_int_equal(in_child(save_and_load), 0);
}

static int
listen_on_stdin(void)
{
	struct parent parent = { .path = strdup("/bin/program"), .listen_fd = 0 }, after;

	if (generations_state_save(&parent) != 0)
		return 1;
	generations_state_load(&after);
	return after.listen_fd == 0 && fcntl(0, F_GETFD) == 0 ? 0 : 2;
}

/* Processes of a generation get descriptor 0 as it is, so it stays open. */
static void
standard_input_stays(void **state)
{
	(void)state;
	assert_int_equal(in_child(listen_on_stdin), 0);
}

static const char *text;

static int
load_text(void)
{
	struct parent parent;

	setenv(GENERATIONS_STATE, text, 1);
	generations_state_load(&parent);
	return (int)parent.count + 10;
}

static void
later_versions_and_others(void **state)
{
	static const char *const bad[] = { "", "rubbish", "2 5 1 1 0 1 1 1 /a", "1 5 1 1 0 1 1\n",
		"1 5 1 1 0 1 1 1 /a\n7 rubbish\n", "1 5 1 1 0 1 1 1 /a\n1 -1 1 0 1 0 0\n",
		"1 5 1 1 0 1 1 1 /a\n77 -1 1 0 9 0 0\n" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		text = bad[i];
		assert_int_equal(in_child(load_text), 1);
	}
	text = "1 -1 1 1 0 1 1 1 /a\n77 -1 1 0 1 5 6 more words\nx a line of a later version\n";
	assert_int_equal(in_child(load_text), 11);
}

static int
load_older(void)
{
	struct parent parent;

	setenv(GENERATIONS_STATE, "1 -1 1 1 0 1 1 1 /a\n77 -1 1 0 1 5 6\n", 1);
	generations_state_load(&parent);
	return parent.count == 1 && !parent.process[0].has_moved && parent.process[0].told_alone ? 0 : 1;
}

/* A signal that an older process does not know would end it. */
static void
older_processes_are_not_told(void **state)
{
	(void)state;
	assert_int_equal(in_child(load_older), 0);
}

static void
formats(void **state)
{
	(void)state;
	assert_true(generations_can_continue("1"));
	assert_false(generations_can_continue("2"));
	assert_false(generations_can_continue(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_survives),
		cmocka_unit_test(standard_input_stays),
		cmocka_unit_test(later_versions_and_others),
		cmocka_unit_test(older_processes_are_not_told),
		cmocka_unit_test(formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
