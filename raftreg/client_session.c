/*
 * The session: open, renew, declare, records; one command under way, repeated until its outcome
 * is definite (registry.md RD-05..RD-07, RN-01..RN-04). The bytes of that command are kept and
 * sent again unchanged, over any number of streams and replicas: its sequence number makes
 * repetition harmless, but only as long as it says the same. What changed meanwhile waits and
 * becomes the next command.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "raftreg/bytes.h"
#include "raftreg/client.h"
#include "raftreg/client_sub.h"
#include "raftreg/content.h"
#include "raftreg/state.h"

#define SESSION_FILE	 "session"
#define ANSWER_MS	 6000 /* a replica answers within NODE_REQUEST_MS or is stuck */
#define RETRY_MIN_MS	 20
#define DECLARE_AGAIN_MS 5000 /* after a refusal that may pass (TAKEN, QUOTA) */
#define WORD_VERSION	 "0.1.0"

/* RN-01: id and incarnation from the data directory; without one, of this start. */
static void store_session(struct client *client)
{
	uint8_t bytes[28];
	struct disk *disk;

	memcpy(bytes, client->session, 16);
	bytes_put64(bytes + 16, client->incarnation);
	bytes_put32(bytes + 24, 0);
	if (!client->data_dir || disk_open_directory(client->data_dir, &disk) < 0) {
		return;
	}
	if (disk_replace_file(disk, SESSION_FILE, bytes, sizeof bytes) < 0) {
		log_event(LOG_LEVEL_WARN, "raftreg", 2011, "the session was not noted", NULL, 0);
	}
	disk_close_directory(disk);
}

/* With a data directory a restarted sidecar is the same session with a higher incarnation, and
 * what it left behind goes at once instead of by its lease. */
static void load_session(struct client *client, const uint8_t instance_id[16])
{
	uint8_t *bytes = NULL;
	struct disk *disk;
	size_t size = 0;

	if (!client->data_dir || disk_open_directory(client->data_dir, &disk) < 0) {
		/* The instance id lives as long as the parent process; time rises. */
		memcpy(client->session, instance_id, 16);
		client->incarnation = clock_wall_ms();
		return;
	}
	if (disk_load_file(disk, SESSION_FILE, 4096, &bytes, &size) == 0 && size == 28) {
		memcpy(client->session, bytes, 16);
		client->incarnation = bytes_get64(bytes + 16) + 1;
	} else {
		rng_system_bytes(client->session, 16);
		client->incarnation = 1;
	}
	free(bytes);
	disk_close_directory(disk);
	store_session(client);
}

/* RN-01: the boot id tells this process from another one with a copy of the same
 * session file. */
void client_session_init(struct client *client, const uint8_t instance_id[16])
{
	buf_init(&client->command_bytes);
	buf_init(&client->declared);
	list_init(&client->calls);
	list_init(&client->calls_in_flight);
	list_init(&client->records);
	list_init(&client->asks);
	map_init(&client->owned_records);
	rng_system_bytes(&client->boot, sizeof client->boot);
	load_session(client, instance_id);
}

static void free_op(struct client_record_op *op)
{
	list_unlink(&op->node);
	mem_free(op->set);
	mem_free((void *)(uintptr_t)op->key.data);
	mem_free((void *)(uintptr_t)op->value.data);
	mem_free(op);
}

/* Calls that wait are the caller's memory; they are only let go. */
void client_session_fini(struct client *client)
{
	while (!list_empty(&client->records)) {
		free_op(LIST_ENTRY(client->records.next, struct client_record_op, node));
	}
	client_ask_fini(client);
	MAP_FOR_EACH(entry, &client->owned_records)
	{
		free_op(entry->value);
	}
	map_fini(&client->owned_records);
	buf_fini(&client->command_bytes);
	buf_fini(&client->declared);
}

/* Number and seq are fixed now; repetitions send these very bytes. */
static void begin_command(
	struct client *client, enum client_command command, const struct packet *frame)
{
	ASSERT(client->command == COMMAND_NONE && command != COMMAND_NONE);
	client->command = command;
	client->command_tries = 0;
	client->command_retry_ms = 0;
	client->command_sent_ms = 0;
	client->command_number = frame->number;
	client->command_seq = frame->seq;
	buf_clear(&client->command_bytes);
	packet_encode(frame, &client->command_bytes);
}

