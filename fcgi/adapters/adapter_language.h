/*
 * adapter_language.h - the languages by their names in a protocol, with the versions that are
 * installed.
 */
#ifndef CELLBLOCK_ADAPTER_LANGUAGE_H
#define CELLBLOCK_ADAPTER_LANGUAGE_H

#include "config.h"
#include "exchange.h"
#include "proto.h"

/* The name of a language in lists of the protocol; NULL: it is not there. */
const char *adapter_language_name(const struct language_config *language, enum adapter_protocol protocol);

/*
 * The next language of this name after `from`, which is -1 for the first; or -1. Several versions
 * of a language may have one name; the default of its family comes first.
 */
int adapter_language_next(const struct config *config, enum adapter_protocol protocol, const char *name, int from);

/*
 * Ask the runner for the state of a language, which may be some seconds old. Returns 0, or -1: the
 * runner cannot be reached. The texts end with NUL.
 */
int adapter_language_ask(struct worker *worker, size_t language, struct proto_language *answer);

#endif
