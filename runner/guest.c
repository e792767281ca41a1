/*
 * guest.c - see guest.h. Runs in a zygote (uid 0 of the runner's user namespace, in the language's read-only root) and,
 * after the fork, in a guest, until all its walls are up.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"

#define GUEST_ORDER_FDS (2 + ORDER_CGROUPS_MAX)
#define IMPORTS_BYTES_MAX (1u << 20)
#define JOB_FD 3
#define KEPT_FDS_MAX 16

struct zygote_setup zygote_setup;

static struct sock_fprog base_filter;
static struct sock_fprog last_filter[ZYGOTE_GRANTS];
static int control_fd = -1;              /* of a guest, until it is started */
static int kept_fds[KEPT_FDS_MAX];       /* through the run, in ascending order */
static size_t kept_count;
static int shown_fds[2] = { -1, -1 }; /* what an armed guest shows the runner: its cell's init, and its tmpfs */

/* ---- start of the zygote ---------------------------------------------------------------------------------------- */

/* Read the next `size` bytes of the setup. Its file position is shared by all zygotes, so it is not used. */
static int
read_setup(void *to, size_t size)
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
	return read_setup(filter->filter, size);
}

int
zygote_read_setup(char **imports)
{
	bool good = read_setup(&zygote_setup, sizeof zygote_setup) == 0 && zygote_setup.magic == ZYGOTE_SETUP_MAGIC &&
	    zygote_setup.imports_bytes <= IMPORTS_BYTES_MAX && read_filter(&base_filter, zygote_setup.base_count) == 0;

	for (int i = 0; good && i < ZYGOTE_GRANTS; i++)
		good = read_filter(&last_filter[i], zygote_setup.last_count[i]) == 0;
	zygote_setup.main_file[sizeof zygote_setup.main_file - 1] = '\0';
	*imports = good ? malloc(zygote_setup.imports_bytes + 1u) : NULL;
	good = *imports != NULL && read_setup(*imports, zygote_setup.imports_bytes) == 0;
	close(ZYGOTE_SETUP_FD);
	return good ? 0 : -1;
}

int
zygote_wall_in(bool threads)
{
	if (!threads && unshare(CLONE_THREAD) != 0) {
		errno = EBUSY;
		return -1;
	}
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return -1;
	}
	if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0, 0, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, threads ? SECCOMP_FILTER_FLAG_TSYNC : 0ul, &base_filter);
}

void
zygote_report(int error, const char *version, const char *text)
{
	struct zygote_report message = { .error = error };

	snprintf(message.version, sizeof message.version, "%s", version);
	snprintf(message.text, sizeof message.text, "%s", text);
	fdpass_send(ZYGOTE_ORDERS_FD, &message, sizeof message, NULL, 0);
}

/* ---- what a guest does before it has its code ------------------------------------------------------------------ */

static void
report(int sock, int error, const char *step, const int *fds, size_t fd_count)
{
	struct guest_report message = { .error = error };

	snprintf(message.step, sizeof message.step, "%s", step);
	fdpass_send(sock, &message, sizeof message, fds, fd_count);
}

