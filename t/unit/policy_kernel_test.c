/*
 * policy_kernel_test.c - the shipped policies, loaded into the kernel.
 *
 * Each call is made in a child of its own behind the filters, with arguments that the kernel itself refuses in a way
 * of its own (a bad descriptor, a bad pointer): so the error tells which of the two has refused it, and a call that gets
 * through does nothing. Then whole Python programs run behind them (policy_guest.py).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ZYGOTE GRANT_COUNT /* who has loaded `base` alone */
#define PYTHON "/usr/bin/python3"

/* What a child tells by its exit status besides an errno. */
#define STATUS_NO_FILTER 255
#define STATUS_KILLED 254 /* by SIGSYS */

static char shipped[512], script[512];

static int
find_files(void **state)
{
	const char *srcdir = getenv("srcdir");

	(void)state;
	snprintf(shipped, sizeof shipped, "%s/etc/seccomp", srcdir != NULL ? srcdir : ".");
	snprintf(script, sizeof script, "%s/t/unit/policy_guest.py", srcdir != NULL ? srcdir : ".");
	return 0;
}

static struct policy *
load(const char *name)
{
	char error[512];
	struct policy *policy = policy_load(shipped, name, error, sizeof error);

	if (policy == NULL)
		fail_msg("refused: %s", error);
	return policy;
}

/* Not _exit: with AddressSanitizer that makes a call of its own first, which the filters may refuse. */
static void
end(int status)
{
	syscall(SYS_exit_group, status);
}

