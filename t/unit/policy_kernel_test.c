/*
 * policy_kernel_test.c - the shipped policies, loaded into the kernel.
 *
 * Each call is made in a child of its own behind the filters, with arguments that the kernel
 * rejects with another error (a bad descriptor, a bad pointer). So the error shows whether the
 * filter or the kernel stopped the call, and a call that gets through has no effect.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behind_filters.h"
#include "mark.h"
#include "missing.h"
#include "policy.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct call {
	long number;
	const uint64_t *arg;
};

/* Make a call, and exit with its errno. */
static void
make_call(const void *context)
{
	const struct call *call = context;
	const uint64_t *arg = call->arg;
	pid_t self = getpid();
	long result;

	errno = 0;
	result = syscall(call->number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	/* A process that the call should not have made must not answer for its parent. */
	behind_filters_end(result < 0 && getpid() == self ? errno : 0);
}

/* The errno of a call behind the filters, 0, or STATUS_KILLED. */
static int
attempt(const struct policy *policy, unsigned who, long number, const uint64_t *arg, int *refused)
{
	struct call call = { number, arg };

	return behind_filters_run(policy, who, make_call, &call, refused);
}

#define BAD UINT64_MAX /* as a descriptor, a pid or a pointer */
#define BAD_FLAG 0x40  /* of a socket: the kernel rejects it */
#define THREAD (CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
/* The kernel rejects a clone with both, so no process is made. */
#define IMPOSSIBLE (CLONE_PIDFD | CLONE_DETACHED)

/*
 * fate: the effect on a guest without a grant, with processes, with network, with both; then with a
 * loopback, without and with processes, where that differs from a network. A: allowed,
 * the kernel answers (with `answer`); P: denied and reported; Q: denied (with `answer`), not
 * reported; S: ENOSYS; K: killed; ?: depends on
 * the kernel.
 */
static const struct attempt {
	const char *name;
	long call;
	uint64_t arg[6];
	const char *fate;
	int answer;
} attempts[] = {
	{ "read", SYS_read, { BAD }, "AAAA", EBADF },
	{ "openat", SYS_openat, { BAD, 0 }, "AAAA", EFAULT },
	{ "openat2", SYS_openat2, { BAD, 0 }, "SSSS", 0 },
	{ "memfd_create", SYS_memfd_create, { 0 }, "AAAA", EFAULT },
	{ "memfd_create, huge pages", SYS_memfd_create, { 0, MFD_HUGETLB }, "PPPP", 0 },
	{ "mmap", SYS_mmap, { 0, 0, 0, MAP_PRIVATE | MAP_ANONYMOUS, BAD, 0 }, "AAAA", EINVAL },
	{ "mmap, huge pages", SYS_mmap, { 0, 0, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, BAD, 0 }, "PPPP", 0 },
	{ "fcntl, lock", SYS_fcntl, { BAD, F_SETLK }, "AAAA", EBADF },
	{ "fcntl, watch a directory", SYS_fcntl, { BAD, F_NOTIFY }, "PPPP", 0 },
	{ "fcntl, lease", SYS_fcntl, { BAD, F_SETLEASE }, "PPPP", 0 },
	{ "fcntl, lock of an open file description", SYS_fcntl, { BAD, F_OFD_SETLK }, "AAAA", EBADF },
	{ "fcntl, size of a pipe", SYS_fcntl, { BAD, F_SETPIPE_SZ }, "QQQQ", EPERM },
	{ "fcntl, flags", SYS_fcntl, { BAD, F_SETFL, O_NONBLOCK }, "AAAA", EBADF },
	{ "fcntl, signals", SYS_fcntl, { BAD, F_SETFL, O_ASYNC }, "PPPP", 0 },
	{ "fcntl, past the cache", SYS_fcntl, { BAD, F_SETFL, O_DIRECT }, "AAAA", EINVAL },
	{ "openat, past the cache", SYS_openat, { BAD, 0, O_DIRECT }, "AAAA", EINVAL },
	{ "pipe2", SYS_pipe2, { 0, O_CLOEXEC | O_NONBLOCK }, "AAAA", EFAULT },
	{ "pipe2, for notifications", SYS_pipe2, { 0, O_EXCL }, "PPPP", 0 },
	{ "pipe2, packets", SYS_pipe2, { 0, O_DIRECT }, "PPPP", 0 },
	/* Their descriptor is not even looked at. */
	{ "fsync", SYS_fsync, { BAD }, "AAAA", 0 },
	{ "fdatasync", SYS_fdatasync, { BAD }, "AAAA", 0 },
	{ "sync_file_range", SYS_sync_file_range, { BAD, 0, 0, 7 }, "AAAA", 0 },
	{ "fadvise64", SYS_fadvise64, { BAD, 0, 0, POSIX_FADV_DONTNEED }, "AAAA", 0 },
	{ "readahead", SYS_readahead, { BAD, 0, 4096 }, "AAAA", 0 },
	{ "msync", SYS_msync, { 1, 1, MS_SYNC }, "AAAA", 0 },
	{ "msync, of no page", SYS_msync, { 1, 1, MS_ASYNC }, "AAAA", EINVAL },
	{ "preadv2", SYS_preadv2, { BAD, 0, 0, 0, 0, 0 }, "AAAA", EBADF },
	{ "preadv2, of what is cached", SYS_preadv2, { BAD, 0, 0, 0, 0, RWF_NOWAIT }, "PPPP", 0 },
	{ "preadv2, and out of the cache", SYS_preadv2, { BAD, 0, 0, 0, 0, 0x80 }, "PPPP", 0 },
	{ "pwritev2, and to the disk", SYS_pwritev2, { BAD, 0, 0, 0, 0, RWF_DSYNC }, "PPPP", 0 },
	{ "madvise", SYS_madvise, { 1, 0, MADV_DONTNEED }, "AAAA", EINVAL },
	{ "madvise, merge pages", SYS_madvise, { 0, 0, MADV_MERGEABLE }, "AAAA", EINVAL },
	{ "madvise, page out", SYS_madvise, { 0, 0, MADV_PAGEOUT }, "AAAA", EINVAL },
	{ "madvise, poison a page", SYS_madvise, { 0, 0, MADV_HWPOISON }, "PPPP", 0 },
	{ "futex", SYS_futex, { 0, 2 }, "AAAA", ENOSYS },
	{ "futex, wake", SYS_futex, { 1, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0 }, "AAAA", EINVAL },
	{ "futex, lock", SYS_futex, { 1, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG }, "AAAA", EINVAL },
	{ "futex, requeue with priorities", SYS_futex, { 0, FUTEX_CMP_REQUEUE_PI }, "PPPP", 0 },
	{ "futex, wait for that", SYS_futex, { 0, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG }, "PPPP", 0 },
	{ "futex, of tomorrow", SYS_futex, { 0, 127 }, "PPPP", 0 },
	{ "membarrier, private", SYS_membarrier, { MEMBARRIER_CMD_PRIVATE_EXPEDITED, 99 }, "AAAA", EINVAL },
	{ "membarrier, of the host", SYS_membarrier, { MEMBARRIER_CMD_GLOBAL }, "PPPP", 0 },
	{ "renameat2", SYS_renameat2, { BAD, 0, BAD, 0, RENAME_NOREPLACE }, "AAAA", EFAULT },
	{ "renameat2, leave a device", SYS_renameat2, { BAD, 0, BAD, 0, RENAME_WHITEOUT }, "PPPP", 0 },
	{ "recv, out of band", SYS_recvfrom, { BAD, 0, 0, MSG_OOB }, "PPPP", 0 },
	{ "recv, errors", SYS_recvfrom, { BAD, 0, 0, MSG_ERRQUEUE }, "PPPP", 0 },
	{ "recv", SYS_recvfrom, { BAD, 0, 0, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_WAITALL }, "AAAA", EBADF },
	{ "send, out of band", SYS_sendto, { BAD, 0, 0, MSG_OOB }, "PPPP", 0 },
	{ "send, connect", SYS_sendto, { BAD, 0, 0, MSG_FASTOPEN }, "PPPP", 0 },
	{ "send, without a copy", SYS_sendto, { BAD, 0, 0, MSG_ZEROCOPY }, "PPPP", 0 },
	{ "send, more", SYS_sendto, { BAD, 0, 0, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT }, "AAAA", EBADF },
	{ "sendmsg, connect", SYS_sendmsg, { BAD, 0, MSG_FASTOPEN }, "PPPP", 0 },
	{ "recvmsg, errors", SYS_recvmsg, { BAD, 0, MSG_ERRQUEUE }, "PPPP", 0 },
	{ "getsockopt", SYS_getsockopt, { BAD, SOL_SOCKET, SO_ERROR }, "AAAA", EBADF },
	{ "getsockopt, TCP", SYS_getsockopt, { BAD, IPPROTO_TCP, TCP_INFO }, "PPAA", EBADF },
	{ "getsockopt, pages of the card", SYS_getsockopt, { BAD, IPPROTO_TCP, 35 }, "PPPP", 0 },
	{ "getsockopt, IP", SYS_getsockopt, { BAD, 0, 64 }, "PPPP", 0 },
#ifdef SYS_arch_prctl
	{ "arch_prctl", SYS_arch_prctl, { 0x1003, BAD }, "AAAA", EFAULT },
	{ "arch_prctl, GS", SYS_arch_prctl, { 0x1001, 0 }, "PPPP", 0 },
	{ "arch_prctl, tiles", SYS_arch_prctl, { 0x1022, 0 }, "AAAA", EINVAL },
#endif
	{ "statx", SYS_statx, { BAD, BAD, 0x80000000 }, "AAAA", EINVAL },
	{ "pkey_alloc", SYS_pkey_alloc, { BAD }, "SSSS", 0 },

	{ "clone3", SYS_clone3, { 0 }, "SSSS", EINVAL },
	{ "clone, a thread", SYS_clone, { THREAD | IMPOSSIBLE }, "AAAA", EINVAL },
	{ "clone, a process", SYS_clone, { SIGCHLD | IMPOSSIBLE }, "PAPA", EINVAL },
	{ "clone, as vfork", SYS_clone, { CLONE_VM | CLONE_VFORK | SIGCHLD | IMPOSSIBLE }, "PAPA", EINVAL },
	{ "clone, a thread with files of its own", SYS_clone, { (THREAD & ~CLONE_FILES) | IMPOSSIBLE }, "PPPP", 0 },
	{ "clone, half a thread", SYS_clone, { CLONE_SIGHAND | CLONE_THREAD }, "PPPP", 0 },
	{ "clone, a sibling", SYS_clone, { CLONE_PARENT | IMPOSSIBLE }, "PPPP", 0 },
	{ "clone, a thread that is a sibling", SYS_clone, { THREAD | CLONE_PARENT | IMPOSSIBLE }, "PPPP", 0 },
	{ "clone, user namespace", SYS_clone, { SIGCHLD | CLONE_NEWUSER | IMPOSSIBLE }, "PPPP", 0 },
	{ "clone, mount namespace", SYS_clone, { SIGCHLD | CLONE_NEWNS | IMPOSSIBLE }, "PPPP", 0 },
	{ "clone, thread in a namespace", SYS_clone, { THREAD | CLONE_NEWNET | IMPOSSIBLE }, "PPPP", 0 },
#ifdef SYS_fork
	{ "fork", SYS_fork, { 0 }, "P?P?", 0 },
	{ "vfork", SYS_vfork, { 0 }, "P?P?", 0 },
#endif
	{ "execve", SYS_execve, { BAD }, "AAAA", EFAULT },
	{ "execveat", SYS_execveat, { BAD, BAD }, "AAAA", EFAULT },
	{ "setpgid", SYS_setpgid, { BAD, 0 }, "AAAA", EINVAL },
	{ "pidfd_open", SYS_pidfd_open, { BAD }, "AAAA", EINVAL },
	{ "pidfd_send_signal", SYS_pidfd_send_signal, { BAD }, "AAAA", EBADF },

	{ "socket, TCP", SYS_socket, { AF_INET, SOCK_STREAM | BAD_FLAG }, "PPAA", EINVAL },
	{ "socket, TCP, by its number", SYS_socket, { AF_INET6, SOCK_STREAM | BAD_FLAG, IPPROTO_TCP }, "PPAA", EINVAL },
	{ "socket, TCP, flags", SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC | BAD_FLAG }, "PPAA", EINVAL },
	{ "socket, SCTP", SYS_socket, { AF_INET, SOCK_STREAM | BAD_FLAG, IPPROTO_SCTP }, "PPPP", 0 },
	{ "socket, MPTCP", SYS_socket, { AF_INET6, SOCK_STREAM | BAD_FLAG, IPPROTO_MPTCP }, "PPPP", 0 },
	{ "socket, a protocol that there is not", SYS_socket, { AF_INET, SOCK_STREAM | BAD_FLAG, 255 }, "PPPP", 0 },
	{ "socket, UDP", SYS_socket, { AF_INET, SOCK_DGRAM | BAD_FLAG }, "PPPPAA", EINVAL },
	{ "socket, raw", SYS_socket, { AF_INET, SOCK_RAW }, "PPPP", 0 },
	{ "socket, unix", SYS_socket, { AF_UNIX, SOCK_STREAM | BAD_FLAG }, "AAAA", EINVAL },
	{ "socket, UDP by its number", SYS_socket, { AF_INET6, SOCK_DGRAM | BAD_FLAG, IPPROTO_UDP }, "PPPPAA", EINVAL },
	{ "socket, UDP-Lite", SYS_socket, { AF_INET, SOCK_DGRAM, 136 }, "PPPP", 0 },
	{ "socket, unix, raw", SYS_socket, { AF_UNIX, SOCK_RAW }, "PPPP", 0 },
	{ "socket, unix, another protocol", SYS_socket, { AF_UNIX, SOCK_STREAM, 1 }, "PPPP", 0 },
	{ "setsockopt, broadcast", SYS_setsockopt, { BAD, SOL_SOCKET, SO_BROADCAST }, "PPPPAA", EBADF },
	{ "setsockopt, hops of multicast", SYS_setsockopt, { BAD, IPPROTO_IPV6, IPV6_MULTICAST_HOPS }, "PPPPAA", EBADF },
	{ "setsockopt, a group of multicast", SYS_setsockopt, { BAD, IPPROTO_IPV6, IPV6_JOIN_GROUP }, "PPPPPP", 0 },
	{ "setsockopt, buffers", SYS_setsockopt, { BAD, SOL_SOCKET, SO_SNDBUF }, "PPAA", EBADF },
	{ "sendto, connect", SYS_sendto, { BAD, 0, 0, MSG_FASTOPEN, 8 }, "PPPP", 0 },
	{ "sendto, out of band", SYS_sendto, { BAD, 0, 0, MSG_OOB, 8 }, "PPPP", 0 },
	{ "socket, netlink", SYS_socket, { AF_NETLINK, SOCK_RAW }, "PPPP", 0 },
	{ "mincore", SYS_mincore, { BAD }, "AAAA", EINVAL },
	{ "prctl, small pages", SYS_prctl, { PR_SET_THP_DISABLE, 1, BAD }, "AAAA", EINVAL },
	{ "socket, packet", SYS_socket, { AF_PACKET, SOCK_RAW }, "PPPP", 0 },
	{ "socket, kernel crypto", SYS_socket, { AF_ALG, SOCK_SEQPACKET }, "PPPP", 0 },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0 }, "AAAA", EFAULT },
	{ "socketpair, datagrams", SYS_socketpair, { AF_UNIX, SOCK_DGRAM, 0, 0 }, "AAAA", EFAULT },
	{ "socketpair, inet", SYS_socketpair, { AF_INET, SOCK_STREAM, 0, 0 }, "PPPP", 0 },
	{ "connect", SYS_connect, { BAD }, "AAAA", EBADF },
	{ "bind", SYS_bind, { BAD }, "AAAA", EBADF },
	{ "sendmsg", SYS_sendmsg, { BAD }, "AAAA", EBADF },
	{ "recvmsg", SYS_recvmsg, { BAD }, "AAAA", EBADF },
	{ "send", SYS_sendto, { BAD }, "AAAA", EBADF },
	{ "sendto", SYS_sendto, { BAD, 0, 0, 0, 8 }, "AAAA", EBADF },
	{ "setsockopt", SYS_setsockopt, { BAD, SOL_SOCKET, SO_REUSEADDR }, "AAAA", EBADF },
	{ "setsockopt, filter", SYS_setsockopt, { BAD, SOL_SOCKET, SO_ATTACH_FILTER }, "PPPP", 0 },
	{ "setsockopt, IP", SYS_setsockopt, { BAD, 0, 64 }, "PPPP", 0 },

	{ "ioctl, TCGETS", SYS_ioctl, { BAD, TCGETS }, "AAAA", EBADF },
	{ "ioctl, TCGETS and more", SYS_ioctl, { BAD, TCGETS | UINT64_C(1) << 32 }, "PPPP", 0 },
	{ "ioctl, TCSETS", SYS_ioctl, { BAD, TCSETS }, "AAAA", ENOTTY },
	{ "ioctl, flags of a file", SYS_ioctl, { BAD, FS_IOC_GETFLAGS }, "AAAA", ENOTTY },
	{ "ioctl, TIOCSTI", SYS_ioctl, { BAD, TIOCSTI }, "PPPP", 0 },
	{ "ioctl, TIOCSTI and more", SYS_ioctl, { BAD, TIOCSTI | UINT64_C(1) << 32 }, "PPPP", 0 },
	{ "prctl, name", SYS_prctl, { PR_SET_NAME, 0 }, "AAAA", EFAULT },
	{ "prctl, tid address", SYS_prctl, { PR_GET_TID_ADDRESS, 0 }, "PPPP", 0 },
	{ "prctl, bounding set", SYS_prctl, { PR_CAPBSET_DROP, 99 }, "AAAA", EINVAL },
	{ "prctl, seccomp", SYS_prctl, { PR_SET_SECCOMP, 99 }, "AAAA", EINVAL },
	{ "prctl, dumpable", SYS_prctl, { PR_SET_DUMPABLE, 99 }, "PPPP", 0 },
	{ "prctl, dumpable again", SYS_prctl, { PR_SET_DUMPABLE, 1 }, "PPPP", 0 },
	{ "prctl, secret", SYS_prctl, { PR_SET_DUMPABLE, 0 }, "AAAA", 0 },
	{ "prctl, a map of memory", SYS_prctl, { PR_SET_MM, 99 }, "PPPP", 0 },
	{ "prctl, ambient capabilities", SYS_prctl, { PR_CAP_AMBIENT, 99 }, "AAAA", EINVAL },
	{ "prctl, no_new_privs off", SYS_prctl, { PR_SET_NO_NEW_PRIVS, 0 }, "AAAA", EINVAL },
	{ "prctl, death signal", SYS_prctl, { PR_SET_PDEATHSIG, 99 }, "AAAA", EINVAL },
	{ "personality, asked", SYS_personality, { 0xffffffff }, "AAAA", 0 },
	{ "personality, changed", SYS_personality, { 0x0400000 }, "PPPP", 0 },
	{ "prlimit64, asked", SYS_prlimit64, { 0, 99 }, "AAAA", EINVAL },
	{ "prlimit64, self", SYS_prlimit64, { 0, RLIMIT_FSIZE, BAD }, "AAAA", EFAULT },
	{ "prlimit64, core dumps", SYS_prlimit64, { 0, RLIMIT_CORE, BAD }, "AAAA", 0 },
	{ "prlimit64, core dumps, a small pointer", SYS_prlimit64, { 0, RLIMIT_CORE, 1 }, "AAAA", 0 },
	{ "prlimit64, core dumps, with bits above", SYS_prlimit64, { 0, RLIMIT_CORE | UINT64_C(1) << 32, BAD }, "AAAA", 0 },
	{ "prlimit64, core dumps, asked", SYS_prlimit64, { 0, RLIMIT_CORE, 0, BAD }, "AAAA", EFAULT },
