/*
 * http_load.c - runs per second and latency over HTTP, plain or with TLS.
 *
 *     http_load URL CLIENTS RUNS BODY EXPECT
 *
 * Each client is a thread that POSTs the contents of the file BODY again and again, on one
 * connection. A run has failed unless its reply is 200 and has the text EXPECT in its body. The
 * environment variable CELLBLOCK_API_KEY has the API key. Prints one JSON object, which includes
 * the figures of the replies' "usage".
 *
 * Certificates are not verified: the requests contain no secrets.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "log.h"

#define REPLY_MAX 262144

/* The figures of "usage" that are measured, and their keys. */
enum { WALL, CPU, QUEUE, SPAWN, FIGURES };

static const char *const figure_keys[FIGURES] = {
	[WALL] = "\"wall_ms\":", [CPU] = "\"cpu_ms\":", [QUEUE] = "\"queue_ms\":", [SPAWN] = "\"spawn_ms\":"
};

struct connection {
	int fd;
	SSL *tls; /* NULL: plain */
	char reply[REPLY_MAX];
};

static struct addrinfo *server;
static SSL_CTX *tls_context; /* NULL: plain */
static char *request;
static size_t request_size;
static const char *expected;

/* ---- the connection --------------------------------------------------------------------------------------------- */

static void
connect_server(struct connection *c)
{
	int one = 1;

	c->fd = socket(server->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, server->ai_addr, server->ai_addrlen) != 0)
		die("connect: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (tls_context == NULL)
		return;
	c->tls = SSL_new(tls_context);
	if (c->tls == NULL || SSL_set_fd(c->tls, c->fd) != 1 || SSL_connect(c->tls) != 1)
		die("TLS handshake: %s", ERR_reason_error_string(ERR_get_error()));
}

static void
hang_up(struct connection *c)
{
	SSL_free(c->tls);
	c->tls = NULL;
	close(c->fd);
}

static void *
open_connection(void)
{
	struct connection *c = calloc(1, sizeof *c);

	if (c == NULL)
		die("out of memory");
	connect_server(c);
	return c;
}

static void
close_connection(void *state)
{
	hang_up(state);
	free(state);
}

static ssize_t
receive(struct connection *c, char *data, size_t size)
{
	return c->tls == NULL ? recv(c->fd, data, size, 0) : SSL_read(c->tls, data, (int)size);
}

static bool
send_request(struct connection *c)
{
	size_t sent = 0;

	while (sent < request_size) {
		ssize_t n = c->tls == NULL ? send(c->fd, request + sent, request_size - sent, 0) :
		                             SSL_write(c->tls, request + sent, (int)(request_size - sent));

		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	return true;
}

/* ---- the reply -------------------------------------------------------------------------------------------------- */

/*
 * The size of head and body together, or 0 while the head is not complete; the body starts at
 * *body.
 */
static size_t
whole_size(const char *reply, const char **body)
{
	const char *end = strstr(reply, "\r\n\r\n");
	const char *length = end == NULL ? NULL : strcasestr(reply, "\r\nContent-Length:");

	if (length == NULL || length > end)
		return 0;
	*body = end + 4;
	return (size_t)(*body - reply) + strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
}

/*
 * Read one reply. Returns its body, or NULL if the connection broke or the reply has no length or
 * is too long.
 */
static const char *
read_reply(struct connection *c)
{
	const char *body = NULL;
	size_t have = 0, whole = 0;

	do {
		ssize_t n = have < REPLY_MAX - 1 ? receive(c, c->reply + have, REPLY_MAX - 1 - have) : 0;

		if (n <= 0)
			return NULL;
		have += (size_t)n;
		c->reply[have] = '\0';
		whole = whole_size(c->reply, &body);
	} while (whole == 0 || have < whole);
	return have == whole ? body : NULL;
}

static bool
run_once(struct load_client *client)
{
	struct connection *c = client->state;
	const char *body = send_request(c) ? read_reply(c) : NULL;

	if (body == NULL || strcasestr(c->reply, "\r\nConnection: close") != NULL) {
		hang_up(c);
		connect_server(c);
	}
	if (body == NULL || strncmp(c->reply, "HTTP/1.1 200 ", 13) != 0 || strstr(body, expected) == NULL)
		return false;
	for (int i = 0; i < FIGURES; i++) {
		const char *at = strstr(body, figure_keys[i]);

		client->figure[i] = at == NULL ? 0 : strtod(at + strlen(figure_keys[i]), NULL);
	}
	return true;
}

/* ---- the start -------------------------------------------------------------------------------------------------- */

static void
prepare_tls(void)
{
	tls_context = SSL_CTX_new(TLS_client_method());
	if (tls_context == NULL)
		die("set up TLS: %s", ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
}

/* Take http[s]://HOST:PORT/PATH apart; look the server up and write the request. */
static void
prepare(const char *url, const char *body_path)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	const char *key = getenv("CELLBLOCK_API_KEY");
	char scheme[6], host[256], port[6], path[1024], *body;
	size_t body_size;
	int error, head_size;

	if (sscanf(url, "%5[a-z]://%255[^:/]:%5[0-9]%1023s", scheme, host, port, path) != 4 || path[0] != '/' ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		die("URL: http://HOST:PORT/PATH or https:// is needed, not \"%s\"", url);
	error = getaddrinfo(host, port, &hints, &server);
	if (error != 0)
		die("%s: %s", host, gai_strerror(error));
	if (strcmp(scheme, "https") == 0)
		prepare_tls();
	body = load_file(body_path, &body_size);
	head_size = asprintf(&request,
	    "POST %s HTTP/1.1\r\nHost: %s:%s\r\nX-Api-Key: %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    path, host, port, key == NULL ? "" : key, body_size);
	if (head_size < 0)
		die("out of memory");
	request_size = (size_t)head_size + body_size;
	request = realloc(request, request_size);
	if (request == NULL)
		die("out of memory");
	memcpy(request + head_size, body, body_size);
	free(body);
}

int
main(int argc, char **argv)
{
	static const struct load load = { .open = open_connection,
		.run = run_once,
		.close = close_connection,
		.figures = { [WALL] = "guest_wall_ms", [CPU] = "guest_cpu_ms", [QUEUE] = "queue_ms", [SPAWN] = "spawn_ms" } };

	log_open("http_load");
	signal(SIGPIPE, SIG_IGN); /* a connection that breaks is a failed run */
	if (argc != 6)
		die("usage: http_load URL CLIENTS RUNS BODY EXPECT");
	prepare(argv[1], argv[4]);
	expected = argv[5];
	return load_main(&load, load_number(argv[2], "CLIENTS"), load_number(argv[3], "RUNS"));
}
