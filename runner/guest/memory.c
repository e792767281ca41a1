/* memory.c - see memory.h. Runs in a zygote, as its last step before it makes guests. */
#define _GNU_SOURCE
#include "guest/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HEAP_CHUNK_MAX 120000 /* below malloc's threshold for a mapping of its own */
#define HEAP_CHUNK_MIN 528    /* smaller ones are the business of Python's own allocator */
#define PAGE ((uintptr_t)4096)
#define HUGE_PAGE ((uintptr_t)2 << 20)
#define HOLE_PAGES 32 /* so much memory that was never used is worth a mapping more */
#define PIECES_MAX 16

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

static bool
is_interpreter(const struct dl_phdr_info *object)
{
	return object->dlpi_name[0] == '\0' || strstr(object->dlpi_name, "/libpython3") != NULL ||
	    strstr(object->dlpi_name, "/libnode") != NULL;
}

/* For dl_iterate_phdr: of the interpreter, each stretch without a gap that is never written and has much code in it. */
static int
find_code(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t start = 0, end = 0, code = 0;

	(void)size;
	(void)unused;
	if (!is_interpreter(object))
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

/* ---- what is written -------------------------------------------------------------------------------------------- */

/* Parts of the address space, in whole pages. */
struct pieces {
	struct {
		uintptr_t start, end;
	} piece[PIECES_MAX];
	size_t count;
	uintptr_t heap_end;
	uintptr_t heap_floor; /* the end of what lies below the heap */
};

static bool
is_mapped(uintptr_t at)
{
	unsigned char unused;

	return mincore((void *)at, PAGE, &unused) == 0;
}

/* Is there anything but zeros in the page? What was never used is to stay without memory. */
static bool
is_used(uintptr_t at)
{
	const char *page = (const char *)at;

	return page[0] != 0 || memcmp(page, page + 1, PAGE - 1) != 0;
}

static void
add_piece(struct pieces *pieces, uintptr_t start, uintptr_t end)
{
	if (end - start >= HOLE_PAGES * PAGE && pieces->count < PIECES_MAX) {
		pieces->piece[pieces->count].start = start;
		pieces->piece[pieces->count++].end = end;
	}
}

/* Add what is used of `start` to `end`, without its big holes. */
static void
add_used(struct pieces *pieces, uintptr_t start, uintptr_t end)
{
	uintptr_t piece_start = 0, piece_end = 0;

	for (uintptr_t at = start; at < end; at += PAGE) {
		if (!is_used(at))
			continue;
		if (piece_end == 0 || at - piece_end >= HOLE_PAGES * PAGE) {
			add_piece(pieces, piece_start, piece_end);
			piece_start = at;
		}
		piece_end = at + PAGE;
	}
	add_piece(pieces, piece_start, piece_end);
}

/* For dl_iterate_phdr: the interpreter's variables; and what the heap may begin behind. */
static int
find_data(struct dl_phdr_info *object, size_t size, void *to)
{
	struct pieces *pieces = to;
	uintptr_t read_only_end = 0, start, end;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		if (object->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			read_only_end = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr + object->dlpi_phdr[i].p_memsz;
	}
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type != PT_LOAD)
			continue;
		start = (object->dlpi_addr + part->p_vaddr) & ~(PAGE - 1);
		end = (object->dlpi_addr + part->p_vaddr + part->p_memsz + PAGE - 1) & ~(PAGE - 1);
		if (end <= pieces->heap_end && end > pieces->heap_floor)
			pieces->heap_floor = end;
		if (start < read_only_end && read_only_end < end)
			start = (read_only_end + PAGE - 1) & ~(PAGE - 1);
		if ((part->p_flags & PF_W) != 0 && is_interpreter(object))
			add_used(pieces, start, end);
	}
	return 0;
}

/* How much of `pieces` to take: whole huge pages, the last one at least half full. Shortens what is too much. */
static size_t
choose_size(struct pieces *pieces)
{
	size_t total = 0, size, left;

	for (size_t i = 0; i < pieces->count; i++)
		total += pieces->piece[i].end - pieces->piece[i].start;
	left = size = (total + HUGE_PAGE / 2) & ~(HUGE_PAGE - 1);
	for (size_t i = 0; i < pieces->count; i++) {
		uintptr_t start = pieces->piece[i].start;

		if (pieces->piece[i].end - start > left)
			pieces->piece[i].end = start + left;
		left -= pieces->piece[i].end - start;
	}
	return size;
}

void
memory_pack_data(void)
{
	struct pieces pieces = { .heap_end = (uintptr_t)sbrk(0) & ~(PAGE - 1) };
	uintptr_t heap = pieces.heap_end;
	size_t size;
	char *space, *pack, *from;

	dl_iterate_phdr(find_data, &pieces);
	while (heap > pieces.heap_floor && is_mapped(heap - PAGE))
		heap -= PAGE;
	add_used(&pieces, heap, pieces.heap_end);
	size = choose_size(&pieces);
	if (size == 0)
		return;
	space = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (space == MAP_FAILED)
		return;
	/* From here on nothing may change what is copied: system calls only. */
	from = pack = (char *)(((uintptr_t)space + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	for (size_t i = 0; i < pieces.count; i++) {
		for (uintptr_t at = pieces.piece[i].start; at < pieces.piece[i].end; at += PAGE, from += PAGE) {
			if (is_used(at))
				memcpy(from, (const void *)at, PAGE);
		}
	}
	if (madvise(pack, size, MADV_COLLAPSE) != 0) {
		munmap(space, size + HUGE_PAGE);
		return;
	}
	from = pack;
	for (size_t i = 0; i < pieces.count; i++) {
		size_t piece_size = pieces.piece[i].end - pieces.piece[i].start;

		for (size_t at = 0; at < piece_size; at += PAGE) {
			if (!is_used((uintptr_t)from + at))
				madvise(from + at, PAGE, MADV_DONTNEED);
		}
		if (piece_size > 0)
			mremap(from, piece_size, piece_size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)pieces.piece[i].start);
		from += piece_size;
	}
	munmap(space, size + HUGE_PAGE);
}
