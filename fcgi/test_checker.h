/* test_checker.h - has a program of the request's own judge the output of a test. */
#ifndef CELLBLOCK_TEST_CHECKER_H
#define CELLBLOCK_TEST_CHECKER_H

#include "tests.h"

/*
 * Run test->program in a cell of its own, which finds the input, the output in worker->run and the
 * answer as files. Its exit code is the verdict. What it says is kept in `outcome`. worker->run is
 * used for it, so its outcome is that of the checker afterwards.
 */
enum test_verdict test_checker_judge(struct tests *tests, struct worker *worker, const struct test_case *test,
    struct test_outcome *outcome);

#endif
