/* zygote.c - see zygote.h. Runs in a zygote, and in each guest until it has joined its cell. */
#define _GNU_SOURCE
#include "guest/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "guest/guest.h"
#include "mark.h"
#include "process_title.h"
#include "proto.h"

#define IMPORTS_BYTES_MAX (1u << 20)
#define EXIT_NO_TID 126 /* libc keeps the thread id where the kernel does not know */

struct zygote_setup zygote_setup;
bool zygote_is_launcher;
struct walls zygote_walls = { .setup = &zygote_setup, .listener_fd = -1, .place_fd = -1, .box_fd = -1 };

/* ---- the setup ----------------------------------------------------------------------------------- */

/* Read the next `size` bytes. All zygotes share the file position, so this one keeps its own. */
static int
read_next(void *to, size_t size)
{
	static off_t offset;

	while (size > 0) {
		ssize_t n = pread(ZYGOTE_SETUP_FD, to, size, offset);

		if (n <= 0)
			return -1;
		offset += n;
		to = (char *)to + n;
		size -= (size_t)n;
	}
	return 0;
}

static int
read_filter(struct sock_fprog *filter, uint32_t count)
{
	size_t size = count * sizeof(struct sock_filter);

	if (count == 0 || count > BPF_MAXINSNS || (filter->filter = malloc(size)) == NULL)
		return -1;
	filter->len = (unsigned short)count;
	return read_next(filter->filter, size);
}

int
zygote_read_setup(char **imports)
{
	struct zygote_setup *setup = &zygote_setup;
	bool good = read_next(setup, sizeof *setup) == 0 && setup->magic == ZYGOTE_SETUP_MAGIC &&
	    setup->imports_bytes <= IMPORTS_BYTES_MAX && read_filter(&zygote_walls.base_filter, setup->base_count) == 0 &&
	    read_filter(&zygote_walls.last_filter, setup->last_count) == 0;

	setup->language[sizeof setup->language - 1] = '\0';
	setup->main_file[sizeof setup->main_file - 1] = '\0';
	*imports = good ? malloc(setup->imports_bytes + 1u) : NULL;
	good = *imports != NULL && read_next(*imports, setup->imports_bytes) == 0;
	close(ZYGOTE_SETUP_FD);
	return good ? 0 : -1;
}

int
zygote_begin(char **imports)
{
	if (zygote_read_setup(imports) != 0)
		return -1;
	process_title_set("zygote %s", zygote_setup.language);
	return 0;
}

/* log.c is for processes that are ours alone: in an interpreter its names would be in the way. */
void
zygote_warn(int log_fd, const char *text)
{
	char time_text[32], line[512];
	struct timespec now;
	struct tm utc;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
	n = snprintf(line, sizeof line, "%s.%03ldZ cellblock-runner[%ld] warning: %s: %s", time_text, now.tv_nsec / 1000000,
	    (long)getpid(), zygote_setup.language, text);
	if (n >= (int)sizeof line)
		n = (int)sizeof line - 1;
	/* One line, whatever the text. */
	for (int i = 0; i < n; i++) {
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	}
	line[n] = '\n';
	if (write(log_fd, line, (size_t)n + 1) < 0)
		return;
}

/* ---- walls and report ---------------------------------------------------------------------------- */

const char *
zygote_wall_in(bool has_threads)
{
	zygote_walls.has_threads = has_threads;
	return walls_around_zygote(&zygote_walls);
}

void
zygote_report(int error, const char *version, const char *text)
{
	struct zygote_report message = { .error = error };
	int *listener_fd = &zygote_walls.listener_fd;

	snprintf(message.version, sizeof message.version, "%s", version);
	snprintf(message.text, sizeof message.text, "%s", text);
	fdpass_send(ZYGOTE_REQUESTS_FD, &message, sizeof message, listener_fd, *listener_fd < 0 ? 0 : 1);
	/* Its holder answers for denied system calls. No guest may inherit it. */
	fdpass_close(listener_fd, 1);
}

void
zygote_report_failure(const char *version, const char *step)
{
	int error = errno != 0 ? errno : EPROTO;
	char text[sizeof((struct zygote_report *)NULL)->text];

	snprintf(text, sizeof text, "%s: %s", step, strerror(error));
	zygote_report(error, version, text);
}

/* ---- guests -------------------------------------------------------------------------------------- */

/*
 * Fork a guest that is a sibling of this process: its parent is the broker, which reaps it and gets
 * its resource usage. The system call bypasses libc, so the kernel writes the child's thread id to
 * the address where libc keeps it.
 */