#ifdef SYS_setrlimit
	{ "setrlimit", SYS_setrlimit, { RLIMIT_FSIZE, BAD }, "AAAA", EFAULT },
	{ "setrlimit, core dumps", SYS_setrlimit, { RLIMIT_CORE, BAD }, "AAAA", 0 },
#endif
	{ "prlimit64, another", SYS_prlimit64, { 1, 99 }, "PPPP", 0 },

	{ "setns", SYS_setns, { BAD }, "PPPP", EBADF },
	{ "seccomp", SYS_seccomp, { 99 }, "SSSS", 0 },
	{ "capset", SYS_capset, { 0 }, "AAAA", EFAULT },
	{ "setresuid", SYS_setresuid, { BAD, BAD, BAD }, "AAAA", 0 },
	{ "setresgid", SYS_setresgid, { BAD, BAD, BAD }, "AAAA", 0 },
	{ "landlock_create_ruleset", SYS_landlock_create_ruleset, { 0, 1, 99 }, "SSSS", 0 },

	{ "setuid", SYS_setuid, { BAD }, "AAAA", EINVAL },
	{ "setreuid", SYS_setreuid, { BAD, BAD }, "AAAA", 0 },
	{ "setgroups", SYS_setgroups, { 1 << 20, 0 }, "AAAA", EINVAL },
	{ "setfsuid", SYS_setfsuid, { BAD }, "AAAA", 0 },
	{ "unshare", SYS_unshare, { 0 }, "PPPP", 0 },
	{ "unshare, user", SYS_unshare, { CLONE_NEWUSER }, "PPPP", 0 },
	{ "mount", SYS_mount, { 0 }, "PPPP", 0 },
	{ "umount2", SYS_umount2, { 0 }, "PPPP", 0 },
	{ "move_mount", SYS_move_mount, { BAD }, "PPPP", 0 },
	{ "fsopen", SYS_fsopen, { 0 }, "PPPP", 0 },
	{ "open_tree", SYS_open_tree, { BAD }, "PPPP", 0 },
	{ "pivot_root", SYS_pivot_root, { 0 }, "PPPP", 0 },
	{ "chroot", SYS_chroot, { 0 }, "PPPP", 0 },
	{ "mknodat, a FIFO", SYS_mknodat, { BAD, 0, S_IFIFO }, "AAAA", EFAULT },
	{ "mknodat, a file", SYS_mknodat, { BAD, 0, S_IFREG }, "AAAA", EFAULT },
	{ "mknodat, a character device", SYS_mknodat, { BAD, 0, S_IFCHR }, "PPPP", 0 },
	{ "mknodat, a block device", SYS_mknodat, { BAD, 0, S_IFBLK }, "PPPP", 0 },
	{ "mknodat, a socket", SYS_mknodat, { BAD, 0, S_IFSOCK }, "PPPP", 0 },
	{ "fchown, to oneself", SYS_fchown, { BAD, 1, 1 }, "AAAA", EBADF },
	{ "fchown, a group", SYS_fchown, { BAD, BAD, 1 }, "AAAA", EBADF },
	{ "fchown, an owner", SYS_fchown, { BAD, 1, UINT32_MAX }, "AAAA", EBADF },
	{ "fchown, nothing", SYS_fchown, { BAD, UINT32_MAX, UINT32_MAX }, "AAAA", 0 },
	{ "fchown, nothing, with bits above", SYS_fchown, { BAD, BAD, UINT32_MAX }, "AAAA", 0 },
	{ "fchown, to nobody's number", SYS_fchown, { BAD, 0x80000001, 0x80000001 }, "PPPP", 0 },
	{ "fchownat", SYS_fchownat, { BAD, 0, 1, 1 }, "AAAA", EFAULT },
	{ "fchownat, nothing", SYS_fchownat, { BAD, 0, BAD, BAD }, "AAAA", 0 },
	{ "setxattr", SYS_setxattr, { 0 }, "AAAA", EOPNOTSUPP },
	{ "ptrace", SYS_ptrace, { BAD, BAD }, "PPPP", 0 },
	{ "process_vm_readv", SYS_process_vm_readv, { BAD }, "PPPP", 0 },
	{ "pidfd_getfd", SYS_pidfd_getfd, { BAD }, "PPPP", 0 },
	{ "seccomp, which actions there are", SYS_seccomp, { 2 }, "SSSS", 0 },
	{ "kcmp", SYS_kcmp, { BAD, BAD }, "SSSS", 0 },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, "PPPP", 0 },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 0 }, "SSSS", 0 },
	{ "io_uring_enter", SYS_io_uring_enter, { BAD }, "SSSS", 0 },
	{ "add_key", SYS_add_key, { 0 }, "SSSS", 0 },
	{ "request_key", SYS_request_key, { 0 }, "SSSS", 0 },
	{ "keyctl", SYS_keyctl, { BAD }, "SSSS", 0 },
	{ "shmget", SYS_shmget, { 0, 0, 0 }, "PPPP", 0 },
	{ "semget", SYS_semget, { 0, 0, 0 }, "PPPP", 0 },
	{ "msgget", SYS_msgget, { 0, 0 }, "PPPP", 0 },
	{ "mq_open", SYS_mq_open, { 0 }, "PPPP", 0 },
	{ "inotify_init1", SYS_inotify_init1, { BAD }, "SSSS", 0 },
	{ "fanotify_init", SYS_fanotify_init, { BAD, BAD }, "PPPP", 0 },
	{ "name_to_handle_at", SYS_name_to_handle_at, { BAD, 0 }, "AAAA", EOPNOTSUPP },
	{ "splice", SYS_splice, { BAD, 0, BAD }, "SSSS", 0 },
	{ "vmsplice", SYS_vmsplice, { BAD }, "SSSS", 0 },
	{ "syslog", SYS_syslog, { BAD }, "PPPP", 0 },
	{ "sethostname", SYS_sethostname, { 0, BAD }, "PPPP", 0 },
	{ "clock_settime", SYS_clock_settime, { BAD, 0 }, "PPPP", 0 },
	{ "adjtimex", SYS_adjtimex, { 0 }, "PPPP", 0 },
	{ "sched_setaffinity", SYS_sched_setaffinity, { 0, 0, 0 }, "AAAA", EINVAL },
	{ "sched_setscheduler", SYS_sched_setscheduler, { BAD, 0 }, "AAAA", EINVAL },
	{ "sched_setattr", SYS_sched_setattr, { BAD, 0 }, "PPPP", 0 },
	{ "ioprio_set, idle", SYS_ioprio_set, { 1, BAD, 3 << 13 | 7 }, "AAAA", ESRCH },
	{ "ioprio_set, before others", SYS_ioprio_set, { 1, BAD, 2 << 13 }, "PPPP", 0 },
	{ "ioprio_set, of a user", SYS_ioprio_set, { 3, 0, 3 << 13 }, "PPPP", 0 },
	{ "mlockall", SYS_mlockall, { 99 }, "AAAA", EINVAL },
	{ "timer_create", SYS_timer_create, { 99, 0, 0 }, "AAAA", EINVAL },
	{ "setpriority", SYS_setpriority, { BAD, 0, 0 }, "AAAA", EINVAL },
	{ "sync", SYS_sync, { 0 }, "AAAA", 0 },

	{ "bpf", SYS_bpf, { BAD }, "KKKK", 0 },
	{ "init_module", SYS_init_module, { 0 }, "KKKK", 0 },
	{ "finit_module", SYS_finit_module, { BAD }, "KKKK", 0 },
	{ "kexec_load", SYS_kexec_load, { 0, BAD }, "KKKK", 0 },
	{ "reboot", SYS_reboot, { 0 }, "KKKK", 0 },
	{ "swapon", SYS_swapon, { 0 }, "KKKK", 0 },
	{ "acct", SYS_acct, { BAD }, "KKKK", 0 },
	{ "open_by_handle_at", SYS_open_by_handle_at, { BAD, 0 }, "KKKK", 0 },
	{ "userfaultfd", SYS_userfaultfd, { BAD }, "KKKK", 0 },

	{ "a call of tomorrow", 600, { 0 }, "SSSS", 0 },
