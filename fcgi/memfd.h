/* memfd.h - sealed memfds with a run's input. */
#ifndef CELLBLOCK_MEMFD_H
#define CELLBLOCK_MEMFD_H

#include "request.h"

/* Each returns a sealed, close-on-exec memfd at offset 0, owned by the caller; or -1 with errno. */
int memfd_job(const struct run_request *request); /* in the format of job.h */
int memfd_text(const struct text *text);

#endif
