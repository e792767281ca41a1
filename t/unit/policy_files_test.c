/*
 * policy_files_test.c - the errors in policy files.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "policy.h"
#include "policy_directory.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define ROW(rest) "( { reason = \"r\"; " rest " } );\n"
#define WHEN(call, condition) ROW("calls = [\"" call "\"]; when = ( { " condition " } );")
#define UNCLEAR "incomplete condition; allowed: one_of, or mask and equals, or only, or not"

static const struct bad_file {
	const char *text, *rest;
} bad_files[] = {
	{ "alow = ();",
	    ":1: unknown key \"alow\"; allowed: include, allow, processes, network, internet, sockets, handed, loopback, unix, zygote, enosys, kill, quiet, answer, deny, ask, announce" },
	{ "allow = [\"read\"];", ":1: allow: is not a list of groups; allowed: ( { ... }, ... ) with 0 to 256 groups" },
	{ "allow = (\n\"read\");", ":1: allow: element 0 is not a group; allowed: ( { ... }, ... ) with 0 to 256 groups" },
	{ "allow = ( { calls = [\"read\"]; } );",
	    ":1: allow[0].reason is missing; allowed: any text, in quotes, 1 to 512 "
	    "bytes" },
	{ "allow = " ROW(""),
	    ":1: allow[0].calls is missing; allowed: [...] with 1 to 512 elements: up to 31 "
	    "letters, digits and ._+#-, the first a letter or digit, in quotes" },
	{ "allow = " ROW("calls = [];"),
	    ":1: allow[0].calls: has 0 elements; allowed: [...] with 1 to 512 "
	    "elements: up to 31 letters, digits and ._+#-, the first a letter or digit, in quotes" },
	{ "allow = " ROW("\ncalls = [\"read\", \"raed\"];"),
	    ":2: allow[0].calls: unknown system call \"raed\"; "
	    "allowed: those that libseccomp knows, others with optional = true" },
	{ "kill = " ROW("calls = [\"read\"]; optional = 1;"), ":1: kill[0].optional: is not a boolean; allowed: true, false" },
	{ "allow = " ROW("calls = [\"read\"]; when = { };"),
	    ":1: allow[0].when: is not a list of groups; allowed: ( { ... }, "
	    "... ) with 1 to 6 groups" },
	{ "allow = " WHEN("read", "one_of = [\"1\"];"), ":1: allow[0].when[0].arg is missing; allowed: 0 to 5" },
	{ "allow = " WHEN("read", "arg = 6; one_of = [\"1\"];"),
	    ":1: allow[0].when[0].arg: 6 is out of range; allowed: 0 to "
	    "5" },
	{ "allow = " WHEN("read", "arg = 1;"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; mask = [\"1\"];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; equals = [\"1\"];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"1\"]; equals = [\"1\"];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"1\"]; mask = [\"1\"]; equals = [];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; one_of = [];"),
	    ":1: allow[0].when[0].one_of: has 0 elements; "
	    "allowed: [...] with 1 to 64 elements: any text, in quotes" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [1];"),
	    ":1: allow[0].when[0].one_of[0]: is not a string; "
	    "allowed: [...] with 1 to 64 elements: any text, in quotes" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"CLONE\"];"),
	    ":1: allow[0].when[0]: unknown value "
	    "\"CLONE\"; allowed: a number, or a name that cellblock-policy(5) lists" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"-1\"];"),
	    ":1: allow[0].when[0]: unknown value \"-1\"; "
	    "allowed: a number, or a name that cellblock-policy(5) lists" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"12x\"];"),
	    ":1: allow[0].when[0]: unknown value \"12x\"; "
	    "allowed: a number, or a name that cellblock-policy(5) lists" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"0x10000000000000000\"];"),
	    ":1: allow[0].when[0]: "
	    "unknown value \"0x10000000000000000\"; allowed: a number, or a name that cellblock-policy(5) lists" },
	{ "allow = " WHEN("read", "arg = 1; mask = [\"6\"]; equals = [\"1\"];"),
	    ":1: allow[0].when[0].equals "
	    "can never match; allowed: a part of the mask" },
	{ "allow = " WHEN("read", "arg = 1; mask = [\"0\"]; equals = [];"),
	    ":1: allow[0].when[0].equals can "
	    "never match; allowed: a part of the mask" },
	{ "allow = " WHEN("read", "arg = 1; one_of = [\"1\"]; }, { arg = 1; one_of = [\"2\"];"),
	    ":1: "
	    "allow[0].when[1]: argument 1 already has a condition; allowed: one" },
	{ "allow = " WHEN("read", "arg = 1; one = [\"1\"];"),
	    ":1: unknown key \"one\" in allow[0].when[0]; allowed: arg, "
	    "one_of, mask, equals, only, not" },
	{ "allow = " WHEN("read", "arg = 1; not = \"1\"; one_of = [\"1\"];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; not = \"x\";"),
	    ":1: allow[0].when[0]: unknown value \"x\"; allowed: a number, or a name that cellblock-policy(5) lists" },
	{ "allow = " WHEN("read", "arg = 1; only = [\"1\"]; one_of = [\"1\"];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; only = [\"1\"]; mask = [\"1\"]; equals = [];"), ":1: allow[0].when[0]: " UNCLEAR },
	{ "allow = " WHEN("read", "arg = 1; only = [\"0xffffffff\"];"),
	    ":1: allow[0].when[0].only allows every value; allowed: fewer bits" },

	/* Calls that are not made. */
	{ "answer = " ROW("calls = [\"read\"];"),
	    ":1: answer[0].with: \"\" is no answer; allowed: success, EINVAL, ENOTTY, EOPNOTSUPP" },
	{ "answer = " ROW("calls = [\"read\"]; with = \"EPERM\";"),
	    ":1: answer[0].with: \"EPERM\" is no answer; allowed: success, EINVAL, ENOTTY, EOPNOTSUPP" },
	{ "deny = " ROW("calls = [\"read\"];"),
	    ":1: deny[0].with: \"\" is no answer; allowed: EACCES, EAFNOSUPPORT, ENOPROTOOPT" },
	{ "deny = " ROW("calls = [\"read\"]; with = \"success\";"),
	    ":1: deny[0].with: \"success\" is no answer; allowed: EACCES, EAFNOSUPPORT, ENOPROTOOPT" },
	{ "allow = " ROW("calls = [\"read\"]; with = \"success\";"),
	    ":1: allow[0].with: allowed: only in \"answer\", \"handed\" and \"deny\"" },
	{ "allow = " ROW("calls = [\"read\"];") "answer = " ROW("calls = [\"read\"]; with = \"success\";"),
	    ":2: answer[0]: read is already in \"allow\"; allowed: rows of which no arguments fit both" },
	{ "allow = " WHEN("read",
	      "arg = 1; mask = [\"6\"]; equals = [\"2\"];") "answer = ( { reason = \"r\"; calls = [\"read\"]; "
	                                                    "with = \"success\"; when = ( { arg = 1; one_of = [\"3\"]; } ); } );",
	    ":2: answer[0]: read is already in \"allow\"; allowed: rows of which no arguments fit both" },
	{ "answer = ( { reason = \"r\"; calls = [\"read\"]; with = \"success\"; },\n"
	  "{ reason = \"r\"; calls = [\"read\"]; with = \"EINVAL\"; } );",
	    ":2: answer[1]: read is already in \"answer\"; allowed: rows of which no arguments fit both" },

	{ "allow = " WHEN("read",
	      "arg = 1; not = \"3\";") "answer = ( { reason = \"r\"; calls = [\"read\"]; "
	                               "with = \"ENOTTY\"; when = ( { arg = 1; mask = [\"7\"]; equals = [\"3\"]; } ); } );",
	    ":2: answer[0]: read is already in \"allow\"; allowed: rows of which no arguments fit both" },
	{ "allow = " WHEN("read", "arg = 1; not = \"3\";") "answer = ( { reason = \"r\"; calls = [\"read\"]; "
	                                                   "with = \"ENOTTY\"; when = ( { arg = 1; not = \"4\"; } ); } );",
	    ":2: answer[0]: read is already in \"allow\"; allowed: rows of which no arguments fit both" },

	/* One call in two sections that contradict each other. */
	{ "allow = " ROW("calls = [\"read\"];") "kill = " ROW("calls = [\"read\"];"),
	    ":2: kill[0]: read is "
	    "already in \"allow\"; a call may be in one of these sections only" },
	{ "enosys = " ROW("calls = [\"read\"];") "kill = " ROW("calls = [\"read\"];"),
	    ":2: kill[0]: read is "
	    "already in \"enosys\"; a call may be in one of these sections only" },
	{ "network = " WHEN("read", "arg = 0; one_of = [\"1\"];") "enosys = " ROW("calls = [\"read\"];"),
	    ":2: "
	    "enosys[0]: read is already in \"network\"; a call may be in one of these sections only" },
	{ "kill = " ROW("calls = [\"read\"];") "quiet = " ROW("calls = [\"read\"];"),
	    ":2: quiet[0]: read is "
	    "already in \"kill\"; a call may be in one of these sections only" },
	/* The argument that carries the mark. */
	{ "zygote = " WHEN("read", "arg = 5; one_of = [\"1\"];"),
	    ":1: zygote[0].when[0]: argument 5 already has "
	    "a condition; allowed: one" },

	{ "include = [\"p\"];", ":1: include: policies include each other more than 4 deep" },
	{ "include = [\"../p\"];",
	    ":1: include[0]: \"../p\" is malformed; allowed: [...] with 0 to 16 elements: "
	    "up to 31 letters, digits and ._+#-, the first a letter or digit, in quotes" },
};