/* A new incarnation replaces what an older one of this id left behind, instances included. */
static void build_open(struct client *client)
{
	const struct packet frame = {.kind = PACKET_OPEN,
		.number = ++client->next_number,
		.session = slice_make(client->session, 16),
		.incarnation = client->incarnation,
		.boot = client->boot,
		.ttl_ms = client->ttl_ms,
		.identity = slice_from_string(client->name),
		.host = slice_from_string(client->host),
		.port = client->port,
		.zone = slice_from_string(client->zone),
		.version = SLICE(WORD_VERSION)};

	begin_command(client, COMMAND_OPEN, &frame);
}

/* expected travels as modified + 1, so that zero can mean any. */
static void record_item(const struct client_record_op *op, struct item *ret_item)
{
	*ret_item = (struct item){.op = op->remove ? ITEM_REMOVE : ITEM_PUT,
		.set = slice_from_string(op->set),
		.key = op->key,
		.content = op->value,
		.expected = op->expected == UINT64_MAX ? 0 : op->expected + 1,
		.owned = op->owned};
}

/* RD-05: seq counts what was accepted, so a refused command gives its number to the
 * next one. */
static struct packet register_frame(struct client *client)
{
	return (struct packet){.kind = PACKET_REGISTER,
		.number = ++client->next_number,
		.session = slice_make(client->session, 16),
		.incarnation = client->incarnation,
		.seq = client->last_seq + 1};
}

/* The whole set: what is not in it goes. Records of the session belong to it too. */
static void build_declare(struct client *client)
{
	struct packet frame = register_frame(client);
	struct slice rest = buf_slice(&client->declared);

	frame.flags = PACKET_FULL;
	begin_command(client, COMMAND_DECLARE, &frame);
	client->declare_dirty = false;
	while (rest.size >= 4) {
		uint32_t size = bytes_get32(rest.data);

		packet_add_item(&client->command_bytes, slice_make(rest.data + 4, size));
		rest = slice_from(rest, 4 + (size_t)size);
	}
	MAP_FOR_EACH(entry, &client->owned_records)
	{
		struct item item;

		record_item(entry->value, &item);
		item.expected = 0;
		packet_put_item(&client->command_bytes, &item);
	}
	list_move_all(&client->calls_in_flight, &client->calls);
}

static void build_record(struct client *client)
{
	const struct packet frame = register_frame(client);
	struct item item;

	begin_command(client, COMMAND_RECORD, &frame);
	record_item(LIST_ENTRY(client->records.next, struct client_record_op, node), &item);
	packet_put_item(&client->command_bytes, &item);
}

/* Once per stream and try; the tick watches for the answer. */
static void send_command(struct client *client)
{
	uint64_t now = client_now_ms(client);

	if (client->command_sent_ms > 0 || now < client->command_retry_ms) {
		return;
	}
	if (client_send(client, buf_slice(&client->command_bytes))) {
		client->command_sent_ms = now;
	}
}

/* Decides what the session needs next. Called whenever something may have changed; does nothing
 * when a command is under way. */
void client_session_pump(struct client *client)
{
	uint64_t now = client_now_ms(client);

	if (client->command == COMMAND_NONE && !client->stopped) {
		if (!client->open) {
			build_open(client);
		} else if (client->declare_dirty && now >= client->declare_retry_ms) {
			build_declare(client);
		} else if (!list_empty(&client->records)) {
			build_record(client);
		}
	}
	if (client->command != COMMAND_NONE && client->greeted) {
		send_command(client);
	}
}

/* The next one is drawn now, also when the answer never comes: a lost renewal costs one
 * interval, and a ttl has at least three of them. */
static void renew(struct client *client)
{
	const struct packet frame = {.kind = PACKET_RENEW,
		.number = ++client->next_number,
		.session = slice_make(client->session, 16),
		.incarnation = client->incarnation};
	uint64_t now = client_now_ms(client);
	struct buf bytes;

	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	if (client_send(client, buf_slice(&bytes))) {
		client->renew_number = frame.number;
		client->renew_sent_ms = now;
	}
	buf_fini(&bytes);
	/* 20 % to either side, so that sidecars started together drift apart (RN-02). */
	client->renew_due_ms = now + client->renew_ms * 8 / 10 +
			       rng_below(&client->rng, client->renew_ms * 4 / 10 + 1);
}

