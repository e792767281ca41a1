/* received.h - writes the files that a run has returned below a directory, and never outside it. */
#ifndef CELLBLOCK_RECEIVED_H
#define CELLBLOCK_RECEIVED_H

struct json_object;

/*
 * Write data.files of a result below `directory`, which is made if it is missing. A file of an
 * earlier run is replaced as a whole. Returns 0, or -1 after a line on standard error for each file
 * that is not there, or not complete.
 */
int received_write(struct json_object *data, const char *directory);

#endif
