/* policy_rules.h - a policy as a list of plain rules, for the parts of policy.h. */
#ifndef CELLBLOCK_POLICY_RULES_H
#define CELLBLOCK_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

enum rule_section {
	RULES_ALLOW,     /* for every guest */
	RULES_PROCESSES, /* for a guest with GRANT_PROCESSES */
	RULES_NETWORK,   /* for a guest with GRANT_NETWORK or GRANT_LOOPBACK */
	RULES_INTERNET,  /* the same; with POLICY_ASKED and GRANT_NETWORK the runner decides instead */
	RULES_SOCKETS,   /* the same, but not with POLICY_HANDED and GRANT_NETWORK */
	RULES_HANDED,    /* like RULES_ANSWER, for a guest with GRANT_NETWORK and POLICY_HANDED */
	RULES_LOOPBACK,  /* for a guest with GRANT_LOOPBACK */
	RULES_UNIX,      /* where no socket name leads out of the cell; see policy_load */
	RULES_ZYGOTE,    /* for zygotes, and for guests until their program starts: marked, see mark.h */
	RULES_ENOSYS,    /* fails with ENOSYS, so that libc uses an older call */
	RULES_KILL,      /* ends the process */
	RULES_QUIET,     /* denied with EPERM and not reported: libraries try it and go on without it */
	RULES_ANSWER,    /* not made, and not reported: returns the answer of its row */
	RULES_DENY,      /* denied and reported like a call without a rule, but with the error of its row */
	RULES_ASK,       /* the runner decides: it denies a call, or lets it be made */
	RULES_ANNOUNCE,  /* marked like those of RULES_ZYGOTE, for guests until their end: the runner learns of the call first */
	RULES_SECTIONS   /* their number; a call without a rule is denied with EPERM */
};

/* A call, by its number on this architecture, if all its arguments match. */
struct rule {
	enum rule_section section;
	char *reason; /* of its row, or NULL; in a list, owned by the list */
	int call;
	int error; /* RULES_ANSWER, RULES_HANDED, RULES_DENY: the errno that the call fails with; 0: it succeeds */
	struct rule_match arg[RULE_ARGS];
};

struct rules {
	struct rule *rule;
	size_t count;
};

/* The names of the sections in a file ("allow"). */
extern const char *const policy_rule_sections[RULES_SECTIONS];

/*
 * Read DIR/NAME.conf and the files that it includes. Returns 0, or -1 with `error` set. `rules` is
 * for policy_rules_free either way.
 */
int policy_rules_load(struct rules *rules, const char *dir, const char *name, char *error, size_t error_size);
void policy_rules_free(struct rules *rules);

/* Append a rule, with a copy of its reason. */
void policy_rules_add(struct rules *rules, const struct rule *rule);

/*
 * The first rule that contradicts `rule`: of the same call, where one of the two decides about the
 * call whatever its arguments, or gives an answer and some arguments fit both. NULL if there is
 * none. Marked calls of zygotes contradict nothing.
 */
const struct rule *policy_rules_conflict(const struct rules *rules, const struct rule *rule);

/*
 * Whether the rules of a section allow calls to a guest with `grant`, a set of GRANT_*. `place`:
 * see policy_load.
 */
bool policy_rules_permit(enum rule_section section, unsigned grant, unsigned place);

/* Whether the runner decides about the calls of a section, for a guest with `grant` in `place`. */
bool policy_rules_ask(enum rule_section section, unsigned grant, unsigned place);

/* Whether a guest with `grant` in `place` has no socket of the internet but those it is handed. */
bool policy_rules_hand(unsigned grant, unsigned place);

/* Whether the arguments of some call fit both rules. */
bool policy_rules_overlap(const struct rule *one, const struct rule *other);

/*
 * Compile the rules into the filters of `policy`, its denials and what is asked. `place`: see
 * policy_load. Returns 0, or -1 with libseccomp's error in `error`.
 */
int policy_compile(const struct rules *rules, unsigned place, struct policy *policy, char *error, size_t error_size);

/*
 * The value of a number, or of a name from the kernel's headers ("CLONE_VM"). Returns 0, or -1 if
 * it is unknown.
 */
int policy_value(const char *text, uint64_t *value);

#endif
