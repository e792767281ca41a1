/* samples.h - a page in Prometheus' text format, and its numbers by name and labels. */
#ifndef CELLBLOCK_TOP_SAMPLES_H
#define CELLBLOCK_TOP_SAMPLES_H

#include <stddef.h>

#define SAMPLE_LABELS 3

struct sample {
	const char *name; /* without "cellblock_" */
	struct {
		const char *name, *value;
	} label[SAMPLE_LABELS]; /* those that there are come first; NULL: no more */
	double value;
};

/* One or more pages, read at the same time. */
struct samples {
	double at; /* seconds, by a clock that does not jump */
	struct sample *list;
	size_t count, room;
	char *text[2]; /* what the names and labels point into */
	size_t texts;
};

/*
 * Add the samples of a page, which is taken over. Lines that it does not understand are left out.
 * Returns 0, or -1: no memory, and `text` is freed.
 */
int samples_add(struct samples *samples, char *text);

/* Free all that there is, and leave it empty. */
void samples_free(struct samples *samples);

/* The value of a label, or "". */
const char *sample_label(const struct sample *sample, const char *name);

/*
 * The sum of the samples with this name, and with these values of two labels where these are not
 * NULL. 0 if there is none.
 */
double samples_sum(const struct samples *samples, const char *name, const char *label, const char *value, const char *label2,
    const char *value2);

#endif
