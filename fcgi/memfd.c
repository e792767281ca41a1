/* memfd.c - see memfd.h. */
#define _GNU_SOURCE
#include "memfd.h"

#include <errno.h>
#include <stdlib.h>

#include "collection.h"
#include "job.h"
#include "sealed_memfd.h"

enum { JOB_PARTS = 7, FILE_PARTS = 3 };

/*
 * The parts of the files: `iov` has room for them, and `heads` for a head of each. Adds to `header`
 * how many there are, and their bytes. Of a file in the store the job has its place in the pack.
 */
static void
add_files(const struct request_files *files, struct job_header *header, struct job_file *heads, struct iovec *iov)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];
		bool is_packed = file->id != NULL;
		size_t size = is_packed ? sizeof file->packed : file->content.size;

		if (file->is_code)
			continue;
		heads[i] = (struct job_file){ .path_bytes = (uint32_t)file->path.size + 1,
			.flags = (file->is_executable ? JOB_FILE_EXECUTABLE : 0u) | (is_packed ? JOB_FILE_PACKED : 0u),
			.size = is_packed ? file->stored_bytes : file->content.size };
		*iov++ = (struct iovec){ &heads[i], sizeof heads[i] };
		*iov++ = (struct iovec){ (void *)file->path.bytes, file->path.size + 1 };
		*iov++ = (struct iovec){ is_packed ? (void *)&file->packed : (void *)file->content.bytes, size };
		header->files++;
		header->files_bytes += sizeof heads[i] + file->path.size + 1 + size;
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

int
memfd_job(const struct run_request *request)
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
		add_parts(request, &header, iov);
		add_files(files, &header, heads, iov + JOB_PARTS);
		add_files(more, &header, heads + files->count, iov + JOB_PARTS + header.files * FILE_PARTS);
		fd = sealed_memfd_make("cellblock-job", SEALED_MEMFD_DATA, iov, (int)(JOB_PARTS + header.files * FILE_PARTS));
	}
	error = errno;
	free(heads);
	free(iov);
	errno = error;
	return fd;
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
