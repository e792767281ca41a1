/*
 * worker.c - attacks the runner as a compromised worker could: worker SOCKET LANGUAGE ATTACK, where
 * LANGUAGE is the index of one that runs Python. See t/hostile_worker.t.
 *
 * Prints one line with the outcome. The exit status is 0 unless the attack itself could not be
 * carried out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdpass.h"
#include "job.h"
#include "proto.h"
#include "runner_client.h"

#define ANSWER_MS 10000
#define FDS_MOST 250

static const char *path;
static uint32_t language;

/* Wait for a message of this kind. Returns whether it came before the end of the connection. */
static bool
await(int fd, uint32_t kind, struct proto_reply *reply)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	while (poll(&one, 1, ANSWER_MS) == 1 && recv(fd, reply, sizeof *reply, 0) > 0) {
		if (reply->kind == kind)
			return true;
	}
	return false;
}

static int
open_link(void)
{
	struct proto_reply reply;
	int fd = runner_client_connect(path);

	if (!await(fd, PROTO_WELCOME, &reply)) {
		fprintf(stderr, "no welcome\n");
		exit(1);
	}
	return fd;
}

/* Whether the runner still answers on this connection. */
static bool
lives(int fd)
{
	struct proto_request question = { .kind = PROTO_STATE };
	struct proto_reply reply;

	return send(fd, &question, sizeof question, MSG_NOSIGNAL) == (ssize_t)sizeof question && await(fd, PROTO_STATE, &reply);
}

/* Send `size` bytes with `count` descriptors, or as many as the kernel takes. */
static ssize_t
send_raw(int fd, const void *data, size_t size, const int *fds, size_t count)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FDS_MOST)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *head;

		memset(&control, 0, sizeof control);
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static struct proto_request
a_run(void)
{
	return runner_client_run(language, 2000, "hostile");
}

/*
 * Send a run with these descriptors. Returns the outcome: 'd' disconnected, 'r' a result, 'x'
 * refused.
 */
static char
run_with(struct proto_request request, int *fds, size_t count)
{
	struct proto_reply reply;
	struct pollfd one = { .events = POLLIN };
	char came = 'd';

	one.fd = open_link();
	if (fdpass_send(one.fd, &request, sizeof request, fds, count) == 0 && poll(&one, 1, ANSWER_MS) == 1 &&
	    recv(one.fd, &reply, sizeof reply, 0) > 0)
		came = reply.kind == PROTO_RESULT ? 'r' : 'x';
	close(one.fd);
	return came;
}

static void
garbage(void)
{
	unsigned disconnected = 0;
	char bytes[8192];

	for (unsigned i = 0; i < 500; i++) {
		int fd = open_link();
		size_t size = i % 3 == 0 ? sizeof(struct proto_request) : (size_t)rand() % sizeof bytes;

		for (size_t at = 0; at < sizeof bytes; at++)
			bytes[at] = (char)rand();
		send_raw(fd, bytes, size, NULL, 0);
		disconnected += !lives(fd);
		close(fd);
	}
	printf("disconnected %u of 500\n", disconnected);
}

/* An empty message looks like the end of a connection, and can still carry descriptors. */
static void
empty(void)
{
	int fds[4] = { 0, 1, 2, 0 };

	for (unsigned i = 0; i < 500; i++) {
		int fd = open_link();

		send_raw(fd, "", 0, fds, 4);
		lives(fd);
		close(fd);
	}
	printf("sent 500\n");
}

static void
many_descriptors(void)
{
	struct proto_request request = a_run();
	int fds[FDS_MOST] = { 0 };
	unsigned disconnected = 0, tried = 0;

	for (size_t count = 5; count <= FDS_MOST; count++) {
		int fd = open_link();

		tried++;
		if (send_raw(fd, &request, sizeof request, fds, count) > 0)
			disconnected += !lives(fd);
		close(fd);
	}
	printf("disconnected %u of %u\n", disconnected, tried);
}

