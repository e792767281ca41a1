/*
 * probe.c - see probe.h. Runs at the start, with its rights; the programs that it starts run
 * without them.
 */
#define _GNU_SOURCE
#include "start/probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "proto.h"

#define PROBE_LIMIT_S 30
#define ARGS_MAX 4 /* of an interpreter that reads a script */

/* A program that runs, and its output. */
struct probe {
	pid_t pid;
	FILE *answers;
};

/*
 * In a child: become `uid`, and run `argv` with this stdin, and its stdout (and stderr, if
 * `with_stderr`) on `out_fd`.
 */
static void
run(char *const *argv, uid_t uid, int in_fd, int out_fd, bool with_stderr)
{
	char *env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", NULL };

	if (uid != (uid_t)-1 && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
		die("cannot become uid %u to ask %s for its version: %s", (unsigned)uid, argv[0], strerror(errno));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 || (with_stderr && dup2(out_fd, STDERR_FILENO) < 0))
		_exit(127);
	alarm(PROBE_LIMIT_S);
	execve(argv[0], argv, env);
	_exit(127);
}

static int
start(struct probe *probe, char *const *argv, uid_t uid, int in_fd, bool with_stderr)
{
	int out[2];

	if (pipe2(out, O_CLOEXEC) != 0)
		return -1;
	probe->pid = fork();
	if (probe->pid == 0)
		run(argv, uid, in_fd, out[1], with_stderr);
	close(out[1]);
	probe->answers = probe->pid < 0 ? NULL : fdopen(out[0], "r");
	if (probe->answers == NULL)
		close(out[0]);
	return probe->answers == NULL ? -1 : 0;
}

/* Wait for the program. Returns whether it exited with 0. */
static bool
finish(struct probe *probe)
{
	int status = -1;

	fclose(probe->answers);
	waitpid(probe->pid, &status, 0);
	return status == 0;
}

int
probe_interpreter(const char *interpreter, const char *const *args, const char *script, uid_t uid, struct rootfs *fs,
    char *version, char *error, size_t size)
{
	/* Open the script before the rights go: its directory may be private. */
	int script_fd = open(script, O_RDONLY | O_CLOEXEC);
	char line[4096];
	char *argv[ARGS_MAX + 2] = { (char *)interpreter };
	struct probe probe;
	int result = 0;
	bool ended_well;

	for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[1 + i] = (char *)args[i];
	if (script_fd < 0 || start(&probe, argv, uid, script_fd, false) != 0) {
		snprintf(error, size, "ask %s what it needs by %s: %s", interpreter, script, strerror(errno));
		if (script_fd >= 0)
			close(script_fd);
		return -1;
	}
	close(script_fd);
	version[0] = '\0';
	while (result == 0 && fgets(line, sizeof line, probe.answers) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "version ", 8) == 0)
			snprintf(version, PROTO_NAME_SIZE, "%.*s", PROTO_NAME_SIZE - 1, line + 8);
		else if (strncmp(line, "bind ", 5) == 0)
			result = rootfs_add(fs, line + 5, error, size);
	}
	ended_well = finish(&probe);
	if (result == 0 && (!ended_well || version[0] == '\0')) {
		snprintf(error, size, "%s did not say what it needs (is it the language's own?)", interpreter);
		return -1;
	}
	return result;
}

/* Returns the first "1.2" or "1.2.3" of `text`, or else its first number, or NULL. */
static const char *
find_version(const char *text, size_t *length)
{
	const char *number = NULL;

	*length = 0;
	for (const char *c = text; *c != '\0'; c++) {
		size_t n = strspn(c, "0123456789.");

		if (!isdigit((unsigned char)*c))
			continue;
		while (n > 0 && c[n - 1] == '.')
			n--;
		if (memchr(c, '.', n) != NULL) {
			*length = n;
			return c;
		}
		if (number == NULL) {
			number = c;
			*length = n;
		}
		c += n - 1;
	}
	return number;
}

int
probe_version(const struct strings *command, uid_t uid, char *version, char *error, size_t size)
{
	char *argv[CONFIG_MAX_WORDS + 1] = { NULL };
	char text[4096];
	struct probe probe;
	const char *found;
	size_t length, n;
	bool ended_well;
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < command->count; i++)
		argv[i] = command->item[i];
	if (null_fd < 0 || start(&probe, argv, uid, null_fd, true) != 0) {
		snprintf(error, size, "ask %s for its version: %s", argv[0], strerror(errno));
		if (null_fd >= 0)
			close(null_fd);
		return -1;
	}
	close(null_fd);
	n = fread(text, 1, sizeof text - 1, probe.answers);
	text[n] = '\0';
	/* Read the rest: a program whose output is cut off dies of SIGPIPE. */
	while (fgetc(probe.answers) != EOF)
		continue;
	ended_well = finish(&probe);
	found = find_version(text, &length);
	if (!ended_well || found == NULL) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(error, size, "%s does not print its version: %.100s", argv[0], text);
		return -1;
	}
	snprintf(version, PROTO_NAME_SIZE, "%.*s", (int)length, found);
	return 0;
}
