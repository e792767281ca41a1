/* policy_compile.c - compiles rules to BPF. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "mark.h"
#include "policy_rules.h"

#define X32_CALLS 0x40000000u /* x86: the x32 ABI's numbers start here; the filter of libseccomp rejects them */
#define CALLS_SEARCHED 2048   /* well above the newest call of any architecture */

/* Returns a filter for seccomp_release, or NULL. */
static scmp_filter_ctx
new_filter(uint32_t action)
{
	scmp_filter_ctx filter = seccomp_init(action);

	if (filter == NULL)
		return NULL;
	/*
	 * A binary tree loads three times as fast as a list: the kernel walks the filter once for
	 * each call number when it is loaded.
	 */
	if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
	    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0)
		return filter;
	seccomp_release(filter);
	return NULL;
}

/* Returns 0, or a negative errno. */
static int
export_filter(scmp_filter_ctx filter, struct bpf *bpf)
{
	int fd = memfd_create("bpf", MFD_CLOEXEC);
	struct stat st;
	int error;

	if (fd < 0)
		return -errno;
	error = seccomp_export_bpf(filter, fd);
	if (error == 0 && fstat(fd, &st) != 0)
		error = -errno;
	if (error == 0) {
		bpf->code = malloc((size_t)st.st_size);
		if (bpf->code == NULL)
			die("out of memory");
		if (pread(fd, bpf->code, (size_t)st.st_size, 0) != st.st_size)
			error = -EIO;
		bpf->count = (size_t)st.st_size / sizeof bpf->code[0];
	}
	close(fd);
	return error;
}

/* Searched for once: that takes half a millisecond, and a policy has several filters. */
static uint32_t
newest_call(void)
{
	static int newest;

	if (newest != 0)
		return (uint32_t)newest;
	for (int call = 0; call < CALLS_SEARCHED; call++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

		if (name != NULL)
			newest = call;
		free(name);
	}
	return (uint32_t)newest;
}

/*
 * Prepend a few instructions to the filter: a call that is newer than libseccomp fails with ENOSYS,
 * as on an older kernel, so that libc falls back to an older call. libseccomp has no rule for a
 * range of numbers. The filter that follows checks the architecture.
 */
static void
prepend_newer_calls(struct bpf *bpf)
{
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_call(), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	size_t head_count = sizeof head / sizeof head[0];
	struct sock_filter *code = malloc(sizeof head + bpf->count * sizeof code[0]);

	if (code == NULL)
		die("out of memory");
	memcpy(code, head, sizeof head);
	memcpy(code + head_count, bpf->code, bpf->count * sizeof code[0]);
	free(bpf->code);
	bpf->code = code;
	bpf->count += head_count;
}

/* The conditions of a rule. Returns their number. */
static unsigned
find_matches(const struct rule *rule, struct scmp_arg_cmp match[RULE_ARGS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < RULE_ARGS; i++) {
		if (rule->arg[i].differs)
			match[count++] = (struct scmp_arg_cmp){ .arg = i, .op = SCMP_CMP_NE, .datum_a = rule->arg[i].value };
		else if (rule->arg[i].mask != 0)
			match[count++] = (struct scmp_arg_cmp){ .arg = i,
				.op = SCMP_CMP_MASKED_EQ,
				.datum_a = rule->arg[i].mask,
				.datum_b = rule->arg[i].value };
	}
	return count;
}

static int
add_rule(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
	struct scmp_arg_cmp match[RULE_ARGS];
	unsigned count = find_matches(rule, match);

	return seccomp_rule_add_exact_array(filter, action, rule->call, count, match);
}

static bool
has_section(const struct rules *rules, enum rule_section section, int call)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rules->rule[i].section == section && (call < 0 || rules->rule[i].call == call))
			return true;
	}
	return false;
}

/* A rule that applies to unmarked calls only, if there are calls with the mark in `marked`, too. */
static int
add_unmarked(scmp_filter_ctx filter, const struct rules *rules, enum rule_section marked, const struct rule *rule,
    uint32_t action)
{
	struct scmp_arg_cmp match[RULE_ARGS + 1];
	unsigned count = find_matches(rule, match);

	if (has_section(rules, marked, rule->call) && rule->arg[ZYGOTE_MARK_ARG].mask == 0)
		match[count++] = (struct scmp_arg_cmp){ .arg = ZYGOTE_MARK_ARG, .op = SCMP_CMP_NE, .datum_a = ZYGOTE_MARK };
	return seccomp_rule_add_exact_array(filter, action, rule->call, count, match);
}

static uint32_t
action_of(const struct rule *rule)
{
	switch (rule->section) {
	case RULES_ENOSYS:
		return SCMP_ACT_ERRNO(ENOSYS);
	case RULES_ANSWER: /* by the filter itself, so that the call is neither made nor reported */
	case RULES_HANDED:
		return SCMP_ACT_ERRNO((uint32_t)rule->error);
	case RULES_KILL:
		return SCMP_ACT_KILL_PROCESS;
	default:
		return SCMP_ACT_ALLOW;
	}
}

