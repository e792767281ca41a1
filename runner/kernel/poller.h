/*
 * poller.h - epoll(7) for a process of one thread: a descriptor, and the function to call when it
 * is ready.
 *
 * A struct watch is a member of whatever owns the descriptor; watch_owner finds the owner. A watch
 * that is closed while the events of a turn are handled gets none of those that are left, so its
 * owner may be freed, or its place used again, at once.
 */
#ifndef CELLBLOCK_POLLER_H
#define CELLBLOCK_POLLER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define POLLER_BATCH 64 /* events of a turn, at most */

struct watch;

/* `context`: poller_turn's. `events`: EPOLLIN and the like. */
typedef void watch_ready(void *context, struct watch *watch, uint32_t events);

struct watch {
	int fd; /* -1: nothing is watched */
	watch_ready *ready;
};

struct poller {
	int epoll_fd;
	struct epoll_event batch[POLLER_BATCH]; /* of this turn; those of closed watches are taken out */
	int next, count;
};

/* The struct of type `type` whose member `member` is `watch`. */
#define watch_owner(watch, type, member) ((type *)(void *)((char *)(watch)-offsetof(type, member)))

/* Returns 0, or -1 with errno. */
int poller_open(struct poller *poller);

/*
 * Watch `fd`, which the watch owns from now on, for `events`. Returns 0, or -1 with errno: then
 * `fd` is the caller's still.
 */
int poller_add(struct poller *poller, struct watch *watch, int fd, uint32_t events, watch_ready *ready);

/* Watch for other events from now on. Returns 0, or -1 with errno. */
int poller_change(struct poller *poller, struct watch *watch, uint32_t events);

/* Stop watching, and close the descriptor. Does nothing if there is none. */
void poller_close(struct poller *poller, struct watch *watch);

/* Stop watching, and give the descriptor back to the caller. */
int poller_release(struct poller *poller, struct watch *watch);

/*
 * Wait for events at most `timeout_ms` (-1: without end), and call the functions. Returns 0, or -1
 * with errno (never EINTR).
 */
int poller_turn(struct poller *poller, int timeout_ms, void *context);

#endif
