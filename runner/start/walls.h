/*
 * walls.h - the layers that the runner announces, in its log and in GET /v1/sandbox/capabilities: a
 * table with a row each.
 */
#ifndef CELLBLOCK_WALLS_H
#define CELLBLOCK_WALLS_H

#include <stdbool.h>
#include <stddef.h>

#define WALL_TEXT_SIZE 256

struct start;

struct wall {
	const char *name;
	bool (*is_required)(const struct start *start); /* NULL: always */
	bool (*is_up)(const struct start *start); /* whether there is such a layer, for the self-test to prove. NULL: always */
	const char *detail;                       /* a fixed text; NULL: `describe` writes it */
	void (*describe)(const struct start *start, char *text, size_t size);
};

/* Fill broker->layers: the rows of the level, then those of all levels. */
void walls_list(struct start *start);

/* Conditions and texts for rows of both levels. */
bool wall_never(const struct start *start);
bool wall_wants_uid_per_cell(const struct start *start);
bool wall_has_uid_per_cell(const struct start *start);
void wall_describe_ids(const struct start *start, char *text, size_t size);

#endif
