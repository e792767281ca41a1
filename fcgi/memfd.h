/* memfd.h - what a run is given, in memory that nobody can change any more. */
#ifndef CELLBLOCK_MEMFD_H
#define CELLBLOCK_MEMFD_H

#include "request.h"

/* Each returns a sealed, close-on-exec memfd at offset 0, or -1 with errno. */
int memfd_job(const struct run_request *request); /* job.h */
int memfd_text(const struct text *text);

#endif
