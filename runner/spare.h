/*
 * spare.h - what a spare guest takes along into its interpreter, where spare.c finds it.
 *
 * Descriptors stay where they are across execve(2), and all else that the guest must know is in the zygote's setup.
 */
#ifndef CELLBLOCK_SPARE_H
#define CELLBLOCK_SPARE_H

#define SPARE_LIBRARY "/cellblock/spare.so" /* in the root of a language that has spares */

enum {
	SPARE_CONTROL_FD = 3, /* the guest's control socket */
	SPARE_SETUP_FD,       /* struct zygote_setup and what follows it; ZYGOTE_SETUP_FD */
	SPARE_INIT_FD,        /* pidfd of its cell's init */
	SPARE_BOX_FD,         /* its tmpfs */
	SPARE_FDS_END
};

#endif
