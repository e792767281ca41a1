/* mime.h - guesses the media type of a file. */
#ifndef CELLBLOCK_MIME_H
#define CELLBLOCK_MIME_H

#include <stdbool.h>

#include "text.h"

/*
 * The media type of a file: by the first bytes of its content, else by the end of its name, else
 * text/plain or application/octet-stream. Never NULL.
 */
const char *mime_guess(const struct text *path, const struct text *content, bool is_text);

#endif
