/*
 * arenas.c - see arenas.h. Runs in a zygote. In a guest, nothing gives an arena of the zygote back.
 */
#define _GNU_SOURCE
#include "guest/python3/arenas.h"

#include <dlfcn.h>
#include <stdint.h>
#include <sys/mman.h>

#define RESERVED ((size_t)1 << 30) /* of the address space */
#define STEP ((size_t)2 << 20)     /* a huge page */

/* PyObjectArenaAllocator, which is not in the stable ABI, but the same in every version. */
struct arena_allocator {
	void *context;
	void *(*alloc)(void *context, size_t size);
	void (*free)(void *context, void *at, size_t size);
};

typedef void allocator_function(struct arena_allocator *allocator);

static struct arena_allocator python; /* that which ours replaces */
static char *start, *next, *writable, *end;

static void *
alloc_arena(void *context, size_t size)
{
	(void)context;
	if (start == NULL || (size_t)(end - next) < size)
		return python.alloc(python.context, size);
	if (next + size > writable) {
		size_t more = (size + STEP - 1) & ~(STEP - 1);

		if (mprotect(writable, more, PROT_READ | PROT_WRITE) != 0)
			return python.alloc(python.context, size);
		writable += more;
	}
	next += size;
	return next - size;
}

static void
free_arena(void *context, void *at, size_t size)
{
	(void)context;
	if ((char *)at < start || (char *)at >= end)
		python.free(python.context, at, size);
}

void
arenas_begin(void)
{
	allocator_function *get = (allocator_function *)dlsym(RTLD_DEFAULT, "PyObject_GetArenaAllocator");
	allocator_function *set = (allocator_function *)dlsym(RTLD_DEFAULT, "PyObject_SetArenaAllocator");
	struct arena_allocator ours = { .alloc = alloc_arena, .free = free_arena };
	char *space;

	if (get == NULL || set == NULL)
		return;
	space = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return;
	start = next = writable = (char *)(((uintptr_t)space + STEP - 1) & ~(uintptr_t)(STEP - 1));
	end = (char *)((uintptr_t)(space + RESERVED) & ~(uintptr_t)(STEP - 1));
	get(&python);
	set(&ours);
}

char *
arenas_end(size_t *size)
{
	if (start == NULL)
		return NULL;
	munmap(writable, (size_t)(end - writable));
	end = writable;
	next = end;
	*size = (size_t)(writable - start);
	return *size > 0 ? start : NULL;
}
