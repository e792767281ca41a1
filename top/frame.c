/* frame.c - see frame.h. */
#define _GNU_SOURCE
#include "frame.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_MAX 256
#define BUCKETS_MAX 64

struct row {
	const char *name, *state;
	double running, waiting, armed, zygotes; /* languages */
	double rate, errors, p50, p95, total;
	double refused, cpu; /* keys: CPU time per second */
};

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) put(struct frame *frame, const char *format, ...)
{
	va_list args;

	if (frame->count == frame->room)
		return;
	va_start(args, format);
	vsnprintf(frame->line[frame->count], sizeof frame->line[0], format, args);
	va_end(args);
	frame->count++;
}

static void
put_head(struct frame *frame, const char *text)
{
	if (frame->count == frame->room)
		return;
	frame->is_head[frame->count] = true;
	put(frame, "%s", text);
}

/* "1.2 ms", in six columns; "-" for nothing. */
static const char *
time_text(double seconds, char text[16])
{
	if (seconds < 0)
		snprintf(text, 16, "-");
	else if (seconds < 0.1)
		snprintf(text, 16, "%.1fms", seconds * 1e3);
	else if (seconds < 1)
		snprintf(text, 16, "%.0fms", seconds * 1e3);
	else
		snprintf(text, 16, "%.1fs", seconds);
	return text;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* Per second. A counter that fell began anew at 0. */
static double
rate(double before, double now, double seconds)
{
	double more = now >= before ? now - before : now;

	return seconds > 0 ? more / seconds : 0;
}

static double
rate_of(const struct samples *before, const struct samples *now, const char *name, const char *label, const char *value,
    const char *label2, const char *value2)
{
	return rate(samples_sum(before, name, label, value, label2, value2), samples_sum(now, name, label, value, label2, value2),
	    now->at - before->at);
}

struct bucket {
	double end, count;
};

static int
compare_buckets(const void *a, const void *b)
{
	const struct bucket *one = a, *other = b;

	return (one->end > other->end) - (one->end < other->end);
}

/* The buckets of a language's histogram, or of all languages together. Returns their number. */
static size_t
read_buckets(const struct samples *samples, const char *name, const char *language, struct bucket *list)
{
	char bucket_name[64];
	size_t count = 0;

	snprintf(bucket_name, sizeof bucket_name, "%s_bucket", name);
	for (size_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];
		double end;
		size_t at = 0;

		if (strcmp(sample->name, bucket_name) != 0 ||
		    (language != NULL && strcmp(sample_label(sample, "language"), language) != 0))
			continue;
		end = strtod(sample_label(sample, "le"), NULL); /* "+Inf" is infinity */
		while (at < count && list[at].end != end)
			at++;
		if (at == BUCKETS_MAX)
			continue;
		if (at == count)
			list[count++] = (struct bucket){ end, 0 };
		list[at].count += sample->value;
	}
	qsort(list, count, sizeof *list, compare_buckets);
	return count;
}

double
frame_quantile(const struct samples *oldest, const struct samples *now, const char *name, const char *language, double q)
{
	struct bucket then[BUCKETS_MAX], list[BUCKETS_MAX];
	size_t count = read_buckets(now, name, language, list), before = read_buckets(oldest, name, language, then);
	double rank, low = 0, below = 0;

	/* A histogram that shrank began anew, with another runner. */
	if (count > 0 && before == count && then[count - 1].count <= list[count - 1].count) {
		for (size_t i = 0; i < count; i++)
			list[i].count -= then[i].count;
	}
	if (count == 0 || list[count - 1].count <= 0)
		return -1;
	rank = q * list[count - 1].count;
	for (size_t i = 0; i < count; i++) {
		if (list[i].count >= rank && list[i].count > below) {
			if (isinf(list[i].end))
				return low;
			return low + (list[i].end - low) * (rank - below) / (list[i].count - below);
		}
		low = list[i].end;
		below = list[i].count;
	}
	return low;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static enum frame_sort order;

static double
key_of(const struct row *row)
{
	switch (order) {
	case SORT_ERRORS:
		return row->errors + row->refused;
	case SORT_P95:
		return row->p95;
	case SORT_TOTAL:
		return row->total;
	default:
		return row->rate;
	}
}

/* The larger one first; by name where they are equal. */
static int
compare_rows(const void *a, const void *b)
{
	const struct row *one = a, *other = b;
	double x = key_of(one), y = key_of(other);

	if (order != SORT_NAME && x != y)
		return x < y ? 1 : -1;
	return strcmp(one->name, other->name);
}

static const char *
state_of(const struct samples *now, const char *language)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct sample *sample = &now->list[i];

		if (strcmp(sample->name, "language_state") == 0 && sample->value == 1 &&
		    strcmp(sample_label(sample, "language"), language) == 0)
			return sample_label(sample, "state");
	}
	return "";
}

