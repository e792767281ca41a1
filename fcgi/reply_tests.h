/* reply_tests.h - the members `tests` and `summary` of a reply. */
#ifndef CELLBLOCK_REPLY_TESTS_H
#define CELLBLOCK_REPLY_TESTS_H

#include <stddef.h>

#include "reply.h"
#include "tests.h"

/*
 * The length of the members, and the members. `tests` may be NULL: there are none. In an answer
 * with events it is the summary alone.
 */
size_t reply_tests_length(const struct tests *tests);
void reply_tests_put(struct reply *reply, const struct tests *tests);

/* One of the tests, an object. */
void reply_tests_put_one(struct reply *reply, const struct tests *tests, size_t number);

#endif