static void
test_bad_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(bad_files); i++) {
		char error[512] = "", expected[512];
		struct policy *policy;

		policy_directory_write(policy_path, bad_files[i].text);
		policy = policy_load(policy_directory, "p", POLICY_UNIX_ALL, error, sizeof error);
		if (policy != NULL)
			fail_msg("taken, and not refused with \"%s\"", bad_files[i].rest);
		snprintf(expected, sizeof expected, "%s%s", policy_path, bad_files[i].rest);
		assert_string_equal(error, expected);
	}
}

static void
test_bad_names_and_includes(void **state)
{
	char error[512], expected[512];

	(void)state;
	assert_null(policy_load(policy_directory, "../p", POLICY_UNIX_ALL, error, sizeof error));
	assert_string_equal(error,
	    "policy \"../p\": malformed name; allowed: up to 31 letters, digits and "
	    "._+#-, the first a letter or digit");
	policy_directory_write(policy_path, "include = [\"other\"];");
	assert_null(policy_load(policy_directory, "p", POLICY_UNIX_ALL, error, sizeof error));
	snprintf(expected, sizeof expected, "%s: cannot read the file: No such file or directory", policy_other_path);
	assert_string_equal(error, expected);
	policy_directory_write(policy_other_path, "\nallow = 1;");
	assert_null(policy_load(policy_directory, "p", POLICY_UNIX_ALL, error, sizeof error));
	snprintf(expected, sizeof expected,
	    "%s:2: allow: is not a list of groups; allowed: ( { ... }, ... ) with 0 to 256 "
	    "groups",
	    policy_other_path);
	assert_string_equal(error, expected);
	unlink(policy_other_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_bad_names_and_includes),
	};

	return cmocka_run_group_tests_name("policy files", tests, policy_directory_make, policy_directory_remove);
}
