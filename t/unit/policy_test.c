/*
 * policy_test.c - whether the filters of a policy agree with its files.
 *
 * That is checked exhaustively. The test interprets the filters, instruction by instruction,
 * for every call number, and for calls with conditions with arguments around every value that a
 * condition names. It compares the answers with those of a plain walk over the rules.
 * policy_kernel_test.c has the kernel run the filters.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"
#include "policy_directory.h"
#include "policy_rules.h"
#include "start/policy_cache.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ZYGOTE GRANT_COUNT /* added to a grant: a zygote, with `base` alone */

static unsigned place = POLICY_UNIX_ALL; /* of the guests of the policies that check_filters loads */

/* ---- the filters ---------------------------------------------------------------------------- */

/* Run a filter as the kernel does (it can load from struct seccomp_data only). */
static uint32_t
run(const struct bpf *bpf, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < bpf->count; pc++) {
		const struct sock_filter *code = &bpf->code[pc];
		bool is_true;

		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(code->k % 4 == 0 && code->k < sizeof *data);
			memcpy(&a, (const char *)data + code->k, sizeof a);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= code->k;
			continue;
		case BPF_RET | BPF_K:
			return code->k;
		case BPF_JMP | BPF_JA:
			pc += code->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			is_true = a == code->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			is_true = a > code->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			is_true = a >= code->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			is_true = (a & code->k) != 0;
			break;
		default:
			fail_msg("instruction %zu: unknown code 0x%x", pc, code->code);
			return 0;
		}
		pc += is_true ? code->jt : code->jf;
	}
	fail_msg("the filter has no end");
	return 0;
}

/*
 * The answer of both filters together: the kernel takes the stricter of two answers, the smaller
 * number.
 */
static uint32_t
run_both(const struct policy *policy, unsigned who, const struct seccomp_data *data)
{
	uint32_t base = run(&policy->base[who % ZYGOTE], data), last = SECCOMP_RET_ALLOW;

	if (who < ZYGOTE && policy->last.count > 0)
		last = run(&policy->last, data);
	return (int32_t)(last & SECCOMP_RET_ACTION_FULL) < (int32_t)(base & SECCOMP_RET_ACTION_FULL) ? last : base;
}

static bool
fits(const struct rule *rule, const struct seccomp_data *data)
{
	for (int i = 0; i < RULE_ARGS; i++) {
		if (((data->args[i] & rule->arg[i].mask) != rule->arg[i].value) != rule->arg[i].differs)
			return false;
	}
	return rule->call == data->nr;
}

/* A quiet row gives way to one that allows some of its calls, or asks about them. */
static bool
is_allowed_too(const struct rules *rules, const struct rule *rule, unsigned grant)
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

/* The answer by the rules of the file. */
static uint32_t
expected(const struct rules *rules, unsigned who, int newest, const struct seccomp_data *data)
{
	bool is_marked = data->args[ZYGOTE_MARK_ARG] == ZYGOTE_MARK, has_zygotes = false, is_zygotes = false, is_allowed = false;
	bool is_announced = false;
	uint32_t answer = SECCOMP_RET_ERRNO | EPERM;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		has_zygotes |= rule->section == RULES_ZYGOTE;
		/* A guest is killed for a marked call, whatever its other arguments are. */
		is_zygotes |= rule->section == RULES_ZYGOTE && rule->call == data->nr && is_marked;
		is_announced |= rule->section == RULES_ANNOUNCE && rule->call == data->nr && is_marked;
	}
	if (has_zygotes)
		answer = SECCOMP_RET_USER_NOTIF;
	if (data->nr > newest)
		answer = SECCOMP_RET_ERRNO | ENOSYS;
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		if (!fits(rule, data))
			continue;
		if (rule->section == RULES_ZYGOTE || policy_rules_permit(rule->section, who % ZYGOTE, place))
			is_allowed |= !is_announced || rule->section == RULES_ZYGOTE || rule->arg[ZYGOTE_MARK_ARG].mask != 0;
		else if (rule->section == RULES_ENOSYS)
			answer = SECCOMP_RET_ERRNO | ENOSYS;
		else if (rule->section == RULES_KILL)
			answer = SECCOMP_RET_KILL_PROCESS;
		else if (rule->section == RULES_QUIET && has_zygotes && !is_allowed_too(rules, rule, who % ZYGOTE))
			answer = SECCOMP_RET_ERRNO | EPERM;
		else if ((rule->section == RULES_ANSWER ||
		             (rule->section == RULES_HANDED && policy_rules_hand(who % ZYGOTE, place))) &&
		    !is_zygotes)
			answer = SECCOMP_RET_ERRNO | (uint32_t)rule->error;
	}
	if (who < ZYGOTE && is_zygotes)
		return SECCOMP_RET_KILL_PROCESS;
	/* Without the mark, the call has the same answer for a zygote. */
	for (size_t i = 0; i < rules->count && is_zygotes && !is_allowed; i++) {
		const struct rule *rule = &rules->rule[i];

		if (rule->call == data->nr && (rule->section == RULES_ENOSYS || rule->section == RULES_KILL))
			answer = SECCOMP_RET_USER_NOTIF; /* marked, with other arguments than a zygote's */
	}
	return is_allowed ? SECCOMP_RET_ALLOW : answer;
}