/* In a child, which ends if the filter cannot be had. */
static void
enter(const struct bpf *bpf)
{
	struct sock_fprog program = { .len = (unsigned short)bpf->count, .filter = bpf->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		end(STATUS_NO_FILTER);
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? STATUS_KILLED : STATUS_NO_FILTER;
	return WEXITSTATUS(status);
}

/* The errno of a call behind the filters, 0, or STATUS_KILLED. */
static int
attempt(const struct policy *policy, unsigned who, long call, const uint64_t *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pid_t self = getpid();
		long result;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
			end(STATUS_NO_FILTER);
		enter(&policy->base);
		if (who != ZYGOTE && policy->last[who].count > 0)
			enter(&policy->last[who]);
		errno = 0;
		result = syscall(call, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
		/* A process that should not be is not to speak for its parent. */
		end(result < 0 && getpid() == self ? errno : 0);
	}
	return wait_for(pid);
}

#define BAD UINT64_MAX /* as a descriptor, a pid or a pointer */
#define THREAD (CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
/* The kernel takes no clone with both, so nothing is made. */
#define IMPOSSIBLE (CLONE_PIDFD | CLONE_DETACHED)

/*
 * fate: what becomes of the call for a guest without a grant, with processes, with network, with both; and for the
 * zygote. A: the kernel answers (with `answer`); P: EPERM; S: ENOSYS; K: killed; ?: depends on the kernel.
 */
static const struct attempt {
	const char *name;
	long call;
	uint64_t arg[6];
	const char *fate;
	int answer;
} attempts[] = {
	{ "read", SYS_read, { BAD }, "AAAAA", EBADF },
	{ "openat", SYS_openat, { BAD, 0 }, "AAAAA", EFAULT },
	{ "openat2", SYS_openat2, { BAD, 0 }, "SSSSS", 0 },
	{ "memfd_create", SYS_memfd_create, { 0 }, "AAAAA", EFAULT },
	{ "memfd_create, huge pages", SYS_memfd_create, { 0, MFD_HUGETLB }, "PPPPP", 0 },
	{ "mmap", SYS_mmap, { 0, 0, 0, MAP_PRIVATE | MAP_ANONYMOUS, BAD, 0 }, "AAAAA", EINVAL },
	{ "mmap, huge pages", SYS_mmap, { 0, 0, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, BAD, 0 }, "PPPPP", 0 },
	{ "fcntl, lock", SYS_fcntl, { BAD, F_SETLK }, "AAAAA", EBADF },
	{ "fcntl, watch a directory", SYS_fcntl, { BAD, F_NOTIFY }, "PPPPP", 0 },
	{ "fcntl, lease", SYS_fcntl, { BAD, F_SETLEASE }, "PPPPP", 0 },
	{ "fcntl, lock that stays with a mapping", SYS_fcntl, { BAD, F_OFD_SETLK }, "PPPPP", 0 },
	{ "fcntl, size of a pipe", SYS_fcntl, { BAD, F_SETPIPE_SZ }, "PPPPP", 0 },
	{ "futex", SYS_futex, { 0, 127 }, "AAAAA", ENOSYS },
	{ "statx", SYS_statx, { BAD, BAD, 0x80000000 }, "AAAAA", EINVAL },
	{ "pkey_alloc", SYS_pkey_alloc, { BAD }, "SSSSS", 0 },

	{ "clone3", SYS_clone3, { 0 }, "SSSSA", EINVAL },
	{ "clone, a thread", SYS_clone, { THREAD | IMPOSSIBLE }, "AAAAA", EINVAL },
	{ "clone, a process", SYS_clone, { SIGCHLD | IMPOSSIBLE }, "PAPAA", EINVAL },
	{ "clone, as vfork", SYS_clone, { CLONE_VM | CLONE_VFORK | SIGCHLD | IMPOSSIBLE }, "PAPAA", EINVAL },
	{ "clone, a thread with files of its own", SYS_clone, { (THREAD & ~CLONE_FILES) | IMPOSSIBLE }, "PPPPP", 0 },
	{ "clone, half a thread", SYS_clone, { CLONE_SIGHAND | CLONE_THREAD }, "PPPPP", 0 },
	{ "clone, a sibling", SYS_clone, { CLONE_PARENT | IMPOSSIBLE }, "PPPPP", 0 },
	{ "clone, a thread that is a sibling", SYS_clone, { THREAD | CLONE_PARENT | IMPOSSIBLE }, "PPPPP", 0 },
	{ "clone, user namespace", SYS_clone, { SIGCHLD | CLONE_NEWUSER | IMPOSSIBLE }, "PPPPP", 0 },
	{ "clone, mount namespace", SYS_clone, { SIGCHLD | CLONE_NEWNS | IMPOSSIBLE }, "PPPPP", 0 },
	{ "clone, thread in a namespace", SYS_clone, { THREAD | CLONE_NEWNET | IMPOSSIBLE }, "PPPPP", 0 },
#ifdef SYS_fork
	{ "fork", SYS_fork, { 0 }, "P?P??", 0 },
	{ "vfork", SYS_vfork, { 0 }, "P?P??", 0 },
#endif
	{ "execve", SYS_execve, { BAD }, "PAPAA", EFAULT },
	{ "execveat", SYS_execveat, { BAD, BAD }, "PAPAA", EFAULT },
	{ "setsid", SYS_setsid, { 0 }, "P?P??", 0 },
	{ "pidfd_open", SYS_pidfd_open, { BAD }, "PAPAA", EINVAL },

	{ "socket, TCP", SYS_socket, { AF_INET, SOCK_STREAM, 255 }, "PPAAA", EPROTONOSUPPORT },
	{ "socket, TCP, flags", SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 255 }, "PPAAA", EPROTONOSUPPORT },
	{ "socket, UDP", SYS_socket, { AF_INET, SOCK_DGRAM }, "PPPPP", 0 },
	{ "socket, raw", SYS_socket, { AF_INET, SOCK_RAW }, "PPPPP", 0 },
	{ "socket, unix", SYS_socket, { AF_UNIX, SOCK_STREAM }, "PPPPP", 0 },
	{ "socket, netlink", SYS_socket, { AF_NETLINK, SOCK_RAW }, "PPPPP", 0 },
	{ "socket, packet", SYS_socket, { AF_PACKET, SOCK_RAW }, "PPPPP", 0 },
	{ "socket, kernel crypto", SYS_socket, { AF_ALG, SOCK_SEQPACKET }, "PPPPP", 0 },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0 }, "AAAAA", EFAULT },
	{ "socketpair, datagrams", SYS_socketpair, { AF_UNIX, SOCK_DGRAM, 0, 0 }, "PPPPP", 0 },
	{ "socketpair, inet", SYS_socketpair, { AF_INET, SOCK_STREAM, 0, 0 }, "PPPPP", 0 },
	{ "connect", SYS_connect, { BAD }, "PPAAA", EBADF },
	{ "bind", SYS_bind, { BAD }, "PPAAA", EBADF },
	{ "sendmsg", SYS_sendmsg, { BAD }, "PPAAA", EBADF },
	{ "recvmsg", SYS_recvmsg, { BAD }, "PPAAA", EBADF },
	{ "send", SYS_sendto, { BAD }, "AAAAA", EBADF },
	{ "sendto", SYS_sendto, { BAD, 0, 0, 0, 8 }, "PPPPP", 0 },
	{ "setsockopt", SYS_setsockopt, { BAD, SOL_SOCKET, SO_REUSEADDR }, "PPAAA", EBADF },
	{ "setsockopt, filter", SYS_setsockopt, { BAD, SOL_SOCKET, SO_ATTACH_FILTER }, "PPPPP", 0 },
	{ "setsockopt, IP", SYS_setsockopt, { BAD, 0, 64 }, "PPPPP", 0 },

	{ "ioctl, TCGETS", SYS_ioctl, { BAD, TCGETS }, "AAAAA", EBADF },
	{ "ioctl, TCGETS and more", SYS_ioctl, { BAD, TCGETS | UINT64_C(1) << 32 }, "PPPPP", 0 },
	{ "ioctl, TIOCSTI", SYS_ioctl, { BAD, TIOCSTI }, "PPPPP", 0 },
	{ "ioctl, TIOCSTI and more", SYS_ioctl, { BAD, TIOCSTI | UINT64_C(1) << 32 }, "PPPPP", 0 },
	{ "prctl, name", SYS_prctl, { PR_SET_NAME, 0 }, "AAAAA", EFAULT },
	{ "prctl, tid address", SYS_prctl, { PR_GET_TID_ADDRESS, 0 }, "PPPP?", 0 },
	{ "prctl, seccomp", SYS_prctl, { PR_SET_SECCOMP, 99 }, "PPPPP", 0 },
	{ "prctl, dumpable", SYS_prctl, { PR_SET_DUMPABLE, 99 }, "PPPPP", 0 },
	{ "prctl, death signal", SYS_prctl, { PR_SET_PDEATHSIG, 0 }, "PPPPP", 0 },
	{ "personality, asked", SYS_personality, { 0xffffffff }, "AAAAA", 0 },
	{ "personality, changed", SYS_personality, { 0x0400000 }, "PPPPP", 0 },
	{ "prlimit64, asked", SYS_prlimit64, { 0, 99 }, "AAAAA", EINVAL },
	{ "prlimit64, self", SYS_prlimit64, { 0, RLIMIT_FSIZE, BAD }, "AAAAA", EFAULT },
	{ "prlimit64, core dumps", SYS_prlimit64, { 0, RLIMIT_CORE, BAD }, "PPPPP", 0 },
	{ "prlimit64, core dumps, a small pointer", SYS_prlimit64, { 0, RLIMIT_CORE, 1 }, "PPPPP", 0 },
	{ "prlimit64, another", SYS_prlimit64, { 1, 99 }, "PPPPP", 0 },

	{ "setns", SYS_setns, { BAD }, "PPPPA", EBADF },
	{ "seccomp", SYS_seccomp, { 99 }, "PPPPA", EINVAL },
	{ "capset", SYS_capset, { 0 }, "PPPPA", EFAULT },
	{ "setresuid", SYS_setresuid, { BAD, BAD, BAD }, "PPPPA", 0 },
	{ "setresgid", SYS_setresgid, { BAD, BAD, BAD }, "PPPPA", 0 },
	{ "landlock_create_ruleset", SYS_landlock_create_ruleset, { 0, 1, 99 }, "SSSSS", 0 },

	{ "setuid", SYS_setuid, { BAD }, "PPPPP", 0 },
	{ "setreuid", SYS_setreuid, { BAD, BAD }, "PPPPP", 0 },
	{ "setfsuid", SYS_setfsuid, { BAD }, "PPPPP", 0 },
	{ "unshare", SYS_unshare, { 0 }, "PPPPP", 0 },
	{ "mount", SYS_mount, { 0 }, "PPPPP", 0 },
	{ "umount2", SYS_umount2, { 0 }, "PPPPP", 0 },
	{ "move_mount", SYS_move_mount, { BAD }, "PPPPP", 0 },
	{ "fsopen", SYS_fsopen, { 0 }, "PPPPP", 0 },
	{ "open_tree", SYS_open_tree, { BAD }, "PPPPP", 0 },
	{ "pivot_root", SYS_pivot_root, { 0 }, "PPPPP", 0 },
	{ "chroot", SYS_chroot, { 0 }, "PPPPP", 0 },
	{ "mknodat", SYS_mknodat, { BAD, 0 }, "PPPPP", 0 },
	{ "setxattr", SYS_setxattr, { 0 }, "PPPPP", 0 },
	{ "ptrace", SYS_ptrace, { BAD, BAD }, "PPPPP", 0 },
	{ "process_vm_readv", SYS_process_vm_readv, { BAD }, "PPPPP", 0 },
	{ "pidfd_getfd", SYS_pidfd_getfd, { BAD }, "PPPPP", 0 },
	{ "kcmp", SYS_kcmp, { BAD, BAD }, "PPPPP", 0 },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, "PPPPP", 0 },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 0 }, "PPPPP", 0 },
	{ "io_uring_enter", SYS_io_uring_enter, { BAD }, "PPPPP", 0 },
	{ "add_key", SYS_add_key, { 0 }, "PPPPP", 0 },
	{ "request_key", SYS_request_key, { 0 }, "PPPPP", 0 },
	{ "keyctl", SYS_keyctl, { BAD }, "PPPPP", 0 },
	{ "shmget", SYS_shmget, { 0, 0, 0 }, "PPPPP", 0 },
	{ "semget", SYS_semget, { 0, 0, 0 }, "PPPPP", 0 },
	{ "msgget", SYS_msgget, { 0, 0 }, "PPPPP", 0 },
	{ "mq_open", SYS_mq_open, { 0 }, "PPPPP", 0 },
	{ "inotify_init1", SYS_inotify_init1, { BAD }, "PPPPP", 0 },
	{ "fanotify_init", SYS_fanotify_init, { BAD, BAD }, "PPPPP", 0 },
	{ "name_to_handle_at", SYS_name_to_handle_at, { BAD, 0 }, "PPPPP", 0 },
	{ "splice", SYS_splice, { BAD, 0, BAD }, "PPPPP", 0 },
	{ "vmsplice", SYS_vmsplice, { BAD }, "PPPPP", 0 },
	{ "syslog", SYS_syslog, { BAD }, "PPPPP", 0 },
	{ "sethostname", SYS_sethostname, { 0, BAD }, "PPPPP", 0 },
	{ "clock_settime", SYS_clock_settime, { BAD, 0 }, "PPPPP", 0 },
	{ "adjtimex", SYS_adjtimex, { 0 }, "PPPPP", 0 },
	{ "sched_setaffinity", SYS_sched_setaffinity, { 0, 0, 0 }, "PPPPP", 0 },
	{ "setpriority", SYS_setpriority, { BAD, 0, 0 }, "PPPPP", 0 },
	{ "sync", SYS_sync, { 0 }, "PPPPP", 0 },

	{ "bpf", SYS_bpf, { BAD }, "KKKKK", 0 },
	{ "init_module", SYS_init_module, { 0 }, "KKKKK", 0 },
	{ "finit_module", SYS_finit_module, { BAD }, "KKKKK", 0 },
	{ "kexec_load", SYS_kexec_load, { 0, BAD }, "KKKKK", 0 },
	{ "reboot", SYS_reboot, { 0 }, "KKKKK", 0 },
	{ "swapon", SYS_swapon, { 0 }, "KKKKK", 0 },
	{ "acct", SYS_acct, { BAD }, "KKKKK", 0 },
	{ "open_by_handle_at", SYS_open_by_handle_at, { BAD, 0 }, "KKKKK", 0 },
	{ "userfaultfd", SYS_userfaultfd, { BAD }, "KKKKK", 0 },

	{ "a call of tomorrow", 600, { 0 }, "SSSSS", 0 },
