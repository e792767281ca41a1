/* top_test.c - cellblock-top: URLs, the text format, rates and quantiles, and what fits on a screen. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "frame.h"
#include "samples.h"

static void
urls(void **state)
{
	char error[FETCH_ERROR_SIZE];
	struct fetch_url url;

	(void)state;
	assert_int_equal(fetch_parse("http://127.0.0.1:8194", &url, error), 0);
	assert_string_equal(url.host, "127.0.0.1");
	assert_string_equal(url.port, "8194");
	assert_string_equal(url.prefix, "");
	assert_int_equal(fetch_parse("http://[::1]:80/behind/a/proxy/", &url, error), 0);
	assert_string_equal(url.host, "::1");
	assert_string_equal(url.prefix, "/behind/a/proxy");
	assert_int_equal(fetch_parse("http://localhost", &url, error), 0);
	assert_string_equal(url.port, "80");
	assert_int_equal(fetch_parse("unix:/run/x.sock", &url, error), 0);
	assert_string_equal(url.host, "/run/x.sock");
	assert_string_equal(url.port, "");
	assert_int_equal(fetch_parse("https://localhost", &url, error), -1);
	assert_int_equal(fetch_parse("http://", &url, error), -1);
	assert_int_equal(fetch_parse("http://host:port", &url, error), -1);
	assert_int_equal(fetch_parse("http://[::1", &url, error), -1);
	assert_int_equal(fetch_parse("unix:", &url, error), -1);
}

static struct samples
read_page(double at, const char *page)
{
	struct samples samples = { .at = at };

	assert_int_equal(samples_add(&samples, strdup(page)), 0);
	return samples;
}

static void
pages(void **state)
{
	struct samples samples = read_page(0,
	    "# HELP cellblock_a x\n# TYPE cellblock_a gauge\ncellblock_a 3\ncellblock_b{k=\"v\",l=\"w\"} 1.5\n"
	    "cellblock_b{k=\"q\\\"u\\\\o\",l=\"w\"} 2\nother 7\ncellblock_broken{k=\"v\ncellblock_c{\n\ncellblock_d\n");

	(void)state;
	assert_int_equal(samples.count, 3);
	assert_true(samples_sum(&samples, "a", NULL, NULL, NULL, NULL) == 3);
	assert_true(samples_sum(&samples, "b", NULL, NULL, NULL, NULL) == 3.5);
	assert_true(samples_sum(&samples, "b", "k", "v", NULL, NULL) == 1.5);
	assert_true(samples_sum(&samples, "b", "k", "q\"u\\o", "l", "w") == 2);
	assert_true(samples_sum(&samples, "none", NULL, NULL, NULL, NULL) == 0);
	samples_free(&samples);
}

#define HISTOGRAM(a, b, c) \
	"cellblock_h_bucket{language=\"x\",le=\"0.001\"} " #a "\ncellblock_h_bucket{language=\"x\",le=\"0.01\"} " #b \
	"\ncellblock_h_bucket{language=\"x\",le=\"+Inf\"} " #c "\n"

static void
quantiles(void **state)
{
	struct samples none = read_page(0, ""), then = read_page(0, HISTOGRAM(10, 10, 10)),
		       now = read_page(1, HISTOGRAM(10, 20, 21)), started_anew = read_page(1, HISTOGRAM(4, 4, 4));

	(void)state;
	/* Ten of the eleven new ones are between 1 and 10 ms. */
	assert_true(fabs(frame_quantile(&then, &now, "h", "x", 0.5) - (0.001 + 0.009 * 0.55)) < 1e-9);
	assert_true(fabs(frame_quantile(&then, &now, "h", "x", 0.99) - 0.01) < 1e-9); /* in the bucket without an end */
	assert_true(fabs(frame_quantile(&then, &now, "h", NULL, 0.5) - (0.001 + 0.009 * 0.55)) < 1e-9);
	assert_true(frame_quantile(&now, &now, "h", "x", 0.5) < 0);
	assert_true(frame_quantile(&none, &none, "h", "x", 0.5) < 0);
	assert_true(fabs(frame_quantile(&none, &then, "h", "x", 0.5) - 0.0005) < 1e-9);
	assert_true(fabs(frame_quantile(&now, &started_anew, "h", "x", 0.5) - 0.0005) < 1e-9);
	samples_free(&none);
	samples_free(&then);
	samples_free(&now);
	samples_free(&started_anew);
}

/* A page of 40 languages and 60 keys. */
static struct samples
big_page(double at, int runs)
{
	struct samples samples = { .at = at };
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "cellblock_runner_up 1\ncellblock_build_info{version=\"1\",level=\"namespaces\"} 1\n");
	for (int i = 0; i < 40; i++)
		fprintf(out,
		    "cellblock_zygotes{language=\"language-%02d-with-a-name\"} 1\n"
		    "cellblock_language_state{language=\"language-%02d-with-a-name\",state=\"serving\"} 1\n"
		    "cellblock_runs_total{language=\"language-%02d-with-a-name\",status=\"ok\"} %d\n",
		    i, i, i, runs * i);
	for (int i = 0; i < 60; i++)
		fprintf(out, "cellblock_key_runs_total{key=\"key-%02d\"} %d\n", i, runs * i);
	fclose(out);
	assert_int_equal(samples_add(&samples, text), 0);
	return samples;
}

static void
it_fits(void **state)
{
	static struct frame frame;
	struct samples before = big_page(0, 1), now = big_page(2, 3);
	bool has_fastest = false;

	(void)state;
	for (size_t lines = 1; lines < 40; lines++) {
		frame_make(&frame, &before, &before, &now, "http://127.0.0.1:8194", true, SORT_RATE, lines);
		assert_true(frame.count <= lines);
		for (size_t i = 0; i < frame.count; i++) {
			if (strlen(frame.line[i]) > 80)
				fail_msg("wider than 80 columns: \"%s\"", frame.line[i]);
		}
	}
	frame_make(&frame, &before, &before, &now, "http://127.0.0.1:8194", true, SORT_RATE, 23);
	assert_int_equal(frame.count, 23);
	/* The fastest first: 39 more each second. Both tables say that they are cut. */
	for (size_t i = 0; i + 1 < frame.count; i++)
		has_fastest |= frame.is_head[i] && strncmp(frame.line[i + 1], "language-3", 10) == 0 &&
		    strstr(frame.line[i + 1], " 39.0 ") != NULL;
	assert_true(has_fastest);
	assert_non_null(strstr(frame.line[frame.count - 1], "more)"));
	samples_free(&before);
	samples_free(&now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(pages),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(it_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
