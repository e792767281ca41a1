/*
 * compiler_id.h - the identity of a language's compiler, which is part of the key of the compile
 * cache: a new compiler must not be taken for the old one.
 *
 * A file's identity is found by its path, and a path look-up may wait for a disk. So the warden
 * does it, which has the language's root. The answer is good for a second: a compiler that is
 * replaced is noticed after that.
 */
#ifndef CELLBLOCK_COMPILER_ID_H
#define CELLBLOCK_COMPILER_ID_H

#include <stdbool.h>

struct broker;
struct client;
struct language;

/*
 * Whether the identity is known now: language->compiler.file. Zeros: there is no warden that could
 * tell, and nothing is kept.
 */
bool compiler_id_is_known(const struct language *language);

/*
 * Ask the wardens of languages for which connections wait, where none is asked yet. Called by the
 * dispatcher.
 */
void compiler_id_ask(struct broker *broker, struct language *language);

#endif
