/*
 * seccomp_notify.h - system calls that a policy denies: answered, counted, and reported by name.
 * And those that it asks about (enum policy_question): a look at the network interfaces, and
 * sockets of a run with a network by a proxy.
 *
 * The kernel notifies us of each one (seccomp user notification, seccomp_unotify(2)) and keeps the
 * caller waiting. The answer to a denied call is always an error: EPERM, or that of a row of "deny"
 * in the policy. A call that is asked about may be made instead: all that decides about it is in
 * its registers. About sockets the level decides (isolation.h). No memory of the caller is read. A
 * run that makes very many such calls in a short time has to wait for its answers, so that it
 * cannot keep the broker busy. So has a caller whose cell is not found. If too many answers wait,
 * no more calls are received for a moment: the kernel keeps their callers.
 */
#ifndef CELLBLOCK_SECCOMP_NOTIFY_H
#define CELLBLOCK_SECCOMP_NOTIFY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define SECCOMP_NOTIFY_HELD 256 /* answers that can wait */

struct broker;
struct listener;
struct zygote;

struct seccomp_notify {
	struct held_answer {
		int fd; /* the listener */
		uint64_t id;
		int error; /* 0: the kernel is to make the call */
	} held[SECCOMP_NOTIFY_HELD];
	size_t held_count;
	uint64_t held_until_us;
	LIST_HEAD(listener_list, listener) paused; /* from which nothing is received until there is room */
};

/*
 * Answer the notifications of `fd`, the listener of a zygote, as long as the zygote or one of its
 * guests lives. Takes `fd`.
 */
void seccomp_notify_listen(struct broker *broker, const struct zygote *zygote, int fd);

/* Send the answers that were held back and are due. Returns when to look again. */
uint64_t seccomp_notify_keep_time(struct broker *broker, uint64_t now_us);

#endif