static void
kinds(void)
{
	struct job_header head = { .magic = JOB_MAGIC };
	int pipes[2], pair[2], link = open_link(), job = runner_client_job("print(1)");
	int null = open("/dev/null", O_RDWR), folder = open("/", O_RDONLY | O_DIRECTORY), path_only = open("/", O_PATH);
	int unsealed = runner_client_memfd(&head, sizeof head, 0),
	    half_sealed = runner_client_memfd(&head, sizeof head, F_SEAL_WRITE);
	int wrong[12], others[4];
	size_t count = 0;

	if (pipe2(pipes, O_CLOEXEC) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		exit(1);
	wrong[count++] = link;
	wrong[count++] = pair[0];
	wrong[count++] = null;
	wrong[count++] = folder;
	wrong[count++] = path_only;
	wrong[count++] = unsealed;
	wrong[count++] = half_sealed;
	wrong[count++] = eventfd(0, 0);
	wrong[count++] = epoll_create1(0);
	wrong[count++] = socket(AF_UNIX, SOCK_DGRAM, 0);
	for (size_t i = 0; i < count; i++) {
		for (size_t place = 0; place < 4; place++) {
			others[0] = job;
			others[1] = others[2] = pipes[1];
			others[3] = pipes[0];
			others[place] = wrong[i];
			putchar(run_with(a_run(), others, 4));
		}
	}
	others[0] = job;
	others[1] = others[2] = pipes[1];
	others[3] = pipes[0];
	printf(" %c\n", run_with(a_run(), others, 4));
}

static void
out_of_turn(void)
{
	struct proto_request request[18];
	int pipes[2], fds[4];
	size_t count = 0;

	for (size_t i = 0; i < sizeof request / sizeof request[0]; i++)
		request[i] = a_run();
	request[count++].kind = PROTO_WELCOME;
	request[count++].kind = PROTO_RESULT;
	request[count++].kind = 0;
	request[count++].kind = UINT32_MAX;
	request[count++].index = UINT32_MAX;
	request[count++].warm = UINT32_MAX;
	request[count++].limits.wall_ms = 0;
	request[count++].limits.memory_bytes = UINT64_MAX;
	request[count++].limits.processes = UINT64_MAX;
	request[count++].limits.disk_bytes = 0;
	request[count++].limits.threads = UINT64_MAX;
	request[count++].limits.open_files = 0;
	request[count++].limits.inodes = UINT64_MAX;
	request[count++].limits.stack_bytes = UINT64_MAX;
	request[count++].kind = PROTO_COMPILE; /* of a language that is not compiled */
	request[count++].kind = PROTO_CANCEL;  /* with descriptors */
	request[count++].kind = PROTO_STATE;
	request[count++].kind = PROTO_FIND;
	if (pipe2(pipes, O_CLOEXEC) != 0)
		exit(1);
	fds[0] = runner_client_job("print(1)");
	fds[1] = fds[2] = pipes[1];
	fds[3] = pipes[0];
	for (size_t i = 0; i < count; i++)
		putchar(run_with(request[i], fds, request[i].kind == PROTO_COMPILE ? 3 : 4));
	putchar('\n');
}

/* Begin a second run while the first one is running. */
static void
twice(void)
{
	struct proto_request request = a_run();
	struct proto_reply reply;
	int pipes[2], fds[3], fd = open_link();

	if (pipe2(pipes, O_CLOEXEC) != 0)
		exit(1);
	fds[0] = runner_client_job("import time\ntime.sleep(1)");
	fds[1] = fds[2] = pipes[1];
	fdpass_send(fd, &request, sizeof request, fds, 3);
	fdpass_send(fd, &request, sizeof request, fds, 3);
	printf("%s\n", await(fd, PROTO_RESULT, &reply) ? "a result" : "disconnected");
}

static void
never_reads(void)
{
	struct proto_request question = { .kind = PROTO_STATE };
	unsigned sent, cut = 0;

	for (unsigned i = 0; i < 10; i++) {
		int fd = runner_client_connect(path);

		for (sent = 0; sent < 100000 && send(fd, &question, sizeof question, MSG_NOSIGNAL) > 0; sent++)
			continue;
		cut += sent < 100000;
		close(fd);
	}
	printf("cut off %u of 10\n", cut);
}

static void
flood(void)
{
	struct proto_request cancel = { .kind = PROTO_CANCEL }, find = { .kind = PROTO_FIND, .share = a_run().share };
	int fd = open_link();
	unsigned answered = 0;

	for (unsigned i = 0; i < 20000; i++) {
		cancel.id = i; /* runs of other workers have these ids too */
		if (send(fd, &cancel, sizeof cancel, MSG_NOSIGNAL) < 0)
			break;
		answered += lives(fd);
	}
	for (unsigned i = 0; i < 1000; i++) {
		memset(find.digest, (int)i, sizeof find.digest);
		find.index = i % 30;
		if (send(fd, &find, sizeof find, MSG_NOSIGNAL) < 0 || !lives(fd)) {
			close(fd);
			fd = open_link();
		}
	}
	printf("answered %u of 20000\n", answered);
}

static void
connections(void)
{
	static int held[400];
	unsigned alive = 0;

	for (unsigned i = 0; i < 3000; i++)
		close(runner_client_connect(path));
	for (unsigned i = 0; i < 400; i++)
		held[i] = runner_client_connect(path);
	for (unsigned i = 0; i < 400; i++)
		alive += lives(held[i]);
	printf("holds %u\n", alive);
}

/* Jobs with false headers. The guest detects them, and is lost. */
static void
lying_jobs(void)
{
	static const struct job_header lies[] = {
		{ .magic = JOB_MAGIC, .code_bytes = UINT32_MAX },
		{ .magic = JOB_MAGIC, .code_bytes = 8, .argc = UINT32_MAX },
		{ .magic = JOB_MAGIC, .preload_bytes = UINT32_MAX, .code_bytes = 9 },
		{ .magic = JOB_MAGIC, .envc = 1000, .env_bytes = 8 },
		{ .magic = JOB_MAGIC, .argc = 1000, .args_bytes = 8 },
		{ .magic = 0, .code_bytes = 8 },
	};
	int pipes[2], fds[3];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		exit(1);
	fds[1] = fds[2] = pipes[1];
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct {
			struct job_header head;
			char rest[8];
		} job = { lies[i], "print(1)" };

		fds[0] = runner_client_memfd(&job, sizeof job, JOB_SEALS);
		putchar(run_with(a_run(), fds, 3));
	}
	fds[0] = runner_client_memfd("", 0, JOB_SEALS);
	printf("%c\n", run_with(a_run(), fds, 3));
}

