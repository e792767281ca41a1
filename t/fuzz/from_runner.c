/*
 * from_runner.c - the runner's messages to a worker, into the complete worker behind libfcgi:
 * replies of any kind and size, in and out of turn, with or without descriptors; and the output of
 * a guest, up to the reply to the client.
 *
 * An input is a client's request, then a list of steps of a few bytes each (see `steps`), which
 * happen while the worker waits; then the next client's, and so on. This file plays libfcgi,
 * poll(2), socket(2), connect(2) and the clock (ld --wrap).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <sha2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "play.h"
#include "route.h"

#define CLIENTS 4     /* the most requests of one input, one after the other */
#define TURNS_MAX 999 /* the most waits of the worker in one request */
#define DIGEST 0x1234567890abcdefu
#define API_KEY "key-of-the-fuzzer"

/* ---- configuration and state ---------------------------------------------------------------- */

static char *words[] = { "/bin/true", "cc" };

#define STANDARD \
	{ \
		1000, 1000, 1 << 20, 1, 1000, 4096, 4, 64, 16, 1 << 20 \
	}
#define LIMITS \
	{ \
		STANDARD, \
		{ \
			5000, 5000, 1 << 24, 8, 200000, 1 << 20, 8, 128, 64, 1 << 21 \
		} \
	}

static struct language_config languages[] = {
	{ .name = "c",
	    .aliases = { words + 1, 1 },
	    .compile = { .command = { words, 1 }, .limits = STANDARD },
	    .warm_count = 1,
	    .limits = LIMITS },
	{ .name = "python3", .warm_count = 1, .limits = LIMITS },
};
static const struct config config = { .digest = DIGEST,
	.socket_path = (char *)"/run/runner.sock",
	.queue_ms = 500,
	.body_bytes = 1024,
	.collect_bytes = 65536,
	.heartbeat_ms = 50,
	.limits = LIMITS,
	.language = { &languages[0], &languages[1] },
	.language_count = 2 };

static const char *const bodies[] = {
	"{\"language\":\"python3\",\"code\":\"x\"}",
	"{\"language\":\"python3\",\"code\":\"x\",\"stdin\":\"y\",\"args\":[\"z\"],\"limits\":{\"output_bytes\":200000}}",
	"{\"language\":\"c\",\"code\":\"x\"}",
	"{\"language\":\"cc\",\"code\":\"x\",\"preload\":\"y\",\"stdin\":\"z\"}",
	"{\"language\":\"python3\",\"code\":\"x\",\"limits\":{\"processes\":8}}",
	"{\"language\":\"python3\",\"code\":\"x\",\"files\":{\"a/b\":\"y\"},\"collect\":[\"*\"]}",
	"{\"language\":\"c\",\"code\":\"x\",\"stdin\":\"y\",\"collect\":[\"out/**\"]}",
	"{\"language\":\"cobol\",\"code\":\"x\"}",
	"{\"language",
	"",
};
static const char *const paths[] = { "/v1/sandbox/run", "/health", "/v1/sandbox/languages", "/v1/sandbox/capabilities", "/v1" };
static const char *const methods[] = { "POST", "GET", "HEAD" };
static const char *const lengths[] = { "-1", "1025", "99999999999999999999", "7x", "", "1000" };

static struct key_config key = { .name = (char *)"fuzz", .all_languages = true, .share = { .weight = 1, .rate = 1 } };
static struct key_list keys = { &key, 1 };
static struct worker worker;
static int runner_end;    /* of the connection; -1: none */
static int guest_ends[2]; /* of the pipes; -1: closed */
static int client_end;    /* of nginx's connection */
static bool is_refusing;  /* no runner listens */
static bool has_asked;    /* PROTO_FIND on this connection, since the last run */
static bool broke_rules;  /* whether this connection has carried something that violates the protocol */
static unsigned turns;
static uint32_t last_id;
static uint64_t now_ms;
static int memfd;

/* ---- libfcgi -------------------------------------------------------------------------------- */

static struct {
	const char *path, *method, *length, *body;
	const char *events; /* the form that it asks for; NULL: none */
	size_t body_left;
	char key[sizeof API_KEY];
} client;

static char *reply;
static size_t reply_size, reply_room;

