/*
 * hook.h - what the runner and hook.c, inside an interpreter, must agree on.
 *
 * The interpreter of a spare guest is given its guest's descriptors under fixed numbers, since they stay where they are
 * across execve(2). All else that a guest must know is in the zygote's setup.
 */
#ifndef CELLBLOCK_HOOK_H
#define CELLBLOCK_HOOK_H

#define HOOK_LIBRARY "/cellblock/hook.so" /* in the roots of languages that have it */
#define HOOK_VARIABLE "CELLBLOCK_HOOK"    /* in the environment: one of the next two */
#define HOOK_ZYGOTE "zygote"              /* fork a guest for each program, when the main file is opened */
#define HOOK_SPARE "spare"                /* wait for one program there */

enum {
	HOOK_CONTROL_FD = 3, /* the guest's control socket */
	HOOK_SETUP_FD,       /* struct zygote_setup and what follows it; ZYGOTE_SETUP_FD */
	HOOK_PLACE_FD,       /* what its cell is joined by */
	HOOK_BOX_FD,         /* its working directory */
	HOOK_FDS_END
};

#endif
