/*
 * fd_budget_test.c - the descriptors that a configuration can need, and the limit that is raised to
 * it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/compile_cache.h"
#include "start/fd_budget.h"

static struct language_config language[3];

static struct config
small_config(void)
{
	struct config config = { .path = (char *)(uintptr_t) "test.conf",
		.cells = 8,
		.queue = 10,
		.requests = 10,
		.cgroup = LAYER_REQUIRED,
		.network = NETWORK_NONE,
		.compiled_bytes = 0,
		.connections = 32,
		.language_count = 1 };

	for (size_t i = 0; i < 3; i++) {
		language[i] = (struct language_config){ .name = (char *)(uintptr_t) "python3",
			.warm_count = 1,
			.warm[0].zygotes = 1,
			.limits.maximum.open_files = 64 };
		config.language[i] = &language[i];
	}
	return config;
}

static uint64_t
total(const struct config *config)
{
	struct fd_budget budget;
	uint64_t sum = 0;

	fd_budget_of_broker(config, &budget);
	for (size_t i = 0; i < FD_BUDGET_PARTS; i++)
		sum += budget.part[i].count * budget.part[i].each;
	assert_int_equal(sum, budget.total);
	return budget.total;
}

/* How much more is needed after a change. */
#define COST(change) \
	({ \
		struct config config = small_config(); \
		uint64_t before = total(&config); \
		change; \
		total(&config) - before; \
	})

static void
each_setting_has_its_price(void **state)
{
	(void)state;
	/*
	 * 16 of the control group, 5 of the cell, 5 of its run; and 10 more processes of workers,
	 * twice.
	 */
	assert_int_equal(COST(config.cells += 100), 100 * 26 + 10 * 23 * 2);
	assert_int_equal(COST(config.cells = 4096), (4096 - 8) * 26 + 409 * 23 * 2);
	assert_int_equal(COST(config.network = NETWORK_PROXY), 8 * 4);
	assert_int_equal(COST(config.network = NETWORK_HOST), 0);
	assert_int_equal(COST(config.cgroup = LAYER_OPTIONAL), 0);
	assert_int_equal(COST(config.queue += 7), 7 * 8 + 23 * 2);
	assert_int_equal(COST(config.requests = 1), 50 * 14 * 2 - 5 * 23 * 2);
	assert_int_equal(COST(config.compiled_bytes = 1), COMPILE_CACHE_ENTRIES_MAX);
	assert_int_equal(COST(language[0].warm[0].zygotes = 5), 4 * 8);
	/* One more kind of zygotes, with each grant: a setup and a zygote. */
	assert_int_equal(COST((language[0].warm_count = 2, language[0].warm[1].zygotes = 1)), 6 + 6 * 8);
	assert_int_equal(COST(config.language_count = 3), 2 * (7 + 2 * (6 + 6 * 8)));
}

static void
without_control_groups_a_cell_needs_less(void **state)
{
	struct config config = small_config();
	uint64_t before = total(&config);

	(void)state;
	config.cgroup = LAYER_OFF;
	assert_int_equal(before - total(&config), 8 * 16);
}

/* Many languages, and next to nothing that runs: the start needs more than the service. */
static void
the_start_needs_some_too(void **state)
{
	struct config config = small_config();

	(void)state;
	config.cells = 1;
	config.queue = 0;
	config.language_count = CONFIG_MAX_LANGUAGES;
	for (size_t i = 0; i < CONFIG_MAX_LANGUAGES; i++)
		config.language[i] = &language[0];
	assert_true(total(&config) > 64u * CONFIG_MAX_LANGUAGES);
}

static void
the_relay(void **state)
{
	struct config config = small_config();

	(void)state;
	assert_int_equal(fd_budget_of_relay(&config), 16 + 8 * (2 + 2 * 32));
	/* At level chroot connections wait in the relay. */
	config.level = LEVEL_CHROOT;
	assert_int_equal(fd_budget_of_relay(&config), 16 + 8 * (2 + 2 * 32 + 64));
	config.level = LEVEL_NAMESPACES;
	config.cells = 4096;
	config.connections = 1024;
	assert_int_equal(fd_budget_of_relay(&config), 16 + 4096ull * 2050);
}

/*
 * Reserve in a child with a hard limit of `hard`, which it cannot raise. Returns the exit status;
 * its text is in `error`.
 */
static int
reserve(const struct config *config, rlim_t hard, char *error, size_t size)
{
	int report[2], status = -1;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		const struct rlimit files = { 64, hard };
		struct rlimit now;
		char text[1024] = "";
		int result;

		setrlimit(RLIMIT_NOFILE, &files);
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
			_exit(9);
		result = fd_budget_reserve(config, text, sizeof text);
		getrlimit(RLIMIT_NOFILE, &now);
		if (result == 0 && (now.rlim_cur < total(config) || now.rlim_max != hard))
			_exit(8);
		_exit(write(report[1], text, strlen(text)) < 0 ? 7 : result != 0);
	}
	close(report[1]);
	n = read(report[0], error, size - 1);
	error[n > 0 ? n : 0] = '\0';
	close(report[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void
a_limit_that_is_enough_is_used(void **state)
{
	struct config config = small_config();
	char error[1024];

	(void)state;
	assert_int_equal(reserve(&config, total(&config), error, sizeof error), 0);
	assert_string_equal(error, "");
}

static void
one_that_is_not_is_told_with_the_sum(void **state)
{
	struct config config = small_config();
	char error[1024], sum[64];

	(void)state;
	assert_int_equal(reserve(&config, total(&config) - 1, error, sizeof error), 1);
	snprintf(sum, sizeof sum, " = %llu;", (unsigned long long)total(&config));
	assert_non_null(strstr(error, "test.conf: runner.cells: "));
	assert_non_null(strstr(error, "8 cells x 26 + 10 queued runs x 8 + "));
	assert_non_null(strstr(error, sum));
	assert_non_null(strstr(error, "LimitNOFILE"));
	language[0].limits.maximum.open_files = 5000;
	assert_int_equal(reserve(&config, 1000, error, sizeof error), 1);
	assert_non_null(strstr(error, "limits.open_files: the maximum of python3, 5000, "));
	language[0].limits.maximum.open_files = 64;
	config.network = NETWORK_PROXY;
	config.connections = 1024;
	assert_int_equal(reserve(&config, 5000, error, sizeof error), 1);
	assert_non_null(strstr(error, "network.connections: 1024 for each of 8 cells are up to 16416 open files"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_setting_has_its_price),
		cmocka_unit_test(without_control_groups_a_cell_needs_less),
		cmocka_unit_test(the_start_needs_some_too),
		cmocka_unit_test(the_relay),
		cmocka_unit_test(a_limit_that_is_enough_is_used),
		cmocka_unit_test(one_that_is_not_is_told_with_the_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