static void
check(const struct policy *policy, const struct rules *rules, int newest, const struct seccomp_data *data)
{
	for (unsigned who = 0; who < 2 * ZYGOTE; who++) {
		uint32_t wanted = expected(rules, who, newest, data), got = run_both(policy, who, data);

		if (got != wanted)
			fail_msg("%s: call %d (0x%llx, 0x%llx, 0x%llx) of %u: 0x%x, and not 0x%x", policy->name, data->nr,
			    (unsigned long long)data->args[0], (unsigned long long)data->args[1],
			    (unsigned long long)data->args[2], who, got, wanted);
	}
}

/* Arguments that match the rule, and some that differ in one bit of one argument. */
static void
check_around(const struct policy *policy, const struct rules *rules, int newest, const struct rule *rule)
{
	struct seccomp_data data = { .nr = rule->call, .arch = seccomp_arch_native() };

	for (int i = 0; i < RULE_ARGS; i++)
		data.args[i] = rule->arg[i].value;
	check(policy, rules, newest, &data);
	for (int i = 0; i < RULE_ARGS; i++) {
		for (int bit = 0; bit < 64; bit++) {
			data.args[i] ^= UINT64_C(1) << bit;
			check(policy, rules, newest, &data);
			data.args[i] ^= UINT64_C(1) << bit;
		}
		data.args[i] = ~rule->arg[i].value;
		check(policy, rules, newest, &data);
		data.args[i] = UINT64_MAX;
		check(policy, rules, newest, &data);
		data.args[i] = 0;
		check(policy, rules, newest, &data);
		data.args[i] = rule->arg[i].value;
	}
}

static int
newest_call(void)
{
	int newest = 0;

	for (int call = 0; call < 4096; call++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

		newest = name != NULL ? call : newest;
		free(name);
	}
	return newest;
}

static void
check_filters(const char *dir, const char *name)
{
	char error[512];
	struct policy *policy = policy_load(dir, name, place, error, sizeof error);
	int newest = newest_call();
	struct rules rules;

	if (policy == NULL)
		fail_msg("refused: %s", error);
	assert_string_equal(policy->name, name);
	assert_int_equal(policy_rules_load(&rules, dir, name, error, sizeof error), 0);
	for (int call = 0; call < 4096; call++) {
		struct seccomp_data data = { .nr = call, .arch = seccomp_arch_native() };

		check(policy, &rules, newest, &data);
		memset(data.args, 0xff, sizeof data.args);
		check(policy, &rules, newest, &data);
	}
	for (size_t i = 0; i < rules.count; i++)
		check_around(policy, &rules, newest, &rules.rule[i]);
	policy_rules_free(&rules);
	policy_free(policy);
}

