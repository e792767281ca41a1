/*
 * process_title.h - names that ps(1) and top(1) show for our processes.
 *
 * The command line of a process becomes "cellblock: zygote python3", for example, and its short
 * name (comm, 15 characters) "zygote python3".
 */
#ifndef CELLBLOCK_PROCESS_TITLE_H
#define CELLBLOCK_PROCESS_TITLE_H

/*
 * Name this process: process_title_set("broker"), process_title_set("zygote %s", language). This
 * adds "cellblock: " to the command line. Forked children inherit both names. execve(2) replaces
 * them.
 *
 * Costs one system call and a write into one page of the stack. Changes nothing that the program
 * can read of itself, such as argv: main() gets a copy (process_title.c). Cuts a title that finds
 * no room. Never fails.
 */
void process_title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Give the process back the names that it had when its program was started, for instance
 * "/usr/bin/perl main.pl" and "perl". Costs the same. Never fails.
 */
void process_title_restore(void);

/*
 * Have process_title_restore show `word` in the place of the last argument. Does nothing if that
 * has another length: the kernel shows no more and no less bytes than there were.
 */
void process_title_stand_in(const char *word);

#endif
