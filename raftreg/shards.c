/*
 * Copy on write by shard. With 100,000 pieces a shard has about 400 pointers: that much is copied
 * at most when the first piece of a shard changes while a snapshot is written, and nothing at any
 * other time. A piece is found in its shard by its address, so nothing has to remember places.
 */
#include "raftreg/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/refs.h"

struct shard {
	atomic_uint refs;
	size_t count, capacity;
	struct piece **list; /* with a reference each */
};

struct shards_capture {
	struct shard *list[SHARDS_COUNT];
};

struct piece_group *piece_group_create(struct slice name)
{
	struct piece_group *group = mem_alloc(sizeof *group + name.size);
	uint8_t *bytes = (uint8_t *)(group + 1);

	ASSERT(name.size > 0);
	memcpy(bytes, name.data, name.size);
	atomic_init(&group->refs, 1);
	group->name = slice_make(bytes, name.size);
	return group;
}

void piece_group_unref(struct piece_group *group)
{
	if (group && refs_drop(&group->refs)) {
		mem_free(group);
	}
}

struct piece *piece_create(enum piece_kind kind, struct piece_group *group, struct slice bytes,
	size_t key_at, size_t key_size)
{
	struct piece *piece = mem_alloc(sizeof *piece + bytes.size);

	ASSERT(bytes.size > 0 && key_at + key_size <= bytes.size);
	ASSERT((kind == PIECE_SESSION) == !group);
	atomic_init(&piece->refs, 1);
	piece->kind = kind;
	piece->group = group;
	if (group) {
		refs_take(&group->refs);
	}
	piece->size = bytes.size;
	memcpy(piece->bytes, bytes.data, bytes.size);
	piece->key = slice_make(piece->bytes + key_at, key_size);
	return piece;
}

void piece_unref(struct piece *piece)
{
	if (piece && refs_drop(&piece->refs)) {
		piece_group_unref(piece->group);
		mem_free(piece);
	}
}

static void unref_shard(struct shard *shard)
{
	if (!shard || !refs_drop(&shard->refs)) {
		return;
	}
	for (size_t i = 0; i < shard->count; i++) {
		piece_unref(shard->list[i]);
	}
	mem_free(shard->list);
	mem_free(shard);
}

void shards_init(struct shards *shards)
{
	*shards = (struct shards){0};
}

void shards_fini(struct shards *shards)
{
	for (size_t i = 0; i < SHARDS_COUNT; i++) {
		unref_shard(shards->list[i]);
		shards->list[i] = NULL;
	}
}

/* FNV-1a: it only has to spread; the order of a shard shows nowhere. */
static size_t shard_of(const struct piece *piece)
{
	const struct slice parts[] = {
		piece->group ? piece->group->name : (struct slice){0}, piece->key};
	uint64_t hash = UINT64_C(14695981039346656037) + (uint64_t)piece->kind;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (size_t j = 0; j < parts[i].size; j++) {
			hash = (hash ^ parts[i].data[j]) * UINT64_C(1099511628211);
		}
	}
	return (hash ^ (hash >> 32)) % SHARDS_COUNT;
}

static struct shard *shard_create(size_t capacity)
{
	struct shard *shard = mem_zalloc(sizeof *shard);

	atomic_init(&shard->refs, 1);
	shard->capacity = capacity;
	shard->list = mem_alloc(capacity * sizeof(*shard->list));
	return shard;
}

/* With room for one more, and ours alone. Who drops a capture meanwhile only makes the copy one
 * that was not needed. */
static struct shard *writable_shard(struct shards *shards, size_t i)
{
	struct shard *shard = shards->list[i];
	struct shard *copy;

	if (!shard) {
		return shards->list[i] = shard_create(4);
	}
	if (atomic_load_explicit(&shard->refs, memory_order_acquire) == 1) {
		if (shard->count == shard->capacity) {
			shard->capacity *= 2;
			shard->list =
				mem_realloc(shard->list, shard->capacity * sizeof(*shard->list));
		}
		return shard;
	}
	copy = shard_create(shard->count + 1 + shard->count / 4);
	copy->count = shard->count;
	for (size_t j = 0; j < shard->count; j++) {
		copy->list[j] = shard->list[j];
		refs_take(&copy->list[j]->refs);
	}
	unref_shard(shard);
	return shards->list[i] = copy;
}

void shards_put(struct shards *shards, struct piece *old, struct piece *piece)
{
	size_t i = shard_of(old ? old : piece);
	struct shard *shard = writable_shard(shards, i);
	size_t place = shard->count;

	ASSERT(!old || !piece || shard_of(piece) == i);
	if (old) {
		for (place = 0; place < shard->count && shard->list[place] != old; place++) {
		}
		ASSERT(place < shard->count);
	}
	if (piece) {
		shard->list[place] = piece;
		shard->count += old ? 0 : 1;
	} else {
		shard->list[place] = shard->list[--shard->count];
	}
	piece_unref(old);
}

/* RS-06: 256 references, and apply goes on. */
struct shards_capture *shards_capture(const struct shards *shards)
{
	struct shards_capture *capture = mem_zalloc(sizeof *capture);

	for (size_t i = 0; i < SHARDS_COUNT; i++) {
		capture->list[i] = shards->list[i];
		if (capture->list[i]) {
			refs_take(&capture->list[i]->refs);
		}
	}
	return capture;
}

void shards_capture_drop(struct shards_capture *capture)
{
	for (size_t i = 0; i < SHARDS_COUNT; i++) {
		unref_shard(capture->list[i]);
	}
	mem_free(capture);
}

/* RD-03: bytewise, like everything that must be equal on all replicas. */
static int compare_pieces(const void *a, const void *b)
{
	const struct piece *left = *(const struct piece *const *)a;
	const struct piece *right = *(const struct piece *const *)b;

	if (left->group != right->group) {
		if (!left->group || !right->group) {
			return left->group ? 1 : -1;
		}
		return slice_compare(left->group->name, right->group->name);
	}
	if (left->kind != right->kind) {
		return left->kind < right->kind ? -1 : 1;
	}
	return slice_compare(left->key, right->key);
}

const struct piece **shards_list(const struct shards_capture *capture, size_t *ret_count)
{
	const struct piece **list;
	size_t count = 0;

	for (size_t i = 0; i < SHARDS_COUNT; i++) {
		count += capture->list[i] ? capture->list[i]->count : 0;
	}
	list = mem_alloc((count + 1) * sizeof(*list));
	count = 0;
	for (size_t i = 0; i < SHARDS_COUNT; i++) {
		const struct shard *shard = capture->list[i];

		for (size_t j = 0; shard && j < shard->count; j++) {
			list[count++] = shard->list[j];
		}
	}
	qsort(list, count, sizeof(*list), compare_pieces);
	*ret_count = count;
	return list;
}
