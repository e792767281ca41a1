/*
 * job.h - the job: what the worker wrote down for a guest, in one sealed memfd.
 *
 * The worker writes it, the guest reads it inside its walls. The runner hands the descriptor on and never looks in.
 * Layout: struct job_header, then the code, the preload, argc arguments and envc environment entries
 * ("NAME=value"), each argument and entry ended by a NUL byte. Native byte order: it never leaves the host.
 */
#ifndef CELLBLOCK_JOB_H
#define CELLBLOCK_JOB_H

#include <stdint.h>

#define JOB_MAGIC 0x31424f4au /* "JOB1" */

struct job_header {
	uint32_t magic;
	uint32_t code_bytes;
	uint32_t preload_bytes;
	uint32_t argc;
	uint32_t args_bytes; /* of all arguments, their NULs included */
	uint32_t envc;
	uint32_t env_bytes; /* of all entries, their NULs included */
	uint32_t reserved;
};

#endif