char *
FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
	(void)envp;
	if (strcmp(name, "DOCUMENT_URI") == 0)
		return (char *)client.path;
	if (strcmp(name, "REQUEST_METHOD") == 0)
		return (char *)client.method;
	if (strcmp(name, "CELLBLOCK_KEY") == 0)
		return client.key;
	if (strcmp(name, "CELLBLOCK_EVENTS") == 0)
		return (char *)client.events;
	return strcmp(name, "CONTENT_LENGTH") == 0 ? (char *)client.length : NULL;
}

int
FCGX_GetStr(char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	must(size >= 0);
	if ((size_t)size > client.body_left)
		size = (int)client.body_left;
	memcpy(bytes, client.body, (size_t)size);
	client.body += size;
	client.body_left -= (size_t)size;
	return size;
}

int
FCGX_GetChar(FCGX_Stream *stream)
{
	(void)stream;
	return -1;
}

int
FCGX_HasSeenEOF(FCGX_Stream *stream)
{
	(void)stream;
	return -1;
}

int
FCGX_PutStr(const char *bytes, int size, FCGX_Stream *stream)
{
	(void)stream;
	must(size >= 0);
	if (reply_size + (size_t)size > reply_room) {
		reply_room = 2 * (reply_size + (size_t)size);
		must((reply = realloc(reply, reply_room)) != NULL);
	}
	memcpy(reply + reply_size, bytes, (size_t)size);
	reply_size += (size_t)size;
	return size;
}

int
FCGX_FFlush(FCGX_Stream *stream)
{
	(void)stream;
	return 0;
}

void
FCGX_Finish_r(FCGX_Request *request)
{
	(void)request;
}

/* ---- the runner ----------------------------------------------------------------------------- */

static void
take_request(const struct proto_request *request, int *fds, size_t count)
{
	const struct run_limits *most = &languages[0].limits.maximum, *limits = &request->limits;
	bool is_run = request->kind == PROTO_RUN, is_compile = request->kind == PROTO_COMPILE;

	must(request->kind >= PROTO_RUN && request->kind <= PROTO_STATE);
	must(count == 0 || is_run || is_compile);
	/* The runner holds a compiled program for the connection that asked for it. */
	must(has_asked || !(is_compile || (is_run && request->index == 0)));
	has_asked = request->kind == PROTO_FIND || (has_asked && !is_run);
	if (!is_run && !is_compile)
		return;
	last_id = request->id;
	must(request->index < config.language_count && request->warm == 0);
	must((is_run && count - ((request->flags & RUN_COLLECT) != 0) >= 3 &&
	         count - ((request->flags & RUN_COLLECT) != 0) <= 4) ||
	    (is_compile && count == 3 && request->index == 0));
	must(limits->wall_ms > 0 && limits->wall_ms <= most->wall_ms && limits->processes > 0);
	must(limits->memory_bytes > 0 && limits->memory_bytes <= most->memory_bytes);
	for (int i = 0; i < 2; i++) {
		shut(&guest_ends[i]);
		guest_ends[i] = fds[1 + i];
		fds[1 + i] = -1;
		must(fcntl(guest_ends[i], F_SETFL, O_NONBLOCK) == 0);
	}
}

