/*
 * store_metrics.h - the figures of the store in Prometheus' text format. docs/monitoring.md lists
 * them.
 */
#ifndef CELLBLOCK_STORE_METRICS_H
#define CELLBLOCK_STORE_METRICS_H

#include <stdio.h>

#include "config.h"

/* Ask the store, and write its figures; nothing if the configuration has no store. */
void store_metrics_put(FILE *out, const struct config *config);

#endif
