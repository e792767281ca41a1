/*
 * policy.c - a seccomp policy and another that it may include ("other"), with a line of "%%"
 * between them.
 */
#define _GNU_SOURCE
#include "policy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "policy_rules.h"

#define FILES 2
#define COMPILED_RULES 16 /* libseccomp needs a hundred times as long for more rules as everything else here */

static const char *path[FILES];
static int fd[FILES];

static void
check_error(const char *error, size_t size)
{
	size_t length = strnlen(error, size);

	must(length > 0 && length < size);
	for (size_t at = 0; at < length; at++)
		must(!iscntrl((unsigned char)error[at]));
	must(strncmp(error, fuzz_folder(), strlen(fuzz_folder())) == 0);
}

static void
check_rules(const struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		must(rule->section < RULES_SECTIONS && rule->call >= 0);
		must(rule->reason != NULL && rule->reason[0] != '\0');
		for (size_t a = 0; a < RULE_ARGS; a++)
			must((rule->arg[a].value & ~rule->arg[a].mask) == 0);
		must(policy_rules_conflict(rules, rule) == NULL);
	}
}

static void
check_bpf(const struct bpf *bpf)
{
	must(bpf->count <= BPF_MAXINSNS && (bpf->count == 0) == (bpf->code == NULL));
	must(bpf->count == 0 || BPF_CLASS(bpf->code[bpf->count - 1].code) == BPF_RET);
}

/* Whether any call has two rules. */
static bool
has_call_twice(const struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (rules->rule[i].call == rules->rule[k].call)
				return true;
		}
	}
	return false;
}

static void
check_compiled(const struct rules *rules)
{
	char error[512] = "";
	struct policy *policy = policy_load(fuzz_folder(), "policy", POLICY_UNIX_ALL, error, sizeof error);

	/*
	 * If one rule is more specific about a call than another, libseccomp (2.5.4) leaks memory.
	 */
	if (has_call_twice(rules))
		fuzz_forgive_leak();
	if (policy == NULL) {
		/* Only libseccomp detects these conflicts. */
		must(strncmp(error, "policy policy: libseccomp cannot compile it: ", 45) == 0);
		return;
	}
	for (unsigned grant = 0; grant < GRANT_COUNT; grant++) {
		check_bpf(&policy->base[grant]);
		must(policy->base[grant].count > 0);
	}
	check_bpf(&policy->last);
	policy_free(policy);
}

static void
try(void)
{
	struct rules rules;
	char error[512] = "";

	if (policy_rules_load(&rules, fuzz_folder(), "policy", error, sizeof error) == 0) {
		check_rules(&rules);
		if (rules.count <= COMPILED_RULES)
			check_compiled(&rules);
	} else {
		check_error(error, sizeof error);
	}
	policy_rules_free(&rules);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (path[0] == NULL) {
		path[0] = fuzz_file("policy.conf", &fd[0]);
		path[1] = fuzz_file("other.conf", &fd[1]);
	}
	for (int i = 0; i < FILES; i++) {
		const uint8_t *part = (const uint8_t *)"";
		size_t part_size = 0;

		fuzz_next_part(&data, &size, &part, &part_size);
		fuzz_write(fd[i], part, part_size);
	}
	do {
		fuzz_begin();
		try();
	} while (!fuzz_end());
	return 0;
}
