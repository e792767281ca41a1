/*
 * lockdown_test.c - attacks the worker's own layers: children lock themselves down as the worker
 * does, and then try the things that a compromised worker would try.
 *
 * policy_kernel_test.c tests the effect of the policy on each system call.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autoconfig.h"
#include "landlock.h"
#include "lockdown.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define WORKER_UID 65534 /* the worker's uid in this test, when run as root */

/* The outcome of an attack. */
enum fate {
	STOPPED, /* it was denied */
	ENDED,   /* by SIGSYS */
	GOT_OUT,
	NOT_TRIED, /* the lockdown itself failed */
};

static struct policy *policy;
static char key_file[64], unix_path[64];
static int listening;
static enum requirement landlock = LAYER_OPTIONAL;
static struct policy *store_policy;
static int store_fd = -1; /* the directory of a store; -1: become a worker */
static pid_t sibling;     /* waits, with the same user and the same layers */

static void
become_worker(void)
{
	struct config config = { .worker_landlock = landlock, .requests = 1, .body_bytes = 1 << 20 };

	/* Its messages are for the log of a service, not for the output of the tests. */
	if (freopen("/dev/null", "w", stderr) == NULL ||
	    (geteuid() == 0 &&
	        (setgroups(0, NULL) != 0 || setresgid(WORKER_UID, WORKER_UID, WORKER_UID) != 0 ||
	            setresuid(WORKER_UID, WORKER_UID, WORKER_UID) != 0)))
		_exit(NOT_TRIED);
	if (store_fd >= 0) {
		lockdown_begin_in(&config, store_fd);
		lockdown_complete_with(&config, store_policy, 64);
	} else {
		lockdown_begin(&config);
		lockdown_complete(&config, policy);
	}
	lockdown_verify();
}

static bool
open_files(void)
{
	static const char *const paths[] = { "/etc/passwd", "/", "/dev/null", "/proc/self/mem", "/tmp", "." };

	for (size_t i = 0; i < LENGTH(paths); i++) {
		if (open(paths[i], O_RDONLY) >= 0 || open(paths[i], O_PATH) >= 0)
			return true;
	}
	return open("/tmp/planted", O_CREAT | O_WRONLY, 0600) >= 0;
}

static bool
read_keys(void)
{
	return open(key_file, O_RDONLY) >= 0;
}

static bool
change_files(void)
{
	return unlink(key_file) == 0 || rename(key_file, "/tmp/stolen") == 0 || chmod(key_file, 0777) == 0 ||
	    mkdir("/tmp/planted", 0700) == 0 || symlink("/", "/tmp/planted") == 0;
}

static bool
execute(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };

	return execve(argv[0], argv, argv + 1) == 0;
}

static bool
execute_memory(void)
{
	int fd = memfd_create("x", 0);
	char *argv[] = { (char *)"x", NULL };

	return fd >= 0 && execveat(fd, "", argv, argv + 1, AT_EMPTY_PATH) == 0;
}

static bool
fork_off(void)
{
	return fork() >= 0;
}

static bool
clone_off(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}

static bool
start_thread(void)
{
	return syscall(SYS_clone3, 0, 0) >= 0 || errno == EINVAL || errno == EFAULT;
}

static bool
trace_sibling(void)
{
	return ptrace(PTRACE_SEIZE, sibling, NULL, NULL) == 0;
}

static bool
be_traced(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool
read_sibling(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)&sibling, 1 };

	return process_vm_readv(sibling, &here, 1, &there, 1, 0) == 1;
}

static bool
signal_sibling(void)
{
	return kill(sibling, 0) == 0 || kill(sibling, SIGKILL) == 0 || kill(-1, 0) == 0;
}

static bool
signal_parent(void)
{
	return kill(getppid(), 0) == 0;
}