/* Denied like a call without a rule, but by the filter itself, so that it is not reported. */
static int
add_quiet(scmp_filter_ctx filter, bool has_listener, const struct rule *rule)
{
	return has_listener ? add_rule(filter, SCMP_ACT_ERRNO(EPERM), rule) : 0;
}

/* Returns 0, or a negative errno. */
static int
finish(scmp_filter_ctx filter, int error, struct bpf *bpf)
{
	if (error == 0)
		error = export_filter(filter, bpf);
	seccomp_release(filter);
	return error == 0 && bpf->count > BPF_MAXINSNS ? -E2BIG : error;
}

/* Whether some calls that fit the rule are allowed to guests with `grant`, or asked about. */
static bool
is_elsewhere_too(const struct rules *rules, const struct rule *rule, unsigned grant, unsigned place)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *other = &rules->rule[i];

		if (other->call == rule->call &&
		    (policy_rules_ask(other->section, grant, place) || policy_rules_permit(other->section, grant, place)) &&
		    policy_rules_overlap(other, rule))
			return true;
	}
	return false;
}

/* The filter of guests with `grant`, and of their zygotes. */
static int
compile_base(const struct rules *rules, unsigned grant, unsigned place, struct bpf *bpf)
{
	/* Guests have the runner as their listener; other programs have none. */
	bool has_listener = has_section(rules, RULES_ZYGOTE, -1);
	scmp_filter_ctx filter = new_filter(has_listener ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM));
	int error = 0;

	if (filter == NULL)
		return -ENOTSUP;
	for (size_t i = 0; i < rules->count && error == 0; i++) {
		const struct rule *rule = &rules->rule[i];

		if (rule->section == RULES_ENOSYS || rule->section == RULES_KILL || rule->section == RULES_ANSWER ||
		    (rule->section == RULES_HANDED && policy_rules_hand(grant, place)))
			error = add_unmarked(filter, rules, RULES_ZYGOTE, rule, action_of(rule));
		else if (rule->section == RULES_QUIET && !is_elsewhere_too(rules, rule, grant, place))
			error = add_quiet(filter, has_listener, rule);
		else if (rule->section == RULES_ZYGOTE)
			error = add_rule(filter, SCMP_ACT_ALLOW, rule);
		else if (policy_rules_permit(rule->section, grant, place))
			error = add_unmarked(filter, rules, RULES_ANNOUNCE, rule, SCMP_ACT_ALLOW);
	}
	error = finish(filter, error, bpf);
	if (error == 0)
		prepend_newer_calls(bpf);
	return error;
}

/*
 * The filter that takes the zygotes' calls away from a guest. A program that marks a call is an
 * attack: it is killed.
 */
static int
compile_last(const struct rules *rules, struct bpf *bpf)
{
	scmp_filter_ctx filter;
	int error = 0;

	if (!has_section(rules, RULES_ZYGOTE, -1))
		return 0;
	filter = new_filter(SCMP_ACT_ALLOW);
	if (filter == NULL)
		return -ENOTSUP;
	for (size_t i = 0; i < rules->count && error == 0; i++) {
		const struct rule *rule = &rules->rule[i];
		struct scmp_arg_cmp marked = { .arg = ZYGOTE_MARK_ARG, .op = SCMP_CMP_EQ, .datum_a = ZYGOTE_MARK };

		if (rule->section == RULES_ZYGOTE)
			error = seccomp_rule_add_exact_array(filter, SCMP_ACT_KILL_PROCESS, rule->call, 1, &marked);
	}
	return finish(filter, error, bpf);
}

/*
 * Append the calls of a section to a list for the listener. The filter cannot tell it which row has
 * reported a call: it looks at the call again.
 */
static void
list_calls(const struct rules *rules, enum rule_section section, enum policy_question question, struct policy_call **list,
    size_t *count)
{
	*list = reallocarray(*list, *count + rules->count + 1, sizeof **list);
	if (*list == NULL)
		die("out of memory");
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];
		struct policy_call *call = &(*list)[*count];

		if (rule->section != section)
			continue;
		*call = (struct policy_call){ .call = rule->call, .error = rule->error, .question = question };
		memcpy(call->arg, rule->arg, sizeof call->arg);
		++*count;
	}
}

int
policy_compile(const struct rules *rules, unsigned place, struct policy *policy, char *error, size_t error_size)
{
	int failure = compile_last(rules, &policy->last);

	list_calls(rules, RULES_DENY, POLICY_ASKS_NOTHING, &policy->denial, &policy->denials);
	list_calls(rules, RULES_ASK, POLICY_ASKS_LOOK, &policy->asked, &policy->asked_count);
	list_calls(rules, RULES_INTERNET, POLICY_ASKS_SOCKET, &policy->asked, &policy->asked_count);
	list_calls(rules, RULES_ANNOUNCE, POLICY_ANNOUNCES, &policy->asked, &policy->asked_count);
	for (unsigned grant = 0; failure == 0 && grant < GRANT_COUNT; grant++)
		failure = compile_base(rules, grant, place, &policy->base[grant]);
	if (failure == 0)
		return 0;
	snprintf(error, error_size, "policy %s: libseccomp cannot compile it: %s", policy->name, strerror(-failure));
	return -1;
}