static size_t
read_languages(const struct samples *oldest, const struct samples *before, const struct samples *now, struct row *rows)
{
	size_t count = 0;

	for (size_t i = 0; i < now->count && count < ROWS_MAX; i++) {
		const struct sample *sample = &now->list[i];
		const char *name = sample_label(sample, "language");
		struct row *row = &rows[count];

		if (strcmp(sample->name, "zygotes") != 0)
			continue;
		*row = (struct row){ .name = name, .state = state_of(now, name), .zygotes = sample->value };
		row->total = samples_sum(now, "runs_total", "language", name, NULL, NULL);
		if (row->total == 0 && (strcmp(row->state, "asleep") == 0 || strcmp(row->state, "missing") == 0))
			continue;
		row->running = samples_sum(now, "runs_running", "language", name, NULL, NULL);
		row->waiting = samples_sum(now, "runs_queued", "language", name, NULL, NULL);
		row->armed = samples_sum(now, "cells_armed", "language", name, NULL, NULL);
		row->rate = rate_of(before, now, "runs_total", "language", name, NULL, NULL);
		row->errors = row->rate - rate_of(before, now, "runs_total", "language", name, "status", "ok");
		row->refused = rate_of(before, now, "refusals_total", "language", name, NULL, NULL);
		row->p50 = frame_quantile(oldest, now, "run_wall_seconds", name, 0.5);
		row->p95 = frame_quantile(oldest, now, "run_wall_seconds", name, 0.95);
		count++;
	}
	return count;
}

