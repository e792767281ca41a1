/* conf_syntax.h - says why libconfig cannot parse a text: it says "syntax error" and no more. */
#ifndef CELLBLOCK_CONF_SYNTAX_H
#define CELLBLOCK_CONF_SYNTAX_H

#include <stddef.h>

/*
 * The length of the string or comment that starts at `text`; 0 if none does. Without an end, it
 * reaches to the NUL.
 */
size_t conf_syntax_quoted(const char *text);

/*
 * Find the first syntax error of `text`. Returns 0, with its line in *line and one line of text in
 * `message`: what is wrong, and how to write it. Returns -1 where there is none that this knows of.
 */
int conf_syntax_explain(const char *text, unsigned *line, char *message, size_t size);

#endif
