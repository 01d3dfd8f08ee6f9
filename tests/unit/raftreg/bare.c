#include "bare.h"

#include <errno.h>

#include "base/mem.h"
#include "net/loop.h"
#include "raftreg/bytes.h"
#include "raftreg/content.h"
#include "raftreg/inlet.h"
#include "raftreg/node_trace.h"
#include "raftreg/peers.h"

struct bare bare;

/* The pretended worker. */
struct door_worker {
	struct loop *loop;
};
static struct door_worker worker;

struct door_mail *door_mail_create(void)
{
	struct door_mail *mail = mem_zalloc(sizeof *mail);

	buf_init(&mail->records);
	return mail;
}

void door_mail_free(struct door_mail *mail)
{
	buf_fini(&mail->records);
	mem_free(mail);
}

void door_mail_add(struct door_mail *mail, const struct door_record *record, const void *bytes)
{
	buf_append(&mail->records, record, sizeof *record);
	buf_append(&mail->records, bytes, record->size);
}

bool door_mail_next(struct slice *rest, struct door_record *ret_record, struct slice *ret_bytes)
{
	if (rest->size < sizeof *ret_record) {
		return false;
	}
	memcpy(ret_record, rest->data, sizeof *ret_record);
	*rest = slice_from(*rest, sizeof *ret_record);
	*ret_bytes = slice_make(rest->data, ret_record->size);
	*rest = slice_from(*rest, ret_record->size);
	return true;
}

struct loop *door_loop(const struct door_worker *of)
{
	return of->loop;
}

void door_deliver(struct door_mail *mail)
{
	struct slice rest = buf_slice(&mail->records);
	struct door_record record;
	struct slice bytes;

	while (door_mail_next(&rest, &record, &bytes)) {
		struct bare_stream *stream = &bare.streams[record.slot];

		if (record.op == DOOR_MESSAGE) {
			assert_true(stream->count < BARE_FRAMES);
			buf_init(&stream->frames[stream->count]);
			buf_append_slice(&stream->frames[stream->count++], bytes);
			stream->bytes += bytes.size;
		} else if (record.op == DOOR_FINISH) {
			stream->status = bytes.data[0];
		}
	}
	door_mail_free(mail);
}

/* The other replicas. */
struct peers *peers_create(struct raftreg_node *node)
{
	(void)node;
	return NULL;
}

void peers_close(struct peers *peers)
{
	(void)peers;
}

void peers_destroy(struct peers *peers)
{
	(void)peers;
}

void peers_set(struct peers *peers, const struct state_replica *replicas, size_t count)
{
	(void)peers;
	(void)replicas;
	(void)count;
}

void peers_knock(struct peers *peers, bool enabled)
{
	(void)peers;
	(void)enabled;
}

void peers_send(struct peers *peers, uint64_t to, enum peers_way way, struct slice bytes)
{
	(void)peers;
	(void)to;
	(void)way;
	(void)bytes;
}

void peers_tick(struct peers *peers, uint64_t now_ms)
{
	(void)peers;
	(void)now_ms;
}

bool peers_relay(struct peers *peers, uint64_t to, struct slice frame)
{
	(void)peers;
	(void)to;
	if (bare.relay_down) {
		return false;
	}
	assert_true(bare.relay_count < ARRAY_SIZE(bare.relayed));
	buf_init(&bare.relayed[bare.relay_count]);
	buf_append_slice(&bare.relayed[bare.relay_count++], frame);
	return true;
}

void peers_send_snapshot(
	struct peers *peers, uint64_t to, uint64_t term, const struct raft_snapshot *snapshot)
{
	(void)peers;
	(void)to;
	(void)term;
	(void)snapshot;
}

bool peers_snapshot_answered(struct peers *peers, const struct wire_chunk *chunk)
{
	(void)peers;
	(void)chunk;
	return false;
}

void peers_loaded(struct peers *peers, uint64_t token, struct slice file)
{
	(void)peers;
	(void)token;
	(void)file;
}

bool peers_is_connected(const struct peers *peers, uint64_t id)
{
	(void)peers;
	(void)id;
	return true;
}

bool peers_all_empty(const struct peers *peers, uint64_t seeds_digest, const char *self,
	bool *ret_lowest, size_t *ret_others)
{
	(void)peers;
	(void)seeds_digest;
	(void)self;
	(void)ret_lowest;
	(void)ret_others;
	return false;
}

