/*
 * threads.h - ends the threads that libraries start when they are loaded. A fork would not copy
 * them.
 */
#ifndef CELLBLOCK_THREADS_H
#define CELLBLOCK_THREADS_H

/*
 * End the threads of OpenBLAS. It starts them again when a program first needs them. Other
 * libraries are left alone; zygote_wall_in fails if one of them has a thread.
 */
void threads_end(void);

#endif
