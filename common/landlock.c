/*
 * landlock.c - see landlock.h. Has its own definitions, of ABI 7: the headers may be older than the
 * running kernel.
 */
#define _GNU_SOURCE
#include "landlock.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

struct ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct net_port {
	uint64_t allowed_access;
	uint64_t port;
};

#define VERSION_FLAG 1ul      /* of landlock_create_ruleset */
#define RULE_PATH_BENEATH 1ul /* of landlock_add_rule */
#define RULE_NET_PORT 2ul     /* of landlock_add_rule, ABI 4 */
#define NET_CONNECT_TCP UINT64_C(2)
#define LOG_NOTHING 1ul /* of landlock_restrict_self, ABI 7: no audit records for this program */

/* The things that each ABI can restrict, in addition to those before it. */
static const struct {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
} offers[] = {
	{ .fs = 0x1fff }, /* 1: execute, read, write, list, remove, make */
	{ .fs = 0x2000 }, /* 2: rename and link between directories */
	{ .fs = 0x4000 }, /* 3: truncate */
	{ .net = 3 },     /* 4: bind and connect TCP */
	{ .fs = 0x8000 }, /* 5: ioctl of devices */
	{ .scoped = 3 },  /* 6: abstract sockets, signals */
};

static long
marked(long call, long a, long b, long c, long d)
{
	return mark_syscall(call, a, b, c, d, 0);
}

int
landlock_abi(void)
{
	return (int)marked(SYS_landlock_create_ruleset, 0, 0, VERSION_FLAG, 0);
}

const char *
landlock_offers(int abi)
{
	static const char *const words[] = { "nothing", "files", "files, links", "files, links, truncation",
		"files, links, truncation, TCP", "files, links, truncation, TCP, ioctl of devices",
		"files, links, truncation, TCP, ioctl of devices, signals, abstract sockets" };
	int most = (int)(sizeof words / sizeof words[0]) - 1;

	return words[abi < 0 ? 0 : abi < most ? abi : most];
}

static int
add_rules(int fd, const struct ruleset *ruleset, const struct landlock_rule *rule, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct path_beneath beneath = { .allowed_access = rule[i].allowed & ruleset->handled_access_fs,
			.parent_fd = rule[i].fd };
		struct net_port port = { .allowed_access = NET_CONNECT_TCP & ruleset->handled_access_net, .port = rule[i].port };
		bool is_port = rule[i].port != 0;

		/*
		 * The kernel rejects a rule that allows nothing, and access that is not restricted
		 * needs none.
		 */
		if (is_port && port.allowed_access == 0)
			continue;
		if (marked(SYS_landlock_add_rule, fd, is_port ? RULE_NET_PORT : RULE_PATH_BENEATH,
		        is_port ? (long)(uintptr_t)&port : (long)(uintptr_t)&beneath, 0) != 0)
			return -1;
	}
	return 0;
}

int
landlock_enter(int abi, unsigned flags, const struct landlock_rule *rule, size_t count)
{
	struct ruleset ruleset = { 0 };
	int fd, result, error;

	for (int i = 0; i < abi && i < (int)(sizeof offers / sizeof offers[0]); i++) {
		ruleset.handled_access_fs |= offers[i].fs;
		ruleset.handled_access_net |= (flags & LANDLOCK_FREE_TCP) != 0 ? 0 : offers[i].net;
		ruleset.scoped |= offers[i].scoped;
	}
	/* Older kernels accept a longer structure if the fields that they do not know are zero. */
	fd = (int)marked(SYS_landlock_create_ruleset, (long)(uintptr_t)&ruleset, (long)sizeof ruleset, 0, 0);
	if (fd < 0)
		return -1;
	result = add_rules(fd, &ruleset, rule, count);
	if (result == 0)
		result = (int)marked(SYS_landlock_restrict_self, fd, abi >= 7 && (flags & LANDLOCK_QUIET) != 0 ? LOG_NOTHING : 0,
		    0, 0);
	error = errno;
	close(fd);
	errno = error;
	return result;
}
