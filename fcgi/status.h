/* status.h - the routes that report the state of the service. Each answers its request. */
#ifndef CELLBLOCK_STATUS_H
#define CELLBLOCK_STATUS_H

#include "exchange.h"
#include "runner_view.h"

/* What the threads of the status process share. */
struct status {
	const struct config *config;
	struct runner_view view;
};

void status_health(struct status *status, struct exchange *exchange);
void status_live(struct status *status, struct exchange *exchange);
void status_ready(struct status *status, struct exchange *exchange);
void status_languages(struct status *status, struct exchange *exchange);
void status_capabilities(struct status *status, struct exchange *exchange);
void status_metrics(struct status *status, struct exchange *exchange);
void status_key_metrics(struct status *status, struct exchange *exchange);

#endif