/* A run whose one file is `size` bytes from `at` on of the pack; -1: it comes without a pack. */
static char
run_packed(int pack, uint64_t at, uint64_t size, int *pipes)
{
	struct {
		struct job_header head;
		char code[8];
		struct job_file file;
		char path[2];
		struct job_packed packed;
	} __attribute__((packed)) job = {
		.head = { .magic = JOB_MAGIC,
		    .code_bytes = sizeof job.code,
		    .files = 1,
		    .files_bytes = sizeof job.file + sizeof job.path + sizeof job.packed },
		.code = { 'p', 'r', 'i', 'n', 't', '(', '1', ')' },
		.file = { .path_bytes = sizeof job.path, .flags = JOB_FILE_PACKED, .size = size },
		.path = "a",
		.packed = { at },
	};
	struct proto_request request = a_run();
	int fds[] = { runner_client_memfd(&job, sizeof job, JOB_SEALS), pipes[1], pipes[1], pack };
	char came;

	request.flags |= pack >= 0 ? RUN_PACK : 0;
	came = run_with(request, fds, pack >= 0 ? 4 : 3);
	close(fds[0]);
	return came;
}

/* Packs that are none, and places outside of one. */
static void
packs(void)
{
	struct proto_request request = a_run();
	int pipes[2], pair[2], job = runner_client_job("print(1)"), pack = runner_client_memfd("packed", 6, JOB_SEALS);
	int wrong[6];

	if (pipe2(pipes, O_CLOEXEC) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		exit(1);
	wrong[0] = pipes[0];
	wrong[1] = pair[0];
	wrong[2] = open("/", O_RDONLY | O_DIRECTORY);
	wrong[3] = open("/dev/null", O_RDWR);
	wrong[4] = runner_client_memfd("packed", 6, 0);
	wrong[5] = runner_client_memfd("packed", 6, F_SEAL_WRITE);
	request.flags |= RUN_PACK;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int fds[] = { job, pipes[1], pipes[1], wrong[i] };

		putchar(run_with(request, fds, 4));
	}
	putchar(run_with(request, (int[]){ job, pipes[1], pipes[1] }, 3));
	putchar(' ');
	putchar(run_packed(pack, 0, 7, pipes));
	putchar(run_packed(pack, 7, 0, pipes));
	putchar(run_packed(pack, UINT64_MAX, 2, pipes));
	putchar(run_packed(pack, 2, UINT64_MAX, pipes));
	putchar(run_packed(-1, 0, 1, pipes));
	printf("%c\n", run_packed(pack, 1, 5, pipes));
}

