/*
 * metrics_text.h - the runner's figures in Prometheus' text format, version 0.0.4.
 *
 * Units are seconds and bytes. docs/monitoring.md lists the names.
 */
#ifndef CELLBLOCK_METRICS_TEXT_H
#define CELLBLOCK_METRICS_TEXT_H

#include <stdio.h>

#include "metrics.h"
#include "proto.h"

#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Write the figures of the service. `metrics`: NULL if the runner cannot be reached. */
void metrics_text_service(FILE *out, const struct metrics *metrics, enum level level);

/* Write the figures of the keys. */
void metrics_text_keys(FILE *out, const struct metrics *metrics);

/* The name of a refusal, as a label ("busy"). Never NULL. */
const char *metrics_text_refusal(enum refusal refusal);

#endif