/* The disk: everything is durable a turn later. */
int store_open(const struct store_options *options, struct store **ret_store,
	struct store_recovered *ret_recovered, struct err *err)
{
	(void)options;
	(void)ret_store;
	(void)ret_recovered;
	(void)err;
	return -EIO;
}

void store_recovered_fini(struct store_recovered *recovered)
{
	(void)recovered;
}

int store_bootstrap(
	struct store *store, const uint8_t uuid[16], uint64_t epoch, struct raft_payload *payload)
{
	(void)store;
	(void)uuid;
	(void)epoch;
	(void)payload;
	return 0;
}

int store_adopt(struct store *store, const uint8_t uuid[16], uint64_t epoch)
{
	(void)store;
	(void)uuid;
	(void)epoch;
	return 0;
}

int store_start(
	struct store *store, struct loop *loop, const struct store_events *events, void *owner)
{
	(void)store;
	(void)loop;
	(void)events;
	(void)owner;
	return 0;
}

void store_stop(struct store *store)
{
	(void)store;
}

void store_destroy(struct store *store)
{
	(void)store;
}

struct store_batch *store_batch_create(const struct raft_entry *entries, size_t count)
{
	(void)entries;
	(void)count;
	return mem_zalloc(sizeof(struct store_batch));
}

void store_batch_free(struct store_batch *batch)
{
	mem_free(batch);
}

void store_submit(struct store *store, struct store_batch *batch)
{
	(void)store;
	bare.submitted = batch->seq;
	store_batch_free(batch);
}

void store_prepare_spare(struct store *store)
{
	(void)store;
}

void store_make_snapshot(struct store *store, const struct snapfile_meta *meta,
	const struct store_source *source, uint64_t compact_index)
{
	(void)store;
	(void)meta;
	(void)compact_index;
	source->drop(source->context);
}

void store_stage(
	struct store *store, uint64_t token, const struct raft_snapshot *snapshot, struct buf *file)
{
	(void)store;
	(void)token;
	(void)snapshot;
	(void)file;
}

void store_load(struct store *store, uint64_t token, uint64_t index, uint64_t term)
{
	(void)store;
	(void)token;
	(void)index;
	(void)term;
}

void store_figures(const struct store *store, struct store_figures *ret_figures)
{
	(void)store;
	*ret_figures = (struct store_figures){0};
}

uint64_t store_log_bytes(const struct store *store)
{
	(void)store;
	return 0;
}

void bare_create(void)
{
	struct raftreg_node *node = mem_zalloc(sizeof *node);

	bare = (struct bare){.node = node};
	bare.streams = mem_zalloc(BARE_STREAMS * sizeof *bare.streams);
	assert_int_equal(loop_create(&node->loop), 0);
	worker.loop = node->loop;
	(void)pthread_mutex_init(&node->reason_lock, NULL);
	node->settings = (struct node_settings){.heartbeat_ms = 30,
		.election_ms = 150,
		.ttl_ms = 6000,
		.renew_ms = 500,
		.bookmark_ms = 200,
		.expire_per_s = 500,
		.state_bytes_max = 256u << 20};
	node->self =
		(struct state_replica){.id = 1, .name = "bare", .host = "127.0.0.1", .port = 1};
	memset(node->uuid, 7, sizeof node->uuid);
	node->epoch = 1;
	node->has_cluster = true;
	node->conf.voters = (struct raft_ids){.count = 2, .ids = {1, 2}};
	node->now.leader = 2;
	atomic_store(&node->snapshot_log_bytes, UINT64_MAX);
	node_start_timers(node);
	state_init(&node->state, node->uuid);
	node->gate = gate_create(node->loop, &inlet_events, node);
	node->fanout = fanout_create(node);
	node->trace = node_trace_create();
}

void bare_turn(void)
{
	struct raftreg_node *node = bare.node;

	loop_turn(node->loop, 5);
	if (bare.submitted > node->persisted) {
		node_store_events.on_persisted(node, bare.submitted);
	}
}

void bare_lead(void)
{
	struct raftreg_node *node = bare.node;

	node->has_cluster = false;
	node->conf = (struct raft_conf){0};
	node->now = (struct raft_effects){0};
	assert_int_equal(node_bootstrap(node), 0);
	while (!node->leading) {
		bare_turn();
	}
}

