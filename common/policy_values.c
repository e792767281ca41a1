/* policy_values.c - the names for values of arguments that a policy's conditions may use. */
#define _GNU_SOURCE
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "policy_rules.h"

#ifndef PR_SET_VMA /* Linux 5.17 */
#define PR_SET_VMA 0x53564d41
#endif
#define SOCK_TYPE_MASK 0xf /* the kernel's name; SOCK_CLOEXEC and SOCK_NONBLOCK are outside this mask */

/* clang-format off */
#define VALUE(name) { #name, (uint64_t)(name) }

static const struct {
	const char *name;
	uint64_t value;
} values[] = {
	/* clone(2): arg 0 on most architectures */
	VALUE(CLONE_VM), VALUE(CLONE_FS), VALUE(CLONE_FILES), VALUE(CLONE_SIGHAND), VALUE(CLONE_PTRACE),
	VALUE(CLONE_VFORK), VALUE(CLONE_PARENT), VALUE(CLONE_THREAD), VALUE(CLONE_UNTRACED), VALUE(CLONE_NEWCGROUP),
	VALUE(CLONE_NEWIPC), VALUE(CLONE_NEWNET), VALUE(CLONE_NEWNS), VALUE(CLONE_NEWPID), VALUE(CLONE_NEWUSER),
	VALUE(CLONE_NEWUTS),
	/* fcntl(2): arg 1 */
	VALUE(F_ADD_SEALS), VALUE(F_DUPFD), VALUE(F_DUPFD_CLOEXEC), VALUE(F_GETFD), VALUE(F_GETFL), VALUE(F_GETLK),
	VALUE(F_GETPIPE_SZ), VALUE(F_GET_SEALS), VALUE(F_SETFD), VALUE(F_SETFL), VALUE(F_SETLK), VALUE(F_SETLKW),
	VALUE(F_SETPIPE_SZ),
	/* ioctl(2): arg 1 */
	VALUE(FICLONE), VALUE(FIOCLEX), VALUE(FIONBIO), VALUE(FIONCLEX), VALUE(FIONREAD), VALUE(TCGETS), VALUE(TCGETS2),
	VALUE(TIOCGPGRP), VALUE(TIOCGWINSZ),
	/* memfd_create(2): arg 1; mmap(2): arg 3 */
	VALUE(MFD_HUGETLB), VALUE(MAP_HUGETLB),
	/* mmap(2), mprotect(2): arg 2 */
	VALUE(PROT_EXEC), VALUE(PROT_READ), VALUE(PROT_WRITE),
	/* prctl(2): arg 0 */
	VALUE(PR_CAPBSET_DROP), VALUE(PR_CAPBSET_READ), VALUE(PR_GET_DUMPABLE), VALUE(PR_GET_NAME),
	VALUE(PR_GET_NO_NEW_PRIVS), VALUE(PR_GET_PDEATHSIG), VALUE(PR_GET_SECCOMP), VALUE(PR_GET_TID_ADDRESS),
	VALUE(PR_SET_DUMPABLE), VALUE(PR_SET_NAME), VALUE(PR_SET_NO_NEW_PRIVS), VALUE(PR_SET_PDEATHSIG),
	VALUE(PR_SET_SECUREBITS), VALUE(PR_SET_THP_DISABLE), VALUE(PR_SET_VMA),
	/* prlimit64(2): arg 1 */
	VALUE(RLIMIT_AS), VALUE(RLIMIT_CORE), VALUE(RLIMIT_CPU), VALUE(RLIMIT_DATA), VALUE(RLIMIT_FSIZE),
	VALUE(RLIMIT_LOCKS), VALUE(RLIMIT_MEMLOCK), VALUE(RLIMIT_MSGQUEUE), VALUE(RLIMIT_NICE), VALUE(RLIMIT_NOFILE),
	VALUE(RLIMIT_NPROC), VALUE(RLIMIT_RSS), VALUE(RLIMIT_RTPRIO), VALUE(RLIMIT_RTTIME), VALUE(RLIMIT_SIGPENDING),
	VALUE(RLIMIT_STACK),
	/* socket(2), socketpair(2): args 0 and 1 */
	VALUE(AF_INET), VALUE(AF_INET6), VALUE(AF_NETLINK), VALUE(AF_UNIX), VALUE(SOCK_DGRAM), VALUE(SOCK_SEQPACKET), VALUE(SOCK_STREAM),
	VALUE(SOCK_CLOEXEC), VALUE(SOCK_NONBLOCK), VALUE(SOCK_TYPE_MASK),
	/* getsockopt(2), setsockopt(2): args 1 and 2; socket(2): arg 2 */
	VALUE(IPPROTO_IPV6), VALUE(IPPROTO_TCP), VALUE(SOL_SOCKET), VALUE(SO_ERROR), VALUE(SO_KEEPALIVE), VALUE(SO_LINGER), VALUE(SO_RCVBUF),
	VALUE(SO_RCVTIMEO), VALUE(SO_REUSEADDR), VALUE(SO_REUSEPORT), VALUE(SO_SNDBUF), VALUE(SO_SNDTIMEO),
	VALUE(IPV6_V6ONLY), VALUE(TCP_KEEPCNT), VALUE(TCP_KEEPIDLE), VALUE(TCP_KEEPINTVL), VALUE(TCP_NODELAY),
	VALUE(TCP_USER_TIMEOUT),
};
/* clang-format on */

int
policy_value(const char *text, uint64_t *value)
{
	char *end;

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		if (strcmp(text, values[i].name) == 0) {
			*value = values[i].value;
			return 0;
		}
	}
	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return *end == '\0' && errno == 0 ? 0 : -1;
}