static void
test_shipped_policies(void **state)
{
	(void)state;
	check_filters(policy_shipped, "python3");
	check_filters(policy_shipped, "worker");
	/* Where names could lead out of the cells: of runs with a network, and of all. */
	place = POLICY_UNIX(0) | POLICY_UNIX(GRANT_PROCESSES);
	check_filters(policy_shipped, "python3");
	place = 0;
	check_filters(policy_shipped, "python3");
	/* With a network by a proxy, at both levels. */
	place = POLICY_UNIX_ALL | POLICY_ASKED;
	check_filters(policy_shipped, "python3");
	place = POLICY_UNIX_ALL | POLICY_ASKED | POLICY_HANDED;
	check_filters(policy_shipped, "python3");
	place = POLICY_UNIX_ALL;
}

/*
 * The fate of sockets of the internet, with each kind of network. No guest that is handed its
 * sockets can make, connect or bind one by itself, whatever the arguments are.
 */
static void
test_sockets_of_networks(void **state)
{
	static const struct {
		unsigned place, grant;
		uint32_t socket, connect, bind, v6only;
	} cases[] = {
		{ 0, 0, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF },
		{ 0, GRANT_NETWORK, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ POLICY_ASKED, GRANT_NETWORK, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ POLICY_ASKED, GRANT_LOOPBACK, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ POLICY_ASKED | POLICY_HANDED, GRANT_NETWORK, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF,
		    SECCOMP_RET_ERRNO },
		{ POLICY_ASKED | POLICY_HANDED | POLICY_UNIX_ALL, GRANT_NETWORK | GRANT_PROCESSES, SECCOMP_RET_USER_NOTIF,
		    SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ERRNO },
	};
	static const struct {
		uint64_t args[RULE_ARGS];
		bool is_asked;
	} sockets[] = { { { 2, 1, 0 }, true }, { { 10, 1 | 02000000 | 04000, 6 }, true }, { { 2, 2, 0 }, false },
		{ { 2, 1, 262 }, false }, { { 1, 1, 0 }, false }, { { UINT64_C(1) << 32 | 2, 1, 0 }, false } };
	char error[512];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct policy *policy = policy_load(policy_shipped, "python3", cases[i].place, error, sizeof error);
		struct seccomp_data data = { .arch = seccomp_arch_native() };

		assert_non_null(policy);
		data.nr = seccomp_syscall_resolve_name("socket");
		data.args[0] = 2;
		data.args[1] = 1;
		assert_int_equal(run_both(policy, cases[i].grant, &data), cases[i].socket);
		for (int length = 0; length < 256; length++) {
			data.args[2] = (uint64_t)length;
			data.nr = seccomp_syscall_resolve_name("connect");
			assert_int_equal(run_both(policy, cases[i].grant, &data), cases[i].connect);
			data.nr = seccomp_syscall_resolve_name("bind");
			assert_int_equal(run_both(policy, cases[i].grant, &data), cases[i].bind);
		}
		data = (struct seccomp_data){ .nr = seccomp_syscall_resolve_name("setsockopt"),
			.arch = seccomp_arch_native(),
			.args = { 3, 41, 26 } };
		assert_int_equal(run_both(policy, cases[i].grant, &data), cases[i].v6only);
		for (size_t j = 0; j < LENGTH(sockets); j++)
			assert_int_equal(policy_question(policy, SYS_socket, sockets[j].args, true),
			    sockets[j].is_asked ? POLICY_ASKS_SOCKET : POLICY_ASKS_NOTHING);
		assert_int_equal(policy_question(policy, SYS_socket, sockets[0].args, false), POLICY_ASKS_NOTHING);
		assert_int_equal(policy_question(policy, SYS_connect, sockets[0].args, true), POLICY_ASKS_NOTHING);
		policy_free(policy);
	}
}

