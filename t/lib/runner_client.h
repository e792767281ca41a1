/* runner_client.h - what programs of the tests share that talk to the runner as a worker does. */
#ifndef CELLBLOCK_RUNNER_CLIENT_H
#define CELLBLOCK_RUNNER_CLIENT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "job.h"
#include "proto.h"

#define JOB_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A run of a language, by its index, with small limits, and a share that lets any number wait. */
static inline struct proto_request
runner_client_run(uint32_t language, uint64_t wall_ms, const char *key)
{
	struct proto_request request = { .kind = PROTO_RUN,
		.id = 7,
		.index = language,
		.limits = { .wall_ms = wall_ms,
		    .cpu_ms = wall_ms,
		    .memory_bytes = 64 << 20,
		    .processes = 1,
		    .output_bytes = 1 << 20,
		    .disk_bytes = 64 << 20,
		    .threads = 1,
		    .open_files = 64,
		    .inodes = 64,
		    .stack_bytes = 1 << 20 },
		.share = { .weight = 1, .waiting = UINT32_MAX } };

	snprintf(request.share.name, sizeof request.share.name, "%s", key);
	return request;
}

/* A memfd with these bytes and seals. Ends the program if it cannot be made. */
static inline int
runner_client_memfd(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		perror("memfd");
		exit(1);
	}
	return fd;
}

/* The job of a program of at most 4095 bytes. */
static inline int
runner_client_job(const char *code)
{
	struct {
		struct job_header head;
		char code[4096];
	} job = { .head = { .magic = JOB_MAGIC, .code_bytes = (uint32_t)strlen(code) } };

	snprintf(job.code, sizeof job.code, "%s", code);
	return runner_client_memfd(&job, sizeof job.head + strlen(job.code), JOB_SEALS);
}

/* A connection whose welcome has not been read. Ends the program if there is none. */
static inline int
runner_client_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

#endif
