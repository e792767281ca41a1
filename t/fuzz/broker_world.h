/*
 * broker_world.h - all that the real broker has around it, but for workers: wardens, zygotes and
 * guests, which may misbehave, the self-test's guests among them; and of the kernel the time and
 * the ends of processes (ld --wrap).
 *
 * spawn.h is implemented here: a warden, a zygote or a guest is the other end of a socket, a
 * process's end is an entry of a list, time is a number. So nothing is waited for, and an input
 * takes the same course each time.
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

/* What is passed around; kept from one input to the next. */
enum { A_FOLDER, A_MEMFD, A_NULL, AN_EVENT, A_PIPE, A_JOB, THINGS };
extern int things[THINGS];

/* Once, before the first input. */
void world_make(void);

/*
 * A new broker in a new world. `seed` says which of a few: whether a language is missing, and who
 * is tested how.
 */
void world_begin(size_t seed);

/* All that is left of both goes, when the broker has ended. */
void world_end(void);

/* What an input can have happen. Each takes what it is about from the script. */
void warden_step(void);
void zygote_step(void);
void guest_step(void);
void guest_end_step(void); /* it ends, or its run does */
void init_end_step(void);
void process_step(void); /* a warden or a zygote dies */
void time_step(void);

/* All orders are carried out, every guest ends, and a second goes by. */
void world_settle(void);

/* No cell is wanted any more. */
void world_give_up(void);

/* The kernel's word for who has reported is always us. Each guest gets a number of its own. */
void world_number_guests(void);

#endif
