/*
 * attack.h - the attacks that a guest of the self-test carries out in the place of a program,
 * behind all of its walls.
 *
 * Every zygote's guests contain this code (guest.c). So an attack comes from the same process that
 * would have run a program: a fork of an interpreter, of a launcher, or an interpreter that waits.
 * An attack does no harm if it succeeds. The guest writes its findings to its stdout, as struct
 * attack_report. selftest.c, in the broker, requests attacks and judges the reports.
 */
#ifndef CELLBLOCK_ATTACKS_H
#define CELLBLOCK_ATTACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One kind per guest. */
enum attack_kind {
	ATTACK_NONE,   /* none: run the program */
	ATTACK_WALLS,  /* all of the table, and then the first deadly system call */
	ATTACK_MEMORY, /* use more memory than allowed */
	ATTACK_TASKS,  /* start more threads than allowed */
	ATTACK_CPU,    /* use more CPU time than allowed */
	ATTACK_TIME,   /* live longer than allowed */
	ATTACK_DEADLY, /* plus a number below attack_deadly_count(): that deadly system call */
};

#define ATTACKS_MAX 128

/* The abstract name of a socket on which the broker listens, where a cell must not reach it. */
#define ATTACK_ABSTRACT_NAME "cellblock self-test"

#define ATTACK_ON_LANDLOCK "an ioctl of a device" /* Landlock denies it from ABI 5 on */

enum attack_stage {
	ATTACK_BEGAN = 1, /* the first report: nothing is known yet */
	ATTACK_DONE,      /* ATTACK_WALLS: `got_out` and `facts` are filled in */
	ATTACK_SURVIVED,  /* the attack succeeded, and the guest lives */
};

/* Facts that a guest finds about itself. The broker knows the right values. */
struct attack_facts {
	uint32_t uid[3], gid[3]; /* real, effective, saved */
	uint32_t groups;
	uint32_t open_files; /* RLIMIT_NOFILE */
	uint64_t box_device, box_inode;
	uint64_t disk_bytes, inodes; /* of its tmpfs; 0: no limit */
};

struct attack_report {
	uint32_t stage;               /* enum attack_stage */
	uint32_t count;               /* of attacks in the table */
	uint8_t got_out[ATTACKS_MAX]; /* by number: 1 if the attack was not stopped */
	struct attack_facts facts;
};

/*
 * Attack `number` of the table: its name, and the layer that must stop it, by its name in the reply
 * to GET /v1/sandbox/capabilities. Both are NULL past the last attack.
 */
const char *attack_name(size_t number);
const char *attack_layer(size_t number);

/* The deadly system calls: the policies end the process that makes one. */
size_t attack_deadly_count(void);
const char *attack_deadly_name(size_t number);

/*
 * Carry out the attack, and exit with status 0 if the guest was not killed. If the attack
 * succeeded, the guest reports ATTACK_SURVIVED first.
 *
 * `kept`: descriptors from 3 on that the guest may have. With `is_alone` it may have more of them,
 * because it shares none with another guest.
 */
void attack_carry_out(uint32_t kind, const int *kept, size_t kept_count, bool is_alone) __attribute__((noreturn));

#endif
