/* capabilities.h - giving up all capabilities but some. */
#ifndef CELLBLOCK_CAPABILITIES_H
#define CELLBLOCK_CAPABILITIES_H

#include <stdint.h>

#define CAPABILITY(number) (UINT64_C(1) << (number)) /* of linux/capability.h */

/*
 * Hold `keep`, a set of CAPABILITY, and no other, now and after any execve(2): as the permitted, the effective and the
 * bounding set. Needs CAP_SETPCAP. Returns 0, having looked that it is so, or -1 with errno; EPERM also where one of `keep` is not there.
 */
int capabilities_keep(uint64_t keep);

#endif
