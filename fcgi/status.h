/* status.h - the routes that report the state of the service. Each answers its request. */
#ifndef CELLBLOCK_STATUS_H
#define CELLBLOCK_STATUS_H

#include "exchange.h"

void status_health(struct worker *worker, struct exchange *exchange);
void status_languages(struct worker *worker, struct exchange *exchange);
/* Append the names of the languages that are installed to an error. */
void status_name_languages(struct worker *worker, struct http_error *error);

void status_capabilities(struct worker *worker, struct exchange *exchange);

#endif