/* Read the worker's message. Returns whether there was one. */
static bool
runner_reads(void)
{
	struct proto_request request;
	union {
		char space[CMSG_SPACE(sizeof(int) * SENT_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &request, sizeof request };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space };
	struct cmsghdr *head;
	int fds[SENT_FDS];
	size_t count = 0;

	if (runner_end < 0 || recvmsg(runner_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return false;
	must(message.msg_flags == MSG_EOR || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0);
	head = CMSG_FIRSTHDR(&message);
	if (head != NULL) {
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(head), count * sizeof(int));
	}
	take_request(&request, fds, count);
	for (size_t i = 0; i < count; i++)
		shut(&fds[i]);
	return true;
}

static void
answer(const void *bytes, size_t size, size_t count)
{
	int fds[SENT_FDS];

	for (size_t i = 0; i < SENT_FDS; i++)
		fds[i] = memfd;
	if (runner_end >= 0 && send_anything(runner_end, bytes, size, fds, count))
		broke_rules = broke_rules || size != sizeof(struct proto_reply) || count > 0;
}

/* Fill a text field as the runner may: short, or up to its last byte, and not always UTF-8. */
static void
fill(char *field, size_t size)
{
	uint8_t how = next();

	memset(field, how >= 0x40 ? how : 'x', how % 4 == 0 ? 0 : how % 4 == 1 ? 3 : size - (how % 4 == 2));
}

static void
fill_result(struct run_result *result)
{
	uint8_t how = next();

	*result = (struct run_result){ .verdict = next() % (VERDICT_COUNT + 2),
		.exit_code = (int8_t)next(),
		.signal = next() % 70,
		.network = how % 5,
		.processes_peak = how,
		.wall_us = UINT64_MAX >> (how % 64),
		.cpu_us = how,
		.memory_peak_bytes = UINT64_MAX >> (how % 64) };
	for (size_t i = 0; i < how % (DENIED_CALLS + 1); i++)
		result->denied.call[i] = (struct denied_call){ (how & 0x80) != 0 ? UINT32_MAX - (uint32_t)i : next(),
			UINT32_MAX >> (how % 32) };
}

static void
reply_step(void)
{
	struct proto_reply message = { .kind = next() % (PROTO_PROGRESS + 1) };
	uint8_t id = next(), bytes[2 * sizeof message] = { 0 };

	/* Mostly the id of the present run, or of the one that was not read yet. */
	message.id = last_id + (id >= 0xf0 ? id : id >= 0xe0 ? 1 : 0);
	switch (message.kind) {
	case PROTO_WELCOME:
		message.u.welcome = (struct proto_welcome){ .version = PROTO_VERSION, .config_digest = DIGEST };
		if ((id & 8) != 0)
			message.u.welcome.version++;
		if ((id & 16) != 0)
			message.u.welcome.config_digest++;
		break;
	case PROTO_RESULT:
		fill_result(&message.u.result);
		break;
	case PROTO_LANGUAGE:
		message.u.language.available = id & 1;
		message.u.language.start = next() % 5;
		fill(message.u.language.version, sizeof message.u.language.version);
		fill(message.u.language.reason, sizeof message.u.language.reason);
		break;
	case PROTO_LAYER:
		message.u.layer.required = id & 1;
		fill(message.u.layer.name, sizeof message.u.layer.name);
		fill(message.u.layer.detail, sizeof message.u.layer.detail);
		break;
	case PROTO_PROGRESS:
		message.u.progress = (struct proto_progress){ .progress = id % 4,
			.queue_us = UINT64_MAX >> (id % 64),
			.spawn_us = UINT64_MAX >> (id % 61) };
		break;
	case PROTO_STATE:
		message.u.state.healthy = id & 1;
		fill(message.u.state.reason, sizeof message.u.state.reason);
		break;
	default:
		message.u.refused.refusal = next();
	}
	/* Mostly the complete message, or a valid one that is cut or too long. */
	memcpy(bytes, &message, sizeof message);
	answer(bytes, id >= 0xc0 && id < 0xd0 ? next() * sizeof bytes / 256 : sizeof message, 0);
}

static void
welcome_step(void)
{
	const struct proto_reply message = { .kind = PROTO_WELCOME,
		.u.welcome = { .version = PROTO_VERSION, .languages = 2, .config_digest = DIGEST } };

	answer(&message, sizeof message, 0);
}

static void
bytes_step(void)
{
	static uint8_t bytes[2 * sizeof(struct proto_reply)];
	size_t size = (next() << 1) % sizeof bytes;

	memset(bytes, (int)size, sizeof bytes);
	answer(bytes, size, next() % SENT_FDS);
}

static void
hang_up_step(void)
{
	is_refusing = (next() & 1) != 0;
	shut(&runner_end);
}

/* ---- the guest, the client, the time -------------------------------------------------------- */

static void
output_step(void)
{
	static const char *const texts[] = { "plain text\n", "\"\\\n\t\001", "caf\xc3\xa9 \xf0\x9f\x98\x80", "\xff\xfe\xc3",
		"\xf0\x9f" };
	uint8_t how = next(), times = next();
	const char *text = texts[(how >> 1) % LENGTH(texts)];
	static char block[65536];
	size_t length = strlen(text), size = 0;

	/* Few bytes, or many. */
	for (size_t i = 0; i <= times && size + length <= sizeof block; i++, size += length)
		memcpy(block + size, text, length);
	while (times == 255 && size + length <= sizeof block) {
		memcpy(block + size, text, length);
		size += length;
	}
	if (guest_ends[how & 1] >= 0 && write(guest_ends[how & 1], block, size) < 0)
		return; /* it is full */
}

static void
close_step(void)
{
	uint8_t which = next();

	if ((which & 1) == 0)
		shut(&guest_ends[0]);
	if ((which & 2) == 0)
		shut(&guest_ends[1]);
}

static void
client_step(void)
{
	shut(&client_end);
}

static void
time_step(void)
{
	static const uint16_t spans_ms[] = { 1, 3, 100, 2000, 6000, 60000 };

	now_ms += spans_ms[next() % LENGTH(spans_ms)];
}

static void (*const steps[])(
    void) = { reply_step, reply_step, welcome_step, output_step, close_step, hang_up_step, time_step, bytes_step, client_step };

/* ---- wrapped system calls ------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int
__wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){ .tv_sec = (time_t)(now_ms / 1000), .tv_nsec = (long)(now_ms % 1000) * 1000000 };
	return 0;
}

/*
 * A worker that connects gets one end of a pair, which is connected from the beginning. After the
 * last step no runner listens.
 */
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int
__wrap_socket(int domain, int type, int protocol)
{
	int end;

	must(domain == AF_UNIX && type == (SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK));
	if (is_refusing || play_left() == 0)
		return __real_socket(domain, type, protocol);
	shut(&runner_end);
	pair(&runner_end, &end, SOCK_NONBLOCK);
	return end;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int
__wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	must(fd >= 0 && address->sa_family == AF_UNIX && size > 0);
	if (is_refusing || play_left() == 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	broke_rules = has_asked = false;
	return 0;
}

int __real_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int
__wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms)
{
	if (timeout_ms == 0)
		return __real_poll(waits, count, 0);
	must(timeout_ms > 0 && ++turns < TURNS_MAX);
	while (waits[0].fd >= 0 || count > 1) {
		int ready;
		uint8_t op;

		while (runner_reads())
			continue;
		ready = __real_poll(waits, count, 0);
		if (ready != 0)
			return ready; /* -1 for the signal of libFuzzer's clock */
		if (play_left() == 0)
			break;
		do {
			op = next();
			steps[(op & 0x3f) % LENGTH(steps)]();
		} while ((op & 0x80) != 0 && play_left() > 0);
		if ((op & 0x40) != 0)
			break; /* too late */
	}
	now_ms += (uint64_t)timeout_ms;
	return 0;
}

/* ---- an input, from its beginning to its end ------------------------------------------------ */

/*
 * Check an answer with events: each is an object of its own on a line; they come in their order,
 * and the last one is a result or an error.
 */
static void
check_events(const char *events)
{
	static const char *const order[] = { "queued", "compiled", "started", "stdout", "stderr", "file", "result", "error",
		"heartbeat" };
	enum { STDOUT = 3, RESULT = 6, HEARTBEAT = 8 };
	int step = -1;

	must(fuzz_is_utf8(events, strlen(events)));
	for (const char *line = events, *end; *line != '\0'; line = end + 1) {
		struct json_tokener *parser = json_tokener_new();
		struct json_object *event, *kind, *ms, *data;
		int is = 0;

		must((end = strchr(line, '\n')) != NULL);
		event = json_tokener_parse_ex(parser, line, (int)(end - line));
		must(event != NULL && json_tokener_get_error(parser) == json_tokener_success &&
		    json_object_object_length(event) == 3);
		must(json_object_object_get_ex(event, "event", &kind) && json_object_object_get_ex(event, "ms", &ms) &&
		    json_object_object_get_ex(event, "data", &data));
		while (is < HEARTBEAT && strcmp(order[is], json_object_get_string(kind)) != 0)
			is++;
		must(strcmp(order[is], json_object_get_string(kind)) == 0);
		/* The two kinds of output take turns. */
		must(is == HEARTBEAT ? step >= 0 : is > step || (is == STDOUT && step == STDOUT + 1) || (is == step && is > 2));
		must(step < RESULT && (step >= 0 || is == 0));
		step = is == HEARTBEAT ? step : is;
		json_object_put(event);
		json_tokener_free(parser);
	}
	must(step >= RESULT);
}

/* Check the reply to nginx: its header agrees with the body, and any client can parse the body. */
static void
check_reply(void)
{
	struct json_object *tree, *code, *message, *data;
	enum json_tokener_error error;
	const char *end, *length;
	int status;

	FCGX_PutStr("", 1, NULL);
	must(strncmp(reply, "Status: ", 8) == 0);
	status = atoi(reply + 8);
	end = strstr(reply, "\r\n\r\n");
	length = strstr(reply, "\r\nContent-Length: ");
	must(end != NULL);
	end += 4;
	if (strstr(reply, "\r\nContent-Type: application/x-ndjson") != NULL) {
		must(status == 200);
		check_events(end);
		return;
	}
	must(length != NULL && length < end);
	must(strtoul(length + 18, NULL, 10) == reply_size - 1 - (size_t)(end - reply));
	must(strlen(end) == reply_size - 1 - (size_t)(end - reply));
	must(fuzz_is_utf8(end, strlen(end)));
	tree = json_tokener_parse_verbose(end, &error);
	must(error == json_tokener_success);
	if (json_object_is_type(tree, json_type_object)) {
		must(json_object_object_length(tree) == 3 && json_object_object_get_ex(tree, "code", &code) &&
		    json_object_object_get_ex(tree, "message", &message) && json_object_object_get_ex(tree, "data", &data));
		must(json_object_get_int(code) == (status == 200 ? 0 : -status));
		must((data == NULL) == (status != 200) && json_object_get_string_len(message) > 0);
	} else {
		must(strcmp(end, "\"ok\"") == 0);
	}
	must(status == 200 || status == 400 || status == 404 || status == 405 || status == 413 || status == 429 ||
	    status == 500 || status == 503);
	json_object_put(tree);
}

static void
ask(void)
{
	uint8_t what = next(), how = next();
	FCGX_Request request = { .ipcFd = -1 };
	char length[24];
	int both[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
	client_end = both[0];
	request.ipcFd = both[1];
	client.path = what < 0x80 ? paths[0] : paths[what % LENGTH(paths)];
	client.method = what < 0xa0 && client.path == paths[0] ? methods[0] : methods[1 + (what >> 3) % 2];
	client.body = bodies[how % LENGTH(bodies)];
	client.body_left = strlen(client.body);
	client.events = (how & 0x20) != 0 ? "ndjson" : NULL;
	strcpy(client.key, API_KEY); /* the worker wipes it */
	snprintf(length, sizeof length, "%zu", client.body_left);
	client.length = how < 0xc0 ? length : lengths[(how >> 3) % LENGTH(lengths)];
	reply_size = 0;
	turns = 0;
	route_serve(&worker, &request);
	must(request.ipcFd < 0);
	check_reply();
	/* A worker that has read a violation has closed the connection. */
	must(!broke_rules || worker.link.fd < 0 || recv(worker.link.fd, length, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
	while (runner_reads())
		continue;
	shut(&client_end);
	shut(&guest_ends[0]);
	shut(&guest_ends[1]);
}

static void
try(const uint8_t *data, size_t size)
{
	play_begin(data, size);
	is_refusing = false;
	now_ms = 1000;
	runner_link_init(&worker.link, &config);
	for (int i = 0; i < CLIENTS && (i == 0 || play_left() > 0); i++)
		ask();
	runner_link_close(&worker.link);
	shut(&runner_end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SHA2_CTX context;

	if (worker.config == NULL) {
		/*
		 * A guest goes on writing after the reader is gone. As in the worker itself, that
		 * is an ordinary error.
		 */
		signal(SIGPIPE, SIG_IGN);
		SHA256Init(&context);
		SHA256Update(&context, (const uint8_t *)API_KEY, strlen(API_KEY));
		SHA256Final(key.digest, &context);
		memset(&key.maximum, 0xff, sizeof key.maximum);
		worker.config = &config;
		worker.keys = &keys;
		worker.cut_fd = -1;
		run_init(&worker.run);
		runner_end = client_end = guest_ends[0] = guest_ends[1] = -1;
		must((memfd = memfd_create("any", MFD_CLOEXEC)) >= 0);
	}
	do {
		fuzz_begin();
		try(data, size);
	} while (!fuzz_end());
	return 0;
}
