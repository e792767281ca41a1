/*
 * policy_rules.c - what rules have to do with one another.
 *
 * A filter of `last` allows all but what it names, so it takes a rule away by naming what fits the rule. That is exact
 * only if nothing that stays allowed fits it too. Hence every two rules for one call, of which a guest may have one
 * without the other, must have no arguments in common, or the one taken away must lie wholly within the one that stays
 * (then there is nothing to take away).
 */
#define _GNU_SOURCE
#include "policy_rules.h"

#include <stdlib.h>

#include "log.h"

const char *const rule_section_names[RULES_SECTIONS] = {
	[RULES_ALLOW] = "allow",
	[RULES_PROCESSES] = "processes",
	[RULES_NETWORK] = "network",
	[RULES_ZYGOTE] = "zygote",
	[RULES_ENOSYS] = "enosys",
	[RULES_KILL] = "kill",
};

bool
rules_permit(enum rule_section section, unsigned grant)
{
	return section == RULES_ALLOW || (section == RULES_PROCESSES && (grant & GRANT_PROCESSES) != 0) ||
	    (section == RULES_NETWORK && (grant & GRANT_NETWORK) != 0);
}

bool
rule_covers(const struct rule *outer, const struct rule *inner)
{
	if (outer->call != inner->call)
		return false;
	for (int i = 0; i < RULE_ARGS; i++) {
		uint64_t mask = outer->arg[i].mask;

		if ((inner->arg[i].mask & mask) != mask || (inner->arg[i].value & mask) != outer->arg[i].value)
			return false;
	}
	return true;
}

/* Whether some arguments fit both. */
static bool
rules_overlap(const struct rule *a, const struct rule *b)
{
	for (int i = 0; i < RULE_ARGS; i++) {
		uint64_t both = a->arg[i].mask & b->arg[i].mask;

		if ((a->arg[i].value & both) != (b->arg[i].value & both))
			return false;
	}
	return a->call == b->call;
}

static bool
is_unconditional(const struct rule *rule)
{
	for (int i = 0; i < RULE_ARGS; i++) {
		if (rule->arg[i].mask != 0)
			return false;
	}
	return true;
}

/* Whether there is a guest for which `gone` is taken away while `kept` stays, and they cannot be told apart. */
static bool
is_inseparable(const struct rule *gone, const struct rule *kept)
{
	bool is_apart = false;

	for (unsigned grant = 0; grant < GRANT_COUNT; grant++)
		is_apart |= !rules_permit(gone->section, grant) && rules_permit(kept->section, grant);
	return is_apart && rules_overlap(gone, kept) && !rule_covers(kept, gone);
}

/* ENOSYS and death are fates of a call whatever its arguments; only the zygote may be spared, and then wholly. */
static bool
is_contradiction(const struct rule *fate, const struct rule *other)
{
	if (fate->section != RULES_ENOSYS && fate->section != RULES_KILL)
		return false;
	return fate->section != other->section && !(other->section == RULES_ZYGOTE && is_unconditional(other));
}

const struct rule *
rules_conflict(const struct rules *rules, const struct rule *rule)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *old = &rules->rule[i];

		if (old->call == rule->call && (is_contradiction(old, rule) || is_contradiction(rule, old) ||
		    is_inseparable(old, rule) || is_inseparable(rule, old)))
			return old;
	}
	return NULL;
}

void
rules_add(struct rules *rules, const struct rule *rule)
{
	struct rule *more = reallocarray(rules->rule, rules->count + 1, sizeof *more);

	if (more == NULL)
		die("out of memory");
	rules->rule = more;
	rules->rule[rules->count++] = *rule;
}

void
rules_free(struct rules *rules)
{
	free(rules->rule);
	*rules = (struct rules){ NULL, 0 };
}
