/* memory.c - see memory.h. Runs in a zygote, just before it makes guests. */
#define _GNU_SOURCE
#include "guest/memory.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HEAP_CHUNK_MAX 120000 /* malloc(3) gives larger ones a mapping of their own */
#define HEAP_CHUNK_MIN 528    /* Python's own allocator serves smaller ones */
#define PAGE ((uintptr_t)4096)
#define HUGE_PAGE ((uintptr_t)2 << 20)
#define HOLE_PAGES 32 /* a hole of so many unused pages is worth one more mapping */
#define PIECES_MAX 16
#define DATA_MAX (UINT64_C(1) << 40) /* more than a zygote has */
#define DATA_STEP (UINT64_C(64) << 10)

static uintptr_t
page_start(uintptr_t at)
{
	return at & ~(PAGE - 1);
}

static uintptr_t
page_end(uintptr_t at)
{
	return page_start(at + PAGE - 1);
}

static uintptr_t
huge_page_end(uintptr_t at)
{
	return (at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

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

/* Some zygotes have their filter already, which allows this to zygotes only. */
static int
collapse(char *start, size_t size)
{
	return (int)mark_syscall(SYS_madvise, MARK_ADDRESS(start), (long)size, MADV_COLLAPSE, 0, 0);
}

/* Copy `start` to `end`, memory that is never written, into huge pages. */
static void
use_huge_pages(uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = huge_page_end(start); at + HUGE_PAGE <= end; at += HUGE_PAGE) {
		char *space = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *copy = (char *)huge_page_end((uintptr_t)space);

		if (space == MAP_FAILED)
			return;
		memcpy(copy, (const void *)at, HUGE_PAGE);
		/*
		 * Replace the code by a huge page only: small anonymous pages would cost more than
		 * the file's.
		 */
		if (collapse(copy, HUGE_PAGE) == 0 && mprotect(copy, HUGE_PAGE, PROT_READ | PROT_EXEC) == 0)
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

/*
 * For dl_iterate_phdr: find, in the interpreter, each range without gaps that is never written and
 * holds much code. Copies it into huge pages.
 */
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
		uintptr_t at = page_start(object->dlpi_addr + part->p_vaddr);

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
		end = page_end(object->dlpi_addr + part->p_vaddr + part->p_memsz);
	}
	return 0;
}

void
memory_use_huge_pages(void)
{
	dl_iterate_phdr(find_code, NULL);
}

/* ---- memory that is written ---------------------------------------------------------------------- */

/* Parts of the address space, in whole pages. */
struct pieces {
	struct {
		uintptr_t start, end;
	} piece[PIECES_MAX];
	size_t count;
	uintptr_t heap_end;
	uintptr_t heap_floor; /* the heap does not begin below this */
};

static bool
is_mapped(uintptr_t at)
{
	unsigned char unused;

	return mincore((void *)at, PAGE, &unused) == 0;
}

/* Does the page hold anything but zeros? A page that was never used stays without memory. */
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

/* Add the used pages of `start` to `end` as pieces, which leave out large holes. */
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

/* For dl_iterate_phdr: add the interpreter's variables, and find the heap's floor. */
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
		start = page_start(object->dlpi_addr + part->p_vaddr);
		end = page_end(object->dlpi_addr + part->p_vaddr + part->p_memsz);
		if (end <= pieces->heap_end && end > pieces->heap_floor)
			pieces->heap_floor = end;
		if (start < read_only_end && read_only_end < end)
			start = page_end(read_only_end);
		if ((part->p_flags & PF_W) != 0 && is_interpreter(object))
			add_used(pieces, start, end);
	}
	return 0;
}

/*
 * Choose how many bytes of `pieces` to move: whole huge pages, of which the last is at least half
 * full. Shortens the pieces to that.
 */
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
	struct pieces pieces = { .heap_end = page_start((uintptr_t)sbrk(0)) };
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
	/*
	 * From here on only system calls: a library function could write to memory that is copied.
	 */
	from = pack = (char *)huge_page_end((uintptr_t)space);
	for (size_t i = 0; i < pieces.count; i++) {
		for (uintptr_t at = pieces.piece[i].start; at < pieces.piece[i].end; at += PAGE, from += PAGE) {
			if (is_used(at))
				memcpy(from, (const void *)at, PAGE);
		}
	}
	if (collapse(pack, size) != 0) {
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

/* ---- memory that is seldom written --------------------------------------------------------------- */

static int
write_copy(int fd, const char *start, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, start + done, size - done, (off_t)done);

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

void
memory_map_file(char *start, size_t size)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create("zygote", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return;
	/* Where the last call fails, the memory may be gone already. */
	if (ftruncate(fd, (off_t)size) == 0 && write_copy(fd, start, size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0 &&
	    mmap(start, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) != start)
		abort();
	close(fd);
}

/* ---- its size ------------------------------------------------------------------------------------ */

/* Whether one more page is allowed if this process's data may take so much. */
static bool
may_have_a_page(struct rlimit limit, uint64_t bytes)
{
	void *at;

	limit.rlim_cur = bytes;
	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		return true;
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return false;
	munmap(at, PAGE);
	return true;
}

uint64_t
memory_data_bytes(void)
{
	struct rlimit old;
	uint64_t too_little = 0, enough = DATA_MAX;

	/* /proc says it too, but may not be here. So it is searched for with the soft limit. */
	if (getrlimit(RLIMIT_DATA, &old) != 0)
		return 0;
	if (old.rlim_max < enough)
		enough = old.rlim_max;
	while (enough - too_little > DATA_STEP) {
		uint64_t middle = too_little + (enough - too_little) / 2;

		if (may_have_a_page(old, middle))
			enough = middle;
		else
			too_little = middle;
	}
	return setrlimit(RLIMIT_DATA, &old) == 0 ? enough : 0;
}