/* The errors of denied calls: that of the first row that fits, or EPERM. */
static void
test_errors_of_denied_calls(void **state)
{
	static const struct {
		const char *call;
		uint64_t args[RULE_ARGS];
		int error;
	} calls[] = {
		{ "socket", { 2, 1, 0 }, EAFNOSUPPORT },
		{ "socket", { 1, 1, 0 }, EACCES },
		{ "socket", { 1 | 0x100, 1, 0 }, EACCES },
		{ "setsockopt", { 0 }, ENOPROTOOPT },
		{ "getsockopt", { 0 }, EPERM },
		{ "mount", { 0 }, EPERM },
	};
	char error[512];
	struct policy *policy;

	(void)state;
	policy_directory_write(policy_path,
	    "deny = ( { reason = \"r\"; calls = [\"socket\"]; with = \"EACCES\";\n"
	    "    when = ( { arg = 0; mask = [\"0xff\"]; equals = [\"1\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"socket\"]; with = \"EAFNOSUPPORT\"; },\n"
	    "  { reason = \"r\"; calls = [\"setsockopt\"]; with = \"ENOPROTOOPT\"; } );\n"
	    "zygote = ( { reason = \"r\"; calls = [\"setns\"]; } );\n");
	policy = policy_load(policy_directory, "p", 0, error, sizeof error);
	assert_non_null(policy);
	for (size_t i = 0; i < LENGTH(calls); i++) {
		assert_int_equal(policy_denial_error(policy, seccomp_syscall_resolve_name(calls[i].call), calls[i].args),
		    calls[i].error);
	}
	policy_free(policy);
	check_filters(policy_directory, "p");
}

/* The runner is notified of a call that it decides about, and has an error ready. */
static void
test_questions(void **state)
{
	static const uint64_t netlink[RULE_ARGS] = { 16, 3, 0 }, other[RULE_ARGS] = { 16, 3, 9 };
	char error[512];
	struct policy *policy;

	(void)state;
	policy_directory_write(policy_path,
	    "ask = ( { reason = \"r\"; calls = [\"socket\"]; when = ( { arg = 0; one_of = [\"AF_NETLINK\"]; },\n"
	    "    { arg = 2; one_of = [\"NETLINK_ROUTE\"]; } ); } );\n"
	    "deny = ( { reason = \"r\"; calls = [\"socket\"]; with = \"EAFNOSUPPORT\"; } );\n"
	    "zygote = ( { reason = \"r\"; calls = [\"setns\"]; } );\n");
	policy = policy_load(policy_directory, "p", 0, error, sizeof error);
	assert_non_null(policy);
	for (int has_proxy = 0; has_proxy < 2; has_proxy++) {
		assert_int_equal(policy_question(policy, SYS_socket, netlink, has_proxy != 0), POLICY_ASKS_LOOK);
		assert_int_equal(policy_question(policy, SYS_socket, other, has_proxy != 0), POLICY_ASKS_NOTHING);
		assert_int_equal(policy_question(policy, SYS_bind, netlink, has_proxy != 0), POLICY_ASKS_NOTHING);
	}
	assert_int_equal(policy_denial_error(policy, SYS_socket, netlink), EAFNOSUPPORT);
	policy_free(policy);
	check_filters(policy_directory, "p");
}

/* The runner learns of a call with the mark. Without it, the call is like any other. */
static void
test_announced_calls(void **state)
{
	uint64_t args[RULE_ARGS] = { 0 };
	char error[512];
	struct policy *policy;

	(void)state;
	policy_directory_write(policy_path,
	    "allow = ( { reason = \"r\"; calls = [\"exit_group\", \"exit\"]; } );\n"
	    "announce = ( { reason = \"r\"; calls = [\"exit_group\"]; when = ( { arg = 0; one_of = [\"0\"]; } ); } );\n"
	    "zygote = ( { reason = \"r\"; calls = [\"setns\"]; } );\n");
	policy = policy_load(policy_directory, "p", 0, error, sizeof error);
	assert_non_null(policy);
	assert_int_equal(policy_question(policy, SYS_exit_group, args, false), POLICY_ASKS_NOTHING);
	args[ZYGOTE_MARK_ARG] = ZYGOTE_MARK;
	assert_int_equal(policy_question(policy, SYS_exit_group, args, false), POLICY_ANNOUNCES);
	assert_int_equal(policy_question(policy, SYS_exit, args, false), POLICY_ASKS_NOTHING);
	args[0] = 1;
	assert_int_equal(policy_question(policy, SYS_exit_group, args, false), POLICY_ASKS_NOTHING);
	policy_free(policy);
	check_filters(policy_directory, "p");
}