/* RN-03: the renewal goes first: another replica may have lost what the last one had
 * confirmed. */
void client_session_welcome(struct client *client)
{
	/* Whatever was under way is said again: seq and incarnation make it harmless. */
	client->command_sent_ms = 0;
	client->command_retry_ms = 0;
	if (client->open && client->command != COMMAND_OPEN) {
		renew(client);
	}
	client_session_pump(client);
}

/* What the users of the interface see. Unchanged and already are successes: what was wanted is
 * what is. */
enum registry_code client_session_code(enum packet_code code)
{
	switch (code) {
	case CODE_OK:
	case CODE_ALREADY:
	case CODE_UNCHANGED:
		return REGISTRY_OK;
	case CODE_INVALID:
		return REGISTRY_INVALID;
	case CODE_DENIED:
		return REGISTRY_DENIED;
	case CODE_NOT_FOUND:
		return REGISTRY_NOT_FOUND;
	case CODE_TAKEN:
		return REGISTRY_TAKEN;
	case CODE_CONFLICT:
		return REGISTRY_CONFLICT;
	case CODE_QUOTA:
		return REGISTRY_QUOTA;
	case CODE_RETRY_LATER:
		return REGISTRY_RETRY_LATER;
	case CODE_NO_QUORUM:
		return REGISTRY_NO_QUORUM;
	case CODE_DISK_FULL:
		return REGISTRY_DISK_FULL;
	case CODE_MAYBE:
		return REGISTRY_MAYBE;
	case CODE_SESSION_LOST:
	case CODE_UNAVAILABLE:
	case CODE_NOT_LEADER:
		return REGISTRY_UNAVAILABLE;
	}
	return REGISTRY_UNAVAILABLE;
}

/* The text is copied: the frame it points into ends with this turn. */
static void finish_call(struct registry_call *call, const struct packet *answer)
{
	char text[256];
	const struct registry_result result = {.code = client_session_code(answer->code),
		.index = answer->index,
		.text = answer->text.size > 0 ? text : NULL};

	(void)snprintf(
		text, sizeof text, "%.*s", (int)answer->text.size, (const char *)answer->text.data);
	if (call && call->done) {
		call->done(call, &result);
	}
}

/* All calls whose set was in this command get its answer; later ones wait for theirs. What may
 * pass by itself is tried again. */
static void finish_declared(struct client *client, const struct packet *answer)
{
	struct list_node done;
	struct list_node *place;
	bool accepted = client_session_code(answer->code) == REGISTRY_OK;

	list_init(&done);
	list_move_all(&done, &client->calls_in_flight);
	client->registered = accepted;
	if (!accepted) {
		log_event(LOG_LEVEL_WARN, "raftreg", 3005, "the registry refused the registration",
			(struct log_field[]){LOG_TEXT("error.code", packet_code_word(answer->code)),
				LOG_SLICE("error.message", answer->text)},
			2);
		if (answer->code != CODE_INVALID && answer->code != CODE_DENIED) {
			client->declare_dirty = true;
			client->declare_retry_ms = client_now_ms(client) + DECLARE_AGAIN_MS;
		}
	}
	while ((place = list_pop_front(&done)) != NULL) {
		finish_call(LIST_ENTRY(place, struct registry_call, node), answer);
	}
}

/* Everything is declared anew, under what `client->session` and the incarnation say now. */
static void restart_session(struct client *client)
{
	store_session(client);
	client->open = false;
	client->last_seq = 0;
	client->command = COMMAND_NONE;
	client->registered = false;
	client->declare_dirty = client->has_declared || client->owned_records.count > 0;
	list_move_all(&client->calls, &client->calls_in_flight);
}

/* RN-01: whoever hears that another start holds its id is a clone, or was cloned: of two that
 * copied one file each must end with an id of its own, or they would take it from each other for
 * ever. Ids without a file are the parent process's and cannot be copied. */
