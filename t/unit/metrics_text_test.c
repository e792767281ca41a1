/* metrics_text_test.c - the metrics as text: names, labels and escapes, cumulative buckets, units. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_text.h"

static struct metrics metrics;
static char *text;
static size_t size;

static int
begin(void **state)
{
	(void)state;
	memset(&metrics, 0, sizeof metrics);
	metrics.version = METRICS_VERSION;
	metrics.language_count = 2;
	strcpy(metrics.language[0].name, "c");
	metrics.language[0].is_compiled = 1;
	strcpy(metrics.language[1].name, "python3");
	strcpy(metrics.cells[0].state, "free");
	metrics.cells[0].count = 7;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static void
render_service(const struct metrics *from)
{
	FILE *out = open_memstream(&text, &size);

	metrics_text_service(out, from, LEVEL_CHROOT);
	assert_int_equal(fclose(out), 0);
}

static void
render_keys(void)
{
	FILE *out = open_memstream(&text, &size);

	metrics_text_keys(out, &metrics);
	assert_int_equal(fclose(out), 0);
}

static bool
has_line(const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)) != NULL; at++) {
		if ((at == text || at[-1] == '\n') && at[length] == '\n')
			return true;
	}
	return false;
}

#define assert_line(line) \
	do { \
		if (!has_line(line)) \
			fail_msg("no line \"%s\" in:\n%s", (line), text); \
	} while (0)

static void
a_runner_that_is_away(void **state)
{
	(void)state;
	render_service(NULL);
	assert_line("cellblock_runner_up 0");
	assert_null(strstr(text, "cellblock_cells"));
}

static void
counters_and_gauges(void **state)
{
	(void)state;
	metrics.started_us = 1700000000123456;
	metrics.generation = 3;
	metrics.language[1].runs[VERDICT_TIMEOUT] = 5;
	metrics.language[0].compilations[VERDICT_OK] = 2;
	metrics.language[0].refusals[REFUSED_SHARE] = 4;
	metrics.language[1].state = METRICS_SERVING;
	metrics.language[1].zygote_oldest_us = 2500000;
	render_service(&metrics);
	assert_line("cellblock_runner_up 1");
	assert_line("cellblock_build_info{version=\"0.1.0\",level=\"chroot\"} 1");
	assert_line("cellblock_start_time_seconds 1700000000.123456");
	assert_line("cellblock_generation 3");
	assert_line("cellblock_cells{state=\"free\"} 7");
	assert_line("cellblock_runs_total{language=\"python3\",status=\"timeout\"} 5");
	assert_line("cellblock_compilations_total{language=\"c\",status=\"ok\"} 2");
	assert_null(strstr(text, "cellblock_compilations_total{language=\"python3\""));
	assert_line("cellblock_refusals_total{language=\"c\",reason=\"share\"} 4");
	assert_line("cellblock_language_state{language=\"python3\",state=\"serving\"} 1");
	assert_line("cellblock_language_state{language=\"python3\",state=\"missing\"} 0");
	assert_line("cellblock_zygote_oldest_age_seconds{language=\"python3\"} 2.500000");
	assert_null(strstr(text, "cellblock_zygote_oldest_age_seconds{language=\"c\""));
	assert_line("# TYPE cellblock_runs_total counter");
	assert_line("# TYPE cellblock_run_wall_seconds histogram");
}

static void
buckets_are_cumulative(void **state)
{
	struct metrics_histogram *wall = &metrics.language[1].time[METRICS_WALL];

	(void)state;
	wall->bucket[0] = 1;
	wall->bucket[2] = 2;
	wall->bucket[METRICS_BUCKETS] = 4;
	wall->sum_us = 500000001;
	render_service(&metrics);
	assert_line("cellblock_run_wall_seconds_bucket{language=\"python3\",le=\"0.0005\"} 1");
	assert_line("cellblock_run_wall_seconds_bucket{language=\"python3\",le=\"0.001\"} 1");
	assert_line("cellblock_run_wall_seconds_bucket{language=\"python3\",le=\"0.0025\"} 3");
	assert_line("cellblock_run_wall_seconds_bucket{language=\"python3\",le=\"120\"} 3");
	assert_line("cellblock_run_wall_seconds_bucket{language=\"python3\",le=\"+Inf\"} 7");
	assert_line("cellblock_run_wall_seconds_count{language=\"python3\"} 7");
	assert_line("cellblock_run_wall_seconds_sum{language=\"python3\"} 500.000001");
	assert_null(strstr(text, "cellblock_run_wall_seconds_count{language=\"c\"}"));
}

static void
denied_calls_have_names(void **state)
{
	char line[128], *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, 1);

	(void)state;
	metrics.denied[1] = 9;
	metrics.denied[METRICS_CALLS - 1] = 8; /* no such call */
	metrics.denied[METRICS_CALLS] = 7;
	render_service(&metrics);
	snprintf(line, sizeof line, "cellblock_denied_calls_total{call=\"%s\"} 9", name);
	free(name);
	assert_line(line);
	assert_line("cellblock_denied_calls_total{call=\"511\"} 8");
	assert_line("cellblock_denied_calls_total{call=\"other\"} 7");
}

static void
keys(void **state)
{
	(void)state;
	strcpy(metrics.key[0].name, "alice");
	metrics.key[0].runs = 3;
	metrics.key[0].cpu_us = 1500000;
	metrics.key[0].waiting = 2;
	metrics.key[METRICS_KEYS].refusals = 6;
	render_keys();
	assert_line("cellblock_key_runs_total{key=\"alice\"} 3");
	assert_line("cellblock_key_cpu_seconds_total{key=\"alice\"} 1.500000");
	assert_line("cellblock_key_waiting{key=\"alice\"} 2");
	assert_line("cellblock_key_refusals_total{key=\"(other)\"} 6");
	assert_null(strstr(text, "key=\"\""));
}

/* The runner does not trust the names that workers send, so they may contain anything. */
static void
names_are_escaped(void **state)
{
	(void)state;
	strcpy(metrics.key[0].name, "a\"b\\c\nd\xff\x01");
	memset(metrics.key[1].name, 'x', sizeof metrics.key[1].name); /* no NUL */
	render_keys();
	assert_line("cellblock_key_runs_total{key=\"a\\\"b\\\\c\\nd??\"} 0");
	assert_line("cellblock_key_runs_total{key=\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"} 0");
}

static void
every_refusal_has_a_name(void **state)
{
	(void)state;
	for (int r = REFUSED_BUSY; r < METRICS_REFUSALS; r++)
		assert_string_not_equal(metrics_text_refusal((enum refusal)r), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_runner_that_is_away, begin, end),
		cmocka_unit_test_setup_teardown(counters_and_gauges, begin, end),
		cmocka_unit_test_setup_teardown(buckets_are_cumulative, begin, end),
		cmocka_unit_test_setup_teardown(denied_calls_have_names, begin, end),
		cmocka_unit_test_setup_teardown(keys, begin, end),
		cmocka_unit_test_setup_teardown(names_are_escaped, begin, end),
		cmocka_unit_test_setup_teardown(every_refusal_has_a_name, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
