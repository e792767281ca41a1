/*
 * load.h - common code of the load generators: clients as threads, and one JSON object with the
 * results.
 *
 * A generator has functions to open, use and close the state of a client, which lasts for all of
 * its runs. load_main does the rest. Clients take runs from one common counter, so that all clients
 * are busy until the end.
 */
#ifndef CELLBLOCK_LOAD_H
#define CELLBLOCK_LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define LOAD_FIGURES_MAX 4

struct load_client {
	void *state;                     /* of the generator */
	double figure[LOAD_FIGURES_MAX]; /* set by the generator for the last run, in the order of load.figures */
	/* private to load.c */
	const struct load *load;
	pthread_t thread;
	unsigned failed;
	double began_us, ended_us;
};

struct load {
	void *(*open)(void);                     /* before the clock starts; returns load_client.state */
	bool (*run)(struct load_client *client); /* returns whether the run succeeded */
	void (*close)(void *state);
	const char *figures[LOAD_FIGURES_MAX + 1]; /* the names of load_client.figure; mean and median are printed */
};

/*
 * Let `clients` threads share `runs` runs and print the result on stdout. Returns the exit status:
 * 0 if none failed.
 */
int load_main(const struct load *load, unsigned clients, unsigned runs);

/* Parse a whole positive number, or die with the name of the argument. */
unsigned load_number(const char *text, const char *name);

/* A file's contents, NUL-terminated, for the caller to free; or die. */
char *load_file(const char *path, size_t *size);

#endif
