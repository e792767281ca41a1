/* explain.h - a policy as a table: every call that has a rule, what becomes of it, and why. */
#ifndef CELLBLOCK_EXPLAIN_H
#define CELLBLOCK_EXPLAIN_H

/* Print policy NAME of folder `dir`. Returns an exit status; what is wrong is on stderr. */
int policy_dump(const char *dir, const char *name);

#endif
