/*
 * tasks_proc.h - a /proc for the broker, in which it finds the processes of cells (broker/stall.h).
 */
#ifndef CELLBLOCK_TASKS_PROC_H
#define CELLBLOCK_TASKS_PROC_H

/*
 * Make a procfs of the caller's pid namespace, read-only, in no directory. It has the processes of
 * that namespace and those below it, and no other file. The caller needs CAP_SYS_ADMIN over its
 * pid and mount namespaces, and must see a procfs. Returns a descriptor that the caller owns, or -1
 * with errno.
 */
int tasks_proc_make(void);

#endif
