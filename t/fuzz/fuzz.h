/*
 * fuzz.h - what the fuzz targets share. Each target is one file beside this one, with one function:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
 *
 * which does with some bytes what the product does with them, asserts what must be true then (`must`), leaves nothing
 * behind, and returns 0. It is called by libFuzzer, or by replay.c for each file of the target's corpus.
 */
#ifndef CELLBLOCK_FUZZ_H
#define CELLBLOCK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must be true. Else the program aborts, after one line that says what is not. */
#define must(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fuzz_fail(__FILE__, __LINE__, #condition);                                                     \
	} while (0)
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));

/* Is it UTF-8 as Unicode has it: no overlong form, no surrogate, nothing past U+10FFFF? */
bool fuzz_is_utf8(const char *text, size_t size);

/*
 * Around what is tried with one input: at its end the same descriptors must be open, by number, and under
 * AddressSanitizer the same memory be allocated. What a target keeps from one input to the next it makes before.
 * fuzz_end returns false when there is more memory: all has to be done once more, to see whether it is a leak.
 */
void fuzz_begin(void);
bool fuzz_end(void);

/* A library has met with something that it is known to leak memory of. */
void fuzz_forgive_leak(void);

/* A folder of this process's own, in memory where that can be had. It goes with the process, and what is in it. */
const char *fuzz_folder(void);

/* A file in it, which is the target's to write: see fuzz_write. Returns its path. */
const char *fuzz_file(const char *name, int *fd);
void fuzz_write(int fd, const uint8_t *data, size_t size);

/* The next part of an input of several texts, which stand between lines of "%%". Returns false when there is none. */
bool fuzz_next_part(const uint8_t **data, size_t *size, const uint8_t **part, size_t *part_size);

#endif
