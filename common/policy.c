/*
 * policy.c - see policy.h. Reads a policy's files into rules. cellblock-policy(5) describes the
 * tables below.
 */
#define _GNU_SOURCE
#include "policy.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_schema.h"
#include "log.h"
#include "mark.h"
#include "policy_rules.h"

#define INCLUDE_DEPTH 4
#define WHERE_BYTES 128

struct policy_file {
	struct strings include;
};

struct row {
	char *reason;
	struct strings calls;
	char *with;
	bool optional;
};

struct condition {
	uint32_t arg;
	struct strings one_of;
	struct strings mask;
	struct strings equals;
	struct strings only;
	char * not ;
};

static const struct conf_key file_keys[] = {
	{ .name = "include",
	    .type = CONF_STRINGS,
	    .offset = offsetof(struct policy_file, include),
	    .max = 16,
	    .form = &conf_form_name },
	{ .name = "allow", .type = CONF_LIST, .max = 256 },
	{ .name = "processes", .type = CONF_LIST, .max = 256 },
	{ .name = "network", .type = CONF_LIST, .max = 256 },
	{ .name = "internet", .type = CONF_LIST, .max = 256 },
	{ .name = "sockets", .type = CONF_LIST, .max = 256 },
	{ .name = "handed", .type = CONF_LIST, .max = 256 },
	{ .name = "loopback", .type = CONF_LIST, .max = 256 },
	{ .name = "unix", .type = CONF_LIST, .max = 256 },
	{ .name = "zygote", .type = CONF_LIST, .max = 256 },
	{ .name = "enosys", .type = CONF_LIST, .max = 256 },
	{ .name = "kill", .type = CONF_LIST, .max = 256 },
	{ .name = "quiet", .type = CONF_LIST, .max = 256 },
	{ .name = "answer", .type = CONF_LIST, .max = 256 },
	{ .name = "deny", .type = CONF_LIST, .max = 256 },
	{ .name = "ask", .type = CONF_LIST, .max = 256 },
	{ .name = "announce", .type = CONF_LIST, .max = 256 },
	{ .name = NULL },
};

/*
 * A reason is for the next person who changes the row, and nothing else would enforce one: it is
 * required.
 */
static const struct conf_key row_keys[] = {
	{ .name = "reason", .type = CONF_STRING, .required = true, .offset = offsetof(struct row, reason), .max = 512 },
	{ .name = "calls",
	    .type = CONF_STRINGS,
	    .required = true,
	    .offset = offsetof(struct row, calls),
	    .min = 1,
	    .max = 512,
	    .form = &conf_form_name },
	{ .name = "when", .type = CONF_LIST, .min = 1, .max = RULE_ARGS },
	{ .name = "with", .type = CONF_STRING, .offset = offsetof(struct row, with), .max = 64 },
	{ .name = "optional", .type = CONF_BOOL, .offset = offsetof(struct row, optional) },
	{ .name = NULL },
};

static const struct conf_key condition_keys[] = {
	{ .name = "arg",
	    .type = CONF_UINT32,
	    .required = true,
	    .offset = offsetof(struct condition, arg),
	    .min = 0,
	    .max = RULE_ARGS - 1 },
	{ .name = "one_of", .type = CONF_STRINGS, .offset = offsetof(struct condition, one_of), .min = 1, .max = 64 },
	{ .name = "mask", .type = CONF_STRINGS, .offset = offsetof(struct condition, mask), .min = 1, .max = 64 },
	{ .name = "equals", .type = CONF_STRINGS, .offset = offsetof(struct condition, equals), .min = 0, .max = 64 },
	{ .name = "only", .type = CONF_STRINGS, .offset = offsetof(struct condition, only), .min = 0, .max = 64 },
	{ .name = "not", .type = CONF_STRING, .offset = offsetof(struct condition, not ), .max = 64 },
	{ .name = NULL },
};

