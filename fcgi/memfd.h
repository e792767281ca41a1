/* memfd.h - the sealed memfds with a run's job, and with the patterns of its files. */
#ifndef CELLBLOCK_MEMFD_H
#define CELLBLOCK_MEMFD_H

#include <sys/types.h>

#include "request.h"

/*
 * Returns a sealed, close-on-exec memfd at offset 0, in the format of job.h, that the caller owns;
 * or -1 with errno. If request->job_fd is set, it is a duplicate of that.
 */
int memfd_job(const struct run_request *request);

/* Where the contents of files come from that are in the store. */
struct memfd_source {
	/*
	 * Write the file->stored_bytes bytes of a file to `fd` at offset `at`. Returns 0, or -1
	 * with errno.
	 */
	int (*write)(void *context, const struct request_file *file, int fd, off_t at);
	void *context;
};

/* The same with the files that are in the store. `source`: NULL: they are left out. */
int memfd_job_from(const struct run_request *request, const struct memfd_source *source);

/*
 * The same for the patterns of the files to collect, in the format of collection.h.
 */
int memfd_patterns(const struct run_request *request);

#endif
