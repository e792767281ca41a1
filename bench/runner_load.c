/*
 * runner_load.c - runs per second and latency at the runner's socket, without nginx and the worker.
 *
 *     runner_load SOCKET CLIENTS RUNS [FILE]
 *
 * Each client is a thread with a connection of its own, which runs FILE (default: print(1)) again and again. Prints
 * one JSON object. Must run as the workers' user.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "job.h"
#include "log.h"
#include "proto.h"

#define CODE_MAX 65536

struct client {
	pthread_t thread;
	const char *socket_path;
	unsigned runs;
	double *latency_us;
	double wall_us, queue_us, spawn_us, cpu_us; /* sums, as the runner tells them */
	unsigned failed;
};

static char code[CODE_MAX] = "print(1)\n";
static size_t code_size;

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
connect_runner(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct proto_reply welcome;
	size_t count;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("connect to %s: %s", path, strerror(errno));
	if (fdpass_recv(fd, &welcome, sizeof welcome, NULL, 0, &count, NULL) != (ssize_t)sizeof welcome)
		die("%s did not welcome us (are we the workers' user?)", path);
	return fd;
}

static int
write_job(void)
{
	struct job_header head = { .magic = JOB_MAGIC, .code_bytes = (uint32_t)code_size };
	int fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, &head, sizeof head) != (ssize_t)sizeof head ||
	    write(fd, code, code_size) != (ssize_t)code_size ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		die("write a job: %s", strerror(errno));
	return fd;
}

static bool
run_once(int sock, struct client *client)
{
	struct proto_request request = { .kind = PROTO_RUN, .id = 1, .limits = { .wall_ms = 15000, .cpu_ms = 15000,
		.memory_bytes = 256 << 20, .processes = 1, .output_bytes = 1 << 20, .disk_bytes = 64 << 20 } };
	struct proto_reply reply;
	int out[2], err[2], fds[3];
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
	client->wall_us += (double)reply.u.result.wall_us;
	client->cpu_us += (double)reply.u.result.cpu_us;
	client->queue_us += (double)reply.u.result.queue_us;
	client->spawn_us += (double)reply.u.result.spawn_us;
	return printed && reply.kind == PROTO_RESULT && reply.u.result.verdict == VERDICT_OK;
}

static void *
client_main(void *arg)
{
	struct client *client = arg;
	int sock = connect_runner(client->socket_path);

	for (unsigned i = 0; i < client->runs; i++) {
		double start_us = now_us();

		client->failed += !run_once(sock, client);
		client->latency_us[i] = now_us() - start_us;
	}
	close(sock);
	return NULL;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	unsigned clients = argc > 2 ? (unsigned)atoi(argv[2]) : 0, runs = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	unsigned each = clients == 0 ? 0 : runs / clients, total = each * clients, failed = 0;
	double start_us, seconds, wall_us = 0, queue_us = 0, spawn_us = 0, cpu_us = 0;
	struct client *client = calloc(clients, sizeof *client);
	double *latency_us = calloc(total, sizeof *latency_us);

	log_open("runner_load");
	if (total == 0 || client == NULL || latency_us == NULL)
		die("usage: runner_load SOCKET CLIENTS RUNS [FILE]");
	if (argc > 4) {
		int fd = open(argv[4], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, code, sizeof code - 1);

		if (n < 0)
			die("read %s: %s", argv[4], strerror(errno));
		code[n] = '\0';
		close(fd);
	}
	code_size = strlen(code);
	start_us = now_us();
	for (unsigned i = 0; i < clients; i++) {
		client[i] = (struct client){ .socket_path = argv[1], .runs = each, .latency_us = latency_us + (size_t)i * each };
		if (pthread_create(&client[i].thread, NULL, client_main, &client[i]) != 0)
			die("start a thread");
	}
	for (unsigned i = 0; i < clients; i++) {
		pthread_join(client[i].thread, NULL);
		failed += client[i].failed;
		wall_us += client[i].wall_us;
		cpu_us += client[i].cpu_us;
		queue_us += client[i].queue_us;
		spawn_us += client[i].spawn_us;
	}
	seconds = (now_us() - start_us) / 1e6;
	qsort(latency_us, total, sizeof *latency_us, ascending);
	printf("{\"runs\": %u, \"failed\": %u, \"per_second\": %.1f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, "
	       "\"guest_wall_ms\": %.3f, \"guest_cpu_ms\": %.3f, \"queue_ms\": %.3f, \"spawn_ms\": %.3f}\n",
	    total, failed, total / seconds, latency_us[total / 2] / 1e3, latency_us[total * 95 / 100] / 1e3,
	    latency_us[total * 99 / 100] / 1e3, wall_us / total / 1e3, cpu_us / total / 1e3, queue_us / total / 1e3,
	    spawn_us / total / 1e3);
	free(latency_us);
	free(client);
	return failed != 0;
}
