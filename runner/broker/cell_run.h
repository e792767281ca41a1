/* cell_run.h - a run in its cell: handed over, watched, ended, judged. */
#ifndef CELLBLOCK_CELL_RUN_H
#define CELLBLOCK_CELL_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "broker/verdict.h"

struct broker;
struct cell;
struct run;

/* How cell_run_start went. */
enum cell_start {
	CELL_STARTED,  /* or answered: the run is the dispatcher's no more */
	CELL_UNUSABLE, /* the cell is taken down; the run can take another one */
};

/* Hand a run, which is in no queue any more, to an armed cell. */
enum cell_start cell_run_start(struct broker *broker, struct cell *cell, struct run *run);

/* End a run before its own end. Its result is sent when its guest is dead. */
void cell_run_end(struct broker *broker, struct cell *cell, enum run_end why);

/* The run's owner goes away: nobody waits for the result any more. Ends the run. */
void cell_run_drop(struct broker *broker, struct cell *cell);

/*
 * The cell's guest is about to exit with `status`; its largest resident set was `resident_kib`. If
 * nothing but the kernel's work is left, the run is answered now, and this returns true. The guest
 * says this itself: it can lie about its memory, and is killed if it does not exit.
 */
bool cell_run_announced(struct broker *broker, struct cell *cell, int status, uint64_t resident_kib);

/* The cell's guest has died and been reaped. */
void cell_run_guest_exited(struct broker *broker, struct cell *cell, int wait_status, const struct rusage *usage);

/* Look at the deadlines of a cell, with a run or without. Returns when to look again. */
uint64_t cell_run_check(struct broker *broker, struct cell *cell, uint64_t now_us);

/* ---- for stretch.c ---- */

/* CPU time of all that is, or was, in the cell, in us. Its run's begins at cell->cpu_base_us. */
uint64_t cell_run_cpu_us(const struct broker *broker, const struct cell *cell);

/* ---- for isolation_*.c ---- */

/* CELL_SETTLING: all is known that the verdict needs. */
void cell_run_settled(struct broker *broker, struct cell *cell);

/*
 * The cell was killed as a whole while a run was in it: that is no end of the run's own. Logs
 * `why`.
 */
void cell_run_lost(struct broker *broker, struct cell *cell, const char *why);

#endif
