/* spawn.h - the broker's own children that are no guests: wardens and zygotes. */
#ifndef CELLBLOCK_SPAWN_H
#define CELLBLOCK_SPAWN_H

#include <sys/types.h>

struct broker;
struct language;
struct zygote;

/*
 * Start the warden of a language. *sock: the connection to it, the caller's. Returns its pid, or -1
 * with errno.
 */
pid_t spawn_warden(const struct broker *broker, const struct language *language, int *sock);

/*
 * Start a zygote. *report_fd: the connection on which it reports, the caller's. Returns its pid, or
 * -1 with errno.
 */
pid_t spawn_zygote(const struct broker *broker, const struct zygote *zygote, int *report_fd);

#endif