static size_t
read_keys(const struct samples *before, const struct samples *now, struct row *rows)
{
	size_t count = 0;

	for (size_t i = 0; i < now->count && count < ROWS_MAX; i++) {
		const struct sample *sample = &now->list[i];
		const char *name = sample_label(sample, "key");
		struct row *row = &rows[count];

		if (strcmp(sample->name, "key_runs_total") != 0)
			continue;
		*row = (struct row){ .name = name, .state = "", .total = sample->value, .p95 = -1 };
		row->running = samples_sum(now, "key_running", "key", name, NULL, NULL);
		row->waiting = samples_sum(now, "key_waiting", "key", name, NULL, NULL);
		row->rate = rate_of(before, now, "key_runs_total", "key", name, NULL, NULL);
		row->refused = rate_of(before, now, "key_refusals_total", "key", name, NULL, NULL);
		row->cpu = rate_of(before, now, "key_cpu_seconds_total", "key", name, NULL, NULL);
		/* All others together are a row only if there are others. */
		if (name[0] != '(' || row->total > 0 || row->running > 0 || row->waiting > 0)
			count++;
	}
	return count;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void
append(char *text, size_t size, const char *more)
{
	size_t at = strlen(text);

	snprintf(text + at, size - at, "%s", more);
}

static void
put_title(struct frame *frame, const struct samples *now, const char *place)
{
	const char *version = "", *level = "";
	double started = samples_sum(now, "start_time_seconds", NULL, NULL, NULL, NULL);
	long seconds = started > 0 ? (long)(time(NULL) - (time_t)started) : 0;

	for (size_t i = 0; i < now->count; i++) {
		if (strcmp(now->list[i].name, "build_info") == 0) {
			version = sample_label(&now->list[i], "version");
			level = sample_label(&now->list[i], "level");
		}
	}
	if (samples_sum(now, "runner_up", NULL, NULL, NULL, NULL) == 0)
		put(frame, "cellblock %s  %.40s  THE RUNNER DOES NOT ANSWER", version, place);
	else
		put(frame, "cellblock %s  %.40s  level %s  up %ldd %02ld:%02ld:%02ld", version, place, level, seconds / 86400,
		    seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}

static void
put_cells(struct frame *frame, const struct samples *now)
{
	char text[FRAME_COLUMNS] = "", one[64];

	for (size_t i = 0; i < now->count; i++) {
		const struct sample *sample = &now->list[i];

		const char *state = sample_label(sample, "state");

		/* The states in passing are a line's width by themselves, and mostly zero. */
		if (strcmp(sample->name, "cells") != 0 ||
		    (sample->value == 0 && strcmp(state, "armed") != 0 && strcmp(state, "running") != 0))
			continue;
		snprintf(one, sizeof one, "  %s %.0f", state, sample->value);
		append(text, sizeof text, one);
	}
	put(frame, "Cells    %.0f:%s", samples_sum(now, "cells_configured", NULL, NULL, NULL, NULL), text);
}

/* The rates of a counter by one of its labels, the largest first: "socket 2.0/s, clone 1.0/s". */
static void
put_rates(struct frame *frame, const char *head, const struct samples *before, const struct samples *now, const char *name,
    const char *label)
{
	struct row rows[ROWS_MAX];
	char text[FRAME_COLUMNS] = "", one[64];
	size_t count = 0, shown = 0;

	for (size_t i = 0; i < now->count; i++) {
		const char *value = sample_label(&now->list[i], label);
		size_t at = 0;

		if (strcmp(now->list[i].name, name) != 0)
			continue;
		while (at < count && strcmp(rows[at].name, value) != 0)
			at++;
		if (at < count || count == ROWS_MAX)
			continue;
		rows[count++] = (struct row){ .name = value, .rate = rate_of(before, now, name, label, value, NULL, NULL) };
	}
	order = SORT_RATE;
	qsort(rows, count, sizeof rows[0], compare_rows);
	for (size_t i = 0; i < count && shown < 4 && rows[i].rate > 0; i++) {
		snprintf(one, sizeof one, "%s%s %.1f/s", shown++ > 0 ? ", " : "", rows[i].name, rows[i].rate);
		append(text, sizeof text, one);
	}
	put(frame, "%-8s %s", head, shown > 0 ? text : "none");
}

static void
put_totals(struct frame *frame, const struct samples *oldest, const struct samples *before, const struct samples *now)
{
	double runs = rate_of(before, now, "runs_total", NULL, NULL, NULL, NULL);
	double good = rate_of(before, now, "runs_total", "status", "ok", NULL, NULL);
	double hits = samples_sum(now, "compile_cache_hits_total", NULL, NULL, NULL, NULL);
	double misses = samples_sum(now, "compile_cache_misses_total", NULL, NULL, NULL, NULL);
	char p50[16], p95[16];

	put(frame, "Queue    %.0f of %.0f   wait p50 %s p95 %s", samples_sum(now, "runs_queued", NULL, NULL, NULL, NULL),
	    samples_sum(now, "queue_configured", NULL, NULL, NULL, NULL),
	    time_text(frame_quantile(oldest, now, "run_queue_seconds", NULL, 0.5), p50),
	    time_text(frame_quantile(oldest, now, "run_queue_seconds", NULL, 0.95), p95));
	put(frame, "Runs     %.1f/s   not ok %.1f/s   refused %.1f/s   %.0f in all", runs, runs - good,
	    rate_of(before, now, "refusals_total", NULL, NULL, NULL, NULL),
	    samples_sum(now, "runs_total", NULL, NULL, NULL, NULL));
	put(frame, "Compiled %.1f of %.0f MiB, %.0f programs, %.0f %% found",
	    samples_sum(now, "compile_cache_bytes", NULL, NULL, NULL, NULL) / 1048576,
	    samples_sum(now, "compile_cache_configured_bytes", NULL, NULL, NULL, NULL) / 1048576,
	    samples_sum(now, "compile_cache_programs", NULL, NULL, NULL, NULL), hits + misses > 0 ? 100 * hits / (hits + misses) : 0);
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* How many rows of `count` to show, where there is room for `room` lines. */
static size_t
shown_of(size_t count, size_t room)
{
	if (count <= room)
		return count;
	return room > 0 ? room - 1 : 0; /* the last line says how many are left out */
}

static void
put_languages(struct frame *frame, const struct row *rows, size_t count, size_t room)
{
	size_t shown = shown_of(count, room);
	char p50[16], p95[16];

	put_head(frame, "LANGUAGE   STATE     RUN WAIT  ARM ZYG   RUNS/S   ERR/S     P50     P95    TOTAL");
	for (size_t i = 0; i < shown; i++)
		put(frame, "%-10.10s %-8.8s %4.0f %4.0f %4.0f %3.0f %8.1f %7.1f %7s %7s %8.0f", rows[i].name, rows[i].state,
		    rows[i].running, rows[i].waiting, rows[i].armed, rows[i].zygotes, rows[i].rate, rows[i].errors,
		    time_text(rows[i].p50, p50), time_text(rows[i].p95, p95), rows[i].total);
	if (shown < count)
		put(frame, "(%zu more)", count - shown);
}

static void
put_keys(struct frame *frame, const struct row *rows, size_t count, size_t room)
{
	size_t shown = shown_of(count, room);

	put_head(frame, "KEY                      RUN  WAIT    RUNS/S REFUSED/S   CPU%     TOTAL");
	for (size_t i = 0; i < shown; i++)
		put(frame, "%-23.23s %4.0f %5.0f %9.1f %9.1f %6.1f %9.0f", rows[i].name, rows[i].running, rows[i].waiting,
		    rows[i].rate, rows[i].refused, rows[i].cpu * 100, rows[i].total);
	if (shown < count)
		put(frame, "(%zu more)", count - shown);
}

const char *
frame_sort_name(enum frame_sort sort)
{
	static const char *const names[FRAME_SORTS] = {
		[SORT_RATE] = "runs/s",
		[SORT_ERRORS] = "errors/s",
		[SORT_P95] = "p95",
		[SORT_TOTAL] = "total",
		[SORT_NAME] = "name",
	};

	return names[sort];
}

void
frame_make(struct frame *frame, const struct samples *oldest, const struct samples *before, const struct samples *now,
    const char *place, bool has_keys, enum frame_sort sort, size_t lines)
{
	struct row languages[ROWS_MAX], keys[ROWS_MAX];
	size_t language_count = read_languages(oldest, before, now, languages), key_count = read_keys(before, now, keys), room;

	frame->count = 0;
	frame->room = lines < FRAME_LINES ? lines : FRAME_LINES;
	memset(frame->is_head, 0, sizeof frame->is_head);
	put_title(frame, now, place);
	put_cells(frame, now);
	put_totals(frame, oldest, before, now);
	put_rates(frame, "Refused", before, now, "refusals_total", "reason");
	put_rates(frame, "Denied", before, now, "denied_calls_total", "call");
	put(frame, "%s", "");
	order = sort;
	qsort(languages, language_count, sizeof languages[0], compare_rows);
	qsort(keys, key_count, sizeof keys[0], compare_rows);
	/* The two tables share the rest; one that needs less leaves more to the other. */
	room = frame->room > frame->count + 3 ? frame->room - frame->count - 3 : 0;
	if (language_count + key_count <= room || key_count <= room / 2)
		put_languages(frame, languages, language_count, room - (key_count < room ? key_count : room));
	else
		put_languages(frame, languages, language_count, language_count < room - room / 2 ? language_count : room - room / 2);
	put(frame, "%s", "");
	if (has_keys)
		put_keys(frame, keys, key_count, frame->room > frame->count + 1 ? frame->room - frame->count - 1 : 0);
	else
		put(frame, "The figures of the keys are not to be had here.");
}
