/*
 * handed_socket.h - level chroot: sockets of programs that have a network by a proxy.
 *
 * There is no network namespace at that level: a socket of a program could reach all that the
 * container reaches. So the kernel makes none for it. Its policy reports socket(2) (POLICY_ASKED),
 * whose arguments are numbers. The broker makes a TCP socket, connects it to a listener of its own,
 * and adds it to the program's descriptors (SECCOMP_IOCTL_NOTIF_ADDFD). The other end of the
 * connection goes to the relay. The filter answers connect(2) with success and does not make it,
 * and denies bind(2) and listen(2), so the socket stays what it is: whatever address a program asks
 * for, it talks to the relay. Nothing that a program writes is looked at.
 *
 * It shares the open file with nobody: O_NONBLOCK and options are the program's.
 */
#ifndef CELLBLOCK_HANDED_SOCKET_H
#define CELLBLOCK_HANDED_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/poller.h"

#define HANDED_SOCKETS 64 /* that are being connected */

struct broker;
struct cell;

struct handed_sockets {
	struct watch listener; /* to which they are connected; -1: there is none */
	struct handed_socket {
		int fd;          /* the program's end */
		uint16_t port;   /* of it, in the order of the network */
		bool is_cloexec; /* in the program */
		int notify_fd;   /* the seccomp listener that reported the call */
		uint64_t id;     /* of the call */
		uint32_t cell;   /* its number */
		uint64_t until_us;
	} pending[HANDED_SOCKETS];
	size_t count;
};

/*
 * Make the listener, in the network namespace of the caller. Returns a descriptor that the caller
 * owns, or -1 with errno.
 */
int handed_socket_listen(void);

/* Watch the listener. Returns 0, or -1 with errno. */
int handed_socket_watch(struct broker *broker, int fd);

/*
 * Answer a call of socket(2) in `cell`, which runs: `domain` and `type` are its arguments, `id` is
 * that of `notify_fd`. Returns 0 if it is answered now or will be, or the errno that is to be the
 * answer.
 */
int handed_socket_make(struct broker *broker, struct cell *cell, int notify_fd, uint64_t id, int domain, int type);

/* Forget what is on its way to a cell, or by a seccomp listener. */
void handed_socket_forget_cell(struct broker *broker, const struct cell *cell);
void handed_socket_forget_listener(struct broker *broker, int notify_fd);

/* Give up what takes too long. Returns when to look again. */
uint64_t handed_socket_keep_time(struct broker *broker, uint64_t now_us);

#endif
