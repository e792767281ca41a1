/*
 * capabilities.h - drop capabilities(7), and verify that they are gone. Used by the worker, the
 * runner's processes, zygotes and guests.
 *
 * The system calls that change something carry the mark of mark.h, which means nothing outside of
 * zygotes.
 */
#ifndef CELLBLOCK_CAPABILITIES_H
#define CELLBLOCK_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

#define CAPABILITY(number) (UINT64_C(1) << (number)) /* of linux/capability.h */

/*
 * Hold `keep`, a set of CAPABILITY, and no other, now and after any execve(2): capabilities_bound
 * and capabilities_set. Needs CAP_SETPCAP. Returns 0 after all sets were read back, or -1 with
 * errno. EPERM also means that one of `keep` is not there.
 */
int capabilities_keep(uint64_t keep);

/*
 * Remove all but `keep` from the bounding set. Needs CAP_SETPCAP if there is something to remove.
 * Returns 0, or -1 with errno.
 */
int capabilities_bound(uint64_t keep);

/*
 * Make `set` the permitted and the effective set, and nothing inheritable. The kernel then empties
 * the ambient set. Returns 0 after the sets were read back, or -1 with errno.
 */
int capabilities_set(uint64_t set);

/* Whether this process has one of linux/capability.h in its effective set. */
bool capabilities_have(int number);

#endif
