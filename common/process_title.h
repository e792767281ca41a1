/*
 * process_title.h - names that ps(1) and top(1) show for our processes.
 *
 * The command line of a process becomes "cellblock: zygote python3", and its short name (comm, 15
 * characters) "zygote python3".
 */
#ifndef CELLBLOCK_PROCESS_TITLE_H
#define CELLBLOCK_PROCESS_TITLE_H

/*
 * Name this process: process_title_set("broker"), process_title_set("zygote %s", language).
 * "cellblock: " is put before the command line. Children that are forked inherit both names;
 * execve(2) replaces them.
 *
 * Costs one system call and a write into one page of the stack. Changes nothing that the program
 * can read of itself, such as argv: main() is given a copy (see process_title.c). A title that
 * finds no room is cut. Never fails.
 */
void process_title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
