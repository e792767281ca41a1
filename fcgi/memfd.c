/* memfd.c - see memfd.h. */
#define _GNU_SOURCE
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "job.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* Make a sealed memfd with the bytes of `iov`, which is modified. */
static int
sealed(const char *name, struct iovec *iov, int iov_count)
{
	/* Hosts with vm.memfd_noexec=2 require the flag, and older kernels do not know it. */
	static unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL;
	off_t at = 0;
	int fd, error;

	fd = memfd_create(name, flags);
	if (fd < 0 && errno == EINVAL && (flags & MFD_NOEXEC_SEAL) != 0) {
		flags &= ~MFD_NOEXEC_SEAL;
		fd = memfd_create(name, flags);
	}
	if (fd < 0)
		return -1;
	/* Write at explicit offsets: the file's own offset stays at 0, where the reader starts. */
	while (iov_count > 0) {
		ssize_t n = pwritev(fd, iov, iov_count, at);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			goto failed;
		}
		at += n;
		for (; iov_count > 0 && (size_t)n >= iov->iov_len; iov++, iov_count--)
			n -= (ssize_t)iov->iov_len;
		if (iov_count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
failed:
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

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
	};
	struct iovec iov[] = {
		{ &header, sizeof header },
		{ (void *)request->code.bytes, request->code.size },
		{ (void *)request->preload.bytes, request->preload.size },
		{ request->args.bytes, request->args.size },
		{ request->env.bytes, request->env.size },
	};

	return sealed("cellblock-job", iov, sizeof iov / sizeof iov[0]);
}

int
memfd_text(const struct text *text)
{
	struct iovec iov = { (void *)text->bytes, text->size };

	return sealed("cellblock-stdin", &iov, 1);
}
