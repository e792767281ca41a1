/*
 * attack.c - see attack.h. Runs in a guest, in the place of a program. The broker uses the names
 * only.
 */
#define _GNU_SOURCE
#include "guest/attack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"
#include "paths.h"

#define PAGE 4096u
#define MEMORY_TRIED (UINT64_C(256) << 20) /* more than a guest of the self-test may have */
#define TASKS_TRIED 32
#define STACK_BYTES 16384u
#define CPU_TRIED_S 2
#define TIME_TRIED_S 5
#define FDS_TRIED 1024
#define PIDS_TRIED 64
#define ATTACK_FILE PATH_BOX "/attack"

/* ---- system calls -------------------------------------------------------------------------------- */

/*
 * A call was stopped if it fails with EPERM or ENOSYS, or as the policy answers it. The arguments
 * are invalid: without a filter the kernel does nothing and fails with another errno, even for a
 * process without privileges. So this finds holes in the policy itself, and not only where all
 * layers have one.
 */
struct call {
	const char *name;
	long number;
	long args[6];
};

#define X86_BIT_X32 0x40000000

static const struct call calls[] = {
	{ "mount", SYS_mount, { 1, 1, 1, 0, 0 } },
	{ "umount2", SYS_umount2, { 1, -1 } },
	{ "pivot_root", SYS_pivot_root, { 1, 1 } },
	{ "chroot", SYS_chroot, { 1 } },
	{ "fsopen", SYS_fsopen, { 1, 0 } },
	{ "open_tree", SYS_open_tree, { -1, 1, 0 } },
	{ "move_mount", SYS_move_mount, { -1, 1, -1, 1, 0 } },
	{ "mount_setattr", SYS_mount_setattr, { -1, 1, -1, 1, 32 } },
	{ "unshare", SYS_unshare, { 0 } },
	{ "unshare a user namespace", SYS_unshare, { CLONE_NEWUSER } },
	{ "setns", SYS_setns, { -1, 0 } },
	/* With CLONE_FS: the kernel itself rejects the combination with EINVAL. */
	{ "clone into a user namespace", SYS_clone, { CLONE_NEWUSER | CLONE_FS } },
	{ "clone into a mount namespace", SYS_clone, { CLONE_NEWNS | CLONE_FS } },
	{ "clone3", SYS_clone3, { 1, 64 } },
	{ "ptrace", SYS_ptrace, { 0x4206, 999999, 0, 0 } },
	{ "process_vm_readv", SYS_process_vm_readv, { 999999, 0, 0, 0, 0 } },
	{ "process_vm_writev", SYS_process_vm_writev, { 999999, 0, 0, 0, 0 } },
	{ "pidfd_getfd", SYS_pidfd_getfd, { -1, 0, 0 } },
	{ "kcmp", SYS_kcmp, { 999999, 999999, 0, 0, 0 } },
	{ "seccomp", SYS_seccomp, { 1, 0, 0 } },
	{ "prctl PR_SET_SECCOMP", SYS_prctl, { PR_SET_SECCOMP, 2, 0 } },
	{ "prctl PR_SET_DUMPABLE", SYS_prctl, { PR_SET_DUMPABLE, 99 } },
	{ "prctl PR_SET_MM", SYS_prctl, { PR_SET_MM, 99, 0, 0, 1 } },
	{ "perf_event_open", SYS_perf_event_open, { 1, 0, -1, -1, 0 } },
	{ "keyctl", SYS_keyctl, { 9999 } },
	{ "add_key", SYS_add_key, { 1, 1, 1 } },
	{ "request_key", SYS_request_key, { 1, 1, 1 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 1 } },
	{ "io_uring_enter", SYS_io_uring_enter, { -1 } },
	{ "io_uring_register", SYS_io_uring_register, { -1 } },
	{ "name_to_handle_at", SYS_name_to_handle_at, { -1, 1, 1, 1, 0 } },
	{ "fanotify_init", SYS_fanotify_init, { 0x200, -1 } },
	{ "personality", SYS_personality, { 0 } },
	{ "syslog", SYS_syslog, { 99 } },
	{ "settimeofday", SYS_settimeofday, { 1, 1 } },
	{ "clock_settime", SYS_clock_settime, { 99, 1 } },
	{ "sethostname", SYS_sethostname, { 1, -1 } },
	{ "shmget", SYS_shmget, { 0, 0, 0 } },
	{ "msgget", SYS_msgget, { 1, 0 } },
	{ "mq_open", SYS_mq_open, { 1 } },
	{ "socket AF_UNIX, raw", SYS_socket, { 1, 3, 0 } },
	{ "socket AF_NETLINK", SYS_socket, { 16, 3, 12 } },
	/*
	 * Type 15 is none, which the kernel reports before it looks for the family: one that this
	 * kernel does not have would be EAFNOSUPPORT, as the answer of the policies.
	 */
	{ "socket AF_PACKET", SYS_socket, { 17, 15, 0 } },
	{ "socket AF_ALG", SYS_socket, { 38, 15, 0 } },
	{ "socket AF_VSOCK", SYS_socket, { 40, 15, 0 } },
	{ "socket AF_INET, MPTCP", SYS_socket, { 2, 1, 262 } },
	{ "socket AF_INET, UDP-Lite", SYS_socket, { 2, 2, 136 } },
	{ "socket AF_INET, raw", SYS_socket, { 2, 3, 99999 } },
};

