/* play.c - see play.h. */
#define _GNU_SOURCE
#include "play.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

static const uint8_t *script;
static size_t script_left;

void
play_begin(const uint8_t *data, size_t size)
{
	script = data;
	script_left = size;
}

uint8_t
next(void)
{
	if (script_left == 0)
		return 0;
	script_left--;
	return *script++;
}

size_t
play_left(void)
{
	return script_left;
}

uint8_t
play_ahead(void)
{
	return script_left > 0 ? script[0] : 0;
}

void
shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
hang_up(int *fd)
{
	if (*fd >= 0)
		shutdown(*fd, SHUT_RDWR);
	shut(fd);
}

void
pair(int *ours, int *theirs, int flags)
{
	int both[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0, both) == 0);
	*ours = both[0];
	*theirs = both[1];
}

bool
send_anything(int sock, const void *bytes, size_t size, const int *fds, size_t count)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * SENT_FDS)];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *head;

		must(count <= SENT_FDS);
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	}
	return sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}
