/* idmap.c - see idmap.h. Runs at the start. */
#define _GNU_SOURCE
#include "start/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/fork_into.h"
#include "start/host.h"

#define SUBUID_FILE "/etc/subuid"
#define SUBGID_FILE "/etc/subgid"

/* ---- finding the ids ------------------------------------------------------------------------- */

/* Find a program on the PATH. Returns 0, or -1 if there is none. */
static int
find_program(const char *name, char *path, size_t size)
{
	const char *directories = getenv("PATH");

	for (const char *at = directories == NULL ? "/usr/bin:/bin" : directories; *at != '\0';) {
		size_t length = strcspn(at, ":");

		if (at[0] == '/' && snprintf(path, size, "%.*s/%s", (int)length, at, name) < (int)size && access(path, X_OK) == 0)
			return 0;
		at += length + (at[length] == ':');
	}
	return -1;
}

/*
 * Find the user's first range of at least `count` ids in a file of lines "NAME:FIRST:COUNT", where
 * NAME is a name or a number; see subuid(5). Returns 0, or -1 with a text in `error`. Slot 1 gets
 * the second half of the range if that is enough.
 */
static int
find_range(const char *file, const struct passwd *user, uint32_t count, uint32_t slot, uint32_t *first, char *error, size_t size)
{
	FILE *ranges = fopen(file, "re");
	unsigned long at, length, longest = 0;
	char line[512], name[256], number[16];
	bool found = false;

	if (ranges == NULL) {
		snprintf(error, size, "%s: %s", file, strerror(errno));
		return -1;
	}
	snprintf(number, sizeof number, "%u", (unsigned)user->pw_uid);
	while (!found && fgets(line, sizeof line, ranges) != NULL) {
		if (sscanf(line, "%255[^:]:%lu:%lu", name, &at, &length) != 3 ||
		    (strcmp(name, user->pw_name) != 0 && strcmp(name, number) != 0))
			continue;
		longest = length > longest ? length : longest;
		/* The highest number means no id. */
		found = length >= count && at > 0 && at < UINT32_MAX - count;
		*first = (uint32_t)(slot > 0 && length / 2 >= count ? at + length / 2 : at);
	}
	fclose(ranges);
	if (!found && longest == 0)
		snprintf(error, size, "%s gives no ids to \"%s\"", file, user->pw_name);
	else if (!found)
		snprintf(error, size, "%s gives \"%s\" %lu ids in a row, and %u cells want one each", file, user->pw_name,
		    longest, count);
	return found ? 0 : -1;
}

/* Find the ids of an ordinary user's cells. Returns 0, or -1 with a text in ids->detail. */
static int
find_delegated(struct idmap *ids, uint32_t count, uint32_t slot)
{
	const struct passwd *user = getpwuid(ids->owner);
	char *why = ids->detail;

	if (user == NULL || user->pw_gid != ids->group) {
		snprintf(why, IDMAP_TEXT_SIZE,
		    user == NULL ? "uid %u has no account, and newuidmap needs one" :
		                   "newuidmap accepts only the group of uid %u's account",
		    (unsigned)ids->owner);
		return -1;
	}
	if (find_range(SUBUID_FILE, user, count, slot, &ids->first_uid, why, IDMAP_TEXT_SIZE) != 0 ||
	    find_range(SUBGID_FILE, user, count, slot, &ids->first_gid, why, IDMAP_TEXT_SIZE) != 0)
		return -1;
	if (find_program("newuidmap", ids->uid_helper, sizeof ids->uid_helper) != 0 ||
	    find_program("newgidmap", ids->gid_helper, sizeof ids->gid_helper) != 0) {
		snprintf(why, IDMAP_TEXT_SIZE, "newuidmap and newgidmap are not installed (Debian: uidmap)");
		return -1;
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0) {
		snprintf(why, IDMAP_TEXT_SIZE, "the runner was started with no_new_privs, under which newuidmap has no power");
		return -1;
	}
	return 0;
}