/* Every combination of rules for one call. */
static void
test_rules_side_by_side(void **state)
{
	(void)state;
	policy_directory_write(policy_path,
	    "include = [\"other\"];\n"
	    "allow = ( { reason = \"r\"; calls = [\"read\", \"read\", \"close\"]; },\n"
	    "  { reason = \"narrower than the row above\"; calls = [\"close\"]; when = ( { arg = 0; one_of = [\"7\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"ioctl\"]; when = ( { arg = 1; one_of = [\"1\", \"2\"]; },\n"
	    "    { arg = 2; one_of = [\"3\", \"0xfffffffff\"]; }, { arg = 5; mask = [\"0xf0000000f\"]; equals = [\"1\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"clone\"]; when = ( { arg = 0; mask = [\"6\"]; equals = [\"2\"]; } ); } );\n"
	    "processes = ( { reason = \"r\"; calls = [\"fork\", \"write\"]; },\n"
	    "  { reason = \"r\"; calls = [\"clone\"]; when = ( { arg = 0; mask = [\"4\"]; equals = [\"4\"]; } ); },\n"
	    "  { reason = \"allowed anyhow\"; calls = [\"read\"]; when = ( { arg = 3; one_of = [\"9\"]; } ); } );\n"
	    "network = ( { reason = \"granted twice\"; calls = [\"write\"]; },\n"
	    "  { reason = \"r\"; calls = [\"socket\"]; when = ( { arg = 0; one_of = [\"2\", \"10\"]; } ); } );\n"
	    "ask = ( { reason = \"r\"; calls = [\"accept\"]; when = ( { arg = 0; one_of = [\"2\"]; } ); } );\n"
	    "sockets = ( { reason = \"r\"; calls = [\"connect\", \"bind\"]; } );\n"
	    "handed = ( { reason = \"r\"; calls = [\"connect\"]; with = \"success\"; } );\n"
	    "answer = ( { reason = \"r\"; calls = [\"fsync\", \"setns\"]; with = \"success\"; },\n"
	    "  { reason = \"r\"; calls = [\"open\", \"openat\"]; with = \"EINVAL\";\n"
	    "    when = ( { arg = 2; mask = [\"O_DIRECT\"]; equals = [\"O_DIRECT\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"openat\"]; with = \"EOPNOTSUPP\";\n"
	    "    when = ( { arg = 2; mask = [\"O_DIRECT\", \"7\"]; equals = [\"7\"]; } ); } );\n"
	    "zygote = ( { reason = \"r\"; calls = [\"setns\", \"clone3\", \"write\", \"bpf\"]; },\n"
	    "  { reason = \"r\"; calls = [\"clone\"]; when = ( { arg = 0; mask = [\"6\"]; equals = []; } ); },\n"
	    "  { reason = \"r\"; calls = [\"socket\"]; when = ( { arg = 0; one_of = [\"1\"]; } ); } );\n");
	policy_directory_write(policy_other_path,
	    "enosys = ( { reason = \"r\"; calls = [\"clone3\", \"openat2\"]; } );\n"
	    "kill = ( { reason = \"r\"; calls = [\"bpf\", \"acct\"]; } );\n"
	    "allow = ( { reason = \"r\"; calls = [\"no_such_call\", \"exit\"]; optional = true; },\n"
	    "  { reason = \"of another architecture\"; calls = [\"socketcall\"]; },\n"
	    "  { reason = \"r\"; calls = [\"openat\"]; when = ( { arg = 2; mask = [\"O_DIRECT\", \"7\"]; equals = [\"2\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"sendto\"]; when = ( { arg = 3; only = [\"MSG_PEEK\", \"0x40\"]; },\n"
	    "    { arg = 4; one_of = [\"0\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"pipe2\"]; when = ( { arg = 1; only = []; } ); },\n"
	    "  { reason = \"r\"; calls = [\"prlimit64\"]; when = ( { arg = 2; one_of = [\"0\"]; } ); },\n"
	    "  { reason = \"r\"; calls = [\"kill\"]; when = ( { arg = 0; not = \"1\"; }, { arg = 1; one_of = [\"9\"]; } ); } );\n"
	    "answer = ( { reason = \"r\"; calls = [\"prlimit64\"]; with = \"success\";\n"
	    "    when = ( { arg = 1; one_of = [\"4\"]; }, { arg = 2; not = \"0\"; } ); } );\n");
	check_filters(policy_directory, "p");
	place = POLICY_UNIX_ALL | POLICY_ASKED | POLICY_HANDED;
	check_filters(policy_directory, "p");
	place = POLICY_UNIX_ALL;
	unlink(policy_other_path);
}

