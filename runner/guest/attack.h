/*
 * attack.h - what the self-test has a guest try, behind its last wall and in the place of a program.
 *
 * The attacks are C code that every zygote's guests bring along (guest.c), so they come from whatever would have run a
 * program: an interpreter's fork, a launcher's, an interpreter that waits. Nothing here does harm where it succeeds. What the guest
 * finds it writes to its stdout, as struct attack_report; selftest.c, in the broker, gives the orders and judges.
 */
#ifndef CELLBLOCK_ATTACKS_H
#define CELLBLOCK_ATTACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a guest is to try; one kind per guest. */
enum attack_kind {
	ATTACK_NONE,    /* it is to run its program */
	ATTACK_WALLS,   /* all of the table, and at last a call that is to be the end of it */
	ATTACK_MEMORY,  /* to use more memory than it has */
	ATTACK_TASKS,   /* to have more threads than it may */
	ATTACK_CPU,     /* to compute for longer than it may */
	ATTACK_TIME,    /* to live for longer than it may */
	ATTACK_DEADLY,  /* plus a number below attack_deadly_count(): a call that is to be the end of it */
};

#define ATTACKS_MAX 128

#define ATTACK_ON_LANDLOCK "an ioctl of a device" /* means something from ABI 5 on */

enum attack_stage {
	ATTACK_BEGAN = 1, /* nothing is known yet */
	ATTACK_DONE,      /* of ATTACK_WALLS: `got_out` and the facts are filled in */
	ATTACK_SURVIVED,  /* it lives, and did what it should not be able to do */
};

/* How a guest finds itself. The broker knows how it should be. */
struct attack_facts {
	uint32_t uid[3], gid[3]; /* real, effective, saved */
	uint32_t groups;
	uint32_t open_files;     /* RLIMIT_NOFILE */
	uint64_t box_device, box_inode;
	uint64_t disk_bytes, inodes; /* of its tmpfs; 0: without limit */
};

struct attack_report {
	uint32_t stage; /* enum attack_stage */
	uint32_t count; /* of attacks in the table */
	uint8_t got_out[ATTACKS_MAX]; /* by number: 1 if the attack was not stopped */
	struct attack_facts facts;
};

/* Attack `number` of the table: its name, and the layer that is to stop it (a name of capabilities). NULL past the last. */
const char *attack_name(size_t number);
const char *attack_layer(size_t number);

/* The calls that end who makes them. */
size_t attack_deadly_count(void);
const char *attack_deadly_name(size_t number);

/*
 * Carry out what is asked for. `kept`: descriptors from 3 on that the guest has for good reason; with `is_alone` it may have others,
 * that nobody shares. The exit status is 0 if
 * the guest was stopped without being ended; if it was not stopped, it says so in a report first.
 */
void attack_carry_out(uint32_t kind, const int *kept, size_t kept_count, bool is_alone) __attribute__((noreturn));

#endif