/* System calls for which the policies end the process. Each is made by a guest of its own. */
static const struct call deadly_calls[] = {
	/* A guest is made by the marked calls. Its last filter denies them. */
	{ "setresuid of zygotes", SYS_setresuid, { -1, -1, -1, 0, 0, ZYGOTE_MARK } },
	{ "setns of zygotes", SYS_setns, { -1, 0, 0, 0, 0, ZYGOTE_MARK } },
	{ "clone3 of zygotes", SYS_clone3, { 1, 64, 0, 0, 0, ZYGOTE_MARK } },
	{ "sendmsg of zygotes", SYS_sendmsg, { -1, 0, 0, 0, 0, ZYGOTE_MARK } },
	{ "seccomp of zygotes", SYS_seccomp, { 99, 0, 0, 0, 0, ZYGOTE_MARK } },
	{ "bpf", SYS_bpf, { -1, 1, 0 } },
	{ "init_module", SYS_init_module, { 1, 0, 1 } },
	{ "kexec_load", SYS_kexec_load, { 0, 0, 0, 0xffff } },
	{ "reboot", SYS_reboot, { 0, 0, 0, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 1 } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { -1, 1, 0 } },
#ifdef __x86_64__
	{ "getpid of x32", X86_BIT_X32 | SYS_getpid, { 0 } },
#endif
};

/* Whether the policies answer a call with this error. The kernel would find another fault first. */
static bool
is_answer(const struct call *call, int error)
{
	return (call->number == SYS_name_to_handle_at && error == EOPNOTSUPP) ||
	    (call->number == SYS_socket && error == EAFNOSUPPORT) ||
	    (call->number == SYS_prctl && call->args[0] == PR_SET_SECCOMP && error == EINVAL);
}

/* Was the call not stopped? */
static bool
call_gets_through(const struct call *call)
{
	const long *a = call->args;
	long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);

	if (result > 0 && (call->number == SYS_clone || call->number == SYS_clone3))
		return true;
	return result >= 0 || (errno != EPERM && errno != ENOSYS && !is_answer(call, errno));
}

/* ---- attacks on other layers --------------------------------------------------------------------- */

static bool
is_there(const char *path)
{
	struct stat st;

	return fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Files of the host that no language has in its root. */
static bool
see_the_host(void)
{
	static const char *const paths[] = { "/sys/kernel", "/etc/shadow", "/etc/sudoers", "/boot", "/lost+found", "/var/log",
		"/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/net" };

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		if (is_there(paths[i]))
			return true;
	}
	return false;
}

/* A procfs must say nothing of the host, of the kernel, or of the runner. */
static bool
see_the_host_in_proc(void)
{
	static const char *const names[] = { "1", "acpi", "buddyinfo", "bus", "cmdline", "config.gz", "devices", "diskstats",
		"driver", "fs", "interrupts", "iomem", "ioports", "irq", "kallsyms", "kcore", "key-users", "keys", "kmsg",
		"kpagecount", "locks", "modules", "partitions", "pressure", "scsi", "slabinfo", "softirqs", "swaps",
		"sysrq-trigger", "timer_list", "tty", "vmallocinfo", "vmstat", "zoneinfo" };
	int fd = (int)syscall(SYS_openat, AT_FDCWD, PATH_PROC, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool out = fd < 0;
	struct stat st;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		out = out || fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (fd >= 0)
		close(fd);
	return out;
}

static bool
write_proc(void)
{
	static const char *const paths[] = { PATH_PROC "/self/comm", PATH_PROC "/self/oom_score_adj",
		PATH_PROC "/sys/kernel/hostname" };

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		int fd = (int)syscall(SYS_openat, AT_FDCWD, paths[i], O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			return true;
		}
	}
	return false;
}

