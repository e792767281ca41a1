/*
 * subcommands.h - the parts of cellblock, each in a file of its name. Each takes the arguments
 * after its own name (argv[0]), and returns the exit code of the process.
 */
#ifndef CELLBLOCK_SUBCOMMANDS_H
#define CELLBLOCK_SUBCOMMANDS_H

#include <stdio.h>

#include "settings.h"

int run_main(const struct settings *settings, int argc, char **argv);
int test_main(const struct settings *settings, int argc, char **argv);
int languages_main(const struct settings *settings, int argc, char **argv);
int health_main(const struct settings *settings, int argc, char **argv);
int files_main(const struct settings *settings, int argc, char **argv);

/* Print how a part is used. */
void run_usage(FILE *to);
void test_usage(FILE *to);
void languages_usage(FILE *to);
void health_usage(FILE *to);
void files_usage(FILE *to);

#endif
