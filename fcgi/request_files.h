/* request_files.h - parses and checks the files of a run: the field `files` of its request. */
#ifndef CELLBLOCK_REQUEST_FILES_H
#define CELLBLOCK_REQUEST_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "http_error.h"
#include "job.h"
#include "text.h"

struct json_object;

/*
 * A file that a program finds in its working directory. Its path is relative: components of at most
 * NAME_MAX bytes between single slashes, none of them "." or "..".
 */
struct request_file {
	struct text path;
	struct text content;      /* nothing, as long as the file is in the store */
	const char *id;           /* of a file in the store, ended by NUL; NULL: the content is here */
	uint64_t stored_bytes;    /* of a file in the store; request_store.c finds out */
	struct job_packed packed; /* the same: where the content is in the pack of the request */
	char *decoded;            /* owns the content; NULL: the request's tree does */
	bool is_executable;
	bool is_code; /* it is the program, and has the name of the language's main file: nobody else writes it */
};

/* No path occurs twice, and none is a directory of another one. */
struct request_files {
	struct request_file *file; /* NULL: there are none */
	size_t count;
	size_t stored;                    /* how many of them are in the store */
	struct request_file *stored_main; /* one of them, whose content is to be the code; NULL: none */
	bool has_store;                   /* set by the caller: there may be such */
	uint64_t bytes;                   /* of all contents */
};

/*
 * Take the file that the field `main` names, out of the files: it is the code then, and `main` its
 * path, unless that is the name of the language's main file. A file in the store has no content
 * yet, and so there is no code. Returns 0, or -1 with `error` set.
 */
int request_files_take_main(struct json_object *tree, const struct language_config *language, struct request_files *files,
    struct text *main, struct text *code, struct http_error *error);

/*
 * Take the files of a request in one of its forms. The texts stay the tree's. Returns 0, or -1 with
 * `error` set; request_files_free is right either way.
 */
int request_files_take(struct json_object *tree, const struct language_config *language, const struct run_limits *limits,
    struct request_files *files, struct http_error *error);

/* The bytes of all files together are within the limit. Returns 0, or -1 with `error` set. */
int request_files_check_bytes(const struct request_files *files, const struct run_limits *limits, struct http_error *error);

/* The files of a list in an order in which a path is found quickly. */
struct request_files_index {
	const struct request_file **file; /* for free(); NULL: there are none */
	size_t count;
};

/* Make an index of files, which must last as long. Returns 0, or -1 with `error` set. */
int request_files_index(const struct request_files *files, struct request_files_index *index, struct http_error *error);

/* Whether the path of `file` is that of one in the index, or one of the two is below the other. */
bool request_files_collides(const struct request_files_index *index, const struct request_file *file);
/* Whether a program of the language can begin with another file than the main file. */
bool request_files_can_start(const struct language_config *language);

/* Free the list and what it owns. May be called again. */
void request_files_free(struct request_files *files);

#endif