/* The answers to calls that are not made, and the errors of denied ones. */
static const struct answer {
	const char *name;
	int error;
} answers[] = { { "success", 0 }, { "EINVAL", EINVAL }, { "ENOTTY", ENOTTY }, { "EOPNOTSUPP", EOPNOTSUPP } },
  denials[] = { { "EACCES", EACCES }, { "EAFNOSUPPORT", EAFNOSUPPORT }, { "ENOPROTOOPT", ENOPROTOOPT } };

/* The place that is being read. */
struct reader {
	struct rules *rules;
	enum rule_section section;
	const struct conf_file *file;
	const config_setting_t *row;
};

static int
value_of(const struct conf_file *file, const config_setting_t *at, const char *text, uint64_t *value)
{
	char where[WHERE_BYTES];

	if (policy_value(text, value) == 0)
		return 0;
	return conf_file_fail(file, at,
	    "%s: unknown value \"%.64s\"; allowed: a number, or a name that cellblock-policy(5) lists",
	    conf_file_where(at, where, sizeof where), text);
}

static int
sum_of(const struct conf_file *file, const config_setting_t *at, const struct strings *names, uint64_t *sum)
{
	*sum = 0;
	for (size_t i = 0; i < names->count; i++) {
		uint64_t value;

		if (value_of(file, at, names->item[i], &value) != 0)
			return -1;
		*sum |= value;
	}
	return 0;
}

static int
add_rule(const struct reader *reader, const struct rule *rule, const char *name)
{
	const struct rule *old = policy_rules_conflict(reader->rules, rule);
	char where[WHERE_BYTES];

	if (old != NULL)
		return conf_file_fail(reader->file, reader->row, "%s: %s is already in \"%s\"; %s",
		    conf_file_where(reader->row, where, sizeof where), name, policy_rule_sections[old->section],
		    old->section == RULES_ANSWER || rule->section == RULES_ANSWER ?
		        "allowed: rows of which no arguments fit both" :
		        "a call may be in one of these sections only");
	policy_rules_add(reader->rules, rule);
	return 0;
}

static bool
is_given(const config_setting_t *group, const char *key)
{
	return config_setting_get_member(group, key) != NULL;
}

/* Add the rule with condition `index` and all that follow; with one_of, a rule for each value. */
static int
add_rules_when(const struct reader *reader, unsigned index, struct rule *rule, const char *name)
{
	struct condition condition = { .arg = 0 };
	const config_setting_t *at;
	struct rule_match *match;
	char where[WHERE_BYTES];
	int result = -1;

	if (index == conf_list_count(reader->row, "when"))
		return add_rule(reader, rule, name);
	at = conf_list_element(reader->row, "when", index);
	conf_file_where(at, where, sizeof where);
	if (conf_schema_read(reader->file, at, condition_keys, &condition) != 0)
		goto out;
	match = &rule->arg[condition.arg];
	if (match->mask != 0)
		conf_file_fail(reader->file, at, "%s: argument %u already has a condition; allowed: one", where, condition.arg);
	else if ((condition.one_of.count > 0) + (condition.mask.count > 0) + is_given(at, "only") + is_given(at, "not") != 1 ||
	    (condition.mask.count > 0) != is_given(at, "equals"))
		conf_file_fail(reader->file, at, "%s: incomplete condition; allowed: one_of, or mask and equals, or only, or not",
		    where);
	else if (condition.not != NULL) {
		*match = (struct rule_match){ .mask = UINT64_MAX, .differs = true };
		if (value_of(reader->file, at, condition.not, &match->value) == 0)
			result = add_rules_when(reader, index + 1, rule, name);
	} else if (condition.one_of.count > 0) {
		result = 0;
		for (size_t i = 0; i < condition.one_of.count && result == 0; i++) {
			match->mask = UINT64_MAX;
			result = value_of(reader->file, at, condition.one_of.item[i], &match->value);
			if (result == 0)
				result = add_rules_when(reader, index + 1, rule, name);
		}
	} else if (is_given(at, "only")) {
		/* Flags are an int for the kernel: it does not see the upper half. */
		if (sum_of(reader->file, at, &condition.only, &match->mask) == 0) {
			match->mask = ~match->mask & UINT32_MAX;
			if (match->mask == 0)
				conf_file_fail(reader->file, at, "%s.only allows every value; allowed: fewer bits", where);
			else
				result = add_rules_when(reader, index + 1, rule, name);
		}
	} else if (sum_of(reader->file, at, &condition.mask, &match->mask) == 0 &&
	    sum_of(reader->file, at, &condition.equals, &match->value) == 0) {
		if ((match->value & ~match->mask) != 0 || match->mask == 0)
			conf_file_fail(reader->file, at, "%s.equals can never match; allowed: a part of the mask", where);
		else
			result = add_rules_when(reader, index + 1, rule, name);
	}
	*match = (struct rule_match){ .mask = 0 };
out:
	conf_schema_free(condition_keys, &condition);
	return result;
}

