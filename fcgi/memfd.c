/* memfd.c - see memfd.h. */
#define _GNU_SOURCE
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "collection.h"
#include "job.h"
#include "sealed_memfd.h"

enum { JOB_PARTS = 7, FILE_PARTS = 3 };

/*
 * The parts of the files that are here: `iov` has room for them, and `heads` for a head of each.
 * Adds to `header` how many there are, and their bytes.
 */
static void
add_files(const struct request_files *files, struct job_header *header, struct job_file *heads, struct iovec *iov)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];

		if (file->is_code || file->id != NULL)
			continue;
		heads[i] = (struct job_file){ .path_bytes = (uint32_t)file->path.size + 1,
			.flags = file->is_executable ? JOB_FILE_EXECUTABLE : 0,
			.size = file->content.size };
		*iov++ = (struct iovec){ &heads[i], sizeof heads[i] };
		*iov++ = (struct iovec){ (void *)file->path.bytes, file->path.size + 1 };
		*iov++ = (struct iovec){ (void *)file->content.bytes, file->content.size };
		header->files++;
		header->files_bytes += sizeof heads[i] + file->path.size + 1 + file->content.size;
	}
}

/* Fill in the header, but for the files. */
static struct job_header
describe_job(const struct run_request *request)
{
	return (struct job_header){
		.magic = JOB_MAGIC,
		.code_bytes = (uint32_t)request->code.size,
		.preload_bytes = (uint32_t)request->preload.size,
		.argc = request->args.count,
		.args_bytes = (uint32_t)request->args.size,
		.envc = request->env.count,
		.env_bytes = (uint32_t)request->env.size,
		.compiler_options = request->compiler_options,
		.needs = request->needs.count,
		.needs_bytes = (uint32_t)request->needs.size,
		.main_bytes = request->main.size == 0 ? 0 : (uint32_t)request->main.size + 1,
	};
}

static void
add_parts(const struct run_request *request, struct job_header *header, struct iovec iov[JOB_PARTS])
{
	iov[0] = (struct iovec){ header, sizeof *header };
	iov[1] = (struct iovec){ (void *)request->code.bytes, request->code.size };
	iov[2] = (struct iovec){ (void *)request->preload.bytes, request->preload.size };
	iov[3] = (struct iovec){ request->args.bytes, request->args.size };
	iov[4] = (struct iovec){ request->env.bytes, request->env.size };
	iov[5] = (struct iovec){ request->needs.bytes, request->needs.size };
	iov[6] = (struct iovec){ (void *)request->main.bytes, header->main_bytes };
}

/* Write the files that are in the store behind the others. Returns 0, or -1. */
static int
write_stored(const struct request_files *files, int fd, off_t at, const struct memfd_source *source)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];
		struct job_file head = { .path_bytes = (uint32_t)file->path.size + 1,
			.flags = file->is_executable ? JOB_FILE_EXECUTABLE : 0,
			.size = file->stored_bytes };
		struct iovec iov[] = { { &head, sizeof head }, { (void *)file->path.bytes, file->path.size + 1 } };

		if (file->is_code || file->id == NULL)
			continue;
		if (sealed_memfd_write(fd, at, iov, 2) != 0)
			return -1;
		at += (off_t)(sizeof head + head.path_bytes);
		if (source->write(source->context, file, fd, at) != 0)
			return -1;
		at += (off_t)file->stored_bytes;
	}
	return 0;
}

static void
count_stored(const struct request_files *files, struct job_header *header)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];

		if (file->is_code || file->id == NULL)
			continue;
		header->files++;
		header->files_bytes += sizeof(struct job_file) + file->path.size + 1 + file->stored_bytes;
	}
}

/* Write and seal the job, whose first `count` parts are in `iov`. Returns it, or -1 with errno. */
static int
write_job(const struct request_files *files, struct job_header *header, struct iovec *iov, int count,
    const struct memfd_source *source)
{
	off_t end = 0;
	int fd, error;

	for (int i = 0; i < count; i++)
		end += (off_t)iov[i].iov_len;
	count_stored(files, header);
	fd = sealed_memfd_begin("cellblock-job", SEALED_MEMFD_DATA);
	if (fd < 0 ||
	    (sealed_memfd_write(fd, 0, iov, count) == 0 && write_stored(files, fd, end, source) == 0 &&
	        sealed_memfd_finish(fd) == 0))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
memfd_job_from(const struct run_request *request, const struct memfd_source *source)
{
	const struct request_files *files = &request->files, *more = &request->more;
	size_t most = files->count + more->count;
	struct job_header header = describe_job(request);
	struct iovec few[JOB_PARTS], *iov;
	struct job_file *heads;
	int fd = -1, error;

	if (most == 0) {
		add_parts(request, &header, few);
		return sealed_memfd_make("cellblock-job", SEALED_MEMFD_DATA, few, JOB_PARTS);
	}
	heads = malloc(most * sizeof *heads);
	iov = malloc((JOB_PARTS + most * FILE_PARTS) * sizeof *iov);
	if (heads != NULL && iov != NULL) {
		int count;

		add_parts(request, &header, iov);
		add_files(files, &header, heads, iov + JOB_PARTS);
		add_files(more, &header, heads + files->count, iov + JOB_PARTS + header.files * FILE_PARTS);
		count = (int)(JOB_PARTS + header.files * FILE_PARTS);
		fd = source == NULL ? sealed_memfd_make("cellblock-job", SEALED_MEMFD_DATA, iov, count) :
		                      write_job(files, &header, iov, count, source);
	}
	error = errno;
	free(heads);
	free(iov);
	errno = error;
	return fd;
}

int
memfd_job(const struct run_request *request)
{
	return request->job_fd > 0 ? fcntl(request->job_fd, F_DUPFD_CLOEXEC, 0) : memfd_job_from(request, NULL);
}

int
memfd_patterns(const struct run_request *request)
{
	struct collect_request header = { .magic = COLLECT_MAGIC,
		.patterns = request->collect.count,
		.bytes = request->collect.size,
		.most = request->collect_form.most_bytes };
	struct iovec iov[] = { { &header, sizeof header }, { request->collect.bytes, request->collect.size } };

	return sealed_memfd_make("cellblock-patterns", SEALED_MEMFD_DATA, iov, sizeof iov / sizeof iov[0]);
}
