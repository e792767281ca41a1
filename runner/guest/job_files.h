/* job_files.h - the files of a run: from its job into the working directory. */
#ifndef CELLBLOCK_JOB_FILES_H
#define CELLBLOCK_JOB_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

/* The contents that files of a job have in the pack. */
struct job_pack {
	const char *bytes; /* NULL: there is none, or it is empty */
	size_t size;
};

/* The files of a job that are still to be read. */
struct job_files {
	const char *at;
	uint64_t left; /* bytes */
};

/*
 * Read the next file: its head, path and content, which lie in the job; of a file in the pack, the
 * struct job_packed. Returns false if there is none, or the job is malformed.
 */
bool job_files_next(struct job_files *files, struct job_file *head, const char **path, const char **content);

/*
 * Write `count` files into the working directory. Ends the
 * program with exit status 127 and a line on stderr if they do not fit on its disk, and the guest
 * with guest_fail if anything else fails.
 */
void job_files_write(struct job_files files, uint32_t count, const struct job_pack *pack);

#endif