/* Find an answer by its name. Returns 0, or -1 if it is not in the list. */
static int
find_answer(const struct answer *list, size_t count, const char *name, int *error)
{
	for (size_t i = 0; name != NULL && i < count; i++) {
		if (strcmp(name, list[i].name) == 0) {
			*error = list[i].error;
			return 0;
		}
	}
	return -1;
}

/* Read the answer of a row, which three lists have and the others have not. */
static int
read_answer(const struct reader *reader, const char *with, int *error)
{
	bool is_denial = reader->section == RULES_DENY;
	bool is_answer = reader->section == RULES_ANSWER || reader->section == RULES_HANDED;
	char where[WHERE_BYTES];

	conf_file_where(reader->row, where, sizeof where);
	if (!is_answer && !is_denial && with != NULL)
		return conf_file_fail(reader->file, reader->row, "%s.with: allowed: only in \"answer\", \"handed\" and \"deny\"",
		    where);
	if (!is_answer && !is_denial)
		return 0;
	if (is_denial ? find_answer(denials, sizeof denials / sizeof denials[0], with, error) == 0 :
	                find_answer(answers, sizeof answers / sizeof answers[0], with, error) == 0)
		return 0;
	return conf_file_fail(reader->file, reader->row, "%s.with: \"%.64s\" is no answer; allowed: %s", where,
	    with == NULL ? "" : with, is_denial ? "EACCES, EAFNOSUPPORT, ENOPROTOOPT" : "success, EINVAL, ENOTTY, EOPNOTSUPP");
}

static int
read_row(const struct reader *reader)
{
	struct row row = { .reason = NULL };
	int error = 0;
	int result = conf_schema_read(reader->file, reader->row, row_keys, &row);

	if (result == 0)
		result = read_answer(reader, row.with, &error);
	for (size_t i = 0; i < row.calls.count && result == 0; i++) {
		struct rule rule = { .section = reader->section, .reason = row.reason, .error = error };
		char where[WHERE_BYTES];

		rule.call = seccomp_syscall_resolve_name(row.calls.item[i]);
		if (rule.call == __NR_SCMP_ERROR && !row.optional)
			result = conf_file_fail(reader->file, config_setting_get_member(reader->row, "calls"),
			    "%s.calls: unknown system call \"%s\"; allowed: those that libseccomp knows, others with optional = true",
			    conf_file_where(reader->row, where, sizeof where), row.calls.item[i]);
		/* Other negative numbers stand for calls that this architecture does not have. */
		if (rule.section == RULES_ZYGOTE || rule.section == RULES_ANNOUNCE)
			rule.arg[ZYGOTE_MARK_ARG] = (struct rule_match){ .mask = UINT64_MAX, .value = ZYGOTE_MARK };
		if (rule.call >= 0)
			result = add_rules_when(reader, 0, &rule, row.calls.item[i]);
	}
	conf_schema_free(row_keys, &row);
	return result;
}

