/* generations_process.h - the processes of generations: started, counted, ended. */
#ifndef CELLBLOCK_GENERATIONS_PROCESS_H
#define CELLBLOCK_GENERATIONS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "generations_work.h"

/* Start a process of a generation. Returns 0, or -1 with a line in the log. */
int generations_process_start(struct work *work, uint32_t number, uint32_t slot);

/* Whether a slot has processes. */
bool generations_process_is_any_in(const struct work *work, uint32_t slot);

/* The processes of a generation that are not about to end; `ready`: those alone that are ready. */
uint32_t generations_process_count(const struct work *work, uint32_t number, bool ready);

/* The number of generations that live. */
uint32_t generations_process_generations(const struct work *work);

/* Have a process end. It is killed if it has not ended after `most_us`. */
void generations_process_end(struct process *process, int with_signal, uint64_t most_us);

/* The same for all processes of a generation that are not about to end. */
void generations_process_end_all(struct work *work, uint32_t number, int with_signal, uint64_t most_us);

/* How long a process may take to finish its work and end, in us. */
uint64_t generations_process_drain_us(const struct work *work);

#endif
