/*
 * zygotes.h - the wardens and zygotes of the languages: started, replaced, started again when they
 * have died, and stopped.
 */
#ifndef CELLBLOCK_ZYGOTES_H
#define CELLBLOCK_ZYGOTES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct broker;

/*
 * Start the wardens and zygotes that are down and due, replace zygotes that have made their number
 * of guests, stop languages that were not used for their time. Returns when to look again.
 */
uint64_t zygotes_keep_time(struct broker *broker, uint64_t now_us);

/* A child of the broker has died. Returns whether it was a warden or a zygote. */
bool zygotes_child_exited(struct broker *broker, pid_t pid, int wait_status);

/* If every language sleeps, wake one, so that the layers are verified before the first run. */
void zygotes_wake_one(struct broker *broker);

#endif