/* Begin a run, and exit. */
static void
leave(void)
{
	struct proto_request request = a_run();
	int pipes[2], fds[3];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		exit(1);
	fds[0] = runner_client_job("import time\ntime.sleep(2)");
	fds[1] = fds[2] = pipes[1];
	for (unsigned i = 0; i < 200; i++) {
		int fd = open_link();

		fdpass_send(fd, &request, sizeof request, fds, 3);
		close(fd);
	}
	printf("left 200 runs\n");
}

/* Runs whose progress is asked for, by a worker that leaves before it has read all of it. */
static void
followed(void)
{
	struct proto_request request = a_run();
	int pipes[2], fds[3], fd;
	struct proto_reply reply;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		exit(1);
	fds[0] = runner_client_job("import time\ntime.sleep(2)");
	fds[1] = fds[2] = pipes[1];
	request.flags = RUN_EVENTS;
	for (unsigned i = 0; i < 200; i++) {
		fd = open_link();
		fdpass_send(fd, &request, sizeof request, fds, 3);
		for (unsigned read = 0; read < i % 3; read++)
			await(fd, PROTO_PROGRESS, &reply);
		close(fd);
	}
	/* All flags there are, and those there are not; but these two come with a descriptor. */
	fds[0] = runner_client_job("print(1)");
	request.flags = ~(uint32_t)(RUN_COLLECT | RUN_PACK);
	fd = open_link();
	fdpass_send(fd, &request, sizeof request, fds, 3);
	do {
		if (recv(fd, &reply, sizeof reply, 0) != (ssize_t)sizeof reply)
			break;
		putchar(reply.kind == PROTO_PROGRESS ? (reply.u.progress.progress == PROGRESS_QUEUED ? 'q' : 's') : 'r');
	} while (reply.kind == PROTO_PROGRESS);
	close(fd);
	printf(" left 200 runs\n");
}

static const struct {
	const char *name;
	void (*carry_out)(void);
} attacks[] = { { "garbage", garbage }, { "empty", empty }, { "many_descriptors", many_descriptors }, { "kinds", kinds },
	{ "out_of_turn", out_of_turn }, { "twice", twice }, { "never_reads", never_reads }, { "flood", flood },
	{ "connections", connections }, { "lying_jobs", lying_jobs }, { "packs", packs }, { "leave", leave },
	{ "followed", followed } };

int
main(int argc, char **argv)
{
	path = argv[argc > 1 ? 1 : 0];
	language = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
	for (size_t i = 0; argc == 4 && i < sizeof attacks / sizeof attacks[0]; i++) {
		if (strcmp(attacks[i].name, argv[3]) == 0) {
			attacks[i].carry_out();
			return 0;
		}
	}
	fprintf(stderr, "usage: worker SOCKET LANGUAGE ATTACK\n");
	return 2;
}
