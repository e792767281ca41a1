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
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "proto.h"

#define PROBE_LIMIT_S 30
#define ARGS_MAX 4 /* of an interpreter that reads a script */
#define TEXT_BYTES 256

/* A program that runs, and what it prints. */
struct probe {
	pid_t pid;
	FILE *answers;
	int error_fd; /* a memfd with its stderr; -1: that is among the answers */
};

/* Whether our uid may not search the directory, or execute the file, `path`. */
static bool
is_closed(const char *path)
{
	return access(path, X_OK) != 0 && errno == EACCES;
}

/*
 * In a child that has become the uid: write to `text` why the kernel does not let it execute
 * `path`: EACCES says only that some directory, or the file itself, denies it.
 */
static void
find_closed(const char *path, char *text, size_t size)
{
	char part[PATH_MAX];
	struct stat st;
	size_t length = 0;

	text[0] = '\0';
	while (path != NULL && path[length] != '\0') {
		length += strspn(path + length, "/");
		length += strcspn(path + length, "/");
		if (snprintf(part, sizeof part, "%.*s", (int)length, path) >= (int)sizeof part || !is_closed(part))
			continue;
		if (stat(part, &st) != 0)
			snprintf(text, size, ": %.300s cannot be reached", part);
		else
			snprintf(text, size, ": %.300s has the mode %04o and belongs to uid %u%s", part,
			    (unsigned)st.st_mode & 07777u, (unsigned)st.st_uid,
			    (st.st_mode & 0111u) == 0111u ? "; is it mounted noexec?" : "");
		return;
	}
}

/*
 * In a child: report on `report_fd` that `path`, which is `resolved` without links, cannot be
 * executed; and end.
 */
static void __attribute__((noreturn)) report(int report_fd, const char *path, const char *resolved)
{
	int error = errno;
	char closed[TEXT_BYTES * 2] = "", text[TEXT_BYTES * 4];

	if (error == EACCES) {
		find_closed(path, closed, sizeof closed);
		if (closed[0] == '\0')
			find_closed(resolved, closed, sizeof closed);
	} else if (error == ENOENT && access(path, F_OK) == 0) {
		snprintf(closed, sizeof closed, ": the file is there, but not the program or loader that it names");
	}
	snprintf(text, sizeof text, "cannot execute %s as uid %u: %s%s", path, (unsigned)getuid(), strerror(error), closed);
	_exit(write(report_fd, text, strlen(text)) < 0 ? 126 : 127);
}

/*
 * In a child: become `uid`, and run `argv` with these descriptors as stdin, stdout and stderr.
 * `report_fd` is closed when the program runs; else it gets a text that says why not.
 */
static void __attribute__((noreturn))
run(char *const *argv, const char *resolved, uid_t uid, int in_fd, int out_fd, int error_fd, int report_fd)
{
	char *env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", NULL };

	if ((uid == (uid_t)-1 || (setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0)) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && dup2(in_fd, STDIN_FILENO) >= 0 && dup2(out_fd, STDOUT_FILENO) >= 0 &&
	    dup2(error_fd, STDERR_FILENO) >= 0) {
		alarm(PROBE_LIMIT_S);
		execve(argv[0], argv, env);
	}
	report(report_fd, argv[0], resolved);
}

/*
 * Start `argv` as `uid`. Its stderr is among the answers, if `with_stderr`, or else kept apart.
 * Returns 0, or -1 with a text in `error`.
 */
static int
start(struct probe *probe, char *const *argv, uid_t uid, int in_fd, bool with_stderr, char *error, size_t size)
{
	int out[2] = { -1, -1 }, failed[2] = { -1, -1 };
	char *resolved = realpath(argv[0], NULL); /* with the rights of the start */
	ssize_t n;

	probe->pid = -1;
	probe->answers = NULL;
	probe->error_fd = with_stderr ? -1 : memfd_create("probe", MFD_CLOEXEC);
	if ((with_stderr || probe->error_fd >= 0) && pipe2(out, O_CLOEXEC) == 0 && pipe2(failed, O_CLOEXEC) == 0)
		probe->pid = fork();
	if (probe->pid == 0)
		run(argv, resolved != NULL ? resolved : argv[0], uid, in_fd, out[1], with_stderr ? out[1] : probe->error_fd,
		    failed[1]);
	if (probe->pid > 0)
		probe->answers = fdopen(out[0], "r");
	if (probe->answers == NULL)
		snprintf(error, size, "start %s: %s", argv[0], strerror(errno));
	free(resolved);
	fdpass_close(&out[1], 1);
	fdpass_close(&failed[1], 1);
	n = probe->answers == NULL ? 1 : read(failed[0], error, size - 1);
	fdpass_close(&failed[0], 1);
	if (n <= 0)
		return 0;
	if (probe->answers != NULL) {
		error[n] = '\0';
		fclose(probe->answers);
	} else {
		fdpass_close(&out[0], 1);
	}
	fdpass_close(&probe->error_fd, 1);
	if (probe->pid > 0)
		waitpid(probe->pid, NULL, 0);
	return -1;
}

