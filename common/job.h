/*
 * job.h - the job: one sealed memfd from the worker for a guest.
 *
 * The worker writes it, and the guest reads it inside its cell. The runner passes the descriptor on
 * and never reads it. Layout: struct job_header, then the code, the preload, argc arguments, envc
 * environment entries ("NAME=value") and the needs, each argument, entry and need terminated by a
 * NUL byte. Then the path of the file to start, with its NUL, if that is one of the files; the code
 * is its content then. Then `files` files: of each a struct job_file, its path, which ends in a NUL
 * byte, and its content. Native byte order: it never leaves the host.
 *
 * The pack is another sealed memfd, which has the contents of files of the store, one behind the
 * other. All runs of a request share it. A file with JOB_FILE_PACKED has a struct job_packed in
 * place of its content, which is in the pack.
 */
#ifndef CELLBLOCK_JOB_H
#define CELLBLOCK_JOB_H

#include <stdint.h>

#define JOB_MAGIC 0x32424f4au /* "JOB2" */

struct job_header {
	uint32_t magic;
	uint32_t code_bytes;
	uint32_t preload_bytes;
	uint32_t argc;
	uint32_t args_bytes; /* of all arguments, including their NULs */
	uint32_t envc;
	uint32_t env_bytes;        /* of all entries, including their NULs */
	uint32_t compiler_options; /* bit N: the Nth of compile.options of the language */
	uint32_t needs;            /* of packages that must be installed: a name, and a version or "", by turns */
	uint32_t needs_bytes;      /* of all of them, including their NULs */
	uint32_t files;
	uint32_t main_bytes;  /* of that path, with its NUL; 0: the code goes to the language's main file */
	uint64_t files_bytes; /* of all files, with their heads and paths */
};

#define JOB_FILE_EXECUTABLE 1u
#define JOB_FILE_PACKED 2u

/* Not aligned: to be copied. */
struct job_file {
	uint32_t path_bytes; /* with its NUL */
	uint32_t flags;      /* JOB_FILE_EXECUTABLE, JOB_FILE_PACKED */
	uint64_t size;       /* of the content */
};

/* Not aligned: to be copied. */
struct job_packed {
	uint64_t at; /* of the content, in the pack */
};

#endif
