/* netns.h - network namespaces: a cell's own, and one in which there is nothing. */
#ifndef CELLBLOCK_NETNS_H
#define CELLBLOCK_NETNS_H

/* In a network namespace that has just been made: bring its loopback up. Returns 0, or -1 with errno. */
int netns_raise_loopback(void);

/* Listen on `port` of its loopback. Returns a non-blocking socket, or -1 with errno. */
int netns_listen(unsigned short port);

/*
 * Make one that nobody is in. `proc_fd`: /proc. The caller stays in its own, and must be able to make one. Returns a
 * descriptor for setns(2), or -1 with errno.
 */
int netns_make_empty(int proc_fd);

#endif
