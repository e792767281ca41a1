/*
 * guest.c - see guest.h. Runs in a guest from its fork until its program starts. By then all its
 * walls are up.
 */
#define _GNU_SOURCE
#include "guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "guest/attack.h"
#include "guest/hook.h"
#include "guest/job_files.h"
#include "kernel/inherit_fds.h"
#include "mark.h"

#define KEPT_FDS_MAX 19 /* an interpreter's, the job, the pack, and the compiler's output */

struct guest_start guest_start;
bool guest_has_interpreter;
bool guest_rehearses;

static struct walls *walls;
static int kept_fds[KEPT_FDS_MAX];
static size_t kept_count;
static int memory_fd = -1; /* of guest_share_memory, until it is sent */
static int pack_fd = -1;   /* of the run; -1: it has none */
static bool is_alone;      /* the interpreter was started in this guest: it shares no descriptor */
static bool has_last_filter;
static bool is_control_closed;

/* ---- reports ------------------------------------------------------------------------------------- */

static struct guest_report
failure_report(const char *step)
{
	struct guest_report report = { .error = errno != 0 ? errno : EPROTO };

	snprintf(report.step, sizeof report.step, "%s", step);
	return report;
}

void
guest_report_failure(int control_fd, const char *step)
{
	struct guest_report report = failure_report(step);

	fdpass_send(control_fd, &report, sizeof report, NULL, 0);
}

void
guest_fail(const char *step)
{
	if (!has_last_filter) {
		guest_report_failure(GUEST_CONTROL_FD, step);
	} else if (!is_control_closed) {
		struct guest_report report = failure_report(step);

		/*
		 * The last filter denies sendmsg(2). On this socket write(2) sends one message,
		 * too.
		 */
		signal(SIGPIPE, SIG_IGN);
		if (write(GUEST_CONTROL_FD, &report, sizeof report) < 0)
			_exit(GUEST_FAILED);
	}
	_exit(GUEST_FAILED);
}

