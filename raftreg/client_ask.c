/*
 * Questions to the connected replica: one service, all names, the members. A question that nobody
 * can answer in time is answered from what is known here (RV-01), so `pillion services` works while
 * the registry is down. The caller's struct is borrowed until its `done` has run, which is always
 * from the loop.
 */
#include "base/mem.h"
#include "raftreg/client.h"

#define ASK_MS 2000 /* a person waits; the local view is better than nothing */

/* Its call is the caller's and has had its answer, or will never get one. */
static void free_ask(struct client_ask *ask)
{
	list_unlink(&ask->node);
	mem_free(ask->name);
	mem_free(ask);
}

/* Lists and sets are copied into what the caller of the interface knows. */
static void finish_ask(struct client *client, struct client_ask *ask, const struct packet *answer)
{
	struct registry_result result = {
		.code = client_session_code(answer->code), .index = answer->index};
	const char **names = NULL;
	struct instance_set *set = NULL;
	struct client_set found;
	struct slice rest = answer->items;
	struct slice bytes;
	struct item item;

	list_unlink(&ask->node);
	if (ask->kind == PACKET_MEMBERS) {
		ask->done(ask->owner, answer->code == CODE_OK ? 200 : 503,
			answer->code == CODE_OK ? answer->text
						: SLICE("{\"error\":\"unavailable\"}"));
		free_ask(ask);
		return;
	}
	client_view_init_set(&found, false, slice_from_string(ask->name ? ask->name : "*"));
	found.known = true;
	found.modified = answer->index;
	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) < 0) {
			continue;
		}
		if (ask->kind == PACKET_GET && item.op == ITEM_UPSERT) {
			client_view_put(&found, &found.members, &item);
		} else if (ask->kind == PACKET_LIST && item.op == ITEM_ADDRESS) {
			names = mem_realloc(names, (result.name_count + 1) * sizeof(*names));
			char *copy = mem_alloc(item.content.size + 1);

			memcpy(copy, item.content.data, item.content.size);
			copy[item.content.size] = '\0';
			names[result.name_count++] = copy;
		}
	}
	result.names = names;
	if (ask->kind == PACKET_GET && result.code == REGISTRY_OK) {
		if (answer->flags & PACKET_ABSENT) {
			result.code = REGISTRY_NOT_FOUND;
		} else {
			set = client_publish_instances(&found);
			result.sets = &set;
			result.set_count = 1;
		}
	}
	ask->call->done(ask->call, &result);
	for (size_t i = 0; i < result.name_count; i++) {
		mem_free((void *)(uintptr_t)names[i]);
	}
	mem_free(names);
	instance_set_unref(set);
	client_view_free_set(&found);
	free_ask(ask);
	(void)client;
}

/* A replica that does not answer is not waited for longer than a person would. */
void client_ask_tick(struct client *client, uint64_t now_ms)
{
	const struct packet late = {.kind = PACKET_ANSWER, .code = CODE_UNAVAILABLE};

	LIST_FOR_EACH_SAFE(place, &client->asks) {
		struct client_ask *ask = LIST_ENTRY(place, struct client_ask, node);

		if (ask->local || now_ms < ask->deadline_ms) {
			continue;
		}
		if (ask->kind == PACKET_MEMBERS) {
			finish_ask(client, ask, &late);
		} else {
			ask->local = true; /* RV-01: then the local view answers */
			loop_queue(client->loop, &client->deliver);
		}
	}
}

/* RV-01: without a replica the local view answers; a name that was never watched here is
 * unknown to it, which is said as such. */
static void answer_locally(struct client *client, struct client_ask *ask)
{
	struct registry_result result = {.index = client->highest};
	struct instance_set *set = NULL;
	const char **names = NULL;

	list_unlink(&ask->node);
	if (ask->kind == PACKET_MEMBERS) {
		ask->done(ask->owner, 503, SLICE("{\"error\":\"unavailable\"}"));
	} else if (ask->kind == PACKET_GET) {
		const struct client_set *known =
			client_view_set(client, false, slice_from_string(ask->name));

		if (!known || (!known->has_data && !known->known)) {
			result.code =
				client->highest > 0 ? REGISTRY_NOT_FOUND : REGISTRY_UNAVAILABLE;
		} else if (known->members.count + known->guarded.count == 0) {
			result.code = REGISTRY_NOT_FOUND;
		} else {
			set = client_publish_instances(known);
			result.sets = &set;
			result.set_count = 1;
		}
		ask->call->done(ask->call, &result);
	} else {
		names = mem_alloc((client->sets.count + 1) * sizeof(*names));
		MAP_FOR_EACH(entry, &client->sets)
		{
			const struct client_set *known = entry->value;
			char *name;

			/* A set stays in the view after its last instance went (its
			 * tombstone): no list shows it. */
			if (known->records || known->members.count + known->guarded.count == 0) {
				continue;
			}
			name = mem_alloc(known->name.size + 1);
			memcpy(name, known->name.data, known->name.size);
			name[known->name.size] = '\0';
			names[result.name_count++] = name;
		}
		result.names = names;
		ask->call->done(ask->call, &result);
	}
	for (size_t i = 0; i < result.name_count; i++) {
		mem_free((void *)(uintptr_t)names[i]);
	}
	mem_free(names);
	instance_set_unref(set);
	mem_free(ask->name);
	mem_free(ask);
}

/* A question to the connected replica. It is answered locally when there is none, or when it
 * takes too long. */
void client_ask_start(struct client *client, struct client_ask *ask)
{
	struct packet frame = {.kind = ask->kind, .name = slice_from_string(ask->name)};
	struct buf bytes;

	frame.number = ask->number = ++client->next_number;
	ask->deadline_ms = client_now_ms(client) + ASK_MS;
	list_init(&ask->node);
	list_push_back(&client->asks, &ask->node);
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	ask->local = !client->greeted || !client_send(client, buf_slice(&bytes));
	buf_fini(&bytes);
	if (ask->local) {
		loop_queue(client->loop, &client->deliver);
	}
}

/* registry.md 12: no completion runs after the end, so what is left goes without an
 * answer. */
void client_ask_fini(struct client *client)
{
	while (!list_empty(&client->asks)) {
		free_ask(LIST_ENTRY(client->asks.next, struct client_ask, node));
	}
}

/* Answers are matched by number; one that comes after its deadline finds nobody. */
void client_ask_answered(struct client *client, const struct packet *answer)
{
	LIST_FOR_EACH_SAFE(place, &client->asks) {
		struct client_ask *ask = LIST_ENTRY(place, struct client_ask, node);

		if (ask->number == answer->number) {
			finish_ask(client, ask, answer);
			return;
		}
	}
}

/* From the task: those that found nobody connected, or that waited too long. */
void client_ask_answer_locally(struct client *client)
{
	LIST_FOR_EACH_SAFE(place, &client->asks) {
		struct client_ask *ask = LIST_ENTRY(place, struct client_ask, node);

		if (ask->local) {
			answer_locally(client, ask);
		}
	}
}
