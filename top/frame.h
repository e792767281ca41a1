/* frame.h - the text of one screen, from two readings of the metrics. */
#ifndef CELLBLOCK_TOP_FRAME_H
#define CELLBLOCK_TOP_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "samples.h"

#define FRAME_LINES 300
#define FRAME_COLUMNS 160

enum frame_sort { SORT_RATE, SORT_ERRORS, SORT_P95, SORT_TOTAL, SORT_NAME, FRAME_SORTS };

struct frame {
	char line[FRAME_LINES][FRAME_COLUMNS + 1];
	bool is_head[FRAME_LINES]; /* the head of a table */
	size_t count;
	size_t room; /* the most lines */
};

/* The name of an order ("runs/s"). Never NULL. */
const char *frame_sort_name(enum frame_sort sort);

/*
 * Write the frame. Rates are those between `before` and `now`; quantiles those between `oldest` and
 * `now`. `place`: where the figures come from. `has_keys`: the page with the keys could be read. At
 * most `lines` lines: the tables are cut, and say so.
 */
void frame_make(struct frame *frame, const struct samples *oldest, const struct samples *before, const struct samples *now,
    const char *place, bool has_keys, enum frame_sort sort, size_t lines);

/*
 * The quantile `q` (0 to 1) of a histogram's samples between two readings, in seconds, linear within
 * a bucket; negative if nothing was counted. `name`: without "_bucket".
 */
double frame_quantile(const struct samples *oldest, const struct samples *now, const char *name, const char *language, double q);

#endif
