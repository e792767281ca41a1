/*
 * main.c - cellblock-top: shows in a terminal what a Cellblock on this host is doing.
 *
 * It reads the routes for Prometheus over HTTP, as any client on this host may, once a second.
 */
#define _GNU_SOURCE
#include <curses.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "autoconfig.h"
#include "fetch.h"
#include "frame.h"
#include "samples.h"

#define DEFAULT_URL "http://127.0.0.1:8194"
#define SERVICE_PATH "/v1/sandbox/metrics"
#define KEYS_PATH "/v1/sandbox/metrics/keys"
#define TIMEOUT_MS 3000
#define HISTORY 10 /* readings over which quantiles are taken */

struct options {
	const char *url_text;
	struct fetch_url url;
	long interval_ms;
	bool once;
};

/* The last readings, in a ring. */
struct history {
	struct samples reading[HISTORY];
	size_t newest, count;
	bool has_keys; /* in the newest */
	char error[FETCH_ERROR_SIZE]; /* why there is no newer one; else empty */
};

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-top [--url URL] [--interval SECONDS] [--once]\n"
	    "       cellblock-top --help | --version\n\n"
	    "  -u, --url URL           http://HOST:PORT or unix:PATH (default: " DEFAULT_URL ")\n"
	    "  -i, --interval SECONDS  from one reading to the next, 0.1 to 3600 (default: 1)\n"
	    "  -1, --once              print one frame as text, and exit\n\n"
	    "Keys: q quits, s and S change the order, space reads at once.\n");
}

static void __attribute__((noreturn)) bad_usage(const char *what)
{
	if (what != NULL)
		fprintf(stderr, "cellblock-top: %s\n", what);
	usage(stderr);
	exit(2);
}

static long
parse_interval(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 0.1 && seconds <= 3600))
		bad_usage("--interval: must be a number of seconds from 0.1 to 3600");
	return (long)(seconds * 1000);
}

static void
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option list[] = {
		{ "url", required_argument, NULL, 'u' },
		{ "interval", required_argument, NULL, 'i' },
		{ "once", no_argument, NULL, '1' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char error[FETCH_ERROR_SIZE];
	int c;

	*options = (struct options){ .url_text = DEFAULT_URL, .interval_ms = 1000 };
	while ((c = getopt_long(argc, argv, "u:i:1h", list, NULL)) != -1) {
		switch (c) {
		case 'u':
			options->url_text = optarg;
			break;
		case 'i':
			options->interval_ms = parse_interval(optarg);
			break;
		case '1':
			options->once = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("cellblock-top " PACKAGE_VERSION);
			exit(0);
		default:
			bad_usage(NULL);
		}
	}
	if (optind != argc)
		bad_usage("there is nothing but options");
	if (fetch_parse(options->url_text, &options->url, error) != 0)
		bad_usage(error);
}

/* ---- readings ---------------------------------------------------------------------------------------------------- */

static double
now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns 0, or -1 with history->error: then the last reading stays the newest. */
static int
read_metrics(const struct options *options, struct history *history)
{
	char *service = fetch(&options->url, SERVICE_PATH, TIMEOUT_MS, history->error), *keys;
	size_t at = history->count == 0 ? 0 : (history->newest + 1) % HISTORY;
	char keys_error[FETCH_ERROR_SIZE];
	struct samples *reading = &history->reading[at];

	if (service == NULL)
		return -1;
	keys = fetch(&options->url, KEYS_PATH, TIMEOUT_MS, keys_error);
	history->has_keys = keys != NULL;
	samples_free(reading);
	reading->at = now_seconds();
	if (samples_add(reading, service) != 0 || (keys != NULL && samples_add(reading, keys) != 0)) {
		fprintf(stderr, "cellblock-top: no memory\n");
		exit(1);
	}
	history->newest = at;
	if (history->count < HISTORY)
		history->count++;
	history->error[0] = '\0';
	return 0;
}

/* The reading that is `age` older than the newest, or the oldest that there is. */
static const struct samples *
reading_of_age(const struct history *history, size_t age)
{
	if (age >= history->count)
		age = history->count - 1;
	return &history->reading[(history->newest + HISTORY - age) % HISTORY];
}

static void
make_frame(const struct options *options, const struct history *history, enum frame_sort sort, size_t lines, struct frame *frame)
{
	frame_make(frame, reading_of_age(history, HISTORY - 1), reading_of_age(history, 1), reading_of_age(history, 0),
	    options->url_text, history->has_keys, sort, lines);
}

/* ---- one frame as text ------------------------------------------------------------------------------------------- */

static int
print_once(const struct options *options, struct history *history, struct frame *frame)
{
	const struct timespec pause = { options->interval_ms / 1000, options->interval_ms % 1000 * 1000000 };

	/* Rates need two readings. */
	if (read_metrics(options, history) != 0 || (nanosleep(&pause, NULL), read_metrics(options, history)) != 0) {
		fprintf(stderr, "cellblock-top: %s: %s\n", options->url_text, history->error);
		return 1;
	}
	make_frame(options, history, SORT_RATE, FRAME_LINES, frame);
	for (size_t i = 0; i < frame->count; i++)
		puts(frame->line[i]);
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : 1;
}

/* ---- the screen -------------------------------------------------------------------------------------------------- */

static void
draw(const struct options *options, const struct history *history, enum frame_sort sort, struct frame *frame)
{
	char foot[FETCH_ERROR_SIZE];
	int lines = LINES - 1;

	erase();
	if (history->count > 0 && lines > 0) {
		make_frame(options, history, sort, (size_t)lines, frame);
		for (size_t i = 0; i < frame->count; i++) {
			attrset(frame->is_head[i] ? A_REVERSE : A_NORMAL);
			mvaddnstr((int)i, 0, frame->line[i], COLS);
		}
		attrset(A_NORMAL);
	}
	if (history->error[0] != '\0')
		snprintf(foot, sizeof foot, "%s", history->error);
	else
		snprintf(foot, sizeof foot, "q quit   s order (%s)   space read now", frame_sort_name(sort));
	mvaddnstr(LINES - 1, 0, foot, COLS - 1);
	refresh();
}

static int
show(const struct options *options, struct history *history, struct frame *frame)
{
	enum frame_sort sort = SORT_RATE;
	double next = 0;

	if (initscr() == NULL)
		return 1;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	for (;;) {
		double now = now_seconds();

		if (now >= next) {
			read_metrics(options, history);
			next = now_seconds() + (double)options->interval_ms / 1000;
		}
		draw(options, history, sort, frame);
		now = now_seconds();
		timeout(next > now ? (int)((next - now) * 1000) + 1 : 0);
		switch (getch()) {
		case 'q':
		case 'Q':
		case 3: /* ^C, if the terminal makes no signal of it */
			endwin();
			return 0;
		case 's':
			sort = (sort + 1) % FRAME_SORTS;
			break;
		case 'S':
			sort = (sort + FRAME_SORTS - 1) % FRAME_SORTS;
			break;
		case ' ':
			next = 0;
			break;
		default: /* the time is up, or the window has another size */
			break;
		}
	}
}

int
main(int argc, char **argv)
{
	static struct history history;
	static struct frame frame;
	struct options options;

	parse_options(argc, argv, &options);
	if (options.once)
		return print_once(&options, &history, &frame);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fprintf(stderr, "cellblock-top: this is no terminal; --once prints one frame as text\n");
		return 1;
	}
	return show(&options, &history, &frame);
}