void
guest_fail(const char *step)
{
	report(control_fd, errno, step, NULL, 0);
	_exit(127);
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	struct __user_cap_data_struct now[2];

	if (syscall(SYS_capset, &head, none) != 0 || syscall(SYS_capget, &head, now) != 0)
		return -1;
	if (memcmp(now, none, sizeof now) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void
enter_cell(const struct guest_order *order, int init_fd, const int *cgroup_fds, size_t cgroups)
{
	if (setns(init_fd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
		guest_fail("join the cell's namespaces");
	if (setsid() < 0)
		guest_fail("leave the runner's session");
	/* "0" moves the writer. Version 2 needs no write: there the guest was born in its cgroup. */
	for (size_t i = 0; i < cgroups; i++) {
		if (write(cgroup_fds[i], "0", 1) != 1)
			guest_fail("join the cell's cgroup");
	}
	if (zygote_setup.single_uid == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(order->uid, order->uid, order->uid) != 0 ||
		    setresuid(order->uid, order->uid, order->uid) != 0)
			guest_fail("become the cell's user");
		if (setresuid(0, 0, 0) == 0) {
			errno = EPERM;
			guest_fail("stay the cell's user");
		}
	}
	if (drop_capabilities() != 0)
		guest_fail("drop all capabilities");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		guest_fail("no_new_privs");
	if (chdir(GUEST_BOX) != 0 || (shown_fds[1] = open(GUEST_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		guest_fail("enter the working directory");
}

/* ---- the zygote's loop ------------------------------------------------------------------------------------------ */

/*
 * Fork a guest below the runner, not below us: the runner reaps it and learns its rusage without asking anybody.
 * clone3 is called past libc, so the child's thread id, which libc keeps at the address that the kernel knows, is
 * set by the kernel itself.
 */
static pid_t
fork_guest(int *tid_address, int cgroup_fd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.child_tid = (uint64_t)(uintptr_t)tid_address,
	};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static bool
is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

void
zygote_make_guests(void)
{
	int *tid_address = NULL;

	if (prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0 || *tid_address != (int)syscall(SYS_gettid))
		_exit(126);
	for (;;) {
		struct guest_order order;
		int fds[GUEST_ORDER_FDS];
		size_t count;
		int born_in = -1;
		const int *cgroups = fds + 2;
		size_t cgroup_count;
		pid_t pid;

		if (fdpass_recv(ZYGOTE_ORDERS_FD, &order, sizeof order, fds, GUEST_ORDER_FDS, &count, NULL) !=
		    (ssize_t)sizeof order || count < 2)
			_exit(0);
		cgroup_count = count - 2;
		/* A directory is a version 2 cgroup, to be born in; files are the "tasks" of version 1, to be written to. */
		if (cgroup_count == 1 && is_directory(cgroups[0])) {
			born_in = cgroups[0];
			cgroup_count = 0;
		}
		if (setns(fds[0], CLONE_NEWPID) != 0) {
			report(fds[1], errno, "join the cell's pid namespace", NULL, 0);
		} else if ((pid = fork_guest(tid_address, born_in)) < 0) {
			report(fds[1], errno, "fork a guest", NULL, 0);
		} else if (pid == 0) {
			close(ZYGOTE_ORDERS_FD);
			control_fd = fds[1];
			shown_fds[0] = fds[0];
			enter_cell(&order, fds[0], cgroups, cgroup_count);
			fdpass_close(fds + 2, count - 2);
			return;
		}
		fdpass_close(fds, count);
	}
}

/* ---- what a guest does with its run ----------------------------------------------------------------------------- */

void
guest_report_ready(void)
{
	report(control_fd, 0, "", shown_fds, 2);
	fdpass_close(shown_fds, 2);
}

static int
limit(int resource, uint64_t value)
{
	struct rlimit both = { (rlim_t)value, (rlim_t)value };

	return setrlimit((__rlimit_resource_t)resource, &both);
}

void
guest_keep_fd(int fd)
{
	size_t at;

	if (fd == control_fd || fd == shown_fds[0] || fd == shown_fds[1])
		return;
	at = kept_count++;
	if (at >= KEPT_FDS_MAX)
		guest_fail("keep the interpreter's descriptors");
	for (; at > 0 && kept_fds[at - 1] > fd; at--)
		kept_fds[at] = kept_fds[at - 1];
	kept_fds[at] = fd;
}

/* Close all from `first` on but those that are kept. */
static int
close_from(unsigned first)
{
	for (size_t i = 0; i < kept_count; i++) {
		unsigned fd = (unsigned)kept_fds[i];

		if (fd > first && syscall(SYS_close_range, first, fd - 1u, 0u) != 0)
			return -1;
		first = fd + 1u;
	}
	return (int)syscall(SYS_close_range, first, ~0u, 0u);
}

int
guest_receive_run(void)
{
	struct guest_start start;
	size_t count;
	int fds[4];

	if (fdpass_recv(control_fd, &start, sizeof start, fds, 4, &count, NULL) != (ssize_t)sizeof start ||
	    count != (start.has_stdin != 0 ? 4u : 3u) || start.grant >= ZYGOTE_GRANTS)
		_exit(0); /* the cell is taken down unused */
	if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
	    (start.has_stdin != 0 && dup2(fds[3], STDIN_FILENO) < 0) || dup2(fds[0], JOB_FD) < 0)
		guest_fail("take over stdin, stdout and stderr");
	if (limit(RLIMIT_CPU, start.cpu_seconds) != 0 || (start.data_bytes != 0 && limit(RLIMIT_DATA, start.data_bytes) != 0) ||
	    (start.tasks != 0 && limit(RLIMIT_NPROC, start.tasks) != 0))
		guest_fail("set its rlimits");
	/* The control socket goes too: from here on there is nobody to tell, and what fails ends the guest at once. */
	if (close_from(JOB_FD + 1u) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &last_filter[start.grant]) != 0)
		_exit(127);
	control_fd = -1;
	return JOB_FD;
}

const char *
guest_map_job(int fd, struct job_header *head, size_t *size)
{
	char *map = MAP_FAILED;
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof *head ||
	    (map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		_exit(127);
	memcpy(head, map, sizeof *head);
	if (head->magic != JOB_MAGIC || sizeof *head + (uint64_t)head->code_bytes + head->preload_bytes +
	    head->args_bytes + head->env_bytes != (uint64_t)st.st_size)
		_exit(127);
	close(fd);
	*size = (size_t)st.st_size;
	return map + sizeof *head;
}

bool
guest_write_main_file(const char *code, size_t size)
{
	return guest_write_file(zygote_setup.main_file, code, size);
}

bool
guest_write_file(const char *name, const char *code, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t done = 0;

	if (fd < 0)
		_exit(127);
	while (done < size) {
		ssize_t n = write(fd, code + done, size - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	return done == size;
}