static bool
queue_signal(void)
{
	siginfo_t info = { .si_code = -1 };

	return syscall(SYS_rt_sigqueueinfo, sibling, SIGUSR1, &info) == 0 || syscall(SYS_tgkill, sibling, sibling, SIGTERM) == 0;
}

/* A descriptor that has an owner sends it signals, any that its user may send. */
static bool
own_descriptor(void)
{
	struct f_owner_ex owner = { F_OWNER_PID, sibling };

	return fcntl(listening, F_SETOWN, sibling) == 0 || fcntl(listening, F_SETOWN_EX, &owner) == 0;
}

static bool
signal_by_descriptor(void)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return store_fd < 0; /* the store cannot make a pipe */
	fcntl(pipes[0], F_SETOWN, sibling);
	return fcntl(pipes[0], F_SETSIG, SIGKILL) == 0 || fcntl(pipes[0], F_SETFL, O_ASYNC) == 0 || write(pipes[1], "", 1) != 1;
}

/* Its standard error may be the log of all workers. */
static bool
empty_file(void)
{
	int fd = memfd_create("log", 0);

	if (fd < 0)
		return store_fd < 0; /* nor a memfd */
	return write(fd, "line", 4) != 4 || ftruncate(fd, 0) == 0;
}

static bool
open_sibling(void)
{
	int fd = (int)syscall(SYS_pidfd_open, sibling, 0);

	return fd >= 0;
}

static bool
limit_sibling(void)
{
	struct rlimit none = { 0, 0 };

	return prlimit(sibling, RLIMIT_CPU, &none, NULL) == 0;
}

static bool
slow_sibling(void)
{
	return setpriority(PRIO_PROCESS, (id_t)sibling, 19) == 0;
}

static bool
reach_network(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_INET6, SOCK_DGRAM, 0) >= 0 ||
	    socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0 || socket(AF_VSOCK, SOCK_STREAM, 0) >= 0;
}

/* It can have sockets of the runner's type, and with these reach only listeners of that type. */
static bool
connect_elsewhere(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	memcpy(address.sun_path, unix_path, sizeof unix_path);
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_DGRAM, 0) >= 0 ||
	    (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
}

static bool
listen_for_others(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0cellblock-lockdown-test" };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static bool
map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
make_code(void)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED || mprotect(map, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool
become_root(void)
{
	return setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0;
}

static bool
get_namespaces(void)
{
	return syscall(SYS_unshare, CLONE_NEWUSER) == 0;
}

static bool
be_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

static bool
raise_limits(void)
{
	struct rlimit more = { 65536, 65536 };

	return setrlimit(RLIMIT_NOFILE, &more) == 0;
}

static bool
use_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno == EFAULT;
}

static bool
use_bpf(void)
{
	return syscall(SYS_bpf, -1, 1, 0) >= 0 || errno == EFAULT || errno == EINVAL;
}

static bool
use_keys(void)
{
	return syscall(SYS_keyctl, 0, -3, 0) >= 0;
}

static bool
use_ipc(void)
{
	return syscall(SYS_shmget, 0, 4096, 01600) >= 0 || syscall(SYS_msgget, 0, 01600) >= 0;
}

static bool
change_directory(void)
{
	return chdir("/") == 0 || chroot("/tmp") == 0;
}

/* An i386 call and an x32 call: other numbers for the same kernel. */
#ifdef __x86_64__
static bool
call_x32(void)
{
	return syscall(0x40000000L | SYS_getpid) > 0;
}

static bool
call_i386(void)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return result > 0;
}
#endif

