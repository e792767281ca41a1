/* request_dependencies_test.c - the packages that a request needs. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "request_body.h"

#define STRICT MINIMAL ",\"strict\":true"

static void
test_dependencies(void **state)
{
	static const char needs[] = "numpy\0\0"
	                            "ruamel.yaml_x\0"
	                            "0.17.21+b1\0"
	                            "a\0";

	(void)state;
	accept_body("{" STRICT ",\"dependencies\":[\"numpy\",{\"name\":\"ruamel.yaml_x\",\"version\":\"0.17.21+b1\",\"x\":1},"
	            "{\"name\":\"a\",\"version\":\"\"}]}");
	assert_int_equal(request.needs.count, 6);
	assert_int_equal(request.needs.size, sizeof needs);
	assert_memory_equal(request.needs.bytes, needs, sizeof needs);
	request_free(&request);
	accept_body("{" STRICT ",\"dependencies\":[]}");
	assert_int_equal(request.needs.count, 0);
	request_free(&request);
}

/* dify-sandbox ignores the field, so only who asks for more gets it. */
static void
test_dependencies_of_old_clients(void **state)
{
	static const char *const values[] = { "3", "\"numpy\"", "{}", "[3]", "[\"../x\"]", "[{\"version\":1}]", "[\"numpy\"]" };
	static const char *const stricts[] = { "", ",\"strict\":false", ",\"strict\":null" };
	char body[128];

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++) {
		for (size_t j = 0; j < LENGTH(stricts); j++) {
			snprintf(body, sizeof body, "{" MINIMAL "%s,\"dependencies\":%s}", stricts[j], values[i]);
			accept_body(body);
			assert_int_equal(request.needs.count, 0);
			request_free(&request);
		}
	}
	accept_body("{" MINIMAL ",\"strict\":3}");
	request_free(&request);
}

static void
test_bad_dependencies(void **state)
{
	static const struct {
		const char *value, *text;
	} cases[] = { { "3", "dependencies: must be a list of packages" }, { "{}", "dependencies: must be a list of packages" },
		{ "[\"a\",3]", "dependencies[1]: must be a name, or an object with a name and a version" },
		{ "[null]", "dependencies[0]: must be a name, or an object" },
		{ "[[]]", "dependencies[0]: must be a name, or an object" },
		{ "[\"\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"a==1\"]", "dependencies[0]: must be the name of a package; a version is a member of" },
		{ "[\"../a\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"@a/b\"]", "dependencies[0]: must be the name of a package" },
		{ "[\"a\\u0000b\"]", "dependencies[0]: must be the name of a package" },
		{ "[{}]", "dependencies[0].name: must be the name of a package" },
		{ "[{\"name\":3}]", "dependencies[0].name: must be the name of a package" },
		{ "[{\"name\":\"a\",\"version\":3}]", "dependencies[0].version: must be one version" },
		{ "[{\"name\":\"a\",\"version\":\">=1\"}]", "dependencies[0].version: must be one version" } };
	char body[256];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(body, sizeof body, "{" STRICT ",\"dependencies\":%s}", cases[i].value);
		refuse_body(body, cases[i].text);
	}
	refuse_body("{" MINIMAL ",\"strict\":\"yes\",\"dependencies\":[]}", "strict: must be true or false");
	refuse_body("{\"language\":\"c\",\"code\":\"x\",\"strict\":true,\"dependencies\":[\"a\"]}",
	    "dependencies: c has no packages; none can be required");
	accept_body("{\"language\":\"c\",\"code\":\"x\",\"strict\":true,\"dependencies\":[]}");
	request_free(&request);
	/* npm's names may have a scope, and lead nowhere else either. */
	python.packages = PACKAGES_NPM;
	accept_body("{" STRICT ",\"dependencies\":[\"@types/node\",\"left-pad\"]}");
	assert_int_equal(request.needs.count, 4);
	request_free(&request);
	refuse_body("{" STRICT ",\"dependencies\":[\"@types/../x\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"@../x\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"@a/..\"]}", "dependencies[0]: must be");
	refuse_body("{" STRICT ",\"dependencies\":[\"a/b\"]}", "dependencies[0]: must be");
	python.packages = PACKAGES_PIP;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_dependencies_of_old_clients),
		cmocka_unit_test(test_bad_dependencies),
	};

	return cmocka_run_group_tests_name("request_dependencies", tests, NULL, NULL);
}
