/* memfd.c - see memfd.h. */
#define _GNU_SOURCE
#include "memfd.h"

#include "job.h"
#include "sealed_memfd.h"

int
memfd_job(const struct run_request *request)
{
	struct job_header header = {
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
	};
	struct iovec iov[] = {
		{ &header, sizeof header },
		{ (void *)request->code.bytes, request->code.size },
		{ (void *)request->preload.bytes, request->preload.size },
		{ request->args.bytes, request->args.size },
		{ request->env.bytes, request->env.size },
		{ request->needs.bytes, request->needs.size },
	};

	return sealed_memfd_make("cellblock-job", SEALED_MEMFD_DATA, iov, sizeof iov / sizeof iov[0]);
}
