/* doctor.h - says what this host offers, layer by layer, and what to do where something is missing. */
#ifndef CELLBLOCK_DOCTOR_H
#define CELLBLOCK_DOCTOR_H

#include "config.h"

/* Try every layer, print a row for each. Returns the exit status: 1 if one that `config` requires is missing. */
int check_host(const struct config *config);

#endif
