#include "upstream/instance.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/refs.h"

/* The public part and the memory of everything it points to, freed together. */
struct instance_set_memory {
	struct instance_set set;
	struct arena arena;
};

static struct instance_set_memory *instance_set_of(struct instance_set *set)
{
	return container_of(set, struct instance_set_memory, set);
}

struct instance_set *instance_set_create(const char *service, uint32_t count)
{
	struct instance_set_memory *memory = mem_zalloc(sizeof(*memory));
	struct instance_set *set = &memory->set;

	ASSERT(service != NULL);
	arena_init(&memory->arena);
	atomic_init(&set->refs, 1);
	set->service = arena_string(&memory->arena, slice_from_string(service));
	set->count = count;
	if (count > 0) {
		set->instances = arena_alloc(&memory->arena, count * sizeof(*set->instances));
	}
	return set;
}

char *instance_set_string(struct instance_set *set, const char *text)
{
	ASSERT(set != NULL);
	return text ? arena_string(&instance_set_of(set)->arena, slice_from_string(text)) : NULL;
}

void *instance_set_memory(struct instance_set *set, size_t size)
{
	ASSERT(set != NULL && atomic_load(&set->refs) > 0);
	return arena_alloc(&instance_set_of(set)->arena, size);
}

struct instance_set *instance_set_ref(struct instance_set *set)
{
	refs_take(&set->refs);
	return set;
}

void instance_set_unref(struct instance_set *set)
{
	if (set != NULL && refs_drop(&set->refs)) {
		struct instance_set_memory *memory = instance_set_of(set);

		arena_fini(&memory->arena);
		mem_free(memory);
	}
}

void instance_id_format(const uint8_t id[INSTANCE_ID_SIZE], char ret_text[33])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < INSTANCE_ID_SIZE; i++) {
		ret_text[2 * i] = digits[id[i] >> 4];
		ret_text[2 * i + 1] = digits[id[i] & 15];
	}
	ret_text[32] = '\0';
}