/* ".." of the root must be the root. */
static bool
climb_out(void)
{
	struct stat root, above;
	int up = 0;

	if (fstatat(AT_FDCWD, "/", &root, 0) != 0 || chdir("/") != 0)
		return true;
	while (up < 8 && chdir("..") == 0)
		up++;
	return fstatat(AT_FDCWD, ".", &above, 0) != 0 || above.st_dev != root.st_dev || above.st_ino != root.st_ino;
}

/* The kernel checks for a read-only file system (EROFS) before it checks permissions. */
static bool
write_the_root(void)
{
	static const char *const paths[] = { "/planted", "/proc/planted", "/usr/planted", "/dev/planted", "/lib/planted" };

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		if (mkdirat(AT_FDCWD, paths[i], 0700) == 0 || (errno != EROFS && errno != ENOENT))
			return true;
	}
	return false;
}

static bool
write_a_device(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_PATH | O_CLOEXEC);
	struct statvfs fs;
	bool out = fd >= 0 && (fstatvfs(fd, &fs) != 0 || (fs.f_flag & ST_NOSUID) == 0);

	if (fd >= 0)
		close(fd);
	return out || mknodat(AT_FDCWD, "disk", S_IFBLK | 0600, 0x800) == 0;
}

static bool
is_no_small_tmpfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) != 0 || fs.f_type != TMPFS_MAGIC || fs.f_blocks == 0 || fs.f_files == 0 ||
	    ((unsigned long)fs.f_flags & (ST_NOSUID | ST_NODEV)) != (ST_NOSUID | ST_NODEV);
}

static bool
find_no_tmpfs(void)
{
	return is_no_small_tmpfs(PATH_BOX) || is_no_small_tmpfs(PATH_TMP);
}

/* The mounts and the policy allow this ioctl. Only Landlock denies it, from ABI 5 on. */
static bool
ask_a_device(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	struct winsize size;
	bool out = fd < 0 || ioctl(fd, TIOCGWINSZ, &size) == 0 || errno != EACCES;

	if (fd >= 0)
		close(fd);
	return out;
}

/* The kernel compares the length with the size of the tmpfs before it allocates anything. */
static bool
fill_the_disk(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, ATTACK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct statfs fs;
	bool out = fd < 0 || fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC ||
	    fallocate(fd, 0, 0, (off_t)((uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize + PAGE)) == 0;

	if (fd >= 0)
		close(fd);
	unlinkat(AT_FDCWD, ATTACK_FILE, 0);
	return out;
}

/* The guest must be alone, except for an init that is not its parent. */
static bool
find_others(void)
{
	if (syscall(SYS_getpid) != 2 || getppid() != 0 || kill(-1, 0) == 0)
		return true;
	for (pid_t pid = 3; pid < PIDS_TRIED; pid++) {
		/* kill(2) also finds a thread of the guest itself. */
		if (syscall(SYS_tgkill, getpid(), pid, 0) != 0 && (kill(pid, 0) == 0 || errno != ESRCH))
			return true;
	}
	return false;
}

/* An abstract name of another process, outside the cell: it must not be there, or not for us. */
static bool
reach_a_name(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0" ATTACK_ABSTRACT_NAME };
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof "\0" ATTACK_ABSTRACT_NAME - 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool out = fd >= 0 && connect(fd, (const struct sockaddr *)&address, size) == 0;

	if (fd >= 0)
		close(fd);
	return out;
}

static bool
share_a_session(void)
{
	return getsid(0) != 2 || getpgrp() != 2;
}

static bool
have_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = { { 0 } };

	if (syscall(SYS_capget, &head, now) != 0)
		return true;
	for (size_t i = 0; i < 2; i++) {
		if ((now[i].effective | now[i].permitted | now[i].inheritable) != 0)
			return true;
	}
	return false;
}

static bool
gain_capabilities(void)
{
	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return true;
	}
	return false;
}

