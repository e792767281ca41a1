/*
 * policy_dump.h - prints a policy as a table: every system call that has a rule, its fate, and why.
 */
#ifndef CELLBLOCK_POLICY_DUMP_H
#define CELLBLOCK_POLICY_DUMP_H

/*
 * Print policy `name` of the directory `dir`. Returns the exit status: 1 if the policy is wrong,
 * with a line on stderr.
 */
int policy_dump(const char *dir, const char *name);

#endif
