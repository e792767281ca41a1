/*
 * behind_filters.h - children of a test that run behind the shipped filters, as zygotes and guests
 * do.
 */
#ifndef CELLBLOCK_BEHIND_FILTERS_H
#define CELLBLOCK_BEHIND_FILTERS_H

#include <sys/types.h>

#include "policy.h"

#define ZYGOTE GRANT_COUNT /* `base` alone, of a zygote whose guests have no grants */
#define SENTINEL EXDEV     /* the errno for denied calls; no call in these tests fails with it by itself */

/* Exit statuses of a child besides an errno. */
#define STATUS_NO_FILTER 255
#define STATUS_KILLED 254 /* by SIGSYS */

/* A shipped policy. Fails the test if it is refused. To be freed with policy_free. */
struct policy *behind_filters_load(const char *name);

/* End a child. */
void behind_filters_end(int status);

/*
 * Load a filter, in a child, which ends on failure. Returns a listener, if `flags` asks for one.
 */
int behind_filters_enter(const struct bpf *bpf, unsigned flags);

/* Wait for a child. Returns its exit status, STATUS_KILLED or STATUS_NO_FILTER. */
int behind_filters_wait(pid_t pid);

/*
 * Deny all notified calls with errno `error`, until `pid` has ended and no notification is left.
 * Returns the last denied call, or -1.
 */
int behind_filters_refuse_all(int listener_fd, pid_t pid, int error);

/*
 * Run `child` behind the filters of a guest with the grant `who`, or of a ZYGOTE. Returns its exit
 * status, or STATUS_KILLED. *refused is set to the last call that was notified, or -1.
 */
int behind_filters_run(const struct policy *policy, unsigned who, void (*child)(const void *), const void *arg, int *refused);

#endif