#if defined(__x86_64__) && !defined(__ILP32__)
	{ "getpid of x32", 0x40000000 + SYS_getpid, { 0 }, "KKKK", 0 },
#endif
};

static const struct attempt worker_attempts[] = {
	{ "read", SYS_read, { BAD }, "A", EBADF },
	{ "accept", SYS_accept, { BAD }, "A", EBADF },
	{ "sendmsg", SYS_sendmsg, { BAD }, "A", EBADF },
	{ "recvmsg", SYS_recvmsg, { BAD }, "A", EBADF },
	{ "memfd_create", SYS_memfd_create, { 0 }, "A", EFAULT },
	{ "pipe2", SYS_pipe2, { 0, 0 }, "A", EFAULT },
	{ "fcntl", SYS_fcntl, { BAD, F_SETFL, O_NONBLOCK }, "A", EBADF },
	{ "fcntl, seals", SYS_fcntl, { BAD, F_ADD_SEALS, 0 }, "A", EBADF },
	{ "fcntl, owner", SYS_fcntl, { BAD, F_SETOWN, 1 }, "P", 0 },
	{ "fcntl, owner, in memory", SYS_fcntl, { BAD, F_SETOWN_EX, 1 }, "P", 0 },
	{ "fcntl, signal", SYS_fcntl, { BAD, F_SETSIG, SIGKILL }, "P", 0 },
	{ "fcntl, signals", SYS_fcntl, { BAD, F_SETFL, O_ASYNC }, "P", 0 },
	{ "fcntl, watch", SYS_fcntl, { BAD, F_NOTIFY, 1 }, "P", 0 },
	{ "fcntl, lease", SYS_fcntl, { BAD, F_SETLEASE, 1 }, "P", 0 },
	{ "ftruncate", SYS_ftruncate, { BAD, 0 }, "P", 0 },
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

		for (unsigned who = 0; who < (a->fate[1] == '\0' ? 1 : GRANT_COUNT); who++) {
			char fate = a->fate[who < strlen(a->fate) ? who : who - GRANT_NETWORK];
			/* The worker has no listener. */
			bool is_told = fate == 'P' && policy->last.count > 0;
			int status, refused, wanted = a->answer;

			if (fate == '?')
				continue;
			if (fate == 'P')
				wanted = is_told ? SENTINEL : EPERM;
			else if (fate == 'S')
				wanted = ENOSYS;
			else if (fate == 'K')
				wanted = STATUS_KILLED;
			status = attempt(policy, who, a->call, a->arg, &refused);
			if (status != wanted)
				fail_msg("%s: %s of %u: %d, and not %d", policy->name, a->name, who, status, wanted);
			if (refused != (is_told ? (int)a->call : -1))
				fail_msg("%s: %s of %u: told of call %d", policy->name, a->name, who, refused);
		}
	}
}

