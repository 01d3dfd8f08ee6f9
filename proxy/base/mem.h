/*
 * mem: small allocations that abort when memory is gone (docs/ARCHITECTURE.md: crash-only; what a
 * client can size is bounded and refused before it comes here). Any thread.
 */
#ifndef PILLION_BASE_MEM_H
#define PILLION_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);  /* not zeroed; size 0 gives a unique pointer */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *old, size_t size);
void *mem_copy(const void *data, size_t size); /* a copy on the heap */
char *mem_strdup(const char *text);	       /* NULL gives NULL */
void mem_free(void *memory);		       /* NULL is allowed */

#endif
