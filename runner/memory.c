/* memory.c - see memory.h. Runs in a zygote, as its last step before it makes guests. */
#define _GNU_SOURCE
#include "memory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HEAP_CHUNK_MAX 120000 /* below malloc's threshold for a mapping of its own */
#define HEAP_CHUNK_MIN 528    /* smaller ones are the business of Python's own allocator */
#define HUGE_PAGE ((uintptr_t)2 << 20)

void
memory_fill_heap(void)
{
	void *highest;
	uintptr_t top;

	malloc_trim(0);
	highest = malloc(HEAP_CHUNK_MAX);
	top = (uintptr_t)highest;
	free(highest);
	for (size_t size = HEAP_CHUNK_MAX; size >= HEAP_CHUNK_MIN; size -= 16) {
		void *chunk;

		while ((chunk = malloc(size)) != NULL && (uintptr_t)chunk < top)
			continue;
		free(chunk);
	}
}

/* `start` to `end`: memory that is never written. */
static void
use_huge_pages(uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1); at + HUGE_PAGE <= end; at += HUGE_PAGE) {
		char *space = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *copy = (char *)(((uintptr_t)space + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));

		if (space == MAP_FAILED)
			return;
		memcpy(copy, (const void *)at, HUGE_PAGE);
		/* A huge page or none: small ones would make it worse. */
		if (madvise(copy, HUGE_PAGE, MADV_COLLAPSE) == 0 && mprotect(copy, HUGE_PAGE, PROT_READ | PROT_EXEC) == 0)
			mremap(copy, HUGE_PAGE, HUGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at);
		munmap(space, 2 * HUGE_PAGE);
	}
}

/* For dl_iterate_phdr: of the interpreter, each stretch without a gap that is never written and has much code in it. */
static int
find_code(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t start = 0, end = 0, code = 0;

	(void)size;
	(void)unused;
	if (object->dlpi_name[0] != '\0' && strstr(object->dlpi_name, "/libpython3") == NULL &&
	    strstr(object->dlpi_name, "/libnode") == NULL)
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t at = (object->dlpi_addr + part->p_vaddr) & ~(uintptr_t)4095;

		if (part->p_type != PT_LOAD)
			continue;
		if (at != end || (part->p_flags & PF_W) != 0) {
			if (code >= HUGE_PAGE / 2)
				use_huge_pages(start, end);
			start = at;
			code = 0;
		}
		if ((part->p_flags & PF_W) != 0)
			break;
		code += (part->p_flags & PF_X) != 0 ? part->p_memsz : 0;
		end = (object->dlpi_addr + part->p_vaddr + part->p_memsz + 4095) & ~(uintptr_t)4095;
	}
	return 0;
}

void
memory_use_huge_pages(void)
{
	dl_iterate_phdr(find_code, NULL);
}