/* Map the ids for a child that does nothing. Returns 0, or -1 with a text in `error`. */
static int
try_out(const struct idmap *ids, char *error, size_t size)
{
	int hold[2], result;
	char byte;
	pid_t pid;

	if (pipe2(hold, O_CLOEXEC) != 0 || (pid = fork_into(CLONE_NEWUSER)) < 0) {
		snprintf(error, size, "make a user namespace: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) != 0);
	}
	close(hold[0]);
	result = idmap_map(ids, pid, error, size);
	close(hold[1]);
	waitpid(pid, NULL, 0);
	return result;
}

void
idmap_find(struct idmap *ids, const struct config *config, uint32_t slot)
{
	bool root = geteuid() == 0;
	char error[IDMAP_TEXT_SIZE];

	*ids = (struct idmap){ .owner = root ? (uid_t)config->first_uid : geteuid(),
		.group = root ? config->first_uid : getegid() };
	if (root) {
		ids->first_uid = ids->first_gid = config->first_uid + 1;
	} else if (config->uid_per_cell == LAYER_OFF) {
		snprintf(ids->detail, sizeof ids->detail, "switched off");
		return;
	} else if (find_delegated(ids, config->cells, slot) != 0) {
		return;
	}
	ids->count = config->cells;
	if (!root && try_out(ids, error, sizeof error) != 0) {
		ids->count = 0;
		snprintf(ids->detail, sizeof ids->detail, "%s", error);
		return;
	}
	snprintf(ids->detail, sizeof ids->detail, "%u to %u on the host%s", ids->first_uid, ids->first_uid + ids->count - 1,
	    root ? "" : ", by newuidmap");
}

/* ---- mapping the ids ------------------------------------------------------------------------- */

static int
write_map(pid_t pid, const char *file, const char *text, char *error, size_t size)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		snprintf(error, size, "write \"%s\" to %s: %s", text, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/*
 * Write a map by newuidmap or newgidmap. Returns 0, or -1 with the error message of the program in
 * `error`.
 */
static int
run_helper(const char *helper, pid_t pid, uint32_t own, uint32_t first, uint32_t count, char *error, size_t size)
{
	char target[16], own_text[16], first_text[16], count_text[16];
	char *argv[] = { (char *)helper, target, (char *)"0", own_text, (char *)"1", (char *)"1", first_text, count_text, NULL };
	char *env[] = { NULL };
	char text[160] = "";
	int complaints[2], status = -1;
	size_t length = 0;
	ssize_t n;
	pid_t child;

	snprintf(target, sizeof target, "%ld", (long)pid);
	snprintf(own_text, sizeof own_text, "%u", own);
	snprintf(first_text, sizeof first_text, "%u", first);
	snprintf(count_text, sizeof count_text, "%u", count);
	if (pipe2(complaints, O_CLOEXEC) != 0 || (child = fork()) < 0) {
		snprintf(error, size, "start %s: %s", helper, strerror(errno));
		return -1;
	}
	if (child == 0) {
		dup2(complaints[1], STDERR_FILENO);
		execve(helper, argv, env);
		dprintf(STDERR_FILENO, "%s: %s", helper, strerror(errno));
		_exit(127);
	}
	close(complaints[1]);
	while ((n = read(complaints[0], text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)n;
	text[strcspn(text, "\n")] = '\0';
	waitpid(child, &status, 0);
	close(complaints[0]);
	if (status == 0)
		return 0;
	snprintf(error, size, "%s", text[0] != '\0' ? text : "newuidmap or newgidmap failed without a message");
	return -1;
}

int
idmap_map(const struct idmap *ids, pid_t pid, char *error, size_t size)
{
	char uids[64], gids[64];

	if (ids->uid_helper[0] != '\0' && ids->count > 0)
		return run_helper(ids->uid_helper, pid, ids->owner, ids->first_uid, ids->count, error, size) != 0 ?
		    -1 :
		    run_helper(ids->gid_helper, pid, ids->group, ids->first_gid, ids->count, error, size);
	/* The ids of cells follow the runner's own. */
	snprintf(uids, sizeof uids, "0 %u %u", (unsigned)ids->owner, ids->count + 1);
	snprintf(gids, sizeof gids, "0 %u %u", (unsigned)ids->group, ids->count + 1);
	/*
	 * Without root, the kernel lets a process map its group only if setgroups(2), which could
	 * drop groups, is denied.
	 */
	if (geteuid() != 0 && write_map(pid, "setgroups", "deny", error, size) != 0)
		return -1;
	return write_map(pid, "uid_map", uids, error, size) != 0 ? -1 : write_map(pid, "gid_map", gids, error, size);
}
