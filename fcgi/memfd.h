/* memfd.h - the sealed memfds with a run's job, and with the patterns of its files. */
#ifndef CELLBLOCK_MEMFD_H
#define CELLBLOCK_MEMFD_H

#include "request.h"

/*
 * Returns a sealed, close-on-exec memfd at offset 0, in the format of job.h, that the caller owns;
 * or -1 with errno. Files of the store are in the pack of the request.
 */
int memfd_job(const struct run_request *request);

/*
 * The same for the patterns of the files to collect, in the format of collection.h.
 */
int memfd_patterns(const struct run_request *request);

#endif
