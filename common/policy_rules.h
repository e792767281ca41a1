/* policy_rules.h - between the parts of policy.c: a policy as a list of plain rules. */
#ifndef CELLBLOCK_POLICY_RULES_H
#define CELLBLOCK_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

#define RULE_ARGS 6

enum rule_section {
	RULES_ALLOW,     /* for every guest */
	RULES_PROCESSES, /* for a guest with GRANT_PROCESSES */
	RULES_NETWORK,   /* for a guest with GRANT_NETWORK */
	RULES_ZYGOTE,    /* for zygotes, and guests until their program starts: marked, see mark.h */
	RULES_ENOSYS,    /* fails with ENOSYS, for libc to do without */
	RULES_KILL,      /* ends the process */
	RULES_QUIET,     /* refused with EPERM, and not told: libraries try it and do without */
	RULES_SECTIONS   /* whatever has no rule is refused with EPERM */
};

/* (argument & mask) == value. A mask of 0 lets every argument fit. */
struct rule_match {
	uint64_t mask;
	uint64_t value;
};

/* A call by its number on this architecture, with arguments that all fit. */
struct rule {
	enum rule_section section;
	char *reason; /* of its row; NULL, or the list's own */
	int call;
	struct rule_match arg[RULE_ARGS];
};

struct rules {
	struct rule *rule;
	size_t count;
};

/* "allow", as in a file. */
extern const char *const policy_rule_sections[RULES_SECTIONS];

/* Read DIR/NAME.conf and what it includes. Returns 0, or -1 with `error` set; `rules` is for policy_rules_free either way. */
int policy_rules_load(struct rules *rules, const char *dir, const char *name, char *error, size_t error_size);
void policy_rules_free(struct rules *rules);

/* Append a rule, with a copy of its reason. */
void policy_rules_add(struct rules *rules, const struct rule *rule);

/* The first rule that gives the call of `rule` another fate, or NULL. Only the zygotes' marked calls may have two. */
const struct rule *policy_rules_conflict(const struct rules *rules, const struct rule *rule);

/* Whether the rules of a section hold for a guest with `grant` (a set of GRANT_*). */
bool policy_rules_permit(enum rule_section section, unsigned grant);

/* Compile the rules into the filters of `policy`. Returns 0, or -1 with `error` set to what libseccomp says. */
int policy_compile(const struct rules *rules, struct policy *policy, char *error, size_t error_size);

/* The value of a name that the kernel's headers have ("CLONE_VM"), or of a number. Returns 0, or -1: unknown. */
int policy_value(const char *text, uint64_t *value);

#endif