static void
test_nothing_is_allowed_by_an_empty_file(void **state)
{
	char error[512];
	struct policy *policy;

	(void)state;
	policy_directory_write(policy_path, "");
	check_filters(policy_directory, "p");
	policy = policy_load(policy_directory, "p", POLICY_UNIX_ALL, error, sizeof error);
	assert_non_null(policy);
	for (unsigned grant = 0; grant < GRANT_COUNT; grant++)
		assert_true(policy->base[grant].count > 0);
	assert_int_equal(policy->last.count, 0);
	policy_free(policy);
}

static void
test_other_architectures_die(void **state)
{
	static const uint32_t others[] = { AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_S390X, 0, UINT32_MAX };
	struct seccomp_data data = { .nr = 0 };
	char error[512];
	struct policy *policy = policy_load(policy_shipped, "python3", POLICY_UNIX_ALL, error, sizeof error);

	(void)state;
	assert_non_null(policy);
	for (size_t i = 0; i < LENGTH(others); i++) {
		for (data.nr = 0; data.nr < 600; data.nr++) {
			data.arch = others[i];
			assert_int_equal(run(&policy->base[0], &data), SECCOMP_RET_KILL_PROCESS);
		}
	}
#if defined(__x86_64__) && !defined(__ILP32__)
	data.arch = AUDIT_ARCH_X86_64;
	for (int call = 0; call < 600; call++) {
		data.nr = 0x40000000 + call; /* x32 */
		assert_int_equal(run(&policy->base[0], &data), SECCOMP_RET_KILL_PROCESS);
	}
#endif
	policy_free(policy);
}

/* Languages share a policy, and each of them writes the filters out and forgets them. */
static void
test_shared_policies(void **state)
{
	struct policy_cache cache = { .dir = policy_shipped, .place = POLICY_UNIX_ALL };
	struct policy *first, *second, *other;
	char error[512];

	(void)state;
	first = policy_cache_get(&cache, "python3", error, sizeof error);
	assert_non_null(first);
	policy_forget_filters(first);
	assert_non_null(first->last.code);
	second = policy_cache_get(&cache, "python3", error, sizeof error);
	assert_ptr_equal(second, first);
	other = policy_cache_get(&cache, "program", error, sizeof error);
	assert_ptr_not_equal(other, first);
	assert_null(policy_cache_get(&cache, "nothing", error, sizeof error));
	assert_int_equal(cache.count, 2);
	policy_cache_free(&cache);
	assert_non_null(second->last.code);
	policy_forget_filters(second);
	assert_null(second->last.code);
	/* The denials stay until the last one has gone. */
	policy_free(first);
	assert_true(second->denials > 0);
	policy_free(second);
	policy_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_policies),
		cmocka_unit_test(test_sockets_of_networks),
		cmocka_unit_test(test_errors_of_denied_calls),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_announced_calls),
		cmocka_unit_test(test_rules_side_by_side),
		cmocka_unit_test(test_nothing_is_allowed_by_an_empty_file),
		cmocka_unit_test(test_other_architectures_die),
		cmocka_unit_test(test_shared_policies),
	};

	return cmocka_run_group_tests_name("policy", tests, policy_directory_make, policy_directory_remove);
}