static void lose_session(struct client *client, const struct packet *answer)
{
	if (client->data_dir && answer->boot != 0 && answer->boot != client->boot) {
		log_event(LOG_LEVEL_WARN, "raftreg", 3003,
			"another sidecar has the id of this session (a copied data directory?); "
			"it registers with a new one",
			NULL, 0);
		rng_system_bytes(client->session, sizeof client->session);
		client->incarnation = 1;
	} else {
		log_event(LOG_LEVEL_WARN, "raftreg", 3003, "the session ended; it registers again",
			NULL, 0);
		client->incarnation++;
		if (!client->data_dir && clock_wall_ms() > client->incarnation) {
			client->incarnation = clock_wall_ms();
		}
	}
	restart_session(client);
}

/* RV-06: the session belonged to the old cluster. Should that one come back, it must not take new
 * commands for old ones. */
void client_session_cluster_changed(struct client *client)
{
	client->incarnation++;
	restart_session(client);
}

/* Everything else is repeated: it was not, or may not have been, taken. */
static bool is_definite(enum packet_code code)
{
	switch (code) {
	case CODE_RETRY_LATER:
	case CODE_NO_QUORUM:
	case CODE_DISK_FULL:
	case CODE_MAYBE:
	case CODE_UNAVAILABLE:
	case CODE_NOT_LEADER:
		return false;
	case CODE_OK:
	case CODE_ALREADY:
	case CODE_UNCHANGED:
	case CODE_INVALID:
	case CODE_DENIED:
	case CODE_NOT_FOUND:
	case CODE_TAKEN:
	case CODE_CONFLICT:
	case CODE_QUOTA:
	case CODE_SESSION_LOST:
		return true;
	}
	return false;
}

/* RD-07: the same bytes again, with full jitter. */
static void repeat_command(struct client *client, const struct packet *answer)
{
	uint64_t most = RETRY_MIN_MS;

	for (unsigned i = 0; i < client->command_tries && most < client->ttl_ms / 3; i++) {
		most *= 2;
	}
	most = most > client->ttl_ms / 3 ? client->ttl_ms / 3 : most;
	client->command_tries++;
	client->command_sent_ms = 0;
	client->command_retry_ms =
		client_now_ms(client) + answer->retry_after_ms + rng_below(&client->rng, most + 1);
	(void)snprintf(client->detail, sizeof client->detail, "%s", packet_code_word(answer->code));
}

/* A record that was refused or removed must not come back with the next session. */
static void forget_owned(struct client *client, const char *set, struct slice key)
{
	struct client_record_op *old;
	struct buf name;

	buf_init(&name);
	buf_append_string(&name, set);
	buf_append_byte(&name, 0);
	buf_append_slice(&name, key);
	old = map_remove(&client->owned_records, buf_slice(&name));
	if (old) {
		free_op(old);
	}
	buf_fini(&name);
}

/* A refused owned record is forgotten, or every new session would try it again in
 * vain. */
static void finish_record(struct client *client, const struct packet *answer)
{
	struct client_record_op *op =
		LIST_ENTRY(client->records.next, struct client_record_op, node);
	struct registry_call *call = op->call;

	ASSERT(!list_empty(&client->records));
	if (op->owned && client_session_code(answer->code) != REGISTRY_OK) {
		forget_owned(client, op->set, op->key);
	}
	free_op(op);
	finish_call(call, answer);
}

/* The outcome of the one command under way. Only what was applied counts the seq up. */
static void on_command_answer(struct client *client, const struct packet *answer)
{
	enum client_command command = client->command;
	bool counted = answer->code == CODE_OK || answer->code == CODE_ALREADY;

	if (!is_definite(answer->code)) {
		repeat_command(client, answer);
		return;
	}
	client->command = COMMAND_NONE;
	if (answer->code == CODE_SESSION_LOST) {
		lose_session(client, answer);
		return;
	}
	switch (command) {
	case COMMAND_OPEN:
		if (!counted) {
			client->command = COMMAND_OPEN;
			repeat_command(client, answer);
			return;
		}
		client->open = true;
		client->last_seq = 0;
		client->declare_dirty = client->has_declared || client->owned_records.count > 0;
		client->declare_retry_ms = 0;
		client->renew_due_ms = client_now_ms(client) + client->renew_ms / 2;
		break;
	case COMMAND_DECLARE:
		client->last_seq = counted ? client->command_seq : client->last_seq;
		finish_declared(client, answer);
		break;
	case COMMAND_RECORD:
		client->last_seq = counted ? client->command_seq : client->last_seq;
		finish_record(client, answer);
		break;
	case COMMAND_NONE:
		break;
	}
}

