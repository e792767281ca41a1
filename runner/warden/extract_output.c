/* collect.c - see collect.h. */
#define _GNU_SOURCE
#include "warden/extract_output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

/* A memfd that can be executed, and sealed. */
static int
make_memfd(void)
{
	int fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	/* Older kernels do not know the flag, and do without. */
	return fd < 0 && errno == EINVAL ? memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}

/* Copy all of a regular file of at most `most` bytes into a sealed memfd. Returns it, or -1 with errno. */
static int
copy_sealed(int from, uint64_t most)
{
	struct stat st;
	off_t at = 0;
	int fd;

	if (fstat(from, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > most) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return -1;
	}
	fd = make_memfd();
	while (fd >= 0 && at < st.st_size) {
		if (sendfile(fd, from, &at, (size_t)(st.st_size - at)) <= 0) {
			fdpass_close(&fd, 1);
			return -1;
		}
	}
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		fdpass_close(&fd, 1);
	return fd;
}

int
extract_output(int box_fd, const char *name, uint64_t most)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	int from = (int)syscall(SYS_openat2, box_fd, name, &how, sizeof how);
	int fd = from < 0 ? -1 : copy_sealed(from, most);
	int saved = errno;

	fdpass_close(&from, 1);
	errno = saved;
	return fd;
}
