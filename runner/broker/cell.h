/* cell.h - a cell's life: armed, given a run, ended, taken down. */
#ifndef CELLBLOCK_CELL_H
#define CELLBLOCK_CELL_H

#include <sys/resource.h>

#include "broker/broker.h"

/* Make a free cell ready for a pool of `language`. Returns 0, or -1 if it could not even be ordered. */
int cell_arm(struct broker *broker, struct cell *cell, struct language *language, uint32_t pool);

/* The same by this very zygote, whether it is proved or not. */
int cell_arm_from(struct broker *broker, struct cell *cell, struct zygote *zygote);

/* Hand a client's run to an armed cell. What fails is told to the client. */
void cell_start_run(struct broker *broker, struct cell *cell, struct client *client);

/* End a run before its own end. Its result is sent when it is dead. */
void cell_end_run(struct broker *broker, struct cell *cell, enum cell_end why);

/* Take down an armed cell, unused. */
void cell_give_up(struct broker *broker, struct cell *cell);

/* The cell's guest has died and been reaped. */
void cell_guest_exited(struct broker *broker, struct cell *cell, int wait_status, const struct rusage *usage);

/* Take down a cell that is in no list: its arming failed, or its guest is gone. */
void cell_take_down(struct broker *broker, struct cell *cell);

/* Its arming failed: `why`, and an errno or 0. */
void cell_arming_failed(struct broker *broker, struct cell *cell, const char *why, int error);

/* Nothing is left in a cell that was to end: it is free for another. */
void cell_is_gone(struct broker *broker, struct cell *cell);

/* What was to keep a cell has died, and what is in the cell is still there: nothing more is done in it, and it is to end. */
void cell_is_left(struct broker *broker, struct cell *cell);

/* Look at the cell's deadlines. Returns when to look again (UINT64_MAX: never). */
uint64_t cell_check(struct broker *broker, struct cell *cell, uint64_t now_us);

#endif
