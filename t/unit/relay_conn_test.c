/*
 * relay_conn_test.c - connections that the relay carries: programs and proxies at their ends do
 * what they like.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "relay/relay_conn.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define LIMIT_S 60               /* for any wait, even on a busy machine */
#define LINES 100                /* at the same time */
#define DESCRIPTORS 1024         /* that are checked */
#define SOCKET_BYTES (32u << 20) /* more than the kernel buffers between two ends that are not read */

/*
 * The bytes of each end differ from all others by its number, and from each other by their place.
 */
struct end {
	int fd;
	unsigned number;
	size_t sent, got;
	bool is_ended; /* it sends no more */
};

struct line {
	struct relay_conn *conn;
	struct end end[2]; /* the program's and the proxy's, by the conn's names of its sides */
};

static struct poller poller;
static int handled;     /* events of a turn */
static int listener[2]; /* that of a cell, and a proxy's */
static struct sockaddr_in address[2];
static bool was_open[DESCRIPTORS];
static unsigned last_number;

/* ---- the relay's loop ------------------------------------------------------------------------ */

static void
conn_changed(struct relay_conn *conn, bool was_connecting)
{
	const struct line *line = conn->owner;

	(void)was_connecting;
	assert_ptr_equal(line->conn, conn);
	handled++;
}

/* Returns how many events were handled. */
static int
turn(int timeout_ms)
{
	handled = 0;
	assert_int_equal(poller_turn(&poller, timeout_ms, NULL), 0);
	return handled;
}

static time_t
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void
turn_once_more(time_t since_s)
{
	assert_true(now_s() - since_s < LIMIT_S);
	turn(1);
}

/* Run the loop until a condition holds. */
#define until(condition) for (time_t since_s = now_s(); !(condition); turn_once_more(since_s))

/* ---- the two ends ---------------------------------------------------------------------------- */

static unsigned char
byte_at(unsigned number, size_t place)
{
	return (unsigned char)((place * 2654435761u + number * 40503u) >> 11);
}

/*
 * Send up to `most` bytes, as many as are taken at once. Returns how many, or -1 if the connection
 * is broken.
 */
