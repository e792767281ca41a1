/*
 * run_wait.h - how long a run will wait in the queue (run_queue.h), estimated from its pace.
 */
#ifndef CELLBLOCK_RUN_WAIT_H
#define CELLBLOCK_RUN_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/key_account.h"
#include "broker/run.h"

struct broker;

/* How many runs are admitted or have a cell. */
uint32_t run_wait_running(const struct broker *broker);

/* Whether a run that is number `position` of its key, from 1, cannot start before its deadline. */
bool run_wait_is_hopeless(const struct broker *broker, const struct run *run, uint64_t position, uint64_t now_us);

/* When a run of this key would find about half of what waits now gone; 0: unknown. */
uint32_t run_wait_retry_ms(const struct broker *broker, const struct key_account *account, uint64_t now_us);

#endif
