/*
 * collector.h - the collector: a process that collects the files of one run, and ends.
 *
 * It looks at a tree that a stranger made, so it is the process of the runner with the least power.
 * It has the uid of the cell and no capability, so it can read nothing that the run could not. It
 * has three descriptors: the working directory of the empty cell, the patterns, and a socket to
 * answer on. Landlock keeps it to that directory, read-only. Its own seccomp policy
 * (etc/seccomp/collector.conf) allows to open files, to read them, and to fill a memfd, and no call
 * that would reach another process. It ends in time, whatever the tree is like.
 */
#ifndef CELLBLOCK_COLLECTOR_H
#define CELLBLOCK_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy.h"

struct collector {
	const struct bpf *policy;
	int landlock_abi;    /* 0: there is none */
	uint64_t most_bytes; /* of all contents together */
	bool becomes_user;   /* it is root of the runner's user namespace, and becomes `uid` */
	uid_t uid;
};

/*
 * Start a collector for the working directory `box_fd` and the patterns `request_fd`. It answers on
 * `answer_fd` with a guest_report and, if all went well, the memfd of collect_files; or it ends
 * without an answer. Returns its pid, or -1 with errno.
 */
pid_t collector_start(const struct collector *collector, int answer_fd, int box_fd, int request_fd);

#endif
