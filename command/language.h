/* language.h - which language a file is probably written in. */
#ifndef CELLBLOCK_LANGUAGE_GUESS_H
#define CELLBLOCK_LANGUAGE_GUESS_H

#include <stddef.h>

/*
 * The service's usual name of the language, by the end of the file's name or else by the "#!" line
 * that the text begins with. NULL: neither says it.
 */
const char *language_guess(const char *path, const char *text, size_t size);

#endif
