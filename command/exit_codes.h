/*
 * exit_codes.h - the exit codes of cellblock that are its own. A program's exit code, and 128 + N
 * for signal N, take precedence; these are below 126, which shells use.
 */
#ifndef CELLBLOCK_EXIT_CODES_H
#define CELLBLOCK_EXIT_CODES_H

enum {
	EXIT_FAILED_TESTS = 1, /* `test`: a test was not passed; `health`: the service is not healthy */
	EXIT_LOST = 121,       /* the service failed, or the connection was cut: the run may have begun */
	EXIT_BUSY = 122,       /* the service cannot be reached or is busy; nothing was run */
	EXIT_REFUSED = 123,    /* the service refused the request; nothing was run */
	EXIT_LIMIT = 124,      /* a limit ended the program, without a signal; as timeout(1) */
	EXIT_USE = 125,        /* wrong options, configuration or files; nothing was sent */
};

#endif
