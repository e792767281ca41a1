/*
 * failure.h - a step that failed, with the errno of that moment: the two are kept together, since
 * errno does not wait.
 */
#ifndef CELLBLOCK_FAILURE_H
#define CELLBLOCK_FAILURE_H

struct failure {
	const char *step; /* NULL: nothing failed */
	int error;        /* errno; 0: the step alone says it */
};

#endif
