/*
 * Request targets and authorities: what is taken stays as it is when taken again (U-12), and holds
 * no byte that another reader could understand differently.
 */
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void target_check_path(struct arena *arena, struct slice path)
{
	struct slice again;

	ASSERT(path.size > 0 && path.data[0] == '/');
	for (size_t i = 0; i < path.size; i++) {
		ASSERT(path.data[i] > 0x20 && path.data[i] < 0x7F && path.data[i] != '\\' &&
			path.data[i] != '#' && path.data[i] != '?');
	}
	ASSERT(target_normalise_path(arena, path, &again));
	ASSERT(slice_equal(path, again));
	(void)target_path_ambiguous(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct slice found = {NULL, 0};
	struct arena arena;
	struct head head;

	arena_init(&arena);
	if (target_normalise_path(&arena, text, &found)) {
		target_check_path(&arena, found);
	}
	if (target_normalise_authority(&arena, text, &found)) {
		struct slice again;
		struct slice host;
		uint16_t port;

		ASSERT(target_normalise_authority(&arena, found, &again));
		ASSERT(slice_equal(found, again));
		target_split_authority(found, &host, &port);
		ASSERT(host.size > 0);
	}
	for (int method = METHOD_GET; method <= METHOD_OTHER; method++) {
		head_init(&head, &arena, HEAD_REQUEST);
		head.method = (enum method)method;
		if (target_parse(&head, text) == REASON_ok && head.path.size > 1) {
			target_check_path(&arena, head.path);
		}
	}
	arena_fini(&arena);
	return 0;
}
