/*
 * spawn_load.c - programs started and ended per second, and the time for each, to compare Cellblock
 * with.
 *
 *     spawn_load CLIENTS RUNS EXPECT PROGRAM [ARGUMENT]...
 *
 * Each client is a thread that starts PROGRAM, reads its stdout to the end and waits for it, again
 * and again. A run has failed unless its output has the text EXPECT and its exit status is 0.
 * Prints one JSON object, with the CPU time and page faults of a run and of all processes that it
 * has waited for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "log.h"

#define OUTPUT_MAX 65536

enum { CPU, FAULTS };

static const char *expected;
static char **program;

static void *
make_buffer(void)
{
	char *text = malloc(OUTPUT_MAX);

	if (text == NULL)
		die("out of memory");
	return text;
}

/*
 * Start the program with stdout going to `out`. posix_spawn, because a fork would copy our page
 * tables.
 */
static pid_t
start_program(int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	error = posix_spawn(&pid, program[0], &actions, NULL, program, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		die("start %s: %s", program[0], strerror(error));
	return pid;
}

static double
milliseconds(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static bool
run_once(struct load_client *client)
{
	char *text = client->state;
	size_t size = 0;
	ssize_t n;
	struct rusage usage;
	int out[2], status;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	pid = start_program(out[1]);
	close(out[1]);
	while (size < OUTPUT_MAX - 1 && (n = read(out[0], text + size, OUTPUT_MAX - 1 - size)) > 0)
		size += (size_t)n;
	text[size] = '\0';
	close(out[0]);
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait: %s", strerror(errno));
	client->figure[CPU] = milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
	client->figure[FAULTS] = (double)(usage.ru_minflt + usage.ru_majflt);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && strstr(text, expected) != NULL;
}

int
main(int argc, char **argv)
{
	static const struct load load = { .open = make_buffer,
		.run = run_once,
		.close = free,
		.figures = { [CPU] = "cpu_ms", [FAULTS] = "page_faults" } };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	log_open("spawn_load");
	if (argc < 5)
		die("usage: spawn_load CLIENTS RUNS EXPECT PROGRAM [ARGUMENT]...");
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		die("open /dev/null: %s", strerror(errno));
	expected = argv[3];
	program = argv + 4;
	return load_main(&load, load_number(argv[1], "CLIENTS"), load_number(argv[2], "RUNS"));
}
