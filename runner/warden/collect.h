/*
 * collect.h - looks for the files of a run that match its patterns, and copies them into a sealed
 * memfd, both in the format of common/collection.h.
 *
 * The tree is a stranger's: it may hold links, pipes, devices, holes of a terabyte, or a thousand
 * directories one in the other. Nothing but regular files is opened, and no link is followed.
 * Nothing of the cell runs any more, so the tree stands still.
 */
#ifndef CELLBLOCK_WARDEN_COLLECT_H
#define CELLBLOCK_WARDEN_COLLECT_H

#include <stdint.h>

/*
 * Collect the files below the directory `box_fd` by the patterns of the memfd `request_fd`; at most
 * `most_bytes` of their contents together. Returns a sealed memfd that the caller owns, or -1 with
 * errno; EPROTO: the request is malformed.
 */
int collect_files(int box_fd, int request_fd, uint64_t most_bytes);

#endif
