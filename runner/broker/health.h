/* health.h - whether runs can be served, for GET /health. */
#ifndef CELLBLOCK_HEALTH_H
#define CELLBLOCK_HEALTH_H

#include "proto.h"

struct broker;

/* Fill in *state, with a reason if the runner is not fit to serve. */
void health_state(const struct broker *broker, struct proto_state *state);

#endif
