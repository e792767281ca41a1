/* fcgi_signals.c - see fcgi_signals.h. */
#define _GNU_SOURCE
#include "fcgi_signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "log.h"

int
fcgi_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, plain = { .sa_handler = SIG_DFL };
	sigset_t stop;
	int fd;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGUSR1, &ignore, NULL) != 0 ||
	    sigaction(SIGTERM, &plain, NULL) != 0 || sigprocmask(SIG_BLOCK, &stop, NULL) != 0)
		die("signals: %s", strerror(errno));
	fd = signalfd(-1, &stop, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	return fd;
}
