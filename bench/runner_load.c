/*
 * runner_load.c - runs per second and latency at the runner's socket, without nginx and the worker.
 *
 *     runner_load SOCKET CLIENTS RUNS INDEX [FILE]
 *
 * Each client is a thread with a connection of its own. It runs FILE (default: print(1)) again and
 * again, in the language with number INDEX in the configuration. Prints one JSON object. It must
 * run as the workers' user.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdpass.h"
#include "job.h"
#include "load.h"
#include "log.h"
#include "proto.h"

enum { WALL, CPU, QUEUE, SPAWN };

static const char *socket_path;
static const char *code = "print(1)\n";
static size_t code_size = 9;
static uint32_t language;

static void *
connect_runner(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct proto_reply welcome;
	size_t count;
	int *fd = malloc(sizeof *fd);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
	if (fd == NULL || (*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0 ||
	    connect(*fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("connect to %s: %s", socket_path, strerror(errno));
	if (fdpass_recv(*fd, &welcome, sizeof welcome, NULL, 0, &count, NULL) != (ssize_t)sizeof welcome)
		die("%s did not welcome us (only the workers' user is accepted)", socket_path);
	return fd;
}

static void
disconnect(void *state)
{
	close(*(int *)state);
	free(state);
}

static int
write_job(void)
{
	struct job_header head = { .magic = JOB_MAGIC, .code_bytes = (uint32_t)code_size };
	int fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, &head, sizeof head) != (ssize_t)sizeof head || write(fd, code, code_size) != (ssize_t)code_size ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		die("write a job: %s", strerror(errno));
	return fd;
}

static bool
run_once(struct load_client *client)
{
	struct proto_request request = { .kind = PROTO_RUN,
		.id = 1,
		.index = language,
		.limits = { .wall_ms = 15000,
		    .cpu_ms = 15000,
		    .memory_bytes = 256 << 20,
		    .processes = 512, /* as many as a run may have by default: cells are armed for these */
		    .output_bytes = 1 << 20,
		    .disk_bytes = 64 << 20,
		    .threads = 64,
		    .open_files = 1024,
		    .inodes = 4096,
		    .stack_bytes = 8 << 20 },
		.share = { .name = "bench", .weight = 1, .waiting = UINT32_MAX } };
	struct proto_reply reply;
	int sock = *(int *)client->state, out[2], err[2], fds[3];
	char text[4096];
	size_t count;
	bool printed = false;

	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	fds[0] = write_job();
	fds[1] = out[1];
	fds[2] = err[1];
	if (fdpass_send(sock, &request, sizeof request, fds, 3) != 0)
		die("send a run: %s", strerror(errno));
	fdpass_close(fds, 3);
	while (read(out[0], text, sizeof text) > 0)
		printed = true;
	if (fdpass_recv(sock, &reply, sizeof reply, NULL, 0, &count, NULL) != (ssize_t)sizeof reply)
		die("the runner closed the connection");
	close(out[0]);
	close(err[0]);
	if (reply.kind != PROTO_RESULT)
		return false;
	client->figure[WALL] = (double)reply.u.result.wall_us / 1e3;
	client->figure[CPU] = (double)reply.u.result.cpu_us / 1e3;
	client->figure[QUEUE] = (double)reply.u.result.queue_us / 1e3;
	client->figure[SPAWN] = (double)reply.u.result.spawn_us / 1e3;
	return printed && reply.u.result.verdict == VERDICT_OK;
}

int
main(int argc, char **argv)
{
	static const struct load load = { .open = connect_runner,
		.run = run_once,
		.close = disconnect,
		.figures = { [WALL] = "guest_wall_ms", [CPU] = "guest_cpu_ms", [QUEUE] = "queue_ms", [SPAWN] = "spawn_ms" } };

	log_open("runner_load");
	if (argc != 5 && argc != 6)
		die("usage: runner_load SOCKET CLIENTS RUNS INDEX [FILE]");
	socket_path = argv[1];
	language = (uint32_t)strtoul(argv[4], NULL, 10);
	if (argc == 6)
		code = load_file(argv[5], &code_size);
	return load_main(&load, load_number(argv[2], "CLIENTS"), load_number(argv[3], "RUNS"));
}
