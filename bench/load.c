/* load.c - see load.h. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static unsigned runs_wanted;
static atomic_uint runs_taken;
static pthread_barrier_t all_open;
static double *latency_ms;
static double *figure[LOAD_FIGURES_MAX]; /* an array each, with a value for each run, like latency_ms */

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *
client_main(void *arg)
{
	struct load_client *client = arg;
	unsigned run;

	client->state = client->load->open();
	pthread_barrier_wait(&all_open);
	client->began_us = now_us();
	while ((run = atomic_fetch_add(&runs_taken, 1)) < runs_wanted) {
		double start_us = now_us();

		client->failed += !client->load->run(client);
		latency_ms[run] = (now_us() - start_us) / 1e3;
		for (unsigned f = 0; client->load->figures[f] != NULL; f++)
			figure[f][run] = client->figure[f];
	}
	client->ended_us = now_us();
	client->load->close(client->state);
	return NULL;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The percentile of sorted values, one for each run. */
static double
percentile(const double *value, unsigned percent)
{
	return value[(size_t)runs_wanted * percent / 100];
}

/* Sort the values, one for each run, and return their mean. */
static double
sort_and_mean(double *value)
{
	double sum = 0;

	qsort(value, runs_wanted, sizeof *value, ascending);
	for (unsigned i = 0; i < runs_wanted; i++)
		sum += value[i];
	return sum / runs_wanted;
}

static void
print_result(const struct load *load, const struct load_client *client, unsigned clients, unsigned failed)
{
	double began_us = client[0].began_us, ended_us = client[0].ended_us, mean;

	for (unsigned i = 1; i < clients; i++) {
		if (client[i].began_us < began_us)
			began_us = client[i].began_us;
		if (client[i].ended_us > ended_us)
			ended_us = client[i].ended_us;
	}
	mean = sort_and_mean(latency_ms);
	printf("{\"runs\": %u, \"failed\": %u, \"per_second\": %.1f, \"mean_ms\": %.4f, \"p50_ms\": %.4f, \"p95_ms\": %.4f, "
	       "\"p99_ms\": %.4f",
	    runs_wanted, failed, runs_wanted / ((ended_us - began_us) / 1e6), mean, percentile(latency_ms, 50),
	    percentile(latency_ms, 95), percentile(latency_ms, 99));
	for (unsigned f = 0; load->figures[f] != NULL; f++) {
		mean = sort_and_mean(figure[f]);
		printf(", \"%s\": %.4f, \"p50_%s\": %.4f", load->figures[f], mean, load->figures[f], percentile(figure[f], 50));
	}
	printf("}\n");
}

static double *
allocate_values(void)
{
	double *value = calloc(runs_wanted, sizeof *value);

	if (value == NULL)
		die("out of memory");
	return value;
}

int
load_main(const struct load *load, unsigned clients, unsigned runs)
{
	struct load_client *client = calloc(clients, sizeof *client);
	unsigned failed = 0;

	runs_wanted = runs;
	latency_ms = allocate_values();
	for (unsigned f = 0; load->figures[f] != NULL; f++)
		figure[f] = allocate_values();
	if (client == NULL)
		die("out of memory");
	pthread_barrier_init(&all_open, NULL, clients);
	for (unsigned i = 0; i < clients; i++) {
		client[i].load = load;
		if (pthread_create(&client[i].thread, NULL, client_main, &client[i]) != 0)
			die("start a thread");
	}
	for (unsigned i = 0; i < clients; i++) {
		pthread_join(client[i].thread, NULL);
		failed += client[i].failed;
	}
	print_result(load, client, clients, failed);
	pthread_barrier_destroy(&all_open);
	for (unsigned f = 0; load->figures[f] != NULL; f++)
		free(figure[f]);
	free(latency_ms);
	free(client);
	return failed != 0;
}

unsigned
load_number(const char *text, const char *name)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value == 0 || value > INT_MAX)
		die("%s: a number above 0 is needed, not \"%s\"", name, text);
	return (unsigned)value;
}

char *
load_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat about;
	char *text;

	if (fd < 0 || fstat(fd, &about) != 0)
		die("read %s: %s", path, strerror(errno));
	*size = (size_t)about.st_size;
	text = malloc(*size + 1);
	if (text == NULL || read(fd, text, *size) != (ssize_t)*size)
		die("read %s: it is not a plain file", path);
	text[*size] = '\0';
	close(fd);
	return text;
}
