/* generation.c - see generation.h. Runs in the processes that a parent has started. */
#define _GNU_SOURCE
#include "generation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "generations.h"
#include "log.h"

static bool reports; /* there is a parent */

void
generation_find(struct generation *generation)
{
	const char *text = getenv(GENERATIONS_CHILD);
	unsigned replaces;

	*generation = (struct generation){ .parent = getppid() };
	if (text == NULL)
		return;
	if (sscanf(text, "%" SCNu32 " %" SCNu32 " %u", &generation->number, &generation->slot, &replaces) != 3)
		die("%s=%s was not written by a parent of this version", GENERATIONS_CHILD, text);
	unsetenv(GENERATIONS_CHILD);
	generation->replaces = replaces != 0;
	generation->has_parent = reports = true;
	fcntl(GENERATION_REPORT_FD, F_SETFD, FD_CLOEXEC);
	fcntl(GENERATION_LISTEN_FD, F_SETFD, FD_CLOEXEC);
}

void
generation_die_with_parent(const struct generation *generation)
{
	if (!generation->has_parent)
		return;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die("set the parent-death signal: %s", strerror(errno));
	if (getppid() != generation->parent)
		_exit(0);
}

void
generation_report(enum generation_kind kind)
{
	const struct generation_report report = { .kind = (uint32_t)kind };

	if (reports && write(GENERATION_REPORT_FD, &report, sizeof report) < 0 && errno != EPIPE)
		log_warn("report to the parent: %s", strerror(errno));
}