static int
read_file(const char *dir, const char *name, int depth, struct rules *rules, char *error, size_t error_size)
{
	struct policy_file contents = { { NULL, 0 } };
	struct conf_file file;
	const config_setting_t *root;
	struct reader reader = { .rules = rules, .file = &file };
	int result = -1;
	char *path;

	if (asprintf(&path, "%s/%s.conf", dir, name) < 0)
		die("out of memory");
	if (conf_file_open(&file, path, NULL, error, error_size) != 0) {
		free(path);
		return -1;
	}
	root = config_root_setting(&file.parsed);
	if (conf_schema_read(&file, root, file_keys, &contents) != 0)
		goto out;
	if (contents.include.count > 0 && depth == INCLUDE_DEPTH) {
		conf_file_fail(&file, root, "include: policies include each other more than %d deep", INCLUDE_DEPTH);
		goto out;
	}
	for (size_t i = 0; i < contents.include.count; i++) {
		if (read_file(dir, contents.include.item[i], depth + 1, rules, error, error_size) != 0)
			goto out;
	}
	for (reader.section = 0; reader.section < RULES_SECTIONS; reader.section++) {
		const char *list = policy_rule_sections[reader.section];

		for (unsigned i = 0; i < conf_list_count(root, list); i++) {
			reader.row = conf_list_element(root, list, i);
			if (read_row(&reader) != 0)
				goto out;
		}
	}
	result = 0;
out:
	conf_schema_free(file_keys, &contents);
	conf_file_close(&file);
	free(path);
	return result;
}

int
policy_rules_load(struct rules *rules, const char *dir, const char *name, char *error, size_t error_size)
{
	*rules = (struct rules){ NULL, 0 };
	if (!conf_form_name.fits(name)) {
		snprintf(error, error_size, "policy \"%.64s\": malformed name; allowed: %s", name, conf_form_name.allowed);
		return -1;
	}
	return read_file(dir, name, 0, rules, error, error_size);
}

struct policy *
policy_load(const char *dir, const char *name, unsigned place, char *error, size_t error_size)
{
	struct policy *policy = calloc(1, sizeof *policy);
	struct rules rules;

	if (policy == NULL)
		die("out of memory");
	policy->name = conf_strdup(name);
	policy->holders = policy->filter_users = 1;
	if (policy_rules_load(&rules, dir, name, error, error_size) != 0 ||
	    policy_compile(&rules, place, policy, error, error_size) != 0) {
		policy_free(policy);
		policy = NULL;
	}
	policy_rules_free(&rules);
	return policy;
}

static void
forget(struct bpf *filter)
{
	free(filter->code);
	*filter = (struct bpf){ NULL, 0 };
}

struct policy *
policy_hold(struct policy *policy)
{
	policy->holders++;
	policy->filter_users++;
	return policy;
}

void
policy_forget_filters(struct policy *policy)
{
	if (--policy->filter_users > 0)
		return;
	for (unsigned grant = 0; grant < GRANT_COUNT; grant++)
		forget(&policy->base[grant]);
	forget(&policy->last);
}

void
policy_free(struct policy *policy)
{
	if (policy == NULL || --policy->holders > 0)
		return;
	policy->filter_users = 1;
	policy_forget_filters(policy);
	free(policy->denial);
	free(policy->asked);
	free(policy->name);
	free(policy);
}

/* The first kind of call in a list that fits a call; NULL: none. */
static const struct policy_call *
find(const struct policy_call *list, size_t count, int call, const uint64_t *args)
{
	for (size_t i = 0; i < count; i++) {
		bool fits = list[i].call == call;

		for (unsigned arg = 0; arg < RULE_ARGS; arg++)
			fits = fits &&
			    ((args[arg] & list[i].arg[arg].mask) == list[i].arg[arg].value) != list[i].arg[arg].differs;
		if (fits)
			return &list[i];
	}
	return NULL;
}

int
policy_denial_error(const struct policy *policy, int call, const uint64_t *args)
{
	const struct policy_call *denial = find(policy->denial, policy->denials, call, args);

	return denial != NULL ? denial->error : EPERM;
}

enum policy_question
policy_question(const struct policy *policy, int call, const uint64_t *args, bool has_proxy)
{
	const struct policy_call *asked = find(policy->asked, policy->asked_count, call, args);

	if (asked == NULL || (asked->question == POLICY_ASKS_SOCKET && !has_proxy))
		return POLICY_ASKS_NOTHING;
	return asked->question;
}
