/* service_start.c - see service_start.h. */
#define _GNU_SOURCE
#include "service_start.h"

#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_load.h"
#include "generations.h"
#include "lockdown.h"
#include "log.h"

static void
check_listening(const char *what)
{
	int listening = 0;
	socklen_t size = sizeof listening;

	if (getsockopt(SERVICE_LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
		die("descriptor 0 is not a listening socket: start the %s with spawn-fcgi(1)", what);
}

struct config *
service_start(const char *program, const char *what, const char *path, struct generation *generation)
{
	struct config *config;
	char error[512];

	log_open(program);
	log_never_wait(); /* the log is a pipe, and its reader may have stopped */
	generation_find(generation);
	/*
	 * spawn-fcgi(1) passes on descriptors that it does not know. A parent that continues has
	 * its own.
	 */
	lockdown_check(generation->has_parent ? GENERATION_REPORT_FD + 1 : generations_continue() ? INT_MAX : STDERR_FILENO + 1);
	check_listening(what);
	config = config_load(path, error, sizeof error);
	if (config == NULL && !generations_continue())
		die("%s", error);
	if (config == NULL)
		log_warn("%s", error);
	else if (config->log_format == LOG_FORMAT_JSON)
		log_as_json();
	return config;
}
