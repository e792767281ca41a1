/*
 * hook.h - the contract between the runner and hook.c, which runs inside an interpreter.
 *
 * Descriptors keep their numbers across execve(2). So a spare guest gives its interpreter its
 * descriptors under fixed numbers. Everything else that a guest must know is in the zygote's setup.
 */
#ifndef CELLBLOCK_HOOK_H
#define CELLBLOCK_HOOK_H

#include "paths.h"

#define HOOK_LIBRARY PATH_PROGRAMS "/hook.so" /* in the roots of languages that have it */
#define HOOK_VARIABLE "CELLBLOCK_HOOK"        /* an environment variable: one of the next two */
#define HOOK_ZYGOTE "zygote"                  /* fork a guest per program when the main file is opened */
#define HOOK_SPARE "spare"                    /* wait for one program there */

/* After GUEST_CONTROL_FD. */
enum {
	HOOK_SETUP_FD = 4, /* struct zygote_setup and what follows it; ZYGOTE_SETUP_FD */
	HOOK_PLACE_FD,     /* guest_report's first descriptor */
	HOOK_BOX_FD,       /* the working directory */
	HOOK_FDS_END
};

#endif
