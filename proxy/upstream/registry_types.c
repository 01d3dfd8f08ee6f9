#include "upstream/registry_types.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/refs.h"

/* The public part and the memory of everything it points to, freed together. */
struct record_set_memory {
	struct record_set set;
	struct arena arena;
};

static struct record_set_memory *record_set_of(struct record_set *set)
{
	return container_of(set, struct record_set_memory, set);
}

struct record_set *record_set_create(const char *name, uint32_t count)
{
	struct record_set_memory *memory = mem_zalloc(sizeof(*memory));
	struct record_set *set = &memory->set;

	ASSERT(name != NULL);
	arena_init(&memory->arena);
	atomic_init(&set->refs, 1);
	set->name = arena_string(&memory->arena, slice_from_string(name));
	set->count = count;
	if (count > 0) {
		set->records = arena_alloc(&memory->arena, count * sizeof(*set->records));
	}
	return set;
}

struct slice record_set_copy(struct record_set *set, struct slice bytes)
{
	ASSERT(set != NULL);
	return arena_copy(&record_set_of(set)->arena, bytes);
}

struct record_set *record_set_ref(struct record_set *set)
{
	refs_take(&set->refs);
	return set;
}

void record_set_unref(struct record_set *set)
{
	if (set != NULL && refs_drop(&set->refs)) {
		struct record_set_memory *memory = record_set_of(set);

		arena_fini(&memory->arena);
		mem_free(memory);
	}
}
