/* fetch.c - see fetch.h. */
#define _GNU_SOURCE
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (16 << 20) /* bytes of an answer; the metrics have some 200 KiB at most */

static int __attribute__((format(printf, 2, 3))) fail(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, FETCH_ERROR_SIZE, format, args);
	va_end(args);
	return -1;
}

/* ---- the URL ----------------------------------------------------------------------------------------------------- */

static int
copy(char *to, size_t size, const char *from, size_t length, char *error)
{
	if (length >= size)
		return fail(error, "--url: is too long");
	memcpy(to, from, length);
	to[length] = '\0';
	return 0;
}

/* The host is a name, an IPv4 address, or an IPv6 address in brackets. */
static int
parse_http(const char *text, struct fetch_url *url, char *error)
{
	const char *end = text + strcspn(text, "/"), *port;
	size_t prefix = strlen(end);

	while (prefix > 0 && end[prefix - 1] == '/')
		prefix--;
	if (copy(url->prefix, sizeof url->prefix, end, prefix, error) != 0)
		return -1;
	if (*text == '[') {
		const char *close = memchr(text, ']', (size_t)(end - text));

		if (close == NULL || (close + 1 != end && close[1] != ':'))
			return fail(error, "--url: an IPv6 address is written as [::1]:8194");
		if (copy(url->host, sizeof url->host, text + 1, (size_t)(close - text - 1), error) != 0)
			return -1;
		port = close + 1;
	} else {
		port = memchr(text, ':', (size_t)(end - text));
		if (port == NULL)
			port = end;
		if (copy(url->host, sizeof url->host, text, (size_t)(port - text), error) != 0)
			return -1;
	}
	if (url->host[0] == '\0')
		return fail(error, "--url: has no host");
	if (port == end)
		return copy(url->port, sizeof url->port, "80", 2, error);
	if (port + 1 == end || strspn(port + 1, "0123456789") != (size_t)(end - port - 1))
		return fail(error, "--url: the port must be a number");
	return copy(url->port, sizeof url->port, port + 1, (size_t)(end - port - 1), error);
}

int
fetch_parse(const char *text, struct fetch_url *url, char error[FETCH_ERROR_SIZE])
{
	*url = (struct fetch_url){ .port = "" };
	if (strncmp(text, "http://", 7) == 0)
		return parse_http(text + 7, url, error);
	if (strncmp(text, "unix:", 5) == 0 && text[5] != '\0')
		return copy(url->host, sizeof url->host, text + 5, strlen(text + 5), error);
	return fail(error, "--url: must be http://HOST:PORT or unix:PATH, not \"%.100s\"", text);
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static long long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait until the descriptor is ready. Returns 0, or -1 with errno. */
static int
wait_ready(int fd, short events, long long until_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	long long left_ms;
	int n;

	do {
		left_ms = until_ms - now_ms();
		n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0 ? 0 : -1;
}

/* Returns a connected socket, or -1 with errno. */
static int
connect_to(int family, const struct sockaddr *address, socklen_t size, long long until_ms)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), failure = 0;
	socklen_t length = sizeof failure;

	if (fd < 0)
		return -1;
	if (connect(fd, address, size) == 0)
		return fd;
	if (errno == EINPROGRESS && wait_ready(fd, POLLOUT, until_ms) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) == 0) {
		if (failure == 0)
			return fd;
		errno = failure;
	}
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

static int
connect_unix(const struct fetch_url *url, long long until_ms, char *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(url->host) >= sizeof address.sun_path)
		return fail(error, "%.100s: the path is too long for a socket", url->host);
	strcpy(address.sun_path, url->host);
	fd = connect_to(AF_UNIX, (struct sockaddr *)&address, sizeof address, until_ms);
	return fd >= 0 ? fd : fail(error, "%.100s: %s", url->host, strerror(errno));
}

static int
connect_tcp(const struct fetch_url *url, long long until_ms, char *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *one;
	int known = getaddrinfo(url->host, url->port, &hints, &list), fd = -1;

	if (known != 0)
		return fail(error, "%.100s: %s", url->host, gai_strerror(known));
	for (one = list; one != NULL && fd < 0; one = one->ai_next)
		fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen, until_ms);
	if (fd < 0)
		fail(error, "%.100s port %s: %s", url->host, url->port, strerror(errno));
	freeaddrinfo(list);
	return fd;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static int
send_request(int fd, const struct fetch_url *url, const char *path, long long until_ms, char *error)
{
	char text[1024];
	int size = snprintf(text, sizeof text, "GET %s%s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: cellblock-top\r\n\r\n",
	    url->prefix, path);
	int at = 0;

	while (at < size) {
		ssize_t n = send(fd, text + at, (size_t)(size - at), MSG_NOSIGNAL);

		if (n > 0)
			at += (int)n;
		else if ((errno != EAGAIN && errno != EINTR) || wait_ready(fd, POLLOUT, until_ms) != 0)
			return fail(error, "send the request: %s", strerror(errno));
	}
	return 0;
}

/* Read to the end of the connection. Returns the whole answer, ended by NUL, or NULL with `error`. */
static char *
read_answer(int fd, long long until_ms, char *error)
{
	size_t room = 64 << 10, at = 0;
	char *text = malloc(room);

	while (text != NULL) {
		ssize_t n = recv(fd, text + at, room - at - 1, 0);

		if (n == 0) {
			text[at] = '\0';
			return text;
		}
		if (n < 0) {
			if ((errno == EAGAIN || errno == EINTR) && wait_ready(fd, POLLIN, until_ms) == 0)
				continue;
			fail(error, "receive the answer: %s", strerror(errno));
			free(text);
			return NULL;
		}
		at += (size_t)n;
		if (at + 1 == room) {
			char *more = room < ANSWER_MAX ? realloc(text, room * 2) : NULL;

			if (more == NULL) {
				fail(error, "the answer is too long");
				free(text);
				return NULL;
			}
			text = more;
			room *= 2;
		}
	}
	fail(error, "no memory");
	return NULL;
}

char *
fetch(const struct fetch_url *url, const char *path, int timeout_ms, char error[FETCH_ERROR_SIZE])
{
	long long until_ms = now_ms() + timeout_ms;
	int fd = url->port[0] == '\0' ? connect_unix(url, until_ms, error) : connect_tcp(url, until_ms, error);
	char *text = NULL, *body;

	if (fd < 0)
		return NULL;
	if (send_request(fd, url, path, until_ms, error) == 0)
		text = read_answer(fd, until_ms, error);
	close(fd);
	if (text == NULL)
		return NULL;
	body = strstr(text, "\r\n\r\n");
	if (strncmp(text, "HTTP/1.", 7) != 0 || body == NULL) {
		fail(error, "%.100s: the answer is not HTTP", path);
	} else if (strncmp(text + 8, " 200", 4) != 0) {
		fail(error, "%.100s: HTTP status %.3s", path, text + 9);
	} else {
		memmove(text, body + 4, strlen(body + 4) + 1);
		return text;
	}
	free(text);
	return NULL;
}
