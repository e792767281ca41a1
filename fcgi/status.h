/* inquiry.h - the routes that tell how the service is. Each answers its request. */
#ifndef CELLBLOCK_INQUIRY_H
#define CELLBLOCK_INQUIRY_H

#include "route.h"

void status_health(struct worker *worker, struct exchange *exchange);
void status_languages(struct worker *worker, struct exchange *exchange);
void status_capabilities(struct worker *worker, struct exchange *exchange);

#endif
