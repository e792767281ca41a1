/* event.h - what the broker's loop waits for: a descriptor and whom to call when it is ready. */
#ifndef CELLBLOCK_EVENT_H
#define CELLBLOCK_EVENT_H

#include <stdint.h>

struct broker;

/* Part of whatever owns the descriptor. `ready` finds its owner with event_owner. */
struct event {
	int fd; /* -1: not waited for */
	void (*ready)(struct broker *broker, struct event *event, uint32_t events);
};

/* The struct of type `type` whose member `member` is `event`. */
#define event_owner(event, type, member) ((type *)(void *)((char *)(event) - offsetof(type, member)))

/* Wait for `fd` to become readable or to hang up. Returns 0, or -1 with errno. */
int event_add(struct broker *broker, struct event *event, int fd,
    void (*ready)(struct broker *, struct event *, uint32_t));

/* Wait for it no longer, and close it. Does nothing if there is none. */
void event_close(struct broker *broker, struct event *event);

#endif