/*
 * A guest is killed for a zygote's marked call. Without the mark the call is as for any program.
 */
static void
test_marked_calls(void **state)
{
	static const struct attempt calls[] = {
		{ "clone3", SYS_clone3, { 0 }, "S", EINVAL },
		{ "setns", SYS_setns, { BAD }, "P", EBADF },
		{ "seccomp", SYS_seccomp, { 99 }, "S", EINVAL },
		{ "capset", SYS_capset, { 0 }, "A", EFAULT },
		{ "setresuid", SYS_setresuid, { BAD, BAD, BAD }, "A", 0 },
		{ "sendmsg", SYS_sendmsg, { BAD }, "A", EBADF },
		{ "recvmsg", SYS_recvmsg, { BAD }, "A", EBADF },
		{ "prctl, tid address", SYS_prctl, { PR_GET_TID_ADDRESS, 0 }, "P", EFAULT },
	};
	struct policy *policy = behind_filters_load("python3");

	(void)state;
	for (size_t i = 0; i < LENGTH(calls); i++) {
		const struct attempt *a = &calls[i];
		uint64_t marked[6];
		int refused;

		memcpy(marked, a->arg, sizeof marked);
		marked[ZYGOTE_MARK_ARG] = ZYGOTE_MARK;
		assert_int_equal(attempt(policy, ZYGOTE, a->call, marked, &refused), a->answer);
		assert_int_equal(attempt(policy, ZYGOTE, a->call, a->arg, &refused),
		    a->fate[0] == 'S'     ? ENOSYS :
		        a->fate[0] == 'A' ? a->answer :
		                            SENTINEL);
		for (unsigned grant = 0; grant < GRANT_COUNT; grant++)
			assert_int_equal(attempt(policy, grant, a->call, marked, &refused), STATUS_KILLED);
	}
	policy_free(policy);
}