static const struct {
	const char *name;
	bool (*gets_out)(void);
} attacks[] = {
	{ "open files", open_files },
	{ "read the keys", read_keys },
	{ "change files", change_files },
	{ "execute a program", execute },
	{ "execute memory", execute_memory },
	{ "fork", fork_off },
	{ "clone", clone_off },
	{ "start a thread", start_thread },
	{ "trace a sibling", trace_sibling },
	{ "be traced", be_traced },
	{ "read a sibling's memory", read_sibling },
	{ "signal a sibling", signal_sibling },
	{ "signal its parent", signal_parent },
	{ "queue a signal", queue_signal },
	{ "own a descriptor in a sibling's name", own_descriptor },
	{ "signal a sibling by a descriptor", signal_by_descriptor },
	{ "empty a file", empty_file },
	{ "open a sibling", open_sibling },
	{ "limit a sibling", limit_sibling },
	{ "slow a sibling down", slow_sibling },
	{ "reach a network", reach_network },
	{ "connect elsewhere", connect_elsewhere },
	{ "listen for others", listen_for_others },
	{ "map code", map_code },
	{ "make memory code", make_code },
	{ "become root", become_root },
	{ "get a namespace", get_namespaces },
	{ "be dumpable", be_dumpable },
	{ "raise limits", raise_limits },
	{ "use io_uring", use_io_uring },
	{ "use bpf", use_bpf },
	{ "use keys", use_keys },
	{ "use ipc", use_ipc },
	{ "change its directory", change_directory },
#ifdef __x86_64__
	{ "make an x32 call", call_x32 },
	{ "make an i386 call", call_i386 },
#endif
};

/*
 * These children make none of the sanitizers' own calls; but a worker built with sanitizers has no
 * filter.
 */
#ifdef CELLBLOCK_SANITIZERS
#define HAS_FILTER false
#else
#define HAS_FILTER true
#endif

static enum fate
carry_out(bool (*gets_out)(void), bool walls)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (walls)
			become_worker();
		_exit(gets_out() ? GOT_OUT : STOPPED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* An i386 call raises SIGSEGV on a kernel without them. */
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV))
		return ENDED;
	return WIFEXITED(status) && WEXITSTATUS(status) <= NOT_TRIED ? (enum fate)WEXITSTATUS(status) : NOT_TRIED;
}

static void
carry_out_attacks(void)
{
	if (!HAS_FILTER) {
		print_message("# a worker that has sanitizers has no filter to attack\n"); /* skip() is "not ok" as TAP */
		return;
	}
	for (size_t i = 0; i < LENGTH(attacks); i++) {
		enum fate fate = carry_out(attacks[i].gets_out, true);

		if (fate != STOPPED && fate != ENDED)
			fail_msg("%s: fate %d", attacks[i].name, (int)fate);
		assert_int_equal(waitpid(sibling, NULL, WNOHANG), 0);
	}
}

static void
test_attacks(void **state)
{
	(void)state;
	carry_out_attacks();
}

/* Signals are denied by the policy alone: Landlock denies them only from Linux 6.12 on. */
static void
test_attacks_without_landlock(void **state)
{
	(void)state;
	landlock = LAYER_OFF;
	carry_out_attacks();
	landlock = LAYER_OPTIONAL;
}

/*
 * The same attacks without layers: one that never succeeds proves nothing. Only those that do no
 * harm here.
 */
static void
test_attacks_without_walls(void **state)
{
	bool (*const harmless[])(void) = { open_files, read_keys, fork_off, clone_off, start_thread, be_traced, signal_parent,
		own_descriptor, empty_file, open_sibling, reach_network, connect_elsewhere, listen_for_others, map_code,
		make_code, be_dumpable, change_directory, execute };

	(void)state;
	for (size_t i = 0; i < LENGTH(harmless); i++) {
		enum fate fate = carry_out(harmless[i], false);

		/* /bin/true has replaced the attacker, and exits with 0. */
		if (fate != (harmless[i] == execute ? STOPPED : GOT_OUT))
			fail_msg("attack %zu without walls: fate %d", i, (int)fate);
	}
}

/* The rights that the worker needs, it still has. */
static bool
cannot_serve(void)
{
	int pipes[2], fd = memfd_create("job", MFD_ALLOW_SEALING);

	return pipe2(pipes, O_CLOEXEC) != 0 || write(pipes[1], "x", 1) != 1 || fd < 0 || write(fd, "x", 1) != 1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0 || malloc(1 << 20) == NULL;
}

