/* explain.c - see explain.h. */
#define _GNU_SOURCE
#include "check/policy_dump.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "policy_rules.h"

/* What a rule says of its call. */
static const char *const fates[RULES_SECTIONS] = {
	[RULES_ALLOW] = "allowed",
	[RULES_PROCESSES] = "allowed with processes",
	[RULES_NETWORK] = "allowed with a network",
	[RULES_ZYGOTE] = "for the zygote",
	[RULES_ENOSYS] = "ENOSYS",
	[RULES_KILL] = "ends the process",
	[RULES_QUIET] = "EPERM, not told",
};

static char *
name_of(int call)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

	return name != NULL ? name : strdup("?");
}

/* By name, and for one call by fate. */
static int
by_name(const void *a, const void *b)
{
	const struct rule *one = a, *other = b;
	char *one_name = name_of(one->call), *other_name = name_of(other->call);
	int order = strcmp(one_name, other_name);

	free(one_name);
	free(other_name);
	return order != 0 ? order : (int)one->section - (int)other->section;
}

static void
print_condition(int arg, const struct rule_match *match)
{
	/* The zygote's mark is no condition that anybody wrote. */
	if (match->mask == 0 || (arg == ZYGOTE_MARK_ARG && match->value == ZYGOTE_MARK))
		return;
	if (match->mask == UINT64_MAX)
		printf(" arg%d=0x%" PRIx64, arg, match->value);
	else
		printf(" arg%d&0x%" PRIx64 "=0x%" PRIx64, arg, match->mask, match->value);
}

int
policy_dump(const char *dir, const char *name)
{
	struct rules rules;
	char error[512];

	if (policy_rules_load(&rules, dir, name, error, sizeof error) < 0) {
		fprintf(stderr, "%s\n", error);
		policy_rules_free(&rules);
		return 1;
	}
	qsort(rules.rule, rules.count, sizeof rules.rule[0], by_name);
	for (size_t i = 0; i < rules.count; i++) {
		const struct rule *rule = &rules.rule[i];
		char *call = name_of(rule->call);

		printf("%-24s %-22s", call, fates[rule->section]);
		for (int arg = 0; arg < RULE_ARGS; arg++)
			print_condition(arg, &rule->arg[arg]);
		printf("  # %s\n", rule->reason);
		free(call);
	}
	printf("%-24s %-22s  # no row; newer ones than libseccomp knows: ENOSYS\n", "every other call", "EPERM");
	policy_rules_free(&rules);
	return 0;
}