/* The same sum that the registry keeps for this session, over what we declared. */
static uint64_t session_digest(const struct client *client)
{
	struct state keyed = {0};
	struct slice rest = buf_slice(&client->declared);
	uint64_t digest = 0;
	struct item item;

	memcpy(keyed.uuid, client->uuid, 16);
	while (rest.size >= 4) {
		uint32_t size = bytes_get32(rest.data);

		if (item_decode(slice_make(rest.data + 4, size), &item) == 0 &&
			item.op == ITEM_UPSERT) {
			digest += state_member_session_digest(
				&keyed, item.set, item.key, item.content);
		}
		rest = slice_from(rest, 4 + (size_t)size);
	}
	MAP_FOR_EACH(entry, &client->owned_records)
	{
		const struct client_record_op *op = entry->value;

		digest += state_member_session_digest(
			&keyed, slice_from_string(op->set), op->key, op->value);
	}
	return digest;
}

/* A renewal tells three things: the session lives, the registry can write, and what it has of
 * us. */
static void on_renewed(struct client *client, const struct packet *answer)
{
	client->renew_number = 0;
	client->renew_sent_ms = 0;
	if (answer->code == CODE_SESSION_LOST) {
		if (client->command == COMMAND_NONE && client->open) {
			lose_session(client, answer);
		}
		return;
	}
	if (answer->code != CODE_OK) {
		/* Not renewed: soon again, there is a whole ttl for it. */
		client->renew_due_ms = client_now_ms(client) + 100 + rng_below(&client->rng, 400);
		return;
	}
	/* RN-04: eight bytes tell whether the registry has what we declared. */
	if (client->command == COMMAND_NONE && !client->declare_dirty && client->has_declared &&
		client->registered && list_empty(&client->records) &&
		answer->digest != session_digest(client)) {
		client->declare_dirty = true;
	}
}

/* By number: the command, the renewal, or one of the questions; anything else is late and
 * dropped. */
void client_session_answer(struct client *client, const struct packet *answer)
{
	if (client->command != COMMAND_NONE && answer->number == client->command_number) {
		on_command_answer(client, answer);
		client_session_pump(client);
		return;
	}
	if (client->renew_number != 0 && answer->number == client->renew_number) {
		on_renewed(client, answer);
		client_session_pump(client);
		return;
	}
	if (!client_sub_answered(client, answer)) {
		client_ask_answered(client, answer);
	}
}

/* A replica that is connected but silent is left: another one may do better. */
void client_session_tick(struct client *client, uint64_t now_ms)
{
	client_ask_tick(client, now_ms);
	if (!client->greeted) {
		return;
	}
	if (client->command != COMMAND_NONE && client->command_sent_ms > 0 &&
		now_ms - client->command_sent_ms > ANSWER_MS) {
		client_disconnect(client, "the replica does not answer");
		return;
	}
	if (client->open && client->renew_sent_ms > 0 &&
		now_ms - client->renew_sent_ms > ANSWER_MS) {
		client_disconnect(client, "the replica does not answer renewals");
		return;
	}
	if (client->open && now_ms >= client->renew_due_ms) {
		renew(client);
	}
	client_session_pump(client);
}

