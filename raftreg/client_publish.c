/*
 * From what the client knows to what the workers use: immutable sets of instances and of records.
 * Strings live in the set's own memory and go with its last reference, on whichever thread that is.
 * Contents were checked by the leader; one that cannot be read all the same gives an instance
 * without address, which is never used, instead of an error nobody could act on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "raftreg/client.h"
#include "raftreg/content.h"
#include "raftreg/state.h"

/* Decoded slices have no end mark and point into bytes that a later frame replaces. */
static char *set_text(struct instance_set *set, struct slice text)
{
	char *copy = instance_set_memory(set, text.size + 1);

	if (text.size > 0) {
		memcpy(copy, text.data, text.size);
	}
	copy[text.size] = '\0';
	return copy;
}

/* What is doubtful (from the file, or guarded) is shown as suspect and stays usable (mesh.md
 * MS-03). */
static void fill_instance(struct instance_set *set, struct instance *instance,
	const struct client_member *member, bool doubtful)
{
	struct content *content = mem_alloc(sizeof *content);
	char text[300];

	if (!content_decode(member->content, content)) {
		content->metadata_count = 0;
	}
	(void)slice_parse_hex(content->id, instance->id, INSTANCE_ID_SIZE);
	instance->version = set_text(set, content->version);
	instance->host = set_text(set, content->host);
	instance->port = content->port;
	(void)snprintf(text, sizeof text, strchr(instance->host, ':') ? "[%s]:%u" : "%s:%u",
		instance->host, instance->port);
	(void)address_parse(slice_from_string(text), false, &instance->address);
	instance->protocol = INSTANCE_SIDECAR;
	instance->health = content->health;
	instance->suspect = member->suspect || doubtful;
	instance->grpc = slice_equal(content->protocol, SLICE("grpc"));
	instance->weight = content->weight;
	instance->zone = content->zone.size > 0 ? set_text(set, content->zone) : NULL;
	instance->created = member->created;
	instance->modified = member->modified;
	if (content->metadata_count > 0) {
		instance->metadata = instance_set_memory(
			set, content->metadata_count * sizeof *instance->metadata);
	}
	for (size_t i = 0; i < content->metadata_count; i++) {
		instance->metadata[i].key = set_text(set, content->metadata[i].key);
		instance->metadata[i].value = set_text(set, content->metadata[i].value);
	}
	instance->metadata_count = (uint32_t)content->metadata_count;
	mem_free(content);
}

/* Sorted, so that the request path finds a method by bisection. */
static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths that any version declares as repeatable, sorted. */
static void fill_methods(struct instance_set *set, const struct client_set *from)
{
	size_t room = 0;

	MAP_FOR_EACH(entry, &from->defs)
	{
		struct slice rest = ((struct client_member *)entry->value)->content;
		struct content_endpoint endpoint;

		while (content_next_endpoint(&rest, &endpoint) == 1) {
			room += endpoint.idempotent ? 1 : 0;
		}
	}
	if (room == 0) {
		return;
	}
	set->idempotent_methods = instance_set_memory(set, room * sizeof(*set->idempotent_methods));
	MAP_FOR_EACH(def, &from->defs)
	{
		struct slice rest = ((struct client_member *)def->value)->content;
		struct content_endpoint endpoint;

		while (content_next_endpoint(&rest, &endpoint) == 1) {
			if (endpoint.idempotent) {
				set->idempotent_methods[set->idempotent_count++] =
					set_text(set, endpoint.name);
			}
		}
	}
	qsort(set->idempotent_methods, set->idempotent_count, sizeof(*set->idempotent_methods),
		compare_texts);
}

/* Members first, then what the guard holds. */
struct instance_set *client_publish_instances(const struct client_set *from)
{
	char name[STATE_SET_NAME_MAX + 1];
	uint32_t count = (uint32_t)(from->members.count + from->guarded.count);
	struct instance_set *set;
	uint32_t i = 0;

	memcpy(name, from->name.data, from->name.size);
	name[from->name.size] = '\0';
	set = instance_set_create(name, count);
	set->index = from->modified;
	set->known = from->known;
	set->absent = from->known && count == 0;
	MAP_FOR_EACH(entry, &from->members)
	{
		fill_instance(set, &set->instances[i++], entry->value, !from->known);
	}
	MAP_FOR_EACH(guarded, &from->guarded)
	{
		fill_instance(set, &set->instances[i++], guarded->value, true);
	}
	fill_methods(set, from);
	return set;
}

/* Records of sessions that are gone are gone: no guard, for groups count on it. */
struct record_set *client_publish_records(const struct client_set *from)
{
	char name[STATE_SET_NAME_MAX + 1];
	struct record_set *set;
	uint32_t i = 0;

	memcpy(name, from->name.data, from->name.size);
	name[from->name.size] = '\0';
	set = record_set_create(name, (uint32_t)from->members.count);
	set->index = from->modified;
	MAP_FOR_EACH(entry, &from->members)
	{
		const struct client_member *member = entry->value;
		struct registry_record *record = &set->records[i++];

		record->key = record_set_copy(set, member->key);
		record->value = record_set_copy(set, member->content);
		record->modified = member->modified;
		record->session = member->owned;
	}
	return set;
}