struct guest_memory *
guest_share_memory(void)
{
	struct guest_memory *memory = MAP_FAILED;

	memory_fd = memfd_create("memory", MFD_CLOEXEC);
	if (memory_fd >= 0 && ftruncate(memory_fd, sizeof *memory) == 0)
		memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void
guest_report_ready(void)
{
	const struct guest_report report = { 0 };
	int fds[] = { walls->place_fd, walls->box_fd, memory_fd };
	size_t count = memory_fd >= 0 ? 3 : 2;

	fdpass_send(GUEST_CONTROL_FD, &report, sizeof report, fds, count);
	fdpass_close(fds, count);
	walls->place_fd = walls->box_fd = memory_fd = -1;
}

/* ---- descriptors --------------------------------------------------------------------------------- */

void
guest_begin(struct walls *of, int control_fd)
{
	walls = of;
	if (dup3(control_fd, GUEST_CONTROL_FD, O_CLOEXEC) < 0) {
		guest_report_failure(control_fd, "place the control socket");
		_exit(GUEST_FAILED);
	}
	close(control_fd);
}

int
guest_take_along(int setup_fd)
{
	/* In the order of hook.h. The originals are close-on-exec. */
	const int fds[] = { GUEST_CONTROL_FD, setup_fd, walls->place_fd, walls->box_fd };

	return inherit_fds_place(fds, sizeof fds / sizeof fds[0], GUEST_CONTROL_FD, false);
}

int
guest_resume(struct walls *of)
{
	walls = of;
	is_alone = true;
	walls->place_fd = HOOK_PLACE_FD;
	walls->box_fd = HOOK_BOX_FD;
	for (int fd = GUEST_CONTROL_FD; fd < HOOK_FDS_END; fd++) {
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			return -1;
	}
	return 0;
}

void
guest_keep_fd(int fd)
{
	size_t at = kept_count;

	if (fd == GUEST_CONTROL_FD || fd == walls->place_fd || fd == walls->box_fd)
		return;
	if (kept_count >= KEPT_FDS_MAX) {
		errno = EMFILE;
		guest_fail("keep the interpreter's descriptors");
	}
	for (; at > 0 && kept_fds[at - 1] > fd; at--)
		kept_fds[at] = kept_fds[at - 1];
	kept_fds[at] = fd;
	kept_count++;
}

void
guest_close_control(void)
{
	close(GUEST_CONTROL_FD);
	is_control_closed = true;
}

/* ---- the run ------------------------------------------------------------------------------------- */

int
guest_receive_run(void)
{
	const struct guest_start *start = &guest_start;
	int fds[RUN_FDS_MAX];
	size_t count;
	ssize_t n = fdpass_recv(GUEST_CONTROL_FD, &guest_start, sizeof guest_start, fds, RUN_FDS_MAX, &count, NULL);
	const char *failed;

	if (n == 0)
		_exit(0);
	if (n > 0)
		errno = EPROTO;
	if (n != (ssize_t)sizeof guest_start || start->has_stdin > 1 || start->has_output > 1 || start->has_pack > 1 ||
	    count != RUN_STDIN + start->has_stdin + start->has_output + start->has_pack)
		guest_fail("receive the run");
	walls->start = start;
	walls->run_fds = fds;
	walls->run_fd_count = count - start->has_pack;
	guest_keep_fd(fds[RUN_JOB]);
	if (start->has_pack != 0) {
		pack_fd = fds[count - 1];
		guest_keep_fd(pack_fd);
	}
	if (start->has_output != 0)
		guest_keep_fd(GUEST_OUTPUT_FD);
	walls->kept_fds = kept_fds;
	walls->kept_count = kept_count;
	walls->has_interpreter = guest_has_interpreter;
	failed = walls_around_run(walls);
	if (failed != NULL)
		guest_fail(failed);
	has_last_filter = true;
	if (start->attack != ATTACK_NONE) {
		guest_close_control();
		attack_carry_out(start->attack, kept_fds, kept_count, is_alone);
	}
	return fds[RUN_JOB];
}

/* The bytes in front of the files. */
static uint64_t
bytes_before_files(const struct job_header *head)
{
	return sizeof *head + (uint64_t)head->code_bytes + head->preload_bytes + head->args_bytes + head->env_bytes +
	    head->needs_bytes + head->main_bytes;
}

static bool
is_well_formed(const struct job_header *head, size_t size)
{
	return head->magic == JOB_MAGIC && head->files_bytes <= size && bytes_before_files(head) == size - head->files_bytes;
}

/*
 * Write the files of the job, and forget the pack: the program has neither its descriptor nor its
 * memory, because others of the request have files in it, too.
 */
static void
write_files(const struct job_header *head, const char *code)
{
	struct job_pack pack = { NULL, 0 };
	struct stat st;

	if (pack_fd >= 0) {
		if (fstat(pack_fd, &st) != 0)
			guest_fail("find the size of the pack");
		pack.size = (size_t)st.st_size;
		pack.bytes = pack.size == 0 ? NULL : mmap(NULL, pack.size, PROT_READ, MAP_SHARED, pack_fd, 0);
		if (pack.bytes == MAP_FAILED)
			guest_fail("map the pack");
		close(pack_fd);
	}
	job_files_write(guest_files(head, code), head->files, &pack);
	if (pack.bytes != NULL && munmap((void *)pack.bytes, pack.size) != 0)
		guest_fail("unmap the pack");
}

const char *
guest_map_job(int fd, struct job_header *head, size_t *size)
{
	char *map = MAP_FAILED;
	struct stat st;

	if (fstat(fd, &st) != 0)
		guest_fail("find the size of the job");
	*size = (size_t)st.st_size;
	if (*size >= sizeof *head && (map = mmap(NULL, *size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		guest_fail("map the job");
	if (map != MAP_FAILED)
		memcpy(head, map, sizeof *head);
	if (map == MAP_FAILED || !is_well_formed(head, *size)) {
		errno = EPROTO;
		guest_fail("read the job");
	}
	close(fd);
	if (head->files > 0 || pack_fd >= 0)
		write_files(head, map + sizeof *head);
	return map + sizeof *head;
}

const char *
guest_needs(const struct job_header *head, const char *code)
{
	return code + head->code_bytes + head->preload_bytes + head->args_bytes + head->env_bytes;
}

void
guest_refuse_needs(const char *why)
{
	dprintf(STDERR_FILENO, "error: dependencies: %s\n", why);
	_exit(EXIT_NOT_STARTED);
}

void
guest_refuse_any_needs(const struct job_header *head)
{
	if (head->needs > 0)
		guest_refuse_needs("they cannot be looked for while this language has no zygote");
}

struct job_files
guest_files(const struct job_header *head, const char *code)
{
	return (struct job_files){ code - sizeof *head + bytes_before_files(head), head->files_bytes };
}

const char *
guest_main_path(const struct job_header *head, const char *code)
{
	return head->main_bytes == 0 ? NULL : guest_needs(head, code) + head->needs_bytes;
}

bool
guest_is_disk_full(void)
{
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
}

/* Returns false. */
static bool
report_unless_full(void)
{
	if (!guest_is_disk_full())
		guest_fail("write the program");
	return false;
}

static bool
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n <= 0)
			return report_unless_full();
		text += n;
		size -= (size_t)n;
	}
	return true;
}

/* Returns a descriptor, or -1 if the disk is full. */
static int
open_to_write(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		report_unless_full();
	return fd;
}

/* close(2) that keeps errno. Returns `result`. */
static bool
close_with(int fd, bool result)
{
	int error = errno;

	close(fd);
	errno = error;
	return result;
}

bool
guest_write_file(const char *name, const char *text, size_t size)
{
	int fd = open_to_write(name);

	return fd >= 0 && close_with(fd, write_all(fd, text, size));
}

bool
guest_write_program(const char *name, const struct job_header *head, const char *code)
{
	int fd = open_to_write(name);

	return fd >= 0 &&
	    close_with(fd,
	        (head->preload_bytes == 0 ||
	            (write_all(fd, code + head->code_bytes, head->preload_bytes) && write_all(fd, "\n", 1))) &&
	            write_all(fd, code, head->code_bytes));
}

/* ---- the end ------------------------------------------------------------------------------------- */

void
guest_end(int status)
{
	struct rusage own, children;

	/* Where nobody listens, the kernel denies the marked call. */
	if (status == 0 && guest_start.announces != 0 && getrusage(RUSAGE_SELF, &own) == 0 &&
	    getrusage(RUSAGE_CHILDREN, &children) == 0)
		mark_syscall(SYS_exit_group, 0, own.ru_maxrss > children.ru_maxrss ? own.ru_maxrss : children.ru_maxrss, 0, 0, 0);
	_exit(status);
}