/* Not waited for: should it be lost, the lease ends the session (RN-05). */
void client_session_close(struct client *client)
{
	const struct packet frame = {.kind = PACKET_CLOSE,
		.number = ++client->next_number,
		.session = slice_make(client->session, 16),
		.incarnation = client->incarnation};
	struct buf bytes;

	if (!client->greeted || !client->open) {
		return;
	}
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	(void)client_send(client, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* Length first, so that the set can be walked without decoding. */
static void keep_item(struct buf *declared, const struct item *item)
{
	struct buf bytes;
	uint8_t size[4];

	buf_init(&bytes);
	item_encode(item, &bytes);
	bytes_put32(size, (uint32_t)bytes.size);
	buf_append(declared, size, sizeof size);
	buf_append_slice(declared, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* The same bytes for the same service each time, or the registry would see changes. */
static void declare_one(
	struct client *client, const struct registry_service *service, const char *id)
{
	struct content *content = mem_zalloc(sizeof *content);
	struct item item = {.op = ITEM_UPSERT, .set = slice_from_string(service->name)};
	struct buf bytes, key, def;

	content->service = item.set;
	content->version = slice_from_string(service->version);
	content->id = slice_from_string(id);
	content->host = slice_from_string(service->host ? service->host : client->host);
	content->port = service->port;
	content->zone = slice_from_string(service->zone);
	content->protocol = slice_from_string(service->protocol);
	content->weight = service->weight;
	content->health = service->health;
	for (uint32_t i = 0; i < service->metadata_count && i < CONTENT_METADATA_MAX; i++) {
		content->metadata[content->metadata_count++] =
			(struct content_pair){slice_from_string(service->metadata[i].key),
				slice_from_string(service->metadata[i].value)};
	}
	buf_init(&bytes);
	buf_init(&key);
	buf_init(&def);
	content_encode(content, &bytes);
	content_key(content, &key);
	item.key = buf_slice(&key);
	item.content = buf_slice(&bytes);
	keep_item(&client->declared, &item);
	for (uint32_t i = 0; i < service->endpoint_count; i++) {
		const struct registry_endpoint *from = &service->endpoints[i];
		const struct content_endpoint endpoint = {.name = slice_from_string(from->name),
			.request = slice_from_string(from->request),
			.response = slice_from_string(from->response),
			.idempotent = from->idempotent};

		content_put_endpoint(&def, &endpoint);
	}
	if (def.size > 0) {
		item = (struct item){.op = ITEM_DEF,
			.set = content->service,
			.key = content->version,
			.content = buf_slice(&def)};
		keep_item(&client->declared, &item);
	}
	buf_fini(&bytes);
	buf_fini(&key);
	buf_fini(&def);
	mem_free(content);
}

/* The whole set replaces the one before, also while that one is still under way: then it is the
 * next command, and calls of both are answered in order. */
void client_session_declare(struct client *client, const struct registry_service *services,
	size_t count, struct registry_call *call)
{
	char id[33];

	instance_id_format(client->registry_instance, id);
	buf_clear(&client->declared);
	for (size_t i = 0; i < count; i++) {
		declare_one(client, &services[i], id);
	}
	client->has_declared = true;
	client->declare_dirty = true;
	client->declare_retry_ms = 0;
	if (call) {
		list_init(&call->node);
		list_push_back(&client->calls, &call->node);
	}
	loop_queue(client->loop, &client->deliver);
}

static struct slice copy_slice(struct slice bytes)
{
	return slice_make(mem_copy(bytes.data, bytes.size), bytes.size);
}

/* Remembered so that a new session declares it again. */
static void remember_owned(struct client *client, const struct client_record_op *op)
{
	struct client_record_op *copy;
	struct buf key;

	forget_owned(client, op->set, op->key);
	if (op->remove || !op->owned) {
		return;
	}
	copy = mem_zalloc(sizeof *copy);
	list_init(&copy->node);
	copy->set = mem_strdup(op->set);
	copy->key = copy_slice(op->key);
	copy->value = copy_slice(op->value);
	copy->owned = true;
	copy->expected = UINT64_MAX;
	buf_init(&key);
	buf_append_string(&key, op->set);
	buf_append_byte(&key, 0);
	buf_append_slice(&key, op->key);
	(void)map_set(&client->owned_records, buf_slice(&key), copy);
	buf_fini(&key);
}

/* Records wait behind the declared set: their session must exist before they can
 * belong to it. */
void client_session_put(struct client *client, struct client_record_op *op)
{
	remember_owned(client, op);
	list_push_back(&client->records, &op->node);
	loop_queue(client->loop, &client->deliver);
}
