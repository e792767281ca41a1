/* netns.h - network namespaces: one for a cell, and an empty one. */
#ifndef CELLBLOCK_NETNS_H
#define CELLBLOCK_NETNS_H

/* Bring the loopback of a new network namespace up. Called in it. Returns 0, or -1 with errno. */
int netns_raise_loopback(void);

/*
 * Listen on `port` of the loopback. Returns a non-blocking, close-on-exec socket that the caller
 * owns, or -1 with errno.
 */
int netns_listen(unsigned short port);

/*
 * The network namespace of a socket. Returns a descriptor for setns(2) that the caller owns, or -1
 * with errno. The caller needs CAP_NET_ADMIN there.
 */
int netns_of_socket(int fd);

/*
 * Make a network namespace without any process, its loopback down. The caller stays in its own; it
 * needs CAP_SYS_ADMIN. Takes half a millisecond. Returns a descriptor for setns(2) that the caller
 * owns, or -1 with errno.
 */
int netns_make_empty(void);

/*
 * Whether the network namespace of the caller has sockets of AF_UNIX. Those that were on the way in
 * messages outlive their processes, until the kernel collects them. Makes system calls only.
 * Returns 1 or 0, or -1 with errno if the kernel does not tell (CONFIG_UNIX_DIAG).
 */
int netns_has_unix_sockets(void);

/*
 * Listen on an abstract name of AF_UNIX, in a network namespace or, if `namespace_fd` is -1, in the
 * caller's. Returns a socket that the caller owns, or -1 with errno.
 */
int netns_listen_abstract(int namespace_fd, const char *name);

#endif
