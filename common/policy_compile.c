/* policy_compile.c - rules to BPF. */
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
#include "policy_rules.h"

#define X32_CALLS 0x40000000u /* x86: numbers from here on are those of the x32 ABI, which libseccomp refuses */
#define CALLS_SEARCHED 2048   /* well above the newest call of any architecture */

/* What becomes of a call that is not allowed. */
static uint32_t
refusal(const struct rules *rules, int call)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rules->rule[i].call == call && rules->rule[i].section == RULES_ENOSYS)
			return SCMP_ACT_ERRNO(ENOSYS);
		if (rules->rule[i].call == call && rules->rule[i].section == RULES_KILL)
			return SCMP_ACT_KILL_PROCESS;
	}
	return SCMP_ACT_ERRNO(EPERM);
}

/* Returns a filter for seccomp_release, or NULL. */
static scmp_filter_ctx
new_filter(uint32_t action)
{
	scmp_filter_ctx filter = seccomp_init(action);

	if (filter == NULL)
		return NULL;
	/* A binary tree instead of a list loads three times as fast: the kernel walks the filter once per call number. */
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
	if (error == 0 && fstat(fd, &st) < 0)
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

static uint32_t
newest_call(void)
{
	int newest = 0;

	for (int call = 0; call < CALLS_SEARCHED; call++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

		if (name != NULL)
			newest = call;
		free(name);
	}
	return (uint32_t)newest;
}

/*
 * Put a few instructions before the filter: a call newer than libseccomp fails with ENOSYS, as on an older kernel, so
 * that libc falls back to what the filter knows. libseccomp itself has no rule for a range of numbers. The architecture
 * is left for the filter behind to judge.
 */
static void
refuse_newer_calls(struct bpf *bpf)
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

static bool
is_refused(const struct rule *rule)
{
	return rule->section == RULES_ENOSYS || rule->section == RULES_KILL;
}

/* The rules of the base filter: all of them, but what the zygote may call is refused by `last`. */
static void
choose_base(const struct rules *rules, struct rules *chosen)
{
	for (size_t i = 0; i < rules->count; i++) {
		bool is_left_to_last = false;

		for (size_t j = 0; j < rules->count && is_refused(&rules->rule[i]); j++)
			is_left_to_last |= rules->rule[j].section == RULES_ZYGOTE && rules->rule[j].call == rules->rule[i].call;
		if (!is_left_to_last)
			rules_add(chosen, &rules->rule[i]);
	}
}

/* The rules that `last` takes away from a guest with `grant`. */
static void
choose_last(const struct rules *rules, unsigned grant, struct rules *chosen)
{
	for (size_t i = 0; i < rules->count; i++) {
		struct rule gone = rules->rule[i];
		bool is_call_kept = false, is_kept = rules_permit(gone.section, grant) || is_refused(&gone);

		for (size_t j = 0; j < rules->count; j++) {
			if (!rules_permit(rules->rule[j].section, grant) || rules->rule[j].call != gone.call)
				continue;
			is_call_kept = true;
			is_kept |= rule_covers(&rules->rule[j], &gone);
		}
		/* Without the whole call there is less to compare. */
		if (!is_call_kept)
			memset(gone.arg, 0, sizeof gone.arg);
		if (!is_kept)
			rules_add(chosen, &gone);
	}
}

static int
add_rule(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
	struct scmp_arg_cmp match[RULE_ARGS];
	unsigned count = 0;

	for (unsigned i = 0; i < RULE_ARGS; i++) {
		if (rule->arg[i].mask != 0)
			match[count++] = (struct scmp_arg_cmp){ .arg = i, .op = SCMP_CMP_MASKED_EQ,
				.datum_a = rule->arg[i].mask, .datum_b = rule->arg[i].value };
	}
	return seccomp_rule_add_exact_array(filter, action, rule->call, count, match);
}

/* Compile the chosen rules of a policy. Returns 0, or a negative errno. */
static int
compile(const struct rules *rules, const struct rules *chosen, bool is_base, struct bpf *bpf)
{
	scmp_filter_ctx filter = new_filter(is_base ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
	int error = 0;

	if (filter == NULL)
		return -ENOTSUP;
	for (size_t i = 0; i < chosen->count && error == 0; i++) {
		const struct rule *rule = &chosen->rule[i];
		bool is_allowed = is_base && !is_refused(rule);

		error = add_rule(filter, is_allowed ? SCMP_ACT_ALLOW : refusal(rules, rule->call), rule);
	}
	if (error == 0)
		error = export_filter(filter, bpf);
	seccomp_release(filter);
	if (error == 0 && is_base)
		refuse_newer_calls(bpf);
	return error == 0 && bpf->count > BPF_MAXINSNS ? -E2BIG : error;
}

int
policy_compile(const struct rules *rules, struct policy *policy, char *error, size_t error_size)
{
	struct rules chosen = { NULL, 0 };
	int failure;

	choose_base(rules, &chosen);
	failure = compile(rules, &chosen, true, &policy->base);
	for (unsigned grant = 0; failure == 0 && grant < GRANT_COUNT; grant++) {
		rules_free(&chosen);
		choose_last(rules, grant, &chosen);
		if (chosen.count > 0)
			failure = compile(rules, &chosen, false, &policy->last[grant]);
	}
	rules_free(&chosen);
	if (failure == 0)
		return 0;
	snprintf(error, error_size, "policy %s: libseccomp cannot compile it: %s", policy->name, strerror(-failure));
	return -1;
}
