/* samples.c - see samples.h. */
#define _GNU_SOURCE
#include "samples.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "cellblock_"

/* A label's value, whose text is changed: escapes are resolved in place. Returns its end, or NULL. */
static char *
unescape(char *at)
{
	char *to = at;

	for (; *at != '"'; at++) {
		if (*at == '\0')
			return NULL;
		if (*at == '\\' && at[1] != '\0') {
			at++;
			*to++ = *at == 'n' ? ' ' : *at;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
	return at + 1;
}

/* The labels, from after the brace. Returns what follows them, or NULL. */
static char *
read_labels(struct sample *sample, char *at)
{
	for (size_t i = 0; *at != '}'; i++) {
		char *equals = strchr(at, '=');

		if (equals == NULL || equals[1] != '"' || i == SAMPLE_LABELS)
			return NULL;
		*equals = '\0';
		sample->label[i].name = at;
		sample->label[i].value = equals + 2;
		at = unescape(equals + 2);
		if (at == NULL)
			return NULL;
		at += *at == ',';
	}
	return at + 1;
}

/* Returns whether the line is a sample. */
static int
read_line(struct sample *sample, char *line)
{
	char *end, *at = line + strcspn(line, "{ ");
	char separator = *at;

	*sample = (struct sample){ .name = line };
	if (strncmp(line, PREFIX, strlen(PREFIX)) != 0 || separator == '\0')
		return 0;
	sample->name += strlen(PREFIX);
	*at++ = '\0';
	if (separator == '{' && (at = read_labels(sample, at)) == NULL)
		return 0;
	sample->value = strtod(at, &end);
	return end != at;
}

int
samples_add(struct samples *samples, char *text)
{
	char *rest = text, *line;

	if (samples->texts == sizeof samples->text / sizeof samples->text[0]) {
		free(text);
		return -1;
	}
	samples->text[samples->texts++] = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (samples->count == samples->room) {
			size_t room = samples->room == 0 ? 1024 : samples->room * 2;
			struct sample *more = reallocarray(samples->list, room, sizeof *more);

			if (more == NULL)
				return -1;
			samples->list = more;
			samples->room = room;
		}
		if (line[0] != '#')
			samples->count += (size_t)read_line(&samples->list[samples->count], line);
	}
	return 0;
}

void
samples_free(struct samples *samples)
{
	for (size_t i = 0; i < samples->texts; i++)
		free(samples->text[i]);
	free(samples->list);
	*samples = (struct samples){ .at = 0 };
}

const char *
sample_label(const struct sample *sample, const char *name)
{
	for (size_t i = 0; i < SAMPLE_LABELS && sample->label[i].name != NULL; i++) {
		if (strcmp(sample->label[i].name, name) == 0)
			return sample->label[i].value;
	}
	return "";
}

double
samples_sum(const struct samples *samples, const char *name, const char *label, const char *value, const char *label2,
    const char *value2)
{
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];

		if (strcmp(sample->name, name) == 0 && (label == NULL || strcmp(sample_label(sample, label), value) == 0) &&
		    (label2 == NULL || strcmp(sample_label(sample, label2), value2) == 0))
			sum += sample->value;
	}
	return sum;
}
