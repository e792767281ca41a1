/* reply_files.h - the members `files` and `collect` of the reply to a run. */
#ifndef CELLBLOCK_REPLY_FILES_H
#define CELLBLOCK_REPLY_FILES_H

#include "collected.h"
#include "reply.h"

/* The length of both members, and of the comma in front of them; 0: no files were asked for. */
size_t reply_files_length(const struct collected *collected);

/* Send them. An answer with events has only `collect`: the files were sent before. */
void reply_files_put(struct reply *reply, const struct collected *collected);

/* Send one file, as an object. */
void reply_files_put_one(struct reply *reply, const struct collected_file *file);

#endif
