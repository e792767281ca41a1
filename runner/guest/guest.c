/*
 * guest.c - see guest.h. Runs in a zygote (uid 0 of the runner's user namespace, in the language's read-only root) and,
 * after the fork, in a guest, until all its walls are up.
 */
#define _GNU_SOURCE
#include "guest/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/attacks.h"
#include "fdpass.h"
#include "guest/hook.h"
#include "landlock.h"
#include "mark.h"
#include "proto.h"
#include "paths.h"

#define IMPORTS_BYTES_MAX (1u << 20)
#define JOB_FD 3
#define START_FDS 5 /* that may come with a run */
#define KEPT_FDS_MAX 16

struct zygote_setup zygote_setup;
struct guest_start guest_start;
bool guest_has_interpreter;

static struct sock_fprog base_filter;
static struct sock_fprog last_filter;
static int listener_fd = -1; /* of the base filter, until the runner has it */
static int control_fd = -1;              /* of a guest, until it is started */
static int kept_fds[KEPT_FDS_MAX];       /* through the run, in ascending order */
static size_t kept_count;
static bool is_alone; /* the interpreter has been started in this guest: what it has opened no other guest has */
static int shown_fds[2] = { -1, -1 }; /* what an armed guest shows the runner: what its cell is joined by, and its directory */

/* A system call that only zygotes, and guests before their program, can make; see mark.h. */
static long
marked(long call, long a, long b, long c, long d, long e)
{
	return syscall(call, a, b, c, d, e, ZYGOTE_MARK);
}

#define ADDRESS(of) ((long)(uintptr_t)(of))

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
	    zygote_setup.imports_bytes <= IMPORTS_BYTES_MAX && read_filter(&base_filter, zygote_setup.base_count) == 0 &&
	    read_filter(&last_filter, zygote_setup.last_count) == 0;

	zygote_setup.main_file[sizeof zygote_setup.main_file - 1] = '\0';
	*imports = good ? malloc(zygote_setup.imports_bytes + 1u) : NULL;
	good = *imports != NULL && read_setup(*imports, zygote_setup.imports_bytes) == 0;
	close(ZYGOTE_SETUP_FD);
	return good ? 0 : -1;
}

/* Close every way by which a process gets capabilities when it executes a file. */
static int
bar_capabilities(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (marked(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return -1;
	}
	return (int)marked(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0, 0, 0);
}

/* Is this the only thread of the process? Only then can a fork be a faithful one. */
static bool
has_one_thread(void)
{
	struct dirent *entry;
	DIR *tasks;
	int count = 0;

	if (zygote_setup.level == LEVEL_NAMESPACES)
		return unshare(CLONE_THREAD) == 0;
	/* A container's own filter refuses that, whatever the answer is. */
	tasks = fdopendir(ZYGOTE_TASKS_FD);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.';
	if (tasks != NULL)
		closedir(tasks);
	return count == 1;
}

static int
set_capabilities(uint32_t set)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct wanted[2] = { { .permitted = set, .effective = set } };
	struct __user_cap_data_struct now[2];

	if (marked(SYS_capset, ADDRESS(&head), ADDRESS(wanted), 0, 0, 0) != 0 || syscall(SYS_capget, &head, now) != 0)
		return -1;
	if (memcmp(now, wanted, sizeof now) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/*
 * Level chroot: where the disk of a cell is the host's, fallocate(2) would take all of it in an instant, and past RLIMIT_FSIZE at
 * that. Whoever is told that it is not supported goes on without it.
 */
static int
refuse_fallocate(bool threads)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof code / sizeof code[0], .filter = code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, threads ? SECCOMP_FILTER_FLAG_TSYNC : 0ul, &filter);
}

/*
 * What guests are walled in by later, in wider bounds: their cells are in the same root. It keeps a zygote from what is not in
 * there, from signals to the runner, and from looking into its processes. Threads that an interpreter has already are not behind it.
 */
static int
enter_zygote_landlock(void)
{
	struct landlock_rule root = { .fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .allowed = LANDLOCK_ALL };
	int result = root.fd < 0 ? -1 :
	    landlock_enter(zygote_setup.landlock_abi, zygote_setup.landlock_flags & ~(uint32_t)LANDLOCK_QUIET, &root, 1);

	fdpass_close(&root.fd, 1);
	return result;
}

