/* capabilities.c - see capabilities.h. */
#define _GNU_SOURCE
#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

int
capabilities_bound(uint64_t keep)
{
	/* PR_CAPBSET_READ fails at the first number that the kernel does not know. */
	for (int cap = 0, is_there; (is_there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++) {
		if (is_there != 0 && (keep & CAPABILITY(cap)) == 0 && mark_syscall(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return -1;
	}
	return 0;
}

int
capabilities_set(uint64_t set)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];
	struct __user_cap_data_struct wanted[_LINUX_CAPABILITY_U32S_3] = {
		{ .permitted = (uint32_t)set, .effective = (uint32_t)set },
		{ .permitted = (uint32_t)(set >> 32), .effective = (uint32_t)(set >> 32) },
	};

	memset(now, 0xff, sizeof now);
	if (mark_syscall(SYS_capset, MARK_ADDRESS(&head), MARK_ADDRESS(wanted), 0, 0, 0) != 0 ||
	    syscall(SYS_capget, &head, now) != 0)
		return -1;
	if (memcmp(now, wanted, sizeof now) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
capabilities_keep(uint64_t keep)
{
	if (capabilities_bound(keep) != 0 || capabilities_set(keep) != 0)
		return -1;
	for (int cap = 0, is_there; (is_there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++) {
		if (is_there != 0 && (keep & CAPABILITY(cap)) == 0) {
			errno = EPERM;
			return -1;
		}
	}
	return 0;
}

bool
capabilities_have(int number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	return syscall(SYS_capget, &header, sets) == 0 && (sets[number / 32].effective & UINT32_C(1) << number % 32) != 0;
}
