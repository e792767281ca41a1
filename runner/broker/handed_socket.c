/* handed_socket.c - see handed_socket.h. Runs in the broker, which waits for nothing here. */
#define _GNU_SOURCE
#include "broker/handed_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/cell_network.h"
#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "messages.h"

#define BACKLOG 128
#define CONNECT_LIMIT_US 1000000u /* on the loopback it takes no time, unless the kernel is very busy */
#define BUFFER_BYTES 131072       /* of each end, each way: nothing else bounds the memory that a run can hold in them */
#define TYPE_MASK 0xf             /* SOCK_STREAM and the like; the rest are flags */

/* ---- the listener ------------------------------------------------------------------------------------------------ */

static int
bound_buffers(int fd)
{
	const int bytes = BUFFER_BYTES / 2; /* the kernel doubles it */

	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0 ||
	        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0 ?
	    -1 :
	    0;
}

int
handed_socket_listen(void)
{
	const struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0 ||
	    (bound_buffers(fd) == 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0 &&
	        listen(fd, BACKLOG) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void
drop(struct handed_sockets *sockets, size_t i)
{
	fdpass_close(&sockets->pending[i].fd, 1);
	sockets->pending[i] = sockets->pending[--sockets->count];
}

static void
refuse(const struct handed_socket *handed, int error)
{
	struct seccomp_notif_resp response = { .id = handed->id, .error = -error };

	/* The caller may be dead by now. */
	ioctl(handed->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The socket is connected, and `relay_fd` is the other end: give each side its own. */
static void
hand_over(struct broker *broker, const struct handed_socket *handed, int relay_fd)
{
	struct cell *cell = &broker->cell[handed->cell];
	const struct relay_order order = { .kind = RELAY_CARRY, .proxy = cell->proxy };
	struct seccomp_notif_addfd add = { .id = handed->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)handed->fd,
		.newfd_flags = handed->is_cloexec ? O_CLOEXEC : 0 };

	if (cell_network_link(broker, cell) != 0 || fdpass_send(cell->net.link_fd, &order, sizeof order, &relay_fd, 1) != 0) {
		log_warn("cell %u: have the relay carry a connection: %s", cell->number, strerror(errno));
		refuse(handed, ENETDOWN);
	} else if (ioctl(handed->notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) {
		/*
		 * It has too many descriptors, or has died. The relay sees the end of the
		 * connection.
		 */
		refuse(handed, errno);
	}
}

/*
 * Accept what has come. Others in the container can connect to the listener too: only what comes
 * from the port of one of our sockets is one of ours.
 */
static void
accept_all(struct broker *broker)
{
	struct handed_sockets *sockets = &broker->handed;
	struct sockaddr_in peer = { 0 };
	socklen_t size = sizeof peer;
	int fd;

	while ((fd = accept4(sockets->listener.fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		for (size_t i = 0; i < sockets->count; i++) {
			if (peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && peer.sin_port == sockets->pending[i].port) {
				hand_over(broker, &sockets->pending[i], fd);
				drop(sockets, i);
				break;
			}
		}
		close(fd);
		size = sizeof peer;
	}
}

static void
listener_ready(void *context, struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	accept_all(context);
}

int
handed_socket_watch(struct broker *broker, int fd)
{
	return loop_watch(&broker->loop, &broker->handed.listener, fd, listener_ready);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/*
 * Begin to connect `fd`, which does not block, to the listener. Returns its port, or 0 with errno.
 */
static uint16_t
begin_connecting(const struct broker *broker, int fd, int domain)
{
	struct sockaddr_in to = { 0 };
	struct sockaddr_in6 name = { 0 }, to6 = { .sin6_family = AF_INET6 };
	socklen_t size = sizeof to, name_size = sizeof name;
	int result;

	if (bound_buffers(fd) != 0 || getsockname(broker->handed.listener.fd, (struct sockaddr *)&to, &size) != 0)
		return 0;
	/* ::ffff:127.0.0.1, by which a socket of IPv6 speaks IPv4 */
	to6.sin6_port = to.sin_port;
	to6.sin6_addr.s6_addr[10] = to6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(to6.sin6_addr.s6_addr + 12, &to.sin_addr, sizeof to.sin_addr);
	result = domain == AF_INET6 ? connect(fd, (const struct sockaddr *)&to6, sizeof to6) :
	                              connect(fd, (const struct sockaddr *)&to, sizeof to);
	if ((result != 0 && errno != EINPROGRESS) || getsockname(fd, (struct sockaddr *)&name, &name_size) != 0)
		return 0;
	/* Both kinds of address have the port in the same place. */
	return name.sin6_port;
}

int
handed_socket_make(struct broker *broker, struct cell *cell, int notify_fd, uint64_t id, int domain, int type)
{
	struct handed_sockets *sockets = &broker->handed;
	struct handed_socket *handed = &sockets->pending[sockets->count];
	int flags = type & ~TYPE_MASK, fd, error;

	if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0)
		return EINVAL;
	if (sockets->count == HANDED_SOCKETS)
		return ENOBUFS;
	if ((fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return errno;
	*handed = (struct handed_socket){ .fd = fd,
		.port = begin_connecting(broker, fd, domain),
		.is_cloexec = (flags & SOCK_CLOEXEC) != 0,
		.notify_fd = notify_fd,
		.id = id,
		.cell = cell->number,
		.until_us = clock_us() + CONNECT_LIMIT_US };
	/* From here on its file is the program's. */
	if (handed->port == 0 || ((flags & SOCK_NONBLOCK) == 0 && fcntl(fd, F_SETFL, O_RDWR) != 0)) {
		error = errno;
		log_warn("cell %u: connect a socket for its program: %s", cell->number, strerror(error));
		close(fd);
		return ENETDOWN;
	}
	sockets->count++;
	loop_wake_at(&broker->loop, handed->until_us);
	/* On the loopback it is there already. */
	accept_all(broker);
	return 0;
}

void
handed_socket_forget_cell(struct broker *broker, const struct cell *cell)
{
	struct handed_sockets *sockets = &broker->handed;

	for (size_t i = sockets->count; i-- > 0;) {
		if (sockets->pending[i].cell == cell->number)
			drop(sockets, i);
	}
}

void
handed_socket_forget_listener(struct broker *broker, int notify_fd)
{
	struct handed_sockets *sockets = &broker->handed;

	for (size_t i = sockets->count; i-- > 0;) {
		if (sockets->pending[i].notify_fd == notify_fd)
			drop(sockets, i);
	}
}

uint64_t
handed_socket_keep_time(struct broker *broker, uint64_t now_us)
{
	struct handed_sockets *sockets = &broker->handed;
	uint64_t next_us = NEVER_US;

	for (size_t i = sockets->count; i-- > 0;) {
		if (now_us >= sockets->pending[i].until_us) {
			refuse(&sockets->pending[i], ENETDOWN);
			drop(sockets, i);
		} else {
			next_us = earlier_us(next_us, sockets->pending[i].until_us);
		}
	}
	return next_us;
}