int
zygote_wall_in(bool threads)
{
	if (!threads && !has_one_thread()) {
		errno = EBUSY;
		return -1;
	}
	if (zygote_setup.level == LEVEL_CHROOT)
		close(ZYGOTE_TASKS_FD);
	if (bar_capabilities() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	/* Here these are not those of a user namespace, but some of the container's: no more than guests are made with. */
	if (zygote_setup.level == LEVEL_CHROOT && set_capabilities(1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_SYS_CHROOT) != 0)
		return -1;
	if (zygote_setup.level == LEVEL_CHROOT && refuse_fallocate(threads) != 0)
		return -1;
	if (zygote_setup.zygote_landlock != 0 && enter_zygote_landlock() != 0)
		return -1;
	listener_fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER |
	    (threads ? SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH : 0ul), &base_filter);
	return listener_fd < 0 ? -1 : 0;
}

void
zygote_report(int error, const char *version, const char *text)
{
	struct zygote_report message = { .error = error };

	snprintf(message.version, sizeof message.version, "%s", version);
	snprintf(message.text, sizeof message.text, "%s", text);
	fdpass_send(ZYGOTE_REQUESTS_FD, &message, sizeof message, &listener_fd, listener_fd < 0 ? 0 : 1);
	/* Who has it answers for refused calls: no guest may inherit it. */
	fdpass_close(&listener_fd, 1);
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

/* Into the cell, by what the warden has sent for that: its namespaces, their init, or its root directory. */
static void
join_cell(const struct guest_request *order, int place_fd, const int *namespace_fds)
{
	long namespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (order->has_network != 0 ? CLONE_NEWNET : 0);

	if (order->namespaces > 0) {
		/* That of pids we were born in. */
		for (uint32_t i = 1; i < order->namespaces; i++) {
			if (marked(SYS_setns, namespace_fds[i], 0, 0, 0, 0) != 0)
				guest_fail("join the cell's namespaces");
		}
	} else if (zygote_setup.level == LEVEL_NAMESPACES) {
		if (marked(SYS_setns, place_fd, namespaces, 0, 0, 0) != 0)
			guest_fail("join the cell's namespaces");
	} else if (fchdir(place_fd) != 0 || marked(SYS_chroot, ADDRESS("."), 0, 0, 0, 0) != 0) {
		guest_fail("enter the cell's root");
	}
}

/* What the mounts say already, said once more by another part of the kernel; and that nothing leads to other cells. */
static int
enter_landlock(void)
{
	static const struct {
		const char *path;
		uint64_t allowed;
	} places[] = {
		{ "/", LANDLOCK_READ },
		{ "/dev", LANDLOCK_READ | LANDLOCK_WRITE },
		{ PATH_TMP, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE },
		{ PATH_BOX, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE },
	};
	enum { PLACES = sizeof places / sizeof places[0] };
	struct landlock_rule rules[PLACES];
	int result = 0;

	for (size_t i = 0; i < PLACES; i++) {
		rules[i] = (struct landlock_rule){ .fd = open(places[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC),
			.allowed = places[i].allowed };
		if (rules[i].fd < 0)
			result = -1;
	}
	if (result == 0)
		result = landlock_enter(zygote_setup.landlock_abi, zygote_setup.landlock_flags, rules, PLACES);
	for (size_t i = 0; i < PLACES; i++)
		fdpass_close(&rules[i].fd, 1);
	return result;
}

static void
enter_cell(const struct guest_request *order, int place_fd, const int *namespace_fds, const int *cgroup_fds, size_t cgroups)
{
	join_cell(order, place_fd, namespace_fds);
	if (marked(SYS_setsid, 0, 0, 0, 0, 0) < 0)
		guest_fail("leave the runner's session");
	/* "0" moves the writer. Version 2 needs no write: there the guest was born in its cgroup. */
	for (size_t i = 0; i < cgroups; i++) {
		if (write(cgroup_fds[i], "0", 1) != 1)
			guest_fail("join the cell's cgroup");
	}
	if (zygote_setup.single_uid != 0) {
		/*
		 * Nobody maps an id into it: in there the guest is no user at all. It gets all capabilities of the new namespace,
		 * which owns nothing, and loses them below. Processes are counted by namespace and uid, and so for each cell.
		 */
		if (marked(SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0) != 0 || bar_capabilities() != 0 ||
		    marked(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
			guest_fail("make the cell's user namespace");
	} else {
		long id = order->uid;

		if (marked(SYS_setgroups, 0, 0, 0, 0, 0) != 0 || marked(SYS_setresgid, id, id, id, 0, 0) != 0 ||
		    marked(SYS_setresuid, id, id, id, 0, 0) != 0)
			guest_fail("become the cell's user");
		if (marked(SYS_setresuid, 0, 0, 0, 0, 0) == 0) {
			errno = EPERM;
			guest_fail("stay the cell's user");
		}
	}
	if (set_capabilities(0) != 0)
		guest_fail("drop all capabilities");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		guest_fail("no_new_privs");
	if (chdir(PATH_BOX) != 0 || (shown_fds[1] = open(PATH_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		guest_fail("enter the working directory");
	if (zygote_setup.landlock_abi != 0 && enter_landlock() != 0)
		guest_fail("Landlock");
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

	/* A container's filter knows only the older call. Architectures differ in which of its last two arguments is the tid's. */
	if (zygote_setup.level == LEVEL_CHROOT)
		return (pid_t)marked(SYS_clone, (long)args.flags, 0, 0, ADDRESS(tid_address), ADDRESS(tid_address));
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)marked(SYS_clone3, ADDRESS(&args), sizeof args, 0, 0, 0);
}

static bool
is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The older call has no birth in a cgroup: there a guest of version 2 joins as one of version 1 does, by a file. */
static void
replace_by_procs(int *cgroup_fd)
{
	int fd = openat(*cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	close(*cgroup_fd);
	*cgroup_fd = fd;
}

void
zygote_make_guests(void)
{
	int *tid_address = NULL;

	if (marked(SYS_prctl, PR_GET_TID_ADDRESS, ADDRESS(&tid_address), 0, 0, 0) != 0 || *tid_address != (int)syscall(SYS_gettid))
		_exit(126);
	for (;;) {
		struct guest_request order;
		int fds[GUEST_REQUEST_FDS];
		size_t count;
		int born_in = -1;
		const int *namespaces = fds + 2;
		int *cgroups;
		size_t cgroup_count;
		pid_t pid;

		if (fdpass_recv(ZYGOTE_REQUESTS_FD, &order, sizeof order, fds, GUEST_REQUEST_FDS, &count, NULL) !=
		    (ssize_t)sizeof order || count < 2 || count - 2 < order.namespaces)
			_exit(0);
		cgroups = fds + 2 + order.namespaces;
		cgroup_count = count - 2 - order.namespaces;
		/* A directory is a version 2 cgroup, to be born in; files are the "tasks" of version 1, to be written to. */
		if (cgroup_count == 1 && is_directory(cgroups[0]) && zygote_setup.level == LEVEL_NAMESPACES) {
			born_in = cgroups[0];
			cgroup_count = 0;
		} else if (cgroup_count == 1 && is_directory(cgroups[0])) {
			replace_by_procs(&cgroups[0]);
		}
		if (zygote_setup.level == LEVEL_NAMESPACES &&
		    marked(SYS_setns, order.namespaces > 0 ? namespaces[0] : fds[0], CLONE_NEWPID, 0, 0, 0) != 0) {
			report(fds[1], errno, "join the cell's pid namespace", NULL, 0);
		} else if ((pid = fork_guest(tid_address, born_in)) < 0) {
			report(fds[1], errno, "fork a guest", NULL, 0);
		} else if (pid == 0) {
			close(ZYGOTE_REQUESTS_FD);
			control_fd = fds[1];
			shown_fds[0] = fds[0];
			enter_cell(&order, fds[0], namespaces, cgroups, cgroup_count);
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

/* Put a descriptor at `to`, to stay there across execve(2), and let go of its other number. Returns 0 or -1. */
static int
place(int fd, int to)
{
	int result = dup2(fd, to);

	close(fd);
	return result < 0 ? -1 : 0;
}

int
guest_take_along(int setup_fd)
{
	const int from[] = { control_fd, setup_fd, shown_fds[0], shown_fds[1] };
	static const int to[] = { HOOK_CONTROL_FD, HOOK_SETUP_FD, HOOK_PLACE_FD, HOOK_BOX_FD };
	int high[4];

	/* Two steps: one may stand where another has to go. */
	for (size_t i = 0; i < 4; i++) {
		if ((high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HOOK_FDS_END)) < 0)
			return -1;
	}
	for (size_t i = 0; i < 4; i++)
		close(from[i]);
	for (size_t i = 0; i < 4; i++) {
		if (place(high[i], to[i]) != 0)
			return -1;
	}
	control_fd = HOOK_CONTROL_FD;
	return 0;
}

int
guest_resume(void)
{
	is_alone = true;
	control_fd = HOOK_CONTROL_FD;
	shown_fds[0] = HOOK_PLACE_FD;
	shown_fds[1] = HOOK_BOX_FD;
	for (int fd = HOOK_CONTROL_FD; fd < HOOK_FDS_END; fd++) {
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			return -1;
	}
	return 0;
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

/* Leave nothing of ours open but stdio, the job, and what was compiled. */
static int
close_others(const int *received, size_t count)
{
	if (!guest_has_interpreter)
		return close_from(JOB_FD + 1u + guest_start.has_output);
	for (size_t i = 0; i < count; i++) {
		if (received[i] > JOB_FD)
			close(received[i]);
	}
	if (control_fd != JOB_FD)
		close(control_fd);
	return 0;
}

int
guest_receive_run(void)
{
	const struct guest_start *start = &guest_start;
	int fds[START_FDS];
	size_t count;

	if (fdpass_recv(control_fd, &guest_start, sizeof guest_start, fds, START_FDS, &count, NULL) !=
	    (ssize_t)sizeof guest_start || start->has_stdin > 1 || start->has_output > 1 ||
	    count != 3 + start->has_stdin + start->has_output)
		_exit(0); /* the cell is taken down unused */
	/*
	 * From here on there is nobody to tell, and what fails ends the guest at once. Descriptors come with the lowest free
	 * numbers, in their order, so none is overwritten before its turn.
	 */
	if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
	    (start->has_stdin != 0 && dup2(fds[3], STDIN_FILENO) < 0) || dup2(fds[0], JOB_FD) < 0 ||
	    (start->has_output != 0 && dup3(fds[count - 1], GUEST_OUTPUT_FD, O_CLOEXEC) < 0))
		_exit(127);
	if (limit(RLIMIT_CPU, start->cpu_seconds) != 0 ||
	    (start->data_bytes != 0 && limit(RLIMIT_DATA, start->data_bytes) != 0) ||
	    (start->tasks != 0 && limit(RLIMIT_NPROC, start->tasks) != 0) ||
	    (start->file_bytes != 0 && limit(RLIMIT_FSIZE, start->file_bytes) != 0))
		_exit(127);
	if (close_others(fds, count) != 0 ||
	    marked(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, ADDRESS(&last_filter), 0, 0) != 0)
		_exit(127);
	control_fd = -1;
	if (start->attack != ATTACK_NONE) {
		guest_keep_fd(JOB_FD);
		attack_carry_out(start->attack, kept_fds, kept_count, is_alone);
	}
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

/* Write all of it. Returns whether that could be done. */
static bool
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n <= 0)
			return false;
		text += n;
		size -= (size_t)n;
	}
	return true;
}

static int
open_to_write(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		_exit(127);
	return fd;
}

bool
guest_write_file(const char *name, const char *text, size_t size)
{
	int fd = open_to_write(name);
	bool complete = write_all(fd, text, size);

	close(fd);
	return complete;
}

bool
guest_write_main_file(const char *code, size_t size)
{
	return guest_write_file(zygote_setup.main_file, code, size);
}

bool
guest_write_program(const struct job_header *head, const char *code)
{
	int fd = open_to_write(zygote_setup.main_file);
	bool complete = (head->preload_bytes == 0 ||
	    (write_all(fd, code + head->code_bytes, head->preload_bytes) && write_all(fd, "\n", 1))) &&
	    write_all(fd, code, head->code_bytes);

	close(fd);
	return complete;
}
