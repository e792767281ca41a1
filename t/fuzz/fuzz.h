/*
 * fuzz.h - shared by the fuzz targets. Each target is one file beside this one, with one function:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
 *
 * It gives the bytes to the product's code, asserts the properties that must hold (`must`), cleans
 * up, and returns 0. libFuzzer calls it; or replay.c does, for each file of the target's corpus.
 */
#ifndef CELLBLOCK_FUZZ_H
#define CELLBLOCK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Assert. On failure, print one line with the condition, and abort. */
#define must(condition) \
	do { \
		if (!(condition)) \
			fuzz_fail(__FILE__, __LINE__, #condition); \
	} while (0)
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));

/*
 * Whether the bytes are UTF-8 by Unicode: no overlong form, no surrogate, nothing above U+10FFFF.
 */
bool fuzz_is_utf8(const char *text, size_t size);

/*
 * Call these before and after each input. fuzz_end asserts that the same descriptors are open, by
 * number, and under AddressSanitizer that no more memory is allocated. A target allocates what it
 * keeps between inputs before fuzz_begin. fuzz_end returns false if there is more memory: repeat
 * the input, to see whether it is a leak.
 */
void fuzz_begin(void);
bool fuzz_end(void);

/* Report that a library has taken a path on which it is known to leak memory. */
void fuzz_forgive_leak(void);

/* A directory of this process, in memory if possible. It is removed with its contents at exit. */
const char *fuzz_folder(void);

/* Make a file in that directory, for fuzz_write. Returns its path. */
const char *fuzz_file(const char *name, int *fd);
void fuzz_write(int fd, const uint8_t *data, size_t size);

/*
 * The next part of an input of several texts, with lines of "%%" between them. Returns false if
 * there is none.
 */
bool fuzz_next_part(const uint8_t **data, size_t *size, const uint8_t **part, size_t *part_size);

#endif