/* Exit as a driver does at the end of its program, and with the answer if the call is not made. */
static void
exit_marked(const void *unused)
{
	(void)unused;
	mark_syscall(SYS_exit_group, 7, 0, 0, 0, 0);
	behind_filters_end(errno);
}

/* The runner learns of the marked exit alone. Where it denies that, the other one is made. */
static void
test_the_end_is_announced(void **state)
{
	static const uint64_t plain[6] = { 7 };
	struct policy *policy = behind_filters_load("python3");
	int refused;

	(void)state;
	for (unsigned grant = 0; grant < GRANT_COUNT; grant++) {
		assert_int_equal(behind_filters_run(policy, grant, exit_marked, NULL, &refused), SENTINEL);
		assert_int_equal(refused, SYS_exit_group);
		assert_int_equal(attempt(policy, grant, SYS_exit_group, plain, &refused), 7);
		assert_int_equal(refused, -1);
	}
	policy_free(policy);
}

/*
 * Make every call of this architecture: a denied one is reported by its number, and no other is
 * reported.
 */
static void
test_every_refused_call_is_told(void **state)
{
	static const uint64_t nonsense[6] = { BAD, BAD, BAD, BAD, BAD, BAD };
	/* Allowed calls that end, stop or change the caller with any arguments. */
	static const int never[] = {
#ifdef SYS_pause
		SYS_pause,
#endif
		SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_rt_sigsuspend
	};
	struct policy *policy = behind_filters_load("python3");
	int told = 0;

	(void)state;
	for (int call = 0; call < 512; call++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
		int status, refused;
		bool is_tried = name != NULL;

		for (size_t i = 0; i < LENGTH(never); i++)
			is_tried &= call != never[i];
		if (is_tried) {
			status = attempt(policy, 0, call, nonsense, &refused);
			if ((status == SENTINEL) != (refused >= 0) || (refused >= 0 && refused != call))
				fail_msg("%s: errno %d, told of call %d", name, status, refused);
			told += refused >= 0;
		}
		free(name);
	}
	print_message("%d calls are refused by name\n", told);
	assert_true(told > 80); /* arm64 has 85, as it lacks the oldest calls */
	policy_free(policy);
}