/* The policies leave these to the kernel, which refuses them to a process without capabilities. */
static bool
become_another(void)
{
	const long own_uid = (long)syscall(SYS_getuid), own_gid = (long)syscall(SYS_getgid);
	const struct {
		long number, args[3];
	} tries[] = {
		{ SYS_setuid, { 0 } },
		{ SYS_setuid, { own_uid + 1 } },
		{ SYS_setreuid, { -1, 0 } },
		{ SYS_setresuid, { -1, -1, 0 } },
		{ SYS_setresuid, { own_uid + 1, -1, -1 } },
		{ SYS_setgid, { 0 } },
		{ SYS_setregid, { -1, 0 } },
		{ SYS_setresgid, { -1, -1, own_gid + 1 } },
		{ SYS_setgroups, { 0 } },
	};

	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		if (syscall(tries[i].number, tries[i].args[0], tries[i].args[1], tries[i].args[2]) == 0)
			return true;
	}
	/* It returns the id that was in force, whether or not it changes it. */
	return syscall(SYS_setfsuid, 0) != own_uid || syscall(SYS_setfsuid, -1) != own_uid ||
	    syscall(SYS_setfsgid, 0) != own_gid || syscall(SYS_setfsgid, -1) != own_gid;
}

static bool
take_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2] = { { ~0u, ~0u, 0 }, { ~0u, ~0u, 0 } }, one[2] = { { 0, 0, 1u << CAP_CHOWN } };

	return syscall(SYS_capset, &head, all) == 0 || syscall(SYS_capset, &head, one) == 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0;
}

static bool
gain_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static bool
raise_limits(void)
{
	static const int bounded[] = { RLIMIT_CORE, RLIMIT_CPU, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE,
		RLIMIT_RTPRIO, RLIMIT_SIGPENDING, RLIMIT_STACK };

	for (size_t i = 0; i < sizeof bounded / sizeof bounded[0]; i++) {
		struct rlimit now, more;

		if (getrlimit((__rlimit_resource_t)bounded[i], &now) != 0 || now.rlim_max == RLIM_INFINITY)
			return true;
		more = (struct rlimit){ now.rlim_max + 1, now.rlim_max + 1 };
		/* A change of RLIMIT_CORE is answered with success, and not made. */
		if (setrlimit((__rlimit_resource_t)bounded[i], &more) == 0 &&
		    (getrlimit((__rlimit_resource_t)bounded[i], &more) != 0 || more.rlim_max != now.rlim_max))
			return true;
	}
	return false;
}

static bool
dump_core(void)
{
	struct rlimit now;

	/* 1 and not 0: see set_rlimits in spawn.c. */
	return getrlimit(RLIMIT_CORE, &now) != 0 || now.rlim_cur != 1 || now.rlim_max != 1;
}

static const int *kept_fds;
static size_t kept_count;
static bool others_are_own;

static bool
is_kept(int fd)
{
	for (size_t i = 0; i < kept_count; i++) {
		if (kept_fds[i] == fd)
			return true;
	}
	return false;
}

/* Only allowed descriptors are open, and none of them is a directory, a socket or a disk. */
static bool
use_descriptors(void)
{
	for (int fd = 0; fd < FDS_TRIED; fd++) {
		struct stat st;

		if (fstat(fd, &st) != 0)
			continue;
		if ((fd > 2 && !is_kept(fd) && !others_are_own) || S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode) ||
		    S_ISBLK(st.st_mode))
			return true;
	}
	return false;
}

static const struct attack {
	const char *name;
	const char *layer;
	bool (*gets_out)(void);
} attacks[] = {
	{ "files of the host", "mount_namespace", see_the_host },
	{ "above the root", "mount_namespace", climb_out },
	{ "a write into the root", "mount_namespace", write_the_root },
	{ "devices", "mount_namespace", write_a_device },
	{ "the host in /proc", "proc", see_the_host_in_proc },
	{ "a write into /proc", "proc", write_proc },
	{ "directories without a limit", "tmpfs", find_no_tmpfs },
	{ "a file that is too big", "tmpfs", fill_the_disk },
	{ "other processes", "pid_namespace", find_others },
	{ "the abstract name of a socket", "unix_sockets", reach_a_name },
	{ "the session of another", "pid_namespace", share_a_session },
	{ "capabilities", "capabilities", have_capabilities },
	{ "capabilities to be gained", "capabilities", gain_capabilities },
	{ "capabilities to be taken", "capabilities", take_capabilities },
	{ "ids of others", "capabilities", become_another },
	{ "privileges of set-uid files", "no_new_privs", gain_privileges },
	{ "higher limits", "rlimits", raise_limits },
	{ "a core dump", "rlimits", dump_core },
	{ "descriptors", "descriptors", use_descriptors },
	{ ATTACK_ON_LANDLOCK, "landlock", ask_a_device },
};

#define ATTACKS (sizeof attacks / sizeof attacks[0])
#define CALLS (sizeof calls / sizeof calls[0])

_Static_assert(ATTACKS + CALLS <= ATTACKS_MAX, "a report has room for all attacks");

