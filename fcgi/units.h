/* units.h - limits in the units that people read: "256 MiB", "15 s". */
#ifndef CELLBLOCK_UNITS_H
#define CELLBLOCK_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define UNITS_TEXT_SIZE 32

/*
 * Write the value of the limit `name`, whose end tells its unit: "_ms" or "_bytes". `text` has
 * room for UNITS_TEXT_SIZE bytes. Returns false, with an empty text, if the plain number says it as
 * well.
 */
bool units_of_limit(const char *name, uint64_t value, char *text);

#endif