static ssize_t
write_some(struct end *end, size_t most)
{
	static unsigned char bytes[8 * RELAY_CONN_BYTES];
	ssize_t n;

	most = most < sizeof bytes ? most : sizeof bytes;
	for (size_t i = 0; i < most; i++)
		bytes[i] = byte_at(end->number, end->sent + i);
	n = send(end->fd, bytes, most, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	end->sent += (size_t)n;
	return n;
}

/*
 * Read up to `most` bytes of what the other end has sent: the next ones. Returns how many, or -1 if
 * the connection is broken.
 */
static ssize_t
read_some(struct end *end, const struct end *from, size_t most)
{
	static unsigned char bytes[8 * RELAY_CONN_BYTES];
	ssize_t n = recv(end->fd, bytes, most < sizeof bytes ? most : sizeof bytes, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	end->is_ended = n == 0;
	for (size_t i = 0; i < (size_t)n; i++)
		assert_int_equal(bytes[i], byte_at(from->number, end->got + i));
	end->got += (size_t)n;
	return n;
}

static bool
read_all(struct end *end, const struct end *from)
{
	while (read_some(end, from, SIZE_MAX) > 0)
		continue;
	return end->got == from->sent;
}

static void
send_to(struct line *line, int from, size_t total)
{
	struct end *end = &line->end[from], *other = &line->end[1 - from];
	size_t all = end->sent + total;

	until(end->sent == all && other->got == all)
	{
		assert_true(write_some(end, all - end->sent) >= 0);
		assert_true(read_some(other, end, SIZE_MAX) >= 0);
	}
}

static bool
is_reset(const struct end *end)
{
	char byte;

	return recv(end->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

static void
hang_up(struct end *end, bool is_abrupt)
{
	const struct linger at_once = { .l_onoff = 1 };

	if (end->fd < 0)
		return;
	if (is_abrupt)
		assert_int_equal(setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
	close(end->fd);
	end->fd = -1;
}

/* A program connects, and then the relay connects to `proxy`. */
static void
begin(struct line *line, const struct sockaddr_in *proxy, const char *said)
{
	int fd, yes = 1;

	*line = (struct line){ .end = { { .fd = -1, .number = last_number + 1 }, { .fd = -1, .number = last_number + 2 } } };
	last_number += 2;
	line->end[RELAY_CONN_GUEST].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(line->end[RELAY_CONN_GUEST].fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
	assert_int_equal(
	    connect(line->end[RELAY_CONN_GUEST].fd, (struct sockaddr *)&address[RELAY_CONN_GUEST], sizeof address[0]), 0);
	if (said != NULL)
		assert_int_equal(send(line->end[RELAY_CONN_GUEST].fd, said, strlen(said), 0), strlen(said));
	fd = accept4(listener[RELAY_CONN_GUEST], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	line->conn = relay_conn_new(&poller, fd, (const struct sockaddr *)proxy, sizeof *proxy, 1, conn_changed, line);
	assert_non_null(line->conn);
}

/* The same, and the proxy accepts. */
static void
open_line(struct line *line)
{
	int yes = 1;

	begin(line, &address[RELAY_CONN_PROXY], NULL);
	until((line->end[RELAY_CONN_PROXY].fd = accept4(listener[RELAY_CONN_PROXY], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >=
	    0) continue;
	assert_int_equal(setsockopt(line->end[RELAY_CONN_PROXY].fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
	until(line->conn->deadline_us == 0) continue;
	assert_false(line->conn->is_over);
	assert_int_equal(line->conn->error, 0);
}

static void
close_line(struct line *line)
{
	relay_conn_free(line->conn);
	for (int i = 0; i < 2; i++)
		hang_up(&line->end[i], true);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void
carries_bytes_both_ways(void **state)
{
	static const struct {
		size_t total, written, read; /* both ways at once, in pieces of these sizes */
	} cases[] = { { 3000, 1, 1 }, { 3000, 1, SIZE_MAX }, { 3 * RELAY_CONN_BYTES, RELAY_CONN_BYTES + 1, 1 },
		{ 8 * RELAY_CONN_BYTES, RELAY_CONN_BYTES, RELAY_CONN_BYTES }, { 1 << 20, 3 * RELAY_CONN_BYTES + 7, 1000 },
		{ 8 << 20, SIZE_MAX, SIZE_MAX } };
	struct line line;

	(void)state;
	open_line(&line);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t all = line.end[0].sent + cases[i].total;

		until(line.end[0].got == all && line.end[1].got == all)
		{
			for (int e = 0; e < 2; e++) {
				struct end *end = &line.end[e];
				size_t left = all - end->sent;

				assert_true(write_some(end, left < cases[i].written ? left : cases[i].written) >= 0);
				for (int times = 0; times < 100 && read_some(end, &line.end[1 - e], cases[i].read) > 0; times++)
					continue;
			}
		}
		assert_int_equal(line.end[0].sent, all);
		assert_int_equal(line.end[1].sent, all);
	}
	assert_false(line.conn->is_over);
	close_line(&line);
}

/* A program sends at once, before the proxy is connected. */
static void
keeps_bytes_that_come_before_the_proxy(void **state)
{
	struct line line;
	char text[16];
	int fd;

	(void)state;
	begin(&line, &address[RELAY_CONN_PROXY], "CONNECT x:1");
	shutdown(line.end[RELAY_CONN_GUEST].fd, SHUT_WR);
	until((fd = accept4(listener[RELAY_CONN_PROXY], NULL, NULL, SOCK_CLOEXEC)) >= 0) continue;
	line.end[RELAY_CONN_PROXY].fd = fd;
	until(recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) == 11) continue;
	assert_int_equal(recv(fd, text, sizeof text, 0), 11);
	assert_memory_equal(text, "CONNECT x:1", 11);
	until(recv(fd, text, sizeof text, MSG_DONTWAIT) == 0) continue;
	assert_false(line.conn->is_over);
	close_line(&line);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Each end may shut down its sending side, and still receives the rest. */
static void
carries_half_closes(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct line line;
		struct end *one, *other;

		open_line(&line);
		one = &line.end[first];
		other = &line.end[1 - first];
		until(one->sent == 20 * RELAY_CONN_BYTES)
		{
			assert_true(write_some(one, 20 * RELAY_CONN_BYTES - one->sent) >= 0);
			if (one->sent > 10 * RELAY_CONN_BYTES)
				read_some(other, one, RELAY_CONN_BYTES);
		}
		assert_int_equal(shutdown(one->fd, SHUT_WR), 0);
		until(read_all(other, one) && other->is_ended) continue;
		assert_false(line.conn->is_over);
		send_to(&line, 1 - first, 20 * RELAY_CONN_BYTES);
		assert_false(one->is_ended);
		assert_false(line.conn->is_over);
		assert_int_equal(shutdown(other->fd, SHUT_WR), 0);
		until(read_all(one, other) && one->is_ended && line.conn->is_over) continue;
		close_line(&line);
	}
}

/*
 * Both at once, with much on its way: the sockets are full, and the relay has read the end, and
 * holds what comes before it.
 */
static void
carries_all_before_the_end(void **state)
{
	struct line line;

	(void)state;
	open_line(&line);
	for (int e = 0; e < 2; e++) {
		const struct relay_conn_side *side = &line.conn->side[e];

		until(side->start < side->end) assert_true(write_some(&line.end[e], 1000) >= 0);
		assert_int_equal(shutdown(line.end[e].fd, SHUT_WR), 0);
		until(side->is_ended) continue;
		assert_true(side->start < side->end);
	}
	for (int e = 0; e < 2; e++) {
		until(read_all(&line.end[e], &line.end[1 - e]) && line.end[e].is_ended) continue;
	}
	until(line.conn->is_over) continue;
	close_line(&line);
}

/* When one end closes or resets, the other end is closed, too, whatever was in transit. */
static void
carries_resets(void **state)
{
	(void)state;
	for (int kind = 0; kind < 8; kind++) {
		struct line line;
		int first = kind & 1;
		bool is_abrupt = (kind & 2) != 0, is_busy = (kind & 4) != 0;

		open_line(&line);
		send_to(&line, 0, 10);
		send_to(&line, 1, 10);
		/* The other end goes on sending, and nothing reads. */
		if (is_busy) {
			until(write_some(&line.end[1 - first], SIZE_MAX) == 0) continue;
		}
		hang_up(&line.end[first], is_abrupt);
		if (is_abrupt || is_busy) {
			until(line.conn->is_over) continue;
		} else {
			until(write_some(&line.end[1 - first], 1) < 0) continue;
			assert_true(line.conn->is_over);
		}
		if (is_abrupt && !is_busy)
			assert_true(is_reset(&line.end[1 - first]));
		for (int i = 0; i < 2; i++)
			assert_int_equal(line.conn->side[i].socket.fd, -1);
		close_line(&line);
	}
}

/* ---- who does not read ----------------------------------------------------------------------- */

/*
 * Nothing is done for who does not read, and no more is kept; the other way is open, and in the end
 * all arrives.
 */
static void
waits_for_readers(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		struct line line;
		struct end *writer, *reader;
		const struct relay_conn_side *side;

		open_line(&line);
		writer = &line.end[from];
		reader = &line.end[1 - from];
		side = &line.conn->side[from];
		/* Until nothing has moved for a while. A loop that never rests would show below. */
		for (int quiet = 0; quiet < 100; quiet++) {
			if (write_some(writer, SIZE_MAX) > 0)
				quiet = 0;
			assert_true(writer->sent < SOCKET_BYTES);
			turn(1);
		}
		assert_true(side->start < side->end);
		assert_int_equal(side->end, RELAY_CONN_BYTES);
		assert_int_equal(side->socket.events & EPOLLIN, 0);
		send_to(&line, 1 - from, 5 * RELAY_CONN_BYTES);
		until(turn(0) == 0) continue;
		until(read_all(reader, writer)) continue;
		send_to(&line, from, 5 * RELAY_CONN_BYTES);
		close_line(&line);
	}
}

/* ---- many ------------------------------------------------------------------------------------ */

/*
 * Each connection has its own bytes, and none waits for another, not even for one that is not read.
 */
static void
keeps_connections_apart(void **state)
{
	static struct line lines[LINES];
	unsigned random = 1;
	size_t total = 4 * RELAY_CONN_BYTES, done = 0;

	(void)state;
	for (size_t i = 0; i < LINES; i++)
		open_line(&lines[i]);
	until(write_some(&lines[0].end[0], SIZE_MAX) == 0) continue;
	until(done == LINES - 1)
	{
		done = 0;
		for (size_t i = 1; i < LINES; i++) {
			struct line *line = &lines[i];

			for (int e = 0; e < 2; e++) {
				size_t left = total - line->end[e].sent, most;

				random = random * 1103515245u + 12345u;
				most = random >> 16 & 1 ? 1 : (random >> 17) % (2 * RELAY_CONN_BYTES);
				assert_true(write_some(&line->end[e], left < most ? left : most) >= 0);
				if ((random >> 20 & 1) != 0)
					assert_true(read_some(&line->end[e], &line->end[1 - e], SIZE_MAX) >= 0);
			}
			done += line->end[0].got == total && line->end[1].got == total;
		}
	}
	until(read_all(&lines[0].end[1], &lines[0].end[0])) continue;
	for (size_t i = 0; i < LINES; i++)
		close_line(&lines[i]);
}

/* ---- no proxy -------------------------------------------------------------------------------- */

/*
 * A program is told in HTTP, whatever it sends meanwhile, and the connection goes on until it has
 * no more to say.
 */
static void
check_refusal(struct line *line, int error)
{
	struct end *guest = &line->end[RELAY_CONN_GUEST];
	char text[512] = "";
	const char *body;
	size_t size = 0;

	assert_int_equal(line->conn->error, error);
	assert_int_equal(line->conn->deadline_us, 0);
	until(guest->sent > 20 * RELAY_CONN_BYTES) assert_true(write_some(guest, SIZE_MAX) >= 0);
	until(guest->is_ended)
	{
		ssize_t n = recv(guest->fd, text + size, sizeof text - 1 - size, MSG_DONTWAIT);

		guest->is_ended = n == 0;
		size += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(text, "HTTP/1.1 502 ", 13);
	body = strstr(text, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10), strlen(body + 4));
	assert_false(line->conn->is_over);
	shutdown(guest->fd, SHUT_WR);
	until(line->conn->is_over) continue;
	close_line(line);
}

static int
bind_somewhere(struct sockaddr_in *at)
{
	socklen_t size = sizeof *at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &size), 0);
	return fd;
}

static void
tells_of_a_proxy_that_is_down(void **state)
{
	struct sockaddr_in nobody;
	int fd = bind_somewhere(&nobody);
	struct line line;

	(void)state;
	begin(&line, &nobody, NULL);
	until(line.conn->error != 0) continue;
	check_refusal(&line, ECONNREFUSED);
	close(fd);
}

/* The kernel rejects connections to such an address at once. */
static void
tells_of_a_proxy_that_cannot_be(void **state)
{
	const struct sockaddr_in everybody = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = INADDR_BROADCAST };
	struct line line;

	(void)state;
	begin(&line, &everybody, NULL);
	assert_int_not_equal(line.conn->error, 0);
	check_refusal(&line, line.conn->error);
}

/* The listener's queue is full, so there is no answer. */
static void
tells_of_a_proxy_that_is_late(void **state)
{
	struct sockaddr_in busy;
	int fd = bind_somewhere(&busy), queued[16];
	size_t count = 0;
	struct line line;

	(void)state;
	assert_int_equal(listen(fd, 0), 0);
	for (bool is_taken = true; is_taken; count++) {
		struct pollfd connects = { .events = POLLOUT };

		assert_true(count < LENGTH(queued));
		queued[count] = connects.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		is_taken = connect(connects.fd, (struct sockaddr *)&busy, sizeof busy) == 0 || poll(&connects, 1, 100) == 1;
	}
	begin(&line, &busy, NULL);
	turn(0);
	assert_int_equal(line.conn->deadline_us, 1);
	assert_int_equal(line.conn->error, 0);
	relay_conn_expire(line.conn);
	check_refusal(&line, ETIMEDOUT);
	while (count-- > 0)
		close(queued[count]);
	close(fd);
}

/* The program's connection takes the last descriptor. */
static void
tells_of_no_descriptors(void **state)
{
	struct rlimit files, few;
	struct line line;
	int next[2] = { dup(0), dup(0) };

	(void)state;
	assert_true(next[0] >= 0 && next[1] == next[0] + 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = (struct rlimit){ (rlim_t)next[1] + 1, files.rlim_max };
	close(next[0]);
	close(next[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin(&line, &address[RELAY_CONN_PROXY], NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	check_refusal(&line, EMFILE);
}

/* ---- around each ----------------------------------------------------------------------------- */

static int
open_all(void **state)
{
	(void)state;
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
	assert_int_equal(poller_open(&poller), 0);
	for (int i = 0; i < 2; i++) {
		listener[i] = bind_somewhere(&address[i]);
		assert_int_equal(listen(listener[i], LINES), 0);
	}
	return 0;
}

/* No descriptor is left. */
static int
close_all(void **state)
{
	(void)state;
	close(listener[0]);
	close(listener[1]);
	close(poller.epoll_fd);
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		assert_int_equal(fcntl(fd, F_GETFD) >= 0, was_open[fd]);
	return 0;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
	const struct CMUnitTest tests[] = {
		TEST(carries_bytes_both_ways),
		TEST(keeps_bytes_that_come_before_the_proxy),
		TEST(carries_half_closes),
		TEST(carries_all_before_the_end),
		TEST(carries_resets),
		TEST(waits_for_readers),
		TEST(keeps_connections_apart),
		TEST(tells_of_a_proxy_that_is_down),
		TEST(tells_of_a_proxy_that_cannot_be),
		TEST(tells_of_a_proxy_that_is_late),
		TEST(tells_of_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
