/*
 * meter.h - counts what the broker does, in the memory that common/metrics.h describes.
 *
 * The functions that count make no system call. Figures of the present are collected only when they
 * are asked for.
 */
#ifndef CELLBLOCK_METER_H
#define CELLBLOCK_METER_H

#include <stdbool.h>

#include "proto.h"

struct broker;
struct language;
struct run;
struct zygote;

/* Make the memory: broker->metrics and broker->metrics_fd. Dies if it is unavailable. */
void meter_begin(struct broker *broker);

/*
 * The run or compilation of a worker has ended, or was refused. `key`: the name of the API key, ""
 * if it has none; ended by NUL.
 */
void meter_ended(struct broker *broker, const struct run *run, const struct run_result *result, const char *key);
void meter_refused(struct broker *broker, const struct run *run, enum refusal refusal, const char *key);

/* A compiled program was looked for. */
void meter_looked_for(struct broker *broker, const struct language *language, bool is_found);

/* A new process is about to take the zygote's place: its forks are counted from 0 again. */
void meter_zygote_follows(struct broker *broker, const struct zygote *zygote);

/* A zygote has given way to a younger one. */
void meter_zygote_replaced(struct broker *broker, const struct language *language);

/* A process of the language has died, without having been told to. */
void meter_zygote_died(struct broker *broker, const struct language *language);
void meter_warden_died(struct broker *broker, const struct language *language);

/*
 * Bring the figures of the present up to date. Returns the descriptor to hand out, which stays the
 * broker's. The time it takes grows with the numbers of cells, connections and languages.
 */
int meter_collect(struct broker *broker);

#endif
