/*
 * broker_world.h - plays all that the real broker has around it, except for the workers.
 *
 * It plays wardens, zygotes and guests, which may misbehave; some guests belong to the self-test.
 * It replaces the kernel's clock and the ends of processes, too (ld --wrap).
 *
 * It implements spawn.h: a warden, a zygote or a guest is the other end of a socket. The end of a
 * process is an entry of a list, and the time is a number. So nothing waits, and an input always
 * takes the same course.
 */
#ifndef CELLBLOCK_BROKER_WORLD_H
#define CELLBLOCK_BROKER_WORLD_H

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/language.h"
#include "play.h"

#define CELLS 4
#define LANGUAGES 4

extern struct broker broker;
extern struct language languages[LANGUAGES]; /* the first one is compiled */
extern struct cell cells[CELLS];

/* Descriptors to send along with messages. They stay open from one input to the next. */
enum { A_FOLDER, A_MEMFD, A_NULL, AN_EVENT, A_PIPE, A_JOB, THINGS };
extern int things[THINGS];

/* Prepare all that every input uses. Call it once, before the first input. */
void world_make(void);

/*
 * Make a new broker in a new world. `seed` selects one of a few variants: whether a language is
 * missing, and which languages the real self-test tests.
 */
void world_begin(size_t seed);

/* Release all that is left of both, after the broker has ended. */
void world_end(void);

/* The steps of an input. Each reads its details from the script. */
void warden_step(void);
void zygote_step(void);
void guest_step(void);
void guest_end_step(void); /* the guest ends, and with it its run */
void init_end_step(void);
void process_step(void); /* a warden or a zygote dies */
void time_step(void);

/* Carry out all orders, end every guest, and let a second pass. */
void world_settle(void);

/* End all armed cells, and put all languages to sleep. */
void world_give_up(void);

/*
 * Give each guest a pid of its own. The kernel names this process as the sender of every report, so
 * all guests would have the same one.
 */
void world_number_guests(void);

#endif
