/*
 * play.h - for targets that play the processes around the one under test: the input is a script of
 * their actions, and these are the means.
 */
#ifndef CELLBLOCK_PLAY_H
#define CELLBLOCK_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define SENT_FDS 16 /* more than any receiver accepts with a message */

/* Start a script. The bytes are not copied, and must live as long as the script is played. */
void play_begin(const uint8_t *data, size_t size);

/* The script's next byte; 0 at its end. */
uint8_t next(void);

/* The number of bytes left; and the next one, without taking it. */
size_t play_left(void);
uint8_t play_ahead(void);

/* Close a descriptor, unless it is -1, and set it to -1. */
void shut(int *fd);

/*
 * Close the end of a connection so that the other end notices at once. Without the shutdown, the
 * kernel closes nothing while another process has just opened /proc/PID/fd.
 */
void hang_up(int *fd);

/*
 * Make the two ends of a connection as between all processes here: SOCK_SEQPACKET and
 * close-on-exec, with `flags`.
 */
void pair(int *ours, int *theirs, int flags);

/*
 * Send a message that violates the protocol: any bytes, with at most SENT_FDS descriptors. Returns
 * whether it was taken: the receiver may have hung up, or be full.
 */
bool send_anything(int sock, const void *bytes, size_t size, const int *fds, size_t count);

#endif