static void
test_can_serve(void **state)
{
	(void)state;
	assert_int_equal(carry_out(cannot_serve, true), STOPPED);
}

static bool
cannot_store(void)
{
	static const char *const outside[] = { "..", "../..", "/", "/etc/passwd", "/proc/self/mem" };
	int fd = openat(store_fd, "a", O_WRONLY | O_CREAT | O_EXCL, 0400);

	if (fd < 0 || write(fd, "x", 1) != 1 || mkdirat(store_fd, "d", 0700) != 0 ||
	    renameat(store_fd, "a", store_fd, "d/b") != 0 || openat(store_fd, "d/b", O_RDONLY) < 0 ||
	    unlinkat(store_fd, "d/b", 0) != 0 || unlinkat(store_fd, "d", AT_REMOVEDIR) != 0)
		return true;
	for (size_t i = 0; i < LENGTH(outside); i++) {
		if (openat(store_fd, outside[i], O_RDONLY) >= 0)
			return true;
	}
	return mkdirat(store_fd, "../planted", 0700) == 0 || unlinkat(AT_FDCWD, key_file, 0) == 0 ||
	    renameat(AT_FDCWD, key_file, store_fd, "stolen") == 0;
}

/* The store, which may open files, has those of its directory, and no other. */
static void
test_store(void **state)
{
	char dir[] = "/tmp/lockdown-test-store-XXXXXX";
	int fd;

	(void)state;
	if (!HAS_FILTER || landlock_abi() < 2) {
		print_message("# the store needs Landlock of ABI 2, and a filter\n");
		return;
	}
	assert_non_null(mkdtemp(dir));
	assert_true(geteuid() != 0 || chown(dir, WORKER_UID, WORKER_UID) == 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	store_fd = fd;
	landlock = LAYER_REQUIRED;
	carry_out_attacks();
	assert_int_equal(carry_out(cannot_store, true), STOPPED);
	landlock = LAYER_OPTIONAL;
	store_fd = -1;
	close(fd);
	rmdir(dir);
}

/* A file with a key, a socket that is not the runner's, and another worker. */
static int
set_up(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[512], error[512];
	const char *srcdir = getenv("srcdir");
	int fd, ready[2];
	char byte;

	(void)state;
	snprintf(dir, sizeof dir, "%s/etc/seccomp", srcdir != NULL ? srcdir : ".");
	policy = policy_load(dir, "worker", 0, error, sizeof error);
	store_policy = policy_load(dir, "store", 0, error, sizeof error);
	snprintf(key_file, sizeof key_file, "/tmp/lockdown-test-key-XXXXXX");
	fd = mkstemp(key_file);
	if (policy == NULL || store_policy == NULL || fd < 0 || fchmod(fd, 0644) != 0)
		return -1;
	close(fd);
	snprintf(unix_path, sizeof unix_path, "/tmp/lockdown-test-%ld", (long)getpid());
	memcpy(address.sun_path, unix_path, sizeof unix_path);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 8) != 0 ||
	    pipe2(ready, O_CLOEXEC) != 0)
		return -1;
	sibling = fork();
	if (sibling == 0) {
		become_worker();
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			poll(NULL, 0, -1);
	}
	close(ready[1]);
	return read(ready[0], &byte, 1) == 1 ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	kill(sibling, SIGKILL);
	waitpid(sibling, NULL, 0);
	unlink(key_file);
	unlink(unix_path);
	close(listening);
	policy_free(policy);
	policy_free(store_policy);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_can_serve),
		cmocka_unit_test(test_attacks),
		cmocka_unit_test(test_attacks_without_landlock),
		cmocka_unit_test(test_attacks_without_walls),
		cmocka_unit_test(test_store),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
