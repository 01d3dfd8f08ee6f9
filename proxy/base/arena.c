#include "base/arena.h"

#include "base/assert.h"
#include "base/mem.h"

/* One page holds the arena of an ordinary exchange; larger requests get a page of their own. */
#define ARENA_PAGE_SIZE 4096
#define ARENA_ALIGN	16

struct arena_page {
	struct arena_page *next;
	size_t capacity;
	size_t used;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

void arena_init(struct arena *arena)
{
	ASSERT(arena != NULL);
	*arena = (struct arena){NULL, 0};
}

void arena_fini(struct arena *arena)
{
	struct arena_page *page = arena->pages;

	while (page != NULL) {
		struct arena_page *next = page->next;

		mem_free(page);
		page = next;
	}
	arena_init(arena);
}

void arena_reset(struct arena *arena)
{
	struct arena_page *kept = NULL;
	struct arena_page *page = arena->pages;

	/* Keep one ordinary page; an oversized one would pin what a single big request needed. */
	while (page != NULL) {
		struct arena_page *next = page->next;

		if (kept == NULL && page->capacity == ARENA_PAGE_SIZE) {
			kept = page;
			kept->used = 0;
			kept->next = NULL;
		} else {
			mem_free(page);
		}
		page = next;
	}
	arena->pages = kept;
	arena->used = 0;
	ASSERT(kept == NULL || kept->next == NULL);
}

/* Not zeroed: each piece is when it is handed out, and most pages are not used to their end. */
static struct arena_page *arena_page_create(size_t capacity)
{
	struct arena_page *page = mem_alloc(sizeof(*page) + capacity);

	page->next = NULL;
	page->capacity = capacity;
	page->used = 0;
	return page;
}

/* A page with `size` free bytes, in the list. */
static struct arena_page *arena_page_for(struct arena *arena, size_t size)
{
	struct arena_page *page = arena->pages;

	if (page != NULL && page->capacity - page->used >= size) {
		return page;
	}
	if (size <= ARENA_PAGE_SIZE) {
		page = arena_page_create(ARENA_PAGE_SIZE);
		page->next = arena->pages;
		arena->pages = page;
		return page;
	}
	/* Behind the newest, whose free rest stays in use for small requests. */
	page = arena_page_create(size);
	if (arena->pages != NULL) {
		page->next = arena->pages->next;
		arena->pages->next = page;
	} else {
		arena->pages = page;
	}
	return page;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t rounded;
	struct arena_page *page;
	uint8_t *memory;

	ASSERT(size <= SIZE_MAX / 2);
	rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	/* Also nothing gets an address of its own. */
	if (rounded == 0) {
		rounded = ARENA_ALIGN;
	}
	page = arena_page_for(arena, rounded);
	memory = page->data + page->used;
	page->used += rounded;
	arena->used += rounded;
	ASSERT(page->used <= page->capacity);
	memset(memory, 0, rounded);
	return memory;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
	uint8_t *memory;

	ASSERT(bytes.size < SIZE_MAX / 2);
	memory = arena_alloc(arena, bytes.size + 1);
	if (bytes.size > 0) {
		memcpy(memory, bytes.data, bytes.size);
	}
	return slice_make(memory, bytes.size);
}

char *arena_string(struct arena *arena, struct slice bytes)
{
	return (char *)(uintptr_t)arena_copy(arena, bytes).data;
}