static void post(unsigned slot, enum door_op op, struct slice bytes)
{
	const struct door_record record = {
		.slot = slot, .generation = 1, .op = (uint32_t)op, .size = (uint32_t)bytes.size};
	struct door_mail *mail = door_mail_create();

	mail->worker = &worker;
	door_mail_add(mail, &record, bytes.data);
	gate_post(bare.node->gate, mail);
	/* There, and what it sends at once back here. */
	loop_turn(bare.node->loop, 0);
	loop_turn(bare.node->loop, 0);
}

void bare_open(unsigned slot, enum door_kind kind)
{
	uint8_t bytes[] = "?127.0.0.1:9";
	const struct packet hello = {.kind = PACKET_HELLO};

	bytes[0] = (uint8_t)kind;
	bare.streams[slot].status = -1;
	post(slot, DOOR_OPEN, slice_make(bytes, sizeof bytes - 1));
	if (kind == DOOR_SESSION) {
		bare_send(slot, &hello, NULL, 0);
		assert_int_equal(bare_frame(slot, 0).kind, PACKET_WELCOME);
		bare_take(slot);
	}
}

void bare_greet(unsigned slot, const struct packet *hello)
{
	uint8_t bytes[] = "?127.0.0.1:9";

	bytes[0] = DOOR_SESSION;
	bare.streams[slot].status = -1;
	post(slot, DOOR_OPEN, slice_make(bytes, sizeof bytes - 1));
	bare_send(slot, hello, NULL, 0);
}

void bare_close(unsigned slot)
{
	post(slot, DOOR_CLOSED, slice_make((const uint8_t *)"\1", 1));
	bare.streams[slot].status = 0;
	bare_take(slot);
}

void bare_send(unsigned slot, const struct packet *frame, const struct item *items, size_t count)
{
	struct buf bytes;

	buf_init(&bytes);
	packet_encode(frame, &bytes);
	for (size_t i = 0; i < count; i++) {
		packet_put_item(&bytes, &items[i]);
	}
	post(slot, DOOR_MESSAGE, buf_slice(&bytes));
	buf_fini(&bytes);
}

void bare_hello(unsigned slot, uint64_t id)
{
	struct wire_hello *hello = mem_zalloc(sizeof *hello);
	struct buf bytes;

	memcpy(hello->uuid, bare.node->uuid, 16);
	hello->epoch = bare.node->epoch;
	hello->format = WIRE_FORMAT;
	hello->boot_count = hello->boot_id = 1;
	hello->self =
		(struct state_replica){.id = id, .name = "peer", .host = "127.0.0.1", .port = 9};
	buf_init(&bytes);
	wire_put_hello(hello, &bytes);
	post(slot, DOOR_MESSAGE, buf_slice(&bytes));
	buf_fini(&bytes);
	mem_free(hello);
}

void bare_take(unsigned slot)
{
	struct bare_stream *stream = &bare.streams[slot];
	uint8_t taken[4];

	bytes_put32(taken, (uint32_t)stream->bytes);
	for (size_t i = 0; i < stream->count; i++) {
		buf_fini(&stream->frames[i]);
	}
	stream->count = stream->bytes = 0;
	if (bytes_get32(taken) > 0 && stream->status < 0) {
		post(slot, DOOR_ACK, slice_make(taken, sizeof taken));
	}
}

void bare_destroy(void)
{
	struct raftreg_node *node = bare.node;

	node_clear(node);
	for (unsigned i = 0; i < BARE_STREAMS; i++) {
		if (bare.streams[i].status < 0) {
			bare_close(i);
		}
	}
	fanout_destroy(node->fanout);
	node_trace_destroy(node->trace);
	loop_turn(node->loop, 0);
	for (unsigned i = 0; i < BARE_STREAMS; i++) {
		bare_take(i);
	}
	node_clear(node);
	node_request_fini(node);
	gate_destroy(node->gate);
	raft_destroy(node->raft);
	state_fini(&node->state);
	loop_destroy(node->loop);
	for (size_t i = 0; i < bare.relay_count; i++) {
		buf_fini(&bare.relayed[i]);
	}
	(void)pthread_mutex_destroy(&node->reason_lock);
	mem_free(bare.streams);
	mem_free(node);
}

struct packet bare_frame(unsigned slot, size_t i)
{
	struct packet frame;

	assert_true(i < bare.streams[slot].count);
	assert_int_equal(packet_decode(buf_slice(&bare.streams[slot].frames[i]), &frame), 0);
	return frame;
}

