/* route.h - serves one request, from its parameters to its line in the log. */
#ifndef CELLBLOCK_ROUTE_H
#define CELLBLOCK_ROUTE_H

#include <fcgiapp.h>

#include "exchange.h"

/* Answer and finish the request that libfcgi has accepted, and log it in one line. */
void route_serve(struct worker *worker, FCGX_Request *fcgi);

#endif
