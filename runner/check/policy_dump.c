/* policy_dump.c - see policy_dump.h. */
#define _GNU_SOURCE
#include "check/policy_dump.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "policy_rules.h"

/* The fate of a system call, by the section of its rule. */
static const char *const fates[RULES_SECTIONS] = {
	[RULES_ALLOW] = "allowed",
	[RULES_PROCESSES] = "allowed with processes",
	[RULES_NETWORK] = "allowed with a network",
	[RULES_INTERNET] = "allowed with a network",
	[RULES_SOCKETS] = "allowed with a network",
	[RULES_HANDED] = "not made, succeeds",
	[RULES_LOOPBACK] = "allowed with a loopback",
	[RULES_UNIX] = "allowed in its cell",
	[RULES_ZYGOTE] = "for the zygote",
	[RULES_ENOSYS] = "ENOSYS",
	[RULES_KILL] = "ends the process",
	[RULES_QUIET] = "EPERM, not reported",
	[RULES_ANSWER] = "not made, succeeds",
	[RULES_DENY] = "denied",
	[RULES_ASK] = "as the runner decides",
	[RULES_ANNOUNCE] = "announced to the runner",
};

static const char *
fate_of(const struct rule *rule)
{
	return rule->error == 0 ? fates[rule->section] : strerrorname_np(rule->error);
}

/* Returns the name of a system call, or "?". The caller frees *memory. */
static const char *
name_of(int call, char **memory)
{
	*memory = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
	return *memory != NULL ? *memory : "?";
}

/* Order rules by name, and the rules of one system call by fate. */
static int
by_name(const void *a, const void *b)
{
	const struct rule *one = a, *other = b;
	char *memory[2];
	int order = strcmp(name_of(one->call, &memory[0]), name_of(other->call, &memory[1]));

	free(memory[0]);
	free(memory[1]);
	return order != 0 ? order : (int)one->section - (int)other->section;
}

static void
print_condition(int arg, const struct rule_match *match)
{
	/* The zygote's mark is not a condition of the policy's author. */
	if (match->mask == 0 || (arg == ZYGOTE_MARK_ARG && match->value == ZYGOTE_MARK))
		return;
	if (match->mask == UINT64_MAX)
		printf(" arg%d%s0x%" PRIx64, arg, match->differs ? "!=" : "=", match->value);
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
		char *memory;

		printf("%-24s %-22s", name_of(rule->call, &memory), fate_of(rule));
		for (int arg = 0; arg < RULE_ARGS; arg++)
			print_condition(arg, &rule->arg[arg]);
		printf("  # %s\n", rule->reason);
		free(memory);
	}
	printf("%-24s %-22s  # no row; newer ones than libseccomp knows: ENOSYS\n", "every other call", "EPERM");
	policy_rules_free(&rules);
	return 0;
}