const char *bare_kinds(unsigned slot)
{
	static const char letters[] = {[PACKET_WELCOME] = 'W',
		[PACKET_ANSWER] = 'A',
		[PACKET_BEGIN] = 'B',
		[PACKET_SET] = 'S',
		[PACKET_END] = 'E',
		[PACKET_DELTA] = 'D',
		[PACKET_BOOKMARK] = 'K',
		[PACKET_GOAWAY] = 'G'};
	static char text[BARE_FRAMES + 1];

	for (size_t i = 0; i < bare.streams[slot].count; i++) {
		text[i] = letters[bare_frame(slot, i).kind];
		text[i + 1] = '\0';
	}
	return bare.streams[slot].count > 0 ? text : "";
}

static void apply(const struct packet *command, const struct item *items, size_t count)
{
	struct state *state = &bare.node->state;
	struct buf payload, bytes;

	buf_init(&payload);
	buf_init(&bytes);
	packet_encode(command, &bytes);
	for (size_t i = 0; i < count; i++) {
		packet_put_item(&bytes, &items[i]);
	}
	state_begin_entry(&payload, 1000 + state->applied);
	state_add_command(&payload, buf_slice(&bytes));
	assert_int_equal(
		state_apply(state, state->applied + 1, buf_slice(&payload), NULL, NULL), 0);
	buf_fini(&payload);
	buf_fini(&bytes);
}

static struct state_session *session_of(unsigned number)
{
	uint8_t id[16] = {(uint8_t)number, (uint8_t)(number >> 8), 1};
	const struct packet open = {.kind = PACKET_OPEN,
		.session = slice_make(id, 16),
		.incarnation = 1,
		.boot = 1,
		.ttl_ms = 6000,
		.identity = SLICE("test")};

	if (!state_session(&bare.node->state, slice_make(id, 16))) {
		apply(&open, NULL, 0);
	}
	return state_session(&bare.node->state, slice_make(id, 16));
}

static void register_item(unsigned number, const struct item *item)
{
	struct state_session *session = session_of(number);
	const struct packet frame = {.kind = PACKET_REGISTER,
		.session = slice_make(session->id, 16),
		.incarnation = 1,
		.seq = session->last_seq + 1};

	apply(&frame, item, 1);
	/* One that changes nothing uses no seq. */
	assert_true(session->last_seq + 1 >= frame.seq);
}

void bare_register(unsigned session, const char *service, uint16_t port)
{
	struct content *content = mem_zalloc(sizeof *content);
	struct item item = {
		.op = port ? ITEM_UPSERT : ITEM_DELETE, .set = slice_from_string(service)};
	struct buf bytes, key;
	char id[20];

	(void)snprintf(id, sizeof id, "i%u", session);
	content->service = item.set;
	content->version = SLICE("1");
	content->id = slice_from_string(id);
	content->host = SLICE("127.0.0.1");
	content->port = port;
	buf_init(&bytes);
	buf_init(&key);
	content_encode(content, &bytes);
	content_key(content, &key);
	item.key = buf_slice(&key);
	item.content = port ? buf_slice(&bytes) : (struct slice){0};
	register_item(session, &item);
	buf_fini(&bytes);
	buf_fini(&key);
	mem_free(content);
}

void bare_define(const char *service, const char *version, const char *method)
{
	const struct content_endpoint endpoint = {.name = slice_from_string(method)};
	struct item item = {.op = ITEM_DEF,
		.set = slice_from_string(service),
		.key = slice_from_string(version)};
	struct buf content;

	buf_init(&content);
	content_put_endpoint(&content, &endpoint);
	item.content = buf_slice(&content);
	register_item(1, &item);
	buf_fini(&content);
}

void bare_record(const char *set, const char *key, size_t size, bool remove)
{
	uint8_t *value = mem_zalloc(size + 1);
	const struct item item = {.op = remove ? ITEM_REMOVE : ITEM_PUT,
		.set = slice_from_string(set),
		.key = slice_from_string(key),
		.content = slice_make(value, remove ? 0 : size)};

	memset(value, 'a' + (int)(bare.node->state.applied % 26), size);
	register_item(1, &item);
	mem_free(value);
}

void bare_forget(uint64_t index)
{
	const struct packet frame = {.kind = PACKET_GC, .index = index};

	apply(&frame, NULL, 0);
}

void bare_publish(void)
{
	fanout_publish(bare.node->fanout);
	loop_turn(bare.node->loop, 0);
	loop_turn(bare.node->loop, 0);
}
