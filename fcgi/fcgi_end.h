/* fcgi_end.h - the end of a FastCGI request. */
#ifndef CELLBLOCK_FCGI_END_H
#define CELLBLOCK_FCGI_END_H

#include <fcgiapp.h>

/*
 * Send the rest of the reply, and close the connection. libfcgi would wait for nginx to close
 * first: data that arrives at a closed socket resets the connection, and nginx might lose the
 * reply. If the whole request has been read, nothing can arrive, and there is no need to wait.
 */
void fcgi_end(FCGX_Request *fcgi);

#endif
