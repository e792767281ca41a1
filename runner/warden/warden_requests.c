/* warden_requests.c - see warden_requests.h. Runs in a warden. */
#define _GNU_SOURCE
#include "warden/warden_requests.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "kernel/inherit_fds.h"
#include "log.h"

#define RECLAIM_NICE 10

size_t
warden_requests_wait(const struct warden_config *config, int sock, struct warden_request *request, int fds[REQUEST_FDS])
{
	size_t count;
	ssize_t n = fdpass_recv(sock, request, sizeof *request, fds, REQUEST_FDS, &count, NULL);

	if (n <= 0)
		_exit(0);
	if (n != (ssize_t)sizeof *request || request->cell >= config->cells || request->zygote >= config->zygotes)
		die("warden: a request that makes no sense");
	return count;
}

/*
 * A file of the language's root as it is now: a new one has another inode. A further hard link to
 * it changes its ctime only.
 */
static void
identify(int root_fd, const char *path, uint64_t file[3])
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	int fd = path == NULL ? -1 : (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		file[0] = st.st_dev;
		file[1] = st.st_ino;
		file[2] = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	}
	fdpass_close(&fd, 1);
}

void
warden_requests_identify(const struct warden_config *config, int root_fd, int answer_fd)
{
	struct warden_compiler compiler = { { { 0 } } };

	for (size_t i = 0; i < 2; i++)
		identify(root_fd, config->compiler[i], compiler.file[i]);
	fdpass_send(answer_fd, &compiler, sizeof compiler, NULL, 0);
}

/*
 * As much as can be had. What the kernel cannot reclaim stays charged, and the broker reads the
 * figure again.
 */
static void
reclaim(int file_fd, uint64_t bytes)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);

	if (pwrite(file_fd, text, (size_t)n, 0) < 0)
		return;
}

/*
 * In the child, which holds nothing else: not the warden's sockets, by which others notice its end.
 */
static void __attribute__((noreturn)) reclaim_and_exit(int answer_fd, int file_fd, uint64_t bytes)
{
	const int fds[] = { answer_fd, file_fd };
	const struct sched_param none = { 0 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || inherit_fds_only(fds, 2, true) != 0)
		_exit(1);
	/*
	 * The work is nobody's: the broker and the wardens, which share a group with it, go first.
	 */
	if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
		setpriority(PRIO_PROCESS, 0, RECLAIM_NICE);
	reclaim(INHERIT_FDS_FIRST + 1, bytes);
	_exit(0);
}

void
warden_requests_reclaim(int answer_fd, int file_fd, uint64_t bytes)
{
	pid_t pid = fork();

	if (pid == 0)
		reclaim_and_exit(answer_fd, file_fd, bytes);
	/* Without a child the warden has to wait itself. */
	if (pid < 0)
		reclaim(file_fd, bytes);
}
