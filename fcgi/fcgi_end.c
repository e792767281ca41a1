/* fcgi_end.c - see fcgi_end.h. */
#include "fcgi_end.h"

#include <unistd.h>

void
fcgi_end(FCGX_Request *fcgi)
{
	fcgi->keepConnection = FCGX_HasSeenEOF(fcgi->in) != 0;
	FCGX_Finish_r(fcgi);
	if (fcgi->ipcFd >= 0)
		close(fcgi->ipcFd);
	fcgi->ipcFd = -1;
}
