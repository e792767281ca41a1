/* test_interactor.h - a test whose program talks to an interactor. */
#ifndef CELLBLOCK_TEST_INTERACTOR_H
#define CELLBLOCK_TEST_INTERACTOR_H

#include "tests.h"

/*
 * Run the program of a test and the interactor of the request at the same time, each in a cell of
 * its own, and judge. Returns whether both have ended, and then the verdict is in `outcome` and
 * what is left in worker->run for run_release.
 */
bool test_interactor_run(struct tests *tests, struct worker *worker, const struct test_case *test, struct test_outcome *outcome);

#endif
