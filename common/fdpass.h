/* fdpass.h - sends and receives one message with descriptors over a SOCK_SEQPACKET socket. */
#ifndef CELLBLOCK_FDPASS_H
#define CELLBLOCK_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

#define FDPASS_MAX 12 /* the most descriptors in a message */

/*
 * Send `size` bytes and `fd_count` (0 to FDPASS_MAX) descriptors as one message. The caller keeps
 * the descriptors. Never raises SIGPIPE. Returns 0, or -1 with errno of sendmsg(2) (EAGAIN: the
 * socket is non-blocking and full).
 */
int fdpass_send(int sock, const void *data, size_t size, const int *fds, size_t fd_count);

/*
 * The same, after a wait of up to 10 s if need be. The messages of a user that nobody has read yet
 * can have RLIMIT_NOFILE descriptors together (unix(7), ETOOMANYREFS). A burst of runs meets that
 * while the receiver is busy, or while another service of this user is. It passes when they are
 * read.
 */
int fdpass_send_patiently(int sock, const void *data, size_t size, const int *fds, size_t fd_count);

/*
 * Receive one message of at most `size` bytes and at most `fd_max` (up to FDPASS_MAX) descriptors.
 * They are close-on-exec and the caller's. *fd_count says how many came. `peer_pid`, unless NULL,
 * is set to the sender's pid as the kernel translates it (the socket needs SO_PASSCRED), or 0.
 * Returns the bytes of the message, 0 at the end of the connection, or -1 with errno of recvmsg(2).
 * EMSGSIZE: the message or its descriptors were more than asked for, or there were descriptors and
 * no message. EMFILE: the process has no number free for the descriptors; `data` is as it was sent.
 * All descriptors are closed then.
 */
ssize_t fdpass_recv(int sock, void *data, size_t size, int *fds, size_t fd_max, size_t *fd_count, pid_t *peer_pid);

/* Close each of `fds` that is not -1, and set it to -1. */
void fdpass_close(int *fds, size_t fd_count);

#endif