/* Wait for the program. Returns its wait status. */
static int
finish(struct probe *probe)
{
	int status = -1;

	fclose(probe->answers);
	waitpid(probe->pid, &status, 0);
	return status;
}

/* How a program ended, in words: "" if well. */
static const char *
describe_end(int status, char text[TEXT_BYTES])
{
	text[0] = '\0';
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(text, TEXT_BYTES, "it did not end within %d s", PROBE_LIMIT_S);
	else if (WIFSIGNALED(status))
		snprintf(text, TEXT_BYTES, "it was killed by signal %d", WTERMSIG(status));
	else if (status != 0)
		snprintf(text, TEXT_BYTES, "it exited with code %d", WEXITSTATUS(status));
	return text;
}

/*
 * The line of what a program wrote to stderr that says most: the first one, or the last one of a
 * traceback. Closes the memfd.
 */
static const char *
first_error(struct probe *probe, char text[TEXT_BYTES])
{
	char all[4096], *line = all, *last;
	ssize_t n = pread(probe->error_fd, all, sizeof all - 1, 0);

	fdpass_close(&probe->error_fd, 1);
	all[n > 0 ? n : 0] = '\0';
	line += strspn(line, "\n");
	for (last = line + strlen(line); last > line && last[-1] == '\n';)
		*--last = '\0';
	last = strrchr(line, '\n');
	if (strncmp(line, "Traceback", 9) == 0 && last != NULL)
		line = last + 1;
	snprintf(text, TEXT_BYTES, "%.*s", (int)strcspn(line, "\n"), line);
	return text;
}

int
probe_interpreter(const char *interpreter, const char *const *args, const char *script, uid_t uid, struct rootfs *fs,
    char *version, char *error, size_t size)
{
	/* Open the script before the rights go: its directory may be private. */
	int script_fd = open(script, O_RDONLY | O_CLOEXEC), status;
	char line[4096], said[TEXT_BYTES], end[TEXT_BYTES];
	const char *name = script;
	char *argv[ARGS_MAX + 2] = { (char *)interpreter };
	struct probe probe;
	int result = 0;

	for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[1 + i] = (char *)args[i];
	if (script_fd < 0) {
		snprintf(error, size, "ask %s what it needs by %s: %s", interpreter, script, strerror(errno));
		return -1;
	}
	result = start(&probe, argv, uid, script_fd, false, error, size);
	close(script_fd);
	if (result != 0)
		return -1;
	version[0] = '\0';
	while (result == 0 && fgets(line, sizeof line, probe.answers) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "version ", 8) == 0)
			snprintf(version, PROTO_NAME_SIZE, "%.*s", PROTO_NAME_SIZE - 1, line + 8);
		else if (strncmp(line, "bind ", 5) == 0)
			result = rootfs_add(fs, line + 5, error, size);
	}
	status = finish(&probe);
	first_error(&probe, said);
	if (result == 0 && (status != 0 || version[0] == '\0')) {
		describe_end(status, end);
		for (const char *c = script; *c != '\0'; c++) {
			if (*c == '/')
				name = c + 1;
		}
		snprintf(error, size, "%s is no interpreter for this driver: running %s, %s%s%s", interpreter, name,
		    end[0] != '\0' ? end : "it does not say its version", said[0] != '\0' ? ": " : "", said);
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
	int status, null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char end[TEXT_BYTES];

	for (size_t i = 0; i < command->count; i++)
		argv[i] = command->item[i];
	if (null_fd < 0) {
		snprintf(error, size, "open /dev/null: %s", strerror(errno));
		return -1;
	}
	status = start(&probe, argv, uid, null_fd, true, error, size);
	close(null_fd);
	if (status != 0)
		return -1;
	n = fread(text, 1, sizeof text - 1, probe.answers);
	text[n] = '\0';
	/* Read the rest: a program whose output is cut off dies of SIGPIPE. */
	while (fgetc(probe.answers) != EOF)
		continue;
	status = finish(&probe);
	found = find_version(text, &length);
	if (status != 0 || found == NULL) {
		text[strcspn(text, "\n")] = '\0';
		describe_end(status, end);
		if (text[0] == '\0' && end[0] == '\0')
			snprintf(end, sizeof end, "it prints nothing");
		snprintf(error, size, "%s does not print its version: %s%s%.100s", argv[0], end,
		    end[0] != '\0' && text[0] != '\0' ? ": " : "", text);
		return -1;
	}
	snprintf(version, PROTO_NAME_SIZE, "%.*s", (int)length, found);
	return 0;
}