static pid_t
fork_guest(int *tid_address, int cgroup_fd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.child_tid = (uint64_t)(uintptr_t)tid_address,
	};

	/*
	 * A container's filter knows only clone(2). Architectures differ in which of its last two
	 * arguments is the address; the other is not used.
	 */
	if (zygote_setup.level == LEVEL_CHROOT)
		return (
		    pid_t)mark_syscall(SYS_clone, (long)args.flags, 0, 0, MARK_ADDRESS(tid_address), MARK_ADDRESS(tid_address));
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)mark_syscall(SYS_clone3, MARK_ADDRESS(&args), sizeof args, 0, 0, 0);
}

static bool
is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* clone(2) cannot fork into a control group. There a guest joins by a file, as in version 1. */
static void
replace_by_procs(int *cgroup_fd)
{
	int fd = openat(*cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	close(*cgroup_fd);
	*cgroup_fd = fd;
}

/* The descriptors of a guest_request, by purpose. */
struct request_fds {
	int place_fd, control_fd;
	const int *namespace_fds;
	int *cgroup_fds;
	size_t cgroup_count;
	int born_in_fd; /* a control group of version 2; -1: none */
};

/*
 * Descriptors `fds` of `request`. A directory is a control group of version 2, a file one of
 * version 1.
 */
static struct request_fds
sort_fds(const struct guest_request *request, int *fds, size_t count)
{
	struct request_fds sorted = { .place_fd = fds[0],
		.control_fd = fds[1],
		.namespace_fds = fds + 2,
		.cgroup_fds = fds + 2 + request->namespaces,
		.cgroup_count = count - 2 - request->namespaces,
		.born_in_fd = -1 };

	if (sorted.cgroup_count != 1 || !is_directory(sorted.cgroup_fds[0]))
		return sorted;
	if (zygote_setup.level == LEVEL_NAMESPACES) {
		sorted.born_in_fd = sorted.cgroup_fds[0];
		sorted.cgroup_count = 0;
	} else {
		replace_by_procs(&sorted.cgroup_fds[0]);
	}
	return sorted;
}

/* In the guest: take its name, and join its cell. */
static void
become_guest(const struct guest_request *request, const struct request_fds *fds)
{
	struct walls *walls = &zygote_walls;
	const char *failed;

	/* A program of an interpreter has the names that it has anywhere. */
	if (zygote_is_launcher)
		process_title_set("guest %u", (unsigned)request->cell);
	else
		process_title_restore();
	guest_begin(walls, fds->control_fd);
	guest_rehearses = request->rehearses != 0;
	walls->request = request;
	walls->place_fd = fds->place_fd;
	walls->namespace_fds = fds->namespace_fds;
	walls->cgroup_fds = fds->cgroup_fds;
	walls->cgroup_count = fds->cgroup_count;
	failed = walls_around_guest(walls);
	if (failed != NULL)
		guest_fail(failed);
}

void
zygote_make_guests(void)
{
	int *tid_address = NULL;

	if (mark_syscall(SYS_prctl, PR_GET_TID_ADDRESS, MARK_ADDRESS(&tid_address), 0, 0, 0) != 0 ||
	    *tid_address != (int)syscall(SYS_gettid))
		_exit(EXIT_NO_TID);
	for (;;) {
		struct guest_request request;
		int fds[GUEST_REQUEST_FDS];
		struct request_fds sorted;
		size_t count;
		pid_t pid;

		if (fdpass_recv(ZYGOTE_REQUESTS_FD, &request, sizeof request, fds, GUEST_REQUEST_FDS, &count, NULL) !=
		        (ssize_t)sizeof request ||
		    count < 2 || count - 2 < request.namespaces)
			_exit(0);
		sorted = sort_fds(&request, fds, count);
		if (zygote_setup.level == LEVEL_NAMESPACES &&
		    mark_syscall(SYS_setns, request.namespaces > 0 ? sorted.namespace_fds[0] : sorted.place_fd, CLONE_NEWPID, 0,
		        0, 0) != 0) {
			guest_report_failure(sorted.control_fd, "join the cell's pid namespace");
		} else if ((pid = fork_guest(tid_address, sorted.born_in_fd)) < 0) {
			guest_report_failure(sorted.control_fd, "fork a guest");
		} else if (pid == 0) {
			become_guest(&request, &sorted);
			fdpass_close(fds + 2, count - 2);
			return;
		}
		fdpass_close(fds, count);
	}
}