#if defined(__x86_64__) && !defined(__ILP32__)
	{ "getpid of x32", 0x40000000 + SYS_getpid, { 0 }, "KKKKK", 0 },
#endif
};

static const struct attempt worker_attempts[] = {
	{ "read", SYS_read, { BAD }, "A", EBADF },
	{ "accept", SYS_accept, { BAD }, "A", EBADF },
	{ "sendmsg", SYS_sendmsg, { BAD }, "A", EBADF },
	{ "recvmsg", SYS_recvmsg, { BAD }, "A", EBADF },
	{ "memfd_create", SYS_memfd_create, { 0 }, "A", EFAULT },
	{ "pipe2", SYS_pipe2, { 0, 0 }, "A", EFAULT },
	{ "connect", SYS_connect, { BAD }, "A", EBADF },
	{ "socket, to the runner", SYS_socket, { AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 99 }, "A", EPROTONOSUPPORT },
	{ "socket, unix stream", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }, "P", 0 },
	{ "socket, TCP", SYS_socket, { AF_INET, SOCK_STREAM, 0 }, "P", 0 },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_SEQPACKET, 0 }, "P", 0 },
	{ "mmap", SYS_mmap, { 0, 0, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, BAD, 0 }, "A", EINVAL },
	{ "mmap, executable", SYS_mmap, { 0, 0, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, BAD, 0 }, "P", 0 },
	{ "mprotect", SYS_mprotect, { 1, 1, PROT_READ }, "A", EINVAL },
	{ "mprotect, executable", SYS_mprotect, { 1, 1, PROT_READ | PROT_EXEC }, "P", 0 },
	{ "openat", SYS_openat, { BAD, 0, O_RDONLY }, "P", 0 },
	{ "openat, for writing", SYS_openat, { BAD, 0, O_WRONLY | O_CREAT }, "P", 0 },
	{ "unlinkat", SYS_unlinkat, { BAD, 0 }, "P", 0 },
	{ "kill", SYS_kill, { BAD, 0 }, "P", 0 },
	{ "seccomp", SYS_seccomp, { 99 }, "P", 0 },
	{ "bind", SYS_bind, { BAD }, "P", 0 },
	{ "listen", SYS_listen, { BAD }, "P", 0 },
	{ "setresuid", SYS_setresuid, { BAD, BAD, BAD }, "P", 0 },
	{ "clone, a process", SYS_clone, { SIGCHLD | IMPOSSIBLE }, "K", 0 },
	{ "clone, a thread", SYS_clone, { THREAD | IMPOSSIBLE }, "K", 0 },
	{ "clone3", SYS_clone3, { 0 }, "K", 0 },
	{ "execve", SYS_execve, { BAD }, "K", 0 },
	{ "ptrace", SYS_ptrace, { BAD, BAD }, "K", 0 },
	{ "setns", SYS_setns, { BAD }, "K", 0 },
};

