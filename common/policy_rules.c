/* policy_rules.c - see policy_rules.h. */
#define _GNU_SOURCE
#include "policy_rules.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

const char *const policy_rule_sections[RULES_SECTIONS] = {
	[RULES_ALLOW] = "allow",
	[RULES_PROCESSES] = "processes",
	[RULES_NETWORK] = "network",
	[RULES_INTERNET] = "internet",
	[RULES_SOCKETS] = "sockets",
	[RULES_HANDED] = "handed",
	[RULES_LOOPBACK] = "loopback",
	[RULES_UNIX] = "unix",
	[RULES_ZYGOTE] = "zygote",
	[RULES_ENOSYS] = "enosys",
	[RULES_KILL] = "kill",
	[RULES_QUIET] = "quiet",
	[RULES_ANSWER] = "answer",
	[RULES_DENY] = "deny",
	[RULES_ASK] = "ask",
	[RULES_ANNOUNCE] = "announce",
};

static bool
is_both(unsigned grant, unsigned place, unsigned bit)
{
	return (grant & GRANT_NETWORK) != 0 && (place & bit) != 0;
}

bool
policy_rules_hand(unsigned grant, unsigned place)
{
	return is_both(grant, place, POLICY_HANDED);
}

bool
policy_rules_permit(enum rule_section section, unsigned grant, unsigned place)
{
	bool has_sockets = (grant & (GRANT_NETWORK | GRANT_LOOPBACK)) != 0;

	return section == RULES_ALLOW || (section == RULES_PROCESSES && (grant & GRANT_PROCESSES) != 0) ||
	    (section == RULES_NETWORK && has_sockets) ||
	    (section == RULES_INTERNET && has_sockets && !is_both(grant, place, POLICY_ASKED)) ||
	    (section == RULES_SOCKETS && has_sockets && !policy_rules_hand(grant, place)) ||
	    (section == RULES_LOOPBACK && (grant & GRANT_LOOPBACK) != 0) ||
	    (section == RULES_UNIX && (place & POLICY_UNIX(grant)) != 0 && !policy_rules_hand(grant, place));
}

bool
policy_rules_ask(enum rule_section section, unsigned grant, unsigned place)
{
	return section == RULES_ASK || (section == RULES_INTERNET && is_both(grant, place, POLICY_ASKED));
}

/* ENOSYS and kill apply to a call whatever its arguments are. */
static bool
is_unconditional(const struct rule *rule)
{
	return rule->section == RULES_ENOSYS || rule->section == RULES_KILL;
}

/* Whether some value fits both conditions. */
static bool
is_common(const struct rule_match *one, const struct rule_match *other)
{
	if (one->differs && other->differs)
		return true;
	/* Only a condition that names one value leaves none besides the excluded one. */
	if (one->differs || other->differs)
		return one->value != other->value || one->mask != UINT64_MAX || other->mask != UINT64_MAX;
	return ((one->value ^ other->value) & one->mask & other->mask) == 0;
}

bool
policy_rules_overlap(const struct rule *one, const struct rule *other)
{
	for (unsigned i = 0; i < RULE_ARGS; i++) {
		if (!is_common(&one->arg[i], &other->arg[i]))
			return false;
	}
	return true;
}

/* Of two different answers to one call, libseccomp would choose one. */
static bool
is_ambiguous(const struct rule *one, const struct rule *other)
{
	return (one->section == RULES_ANSWER || other->section == RULES_ANSWER) &&
	    (one->section != other->section || one->error != other->error) && policy_rules_overlap(one, other);
}

const struct rule *
policy_rules_conflict(const struct rules *rules, const struct rule *rule)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *other = &rules->rule[i];

		/* A denial, and a question, are for calls that no other rule is about. */
		if (other->call != rule->call || other->section == RULES_ZYGOTE || rule->section == RULES_ZYGOTE ||
		    other->section >= RULES_DENY || rule->section >= RULES_DENY)
			continue;
		if ((other->section != rule->section && (is_unconditional(other) || is_unconditional(rule))) ||
		    is_ambiguous(other, rule))
			return other;
	}
	return NULL;
}

void
policy_rules_add(struct rules *rules, const struct rule *rule)
{
	struct rule *more = reallocarray(rules->rule, rules->count + 1, sizeof *more);

	if (more == NULL)
		die("out of memory");
	rules->rule = more;
	rules->rule[rules->count] = *rule;
	if (rule->reason != NULL && (rules->rule[rules->count].reason = strdup(rule->reason)) == NULL)
		die("out of memory");
	rules->count++;
}

void
policy_rules_free(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->rule[i].reason);
	free(rules->rule);
	*rules = (struct rules){ NULL, 0 };
}