const char *
attack_name(size_t number)
{
	if (number < ATTACKS)
		return attacks[number].name;
	return number < ATTACKS + CALLS ? calls[number - ATTACKS].name : NULL;
}

const char *
attack_layer(size_t number)
{
	if (number < ATTACKS)
		return attacks[number].layer;
	return number < ATTACKS + CALLS ? "seccomp" : NULL;
}

size_t
attack_deadly_count(void)
{
	return sizeof deadly_calls / sizeof deadly_calls[0];
}

const char *
attack_deadly_name(size_t number)
{
	return deadly_calls[number].name;
}

/* ---- the guest ----------------------------------------------------------------------------------- */

static void
find_facts(struct attack_facts *facts)
{
	struct rlimit files;
	struct statfs fs;
	struct stat box;

	syscall(SYS_getresuid, &facts->uid[0], &facts->uid[1], &facts->uid[2]);
	syscall(SYS_getresgid, &facts->gid[0], &facts->gid[1], &facts->gid[2]);
	facts->groups = (uint32_t)getgroups(0, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		facts->open_files = (uint32_t)files.rlim_max;
	if (fstatat(AT_FDCWD, PATH_BOX, &box, 0) == 0) {
		facts->box_device = box.st_dev;
		facts->box_inode = box.st_ino;
	}
	if (statfs(PATH_BOX, &fs) == 0) {
		facts->disk_bytes = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
		facts->inodes = fs.f_files;
	}
}

static void
send_report(struct attack_report *report, enum attack_stage stage)
{
	report->stage = stage;
	/* The broker takes a missing report for a failed test. */
	if (write(STDOUT_FILENO, report, sizeof *report) != (ssize_t)sizeof *report)
		_exit(1);
}

static void
try_walls(struct attack_report *report)
{
	memset(&report->facts, 0xff, sizeof report->facts);
	find_facts(&report->facts);
	for (size_t i = 0; i < ATTACKS; i++)
		report->got_out[i] = attacks[i].gets_out();
	for (size_t i = 0; i < CALLS; i++)
		report->got_out[ATTACKS + i] = call_gets_through(&calls[i]);
	send_report(report, ATTACK_DONE);
}

static bool
use_memory(void)
{
	char *map = mmap(NULL, MEMORY_TRIED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return false;
	for (uint64_t at = 0; at < MEMORY_TRIED; at += PAGE)
		*(volatile char *)(map + at) = 1;
	return true;
}

static int
wait_in_thread(void *unused)
{
	(void)unused;
	for (;;)
		syscall(SYS_ppoll, NULL, 0L, NULL, NULL, 0L);
	return 0;
}

static bool
start_tasks(void)
{
	char *stacks = mmap(NULL, (size_t)TASKS_TRIED * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 1; i <= TASKS_TRIED && stacks != MAP_FAILED; i++) {
		if (clone(wait_in_thread, stacks + i * STACK_BYTES,
		        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL) < 0)
			return false;
	}
	return stacks != MAP_FAILED;
}

static bool
compute(void)
{
	struct timespec used;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while (used.tv_sec < CPU_TRIED_S);
	return true;
}

static bool
live_on(void)
{
	struct timespec until, now;

	clock_gettime(CLOCK_MONOTONIC, &until);
	/* A signal interrupts the wait, and does not end it: see GUEST_LAST_WORDS. */
	do {
		poll(NULL, 0, TIME_TRIED_S * 1000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < until.tv_sec + TIME_TRIED_S);
	return true;
}

void
attack_carry_out(uint32_t kind, const int *kept, size_t count, bool is_alone)
{
	static struct attack_report report = { .count = ATTACKS + CALLS };
	size_t deadly = kind >= ATTACK_DEADLY ? kind - ATTACK_DEADLY : attack_deadly_count();
	bool out;

	kept_fds = kept;
	kept_count = count;
	others_are_own = is_alone;
	send_report(&report, ATTACK_BEGAN);
	switch (kind) {
	case ATTACK_MEMORY:
		out = use_memory();
		break;
	case ATTACK_TASKS:
		out = start_tasks();
		break;
	case ATTACK_CPU:
		out = compute();
		break;
	case ATTACK_TIME:
		out = live_on();
		break;
	case ATTACK_WALLS:
		try_walls(&report);
		out = call_gets_through(&deadly_calls[0]);
		break;
	default:
		out = deadly >= attack_deadly_count() || call_gets_through(&deadly_calls[deadly]);
		break;
	}
	if (out)
		send_report(&report, ATTACK_SURVIVED);
	_exit(0);
}
