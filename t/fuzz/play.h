/*
 * play.h - for targets that play the processes around the one that is tried: the input as a script of what they do, and
 * what they do it with.
 */
#ifndef CELLBLOCK_PLAY_H
#define CELLBLOCK_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define SENT_FDS 16 /* more than anybody takes with a message */

/* The script: bytes that are not copied, and live as long as they are played. */
void play_begin(const uint8_t *data, size_t size);

/* Its next byte; 0 when all are played. */
uint8_t next(void);

/* How many are left, and the next of them, which stays. */
size_t play_left(void);
uint8_t play_ahead(void);

/* Close a descriptor, if there is one, and set it to -1. */
void shut(int *fd);

/*
 * Likewise a connection's end, which must be noticed at the other one: if somebody has just opened /proc/PID/fd, the kernel closes
 * nothing before he is done.
 */
void hang_up(int *fd);

/* Two ends of a connection, as between all processes here: SOCK_SEQPACKET and close-on-exec, and `flags`. */
void pair(int *ours, int *theirs, int flags);

/*
 * Send what no decent process would: any bytes, with at most SENT_FDS descriptors. Returns whether it was taken: whoever
 * it is for may have hung up, or take no more.
 */
bool send_anything(int sock, const void *bytes, size_t size, const int *fds, size_t count);

#endif
