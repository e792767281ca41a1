/*
 * denied.h - system calls that a policy does not allow: refused, counted, and told by name.
 *
 * The kernel asks us about each one (seccomp's user notification) and keeps the caller waiting. The answer is always the
 * same, EPERM: nothing is decided here, and no memory of the caller is looked at. A run that makes very many of them has
 * to wait for its answers, so that it cannot keep us busy.
 */
#ifndef CELLBLOCK_DENIED_H
#define CELLBLOCK_DENIED_H

#include "broker/broker.h"

/* Answer what comes out of `fd`, a zygote's listener, as long as the zygote or one of its guests lives. Takes `fd`. */
void seccomp_notify_listen(struct broker *broker, int fd);

/* Give the answers that were held back and are due. Returns when to look again. */
uint64_t seccomp_notify_keep_time(struct broker *broker, uint64_t now_us);

#endif
