#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Every result passes here: a null pointer means that memory is gone, and the process ends. */
static void *mem_checked(void *memory)
{
	ASSERT(memory != NULL && "out of memory");
	return memory;
}

void *mem_alloc(size_t size)
{
	/* malloc(0) may give NULL, which would look like exhaustion. */
	return mem_checked(malloc(size ? size : 1));
}

/* calloc also refuses what would overflow, and takes fresh pages as zero already. */
void *mem_zalloc(size_t size)
{
	return mem_checked(calloc(1, size ? size : 1));
}

void *mem_realloc(void *old, size_t size)
{
	return mem_checked(realloc(old, size ? size : 1));
}

void *mem_copy(const void *data, size_t size)
{
	void *memory = mem_alloc(size);

	ASSERT(data != NULL || size == 0);
	if (size > 0) {
		memcpy(memory, data, size);
	}
	return memory;
}

char *mem_strdup(const char *text)
{
	return text ? mem_copy(text, strlen(text) + 1) : NULL;
}

void mem_free(void *memory)
{
	free(memory);
}
