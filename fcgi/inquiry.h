/* inquiry.h - the routes that tell how the service is. Each answers its request. */
#ifndef CELLBLOCK_INQUIRY_H
#define CELLBLOCK_INQUIRY_H

#include "route.h"

void inquiry_health(struct worker *worker, struct exchange *exchange);
void inquiry_languages(struct worker *worker, struct exchange *exchange);
void inquiry_capabilities(struct worker *worker, struct exchange *exchange);

#endif
