/* children.h - the broker's own children, which are no guests: wardens and zygotes. */
#ifndef CELLBLOCK_CHILDREN_H
#define CELLBLOCK_CHILDREN_H

#include "broker/broker.h"

/* Start the warden of a language, or start it again. Returns 0 or -1, having logged why. */
int spawn_warden(struct broker *broker, struct language *language);

/* Start a zygote. Its report comes later, to broker_zygote_reported. Returns 0 or -1, having logged why. */
int spawn_zygote(struct broker *broker, struct zygote *zygote);

#endif
