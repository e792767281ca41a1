/*
 * arenas.c - see arenas.h. Runs in a zygote. In a guest, nothing gives an arena of the zygote back.
 */
#define _GNU_SOURCE
#define Py_LIMITED_API 0x03080000
#include "guest/python3/arenas.h"

#include <Python.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define RESERVED ((size_t)1 << 30)  /* of the address space */
#define STEP ((size_t)2 << 20)      /* a huge page */
#define SMALL_MAX 512u              /* the largest object that lies in an arena */
#define SMALL_STEP 16u              /* sizes are rounded up to this */
#define FILL_MAX ((size_t)32 << 20) /* more than is ever free */

/* PyObjectArenaAllocator, which is not in the stable ABI, but the same in every version. */
struct arena_allocator {
	void *context;
	void *(*alloc)(void *context, size_t size);
	void (*free)(void *context, void *at, size_t size);
};

typedef void allocator_function(struct arena_allocator *allocator);

static struct arena_allocator python; /* that which ours replaces */
static char *start, *next, *writable, *end;
static char *newest; /* the last arena since arenas_end, or NULL */
static size_t newest_size;

/* Returns NULL if there is no room. */
static char *
take_arena(size_t size)
{
	if (start == NULL || (size_t)(end - next) < size)
		return NULL;
	if (next + size > writable) {
		size_t more = (size + STEP - 1) & ~(STEP - 1);

		if (mprotect(writable, more, PROT_READ | PROT_WRITE) != 0)
			return NULL;
		writable += more;
	}
	next += size;
	return next - size;
}

static void *
alloc_arena(void *context, size_t size)
{
	char *arena = take_arena(size);

	(void)context;
	newest = arena != NULL ? arena : python.alloc(python.context, size);
	newest_size = size;
	return newest;
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
	/* shelf.c weighs each import: huge pages would be charged to some of them only. */
	madvise(space, RESERVED, MADV_NOHUGEPAGE);
	start = next = writable = (char *)(((uintptr_t)space + STEP - 1) & ~(uintptr_t)(STEP - 1));
	end = (char *)((uintptr_t)(space + RESERVED) & ~(uintptr_t)(STEP - 1));
	get(&python);
	set(&ours);
}

char *
arenas_end(size_t *size)
{
	newest = NULL;
	if (start == NULL)
		return NULL;
	munmap(next, (size_t)(end - next));
	end = next;
	*size = (size_t)(next - start);
	return *size > 0 ? start : NULL;
}

static bool
is_in_newest(const char *block)
{
	return newest != NULL && block >= newest && block < newest + newest_size;
}

void
arenas_fill(void)
{
	size_t filled = 0;
	bool is_held = newest != NULL;

	if (start == NULL)
		return;
	for (size_t size = SMALL_MAX; size > 0; size -= SMALL_STEP) {
		char *block;

		while ((block = PyObject_Malloc(size)) != NULL && !is_in_newest(block) && filled < FILL_MAX)
			filled += size;
		/* Python would give an arena back in which nothing is left. */
		if (is_held)
			PyObject_Free(block);
		is_held = true;
	}
}