static void
check_attempts(const struct policy *policy, const struct attempt *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct attempt *a = &list[i];

		for (unsigned who = 0; a->fate[who] != '\0'; who++) {
			int status, wanted = a->answer;

			if (a->fate[who] == '?')
				continue;
			if (a->fate[who] == 'P')
				wanted = EPERM;
			else if (a->fate[who] == 'S')
				wanted = ENOSYS;
			else if (a->fate[who] == 'K')
				wanted = STATUS_KILLED;
			status = attempt(policy, who, a->call, a->arg);
			if (status != wanted)
				fail_msg("%s: %s of %u: %d, and not %d", policy->name, a->name, who, status, wanted);
		}
	}
}

static void
test_python_calls(void **state)
{
	struct policy *policy = load("python3");

	(void)state;
	check_attempts(policy, attempts, LENGTH(attempts));
	policy_free(policy);
}

static void
test_worker_calls(void **state)
{
	struct policy *policy = load("worker");

	(void)state;
	check_attempts(policy, worker_attempts, LENGTH(worker_attempts));
	policy_free(policy);
}

#if defined(__x86_64__)
/* The numbers of i386 mean other calls: 1 is exit there, and write here. */
static void
test_i386_calls_die(void **state)
{
	struct policy *policy = load("python3");
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
			enter(&policy->base);
		__asm__ volatile("int $0x80" : : "a"(1), "b"(0) : "memory");
		end(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	policy_free(policy);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		skip(); /* a kernel without calls of i386 */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
#endif

static void
run_python(unsigned grant)
{
	struct policy *policy;
	const struct bpf *last;
	pid_t pid;
	int fd;

	if (access(PYTHON, X_OK) != 0) {
		assert_null(getenv("CELLBLOCK_MUST_WORK"));
		print_message("[   SKIP   ] there is no " PYTHON "\n");
		skip();
	}
	policy = load("python3");
	last = &policy->last[grant];
	fd = memfd_create("last", 0);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, last->code, last->count * sizeof last->code[0]), last->count * sizeof last->code[0]);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char number[16], descriptor[16], grants[16];

		snprintf(number, sizeof number, "%ld", (long)SYS_seccomp);
		snprintf(descriptor, sizeof descriptor, "%d", fd);
		snprintf(grants, sizeof grants, "%u", grant);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
			enter(&policy->base);
		execl(PYTHON, PYTHON, "-I", script, number, descriptor, grants, (char *)NULL);
		end(STATUS_NO_FILTER);
	}
	close(fd);
	policy_free(policy);
	assert_int_equal(wait_for(pid), 0);
}

static void
test_python(void **state)
{
	(void)state;
	run_python(0);
}

static void
test_python_with_processes(void **state)
{
	(void)state;
	run_python(GRANT_PROCESSES);
}

static void
test_python_with_network(void **state)
{
	(void)state;
	run_python(GRANT_NETWORK);
}

static void
test_python_with_both(void **state)
{
	(void)state;
	run_python(GRANT_PROCESSES | GRANT_NETWORK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python_calls),
		cmocka_unit_test(test_worker_calls),
#if defined(__x86_64__)
		cmocka_unit_test(test_i386_calls_die),
#endif
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_python_with_processes),
		cmocka_unit_test(test_python_with_network),
		cmocka_unit_test(test_python_with_both),
	};

	return cmocka_run_group_tests_name("policy_kernel", tests, find_files, NULL);
}
