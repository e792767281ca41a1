/* capabilities.c - see capabilities.h. */
#define _GNU_SOURCE
#include "kernel/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
capabilities_keep(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2], wanted[2] = {
		{ .permitted = (uint32_t)keep, .effective = (uint32_t)keep },
		{ .permitted = (uint32_t)(keep >> 32), .effective = (uint32_t)(keep >> 32) },
	};

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if ((keep & CAPABILITY(cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return -1;
	}
	if (syscall(SYS_capset, &head, wanted) != 0 || syscall(SYS_capget, &head, now) != 0)
		return -1;
	if (memcmp(now, wanted, sizeof now) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}