static void
test_python_calls(void **state)
{
	struct policy *policy = behind_filters_load("python3");

	(void)state;
	check_attempts(policy, attempts, LENGTH(attempts));
	policy_free(policy);
}

static void
test_worker_calls(void **state)
{
	struct policy *policy = behind_filters_load("worker");

	(void)state;
	check_attempts(policy, worker_attempts, LENGTH(worker_attempts));
	policy_free(policy);
}

#if defined(__x86_64__)
/* The numbers of i386 mean other calls: 1 is exit there, and write here. */
static void
test_i386_calls_die(void **state)
{
	struct policy *policy = behind_filters_load("python3");
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
			behind_filters_enter(&policy->base[0], 0);
		__asm__ volatile("int $0x80" : : "a"(1), "b"(0) : "memory");
		behind_filters_end(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	policy_free(policy);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) {
		print_message("# skipped: a kernel without calls of i386\n"); /* which is as good */
		return;
	}
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python_calls),
		cmocka_unit_test(test_marked_calls),
		cmocka_unit_test(test_the_end_is_announced),
		cmocka_unit_test(test_every_refused_call_is_told),
		cmocka_unit_test(test_worker_calls),
#if defined(__x86_64__)
		cmocka_unit_test(test_i386_calls_die),
#endif
	};

	return cmocka_run_group_tests_name("policy_kernel", tests, NULL, NULL);
}
