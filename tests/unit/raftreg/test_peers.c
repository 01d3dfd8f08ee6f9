/*
 * A replica's connections to a peer that accepts and reads nothing (registry.md RT-06). The peer is
 * a socket of this file; what the registry thread owns is looked at on that thread, by mail.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "net/resolver.h"
#include "raftreg/node.h"
#include "raftreg/node_trace.h"
#include "raftreg/peers.h"
#include "support.h"

#define WAIT_MS 20000
#define PEER	77u

static struct world {
	struct loop *loop;
	struct resolver *resolver;
	struct config *config;
	char *directory;
	struct raftreg_node *node;
	int listener;
	uint16_t port;
} world;

struct question {
	struct mail mail;
	void (*run)(struct raftreg_node *node, void *argument);
	void *argument;
	atomic_bool done;
};

static void deliver_question(struct mail *mail)
{
	struct question *question = container_of(mail, struct question, mail);

	question->run(world.node, question->argument);
	atomic_store(&question->done, true);
}

static bool is_done(void *context)
{
	return atomic_load(&((struct question *)context)->done);
}

/* On the registry thread, and waited for. */
static void ask(void (*run)(struct raftreg_node *node, void *argument), void *argument)
{
	struct question question = {
		.mail.deliver = deliver_question, .run = run, .argument = argument};

	mailbox_post(loop_mailbox(world.node->loop), &question.mail);
	assert_true(support_until(world.loop, is_done, &question, WAIT_MS));
}

/* How long a connection may stand still follows from E; the core's own is another copy. */
static void set_election(struct raftreg_node *node, void *argument)
{
	node->settings.election_ms = *(uint32_t *)argument;
}

static void add_peer(struct raftreg_node *node, void *argument)
{
	struct state_replica replica = {.id = PEER, .host = "127.0.0.1", .name = "mute"};

	(void)argument;
	replica.port = world.port;
	peers_set(node->peers, &replica, 1);
}

static bool leads(void *context)
{
	struct raftreg_node_health health;

	(void)context;
	raftreg_node_health(world.node, &health);
	return health.is_leader;
}

static void listen_small(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int small = 4096;

	world.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(world.listener >= 0);
	(void)setsockopt(world.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(bind(world.listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(world.listener, 8), 0);
	assert_int_equal(getsockname(world.listener, (struct sockaddr *)&address, &size), 0);
	world.port = ntohs(address.sin_port);
}

static void start_node(enum config_bootstrap bootstrap, const uint16_t seeds[])
{
	struct raftreg_node_options options = {.name = "voter", .advertise_host = "127.0.0.1"};
	struct err err;

	memset(&world, 0, sizeof world);
	assert_int_equal(loop_create(&world.loop), 0);
	assert_int_equal(resolver_create(&world.resolver), 0);
	listen_small();
	world.directory = support_directory();
	world.config = support_config("voter", CONFIG_ROLE_VOTER, bootstrap, seeds);
	options.config = world.config;
	options.data_dir = world.directory;
	options.advertise_port = 1;
	options.resolver = world.resolver;
	options.control_loop = world.loop;
	err_clear(&err);
	assert_int_equal(raftreg_node_start(&options, &world.node, &err), 0);
}

static int setup(void **state)
{
	uint32_t patient = 3600000;

	(void)state;
	start_node(CONFIG_BOOTSTRAP_ALONE, NULL);
	assert_true(support_until(world.loop, leads, NULL, WAIT_MS));
	ask(set_election, &patient);
	ask(add_peer, NULL);
	return 0;
}

/* One that knows of no cluster yet. */
static int setup_newcomer(void **state)
{
	static const uint16_t seeds[2] = {1, 0};

	(void)state;
	start_node(CONFIG_BOOTSTRAP_NEVER, seeds);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	raftreg_node_stop(world.node);
	support_config_free(world.config);
	support_remove(world.directory);
	close(world.listener);
	resolver_destroy(world.resolver);
	for (int i = 0; i < 8; i++) {
		loop_turn(world.loop, 0);
	}
	loop_destroy(world.loop);
	return 0;
}

static void send_all(int fd, const void *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Two connections; each is told that HTTP/2 is spoken here, and that is all. */
static void accept_lane(int *ret_fd)
{
	static const uint8_t settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
	struct pollfd poll_set = {.fd = world.listener, .events = POLLIN};

	assert_int_equal(poll(&poll_set, 1, WAIT_MS), 1);
	*ret_fd = accept(world.listener, NULL, NULL);
	assert_true(*ret_fd >= 0);
	send_all(*ret_fd, settings, sizeof settings);
}

struct sending {
	enum peers_way way;
	unsigned count;
	char fill;
	size_t size;
};

static void send_some(struct raftreg_node *node, void *argument)
{
	const struct sending *sending = argument;
	char *bytes = mem_alloc(sending->size);

	for (unsigned i = 0; i < sending->count; i++) {
		memset(bytes, sending->fill, sending->size);
		(void)snprintf(bytes, sending->size, "beat-%06u.", i);
		peers_send(node->peers, PEER, sending->way,
			slice_make((const uint8_t *)bytes, sending->size));
	}
	mem_free(bytes);
}

struct figures {
	bool connected;
	size_t control, bulk;
	uint64_t failures;
};

static void look(struct raftreg_node *node, void *argument)
{
	struct figures *figures = argument;

	figures->connected = peers_is_connected(node->peers, PEER);
	figures->control = peers_unsent(node->peers, PEER, false);
	figures->bulk = peers_unsent(node->peers, PEER, true);
	figures->failures = atomic_load(&node->peer_failures);
}

static struct figures figures_now(void)
{
	struct figures figures;

	ask(look, &figures);
	return figures;
}

static bool is_connected(void *context)
{
	(void)context;
	return figures_now().connected;
}

static bool is_stuck(void *context)
{
	size_t *before = context;
	size_t now = figures_now().control;
	bool same = now > 0 && now == *before;

	*before = now;
	return same;
}

static bool has_failed(void *context)
{
	return figures_now().failures > *(uint64_t *)context;
}

static void connect_lanes(int fds[2])
{
	accept_lane(&fds[0]);
	accept_lane(&fds[1]);
	assert_true(support_until(world.loop, is_connected, NULL, WAIT_MS));
}

/* Until the flow-control window of 64 KiB is used up and bytes stay. */
static void fill_control(void)
{
	struct sending filling = {PEERS_CONTROL, 8, 'x', 40000};
	size_t before = 0;

	ask(send_some, &filling);
	assert_true(support_until(world.loop, is_stuck, &before, WAIT_MS));
}

/* Opens the windows wide and looks for the heartbeats that follow the filling. */
static void read_beats(const int fds[2], unsigned *ret_count, unsigned *ret_last)
{
	static const uint8_t window[26] = {
		0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0x10, 0, 0};
	uint64_t until = clock_monotonic_ms() + WAIT_MS;
	struct buf seen[2];

	*ret_count = 0;
	for (int i = 0; i < 2; i++) {
		buf_init(&seen[i]);
		send_all(fds[i], window, sizeof window);
	}
	while (*ret_count == 0 && clock_monotonic_ms() < until) {
		for (int i = 0; i < 2; i++) {
			uint8_t *room = buf_reserve(&seen[i], 65536);
			ssize_t got = recv(fds[i], room, 65536, MSG_DONTWAIT);
			const char *at;

			seen[i].size += got > 0 ? (size_t)got : 0;
			for (at = buf_string(&seen[i]);
				(at = memmem(at, seen[i].size - (size_t)(at - buf_string(&seen[i])),
					 ".\0h", 3)) != NULL;
				at += 3) {
				assert_int_equal(sscanf(at - 11, "beat-%06u.", ret_last), 1);
				(*ret_count)++;
			}
		}
		loop_turn(world.loop, 1);
	}
	buf_fini(&seen[0]);
	buf_fini(&seen[1]);
}

/* RT-06: only the newest of a hundred heartbeats waits behind what has not left, and it arrives. */
static void test_heartbeats_replace_each_other(void **state)
{
	struct sending beats = {PEERS_HEARTBEAT, 100, 'h', 60};
	unsigned count, last;
	size_t before;
	int fds[2];

	(void)state;
	connect_lanes(fds);
	fill_control();
	before = figures_now().control;
	ask(send_some, &beats);
	assert_int_equal(figures_now().control, before + beats.size);
	read_beats(fds, &count, &last);
	assert_int_equal(count, 1);
	assert_int_equal(last, 99);
	close(fds[0]);
	close(fds[1]);
}

/* A connection with room takes each of them at once. */
static void test_heartbeats_pass(void **state)
{
	struct sending beats = {PEERS_HEARTBEAT, 3, 'h', 60};
	unsigned count, last;
	int fds[2];

	(void)state;
	connect_lanes(fds);
	ask(send_some, &beats);
	read_beats(fds, &count, &last);
	assert_int_equal(last, count - 1);
	close(fds[0]);
	close(fds[1]);
}

/* More than 1 MiB unsent ends the control connection alone, and counts as one failure. */
static void test_overflow_closes(void **state)
{
	struct sending much = {PEERS_CONTROL, 40, 'x', 40000};
	struct sending bulk = {PEERS_BULK, 1, 'x', 40000};
	struct figures figures = figures_now();
	uint64_t failures = figures.failures;
	int fds[2];

	(void)state;
	connect_lanes(fds);
	ask(send_some, &bulk);
	ask(send_some, &much);
	assert_true(support_until(world.loop, has_failed, &failures, WAIT_MS));
	figures = figures_now();
	assert_int_equal(figures.failures, failures + 1);
	assert_int_equal(figures.control, 0);
	close(fds[0]);
	close(fds[1]);
}

/* Nothing is taken for 2E: closed, counted once, and dialled again. */
static void test_standstill_closes(void **state)
{
	struct figures figures = figures_now();
	uint64_t failures = figures.failures;
	uint32_t election_ms = 150;
	int fds[3];

	(void)state;
	connect_lanes(fds);
	fill_control();
	ask(set_election, &election_ms);
	assert_true(support_until(world.loop, has_failed, &failures, WAIT_MS));
	assert_int_equal(figures_now().failures, failures + 1);
	accept_lane(&fds[2]);
	assert_true(support_until(world.loop, is_connected, NULL, WAIT_MS));
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
	}
}

/* A snapshot of another leader's, cut into two chunks. */
static struct arriving {
	struct buf file;
	struct wire_chunk chunk;
	size_t half;
	size_t have; /* what the replica holds after the last message */
	bool installed;
} incoming;

static void make_file(struct raftreg_node *node, void *argument)
{
	struct snapfile_meta meta = {.epoch = node->epoch,
		.snapshot = {.index = 500, .term = node->now.term, .conf = node->conf}};
	struct state state;
	struct buf bytes;

	(void)argument;
	memcpy(meta.uuid, node->uuid, 16);
	state_init(&state, node->uuid);
	state.applied = 500;
	buf_init(&bytes);
	state_save(&state, &bytes);
	buf_init(&incoming.file);
	snapfile_build(&meta, buf_slice(&bytes), &incoming.file);
	buf_fini(&bytes);
	state_fini(&state);
	incoming.half = incoming.file.size / 2;
	incoming.chunk = (struct wire_chunk){.from = PEER,
		.to = node->self.id,
		.tag = wire_tag(node->uuid, node->epoch),
		.term = node->now.term + 1,
		.index = 500,
		.log_term = node->now.term,
		.total = incoming.file.size};
}

static void receive(struct raftreg_node *node, void *argument)
{
	struct buf bytes;

	buf_init(&bytes);
	wire_put_chunk(argument, &bytes);
	node_receive(node, buf_slice(&bytes), PEER);
	buf_fini(&bytes);
	incoming.have = node->incoming.file.size;
}

/* What the replica holds after a question, or after a piece of the file. */
static size_t question(uint64_t transfer)
{
	struct wire_chunk chunk = incoming.chunk;

	chunk.transfer = transfer;
	ask(receive, &chunk);
	return incoming.have;
}

static size_t piece(uint64_t transfer, size_t from, size_t to, uint64_t spoil)
{
	struct wire_chunk chunk = incoming.chunk;

	chunk.transfer = transfer;
	chunk.offset = from;
	chunk.bytes = slice_make(incoming.file.data + from, to - from);
	chunk.crc = crc32c(0, chunk.bytes.data, chunk.bytes.size) ^ spoil;
	ask(receive, &chunk);
	return incoming.have;
}

static void see_state(struct raftreg_node *node, void *argument)
{
	(void)argument;
	incoming.installed = node->state.applied == 500;
}

static bool looks_installed(void *context)
{
	(void)context;
	ask(see_state, NULL);
	return incoming.installed;
}

/* RT-08: the same snapshot goes on where it broke; late, damaged or misplaced pieces never enter.
 */
static void test_snapshot_arrives(void **state)
{
	size_t half;
	size_t whole;

	(void)state;
	ask(make_file, NULL);
	half = incoming.half;
	whole = incoming.file.size;
	assert_int_equal(piece(1, 0, half, 0), 0); /* nobody asked before */
	assert_int_equal(question(1), 0);
	assert_int_equal(piece(1, 0, half, 0), half);
	assert_int_equal(piece(2, half, whole, 0), half); /* of another transfer */
	assert_int_equal(question(3), half);		  /* the connection broke: goes on */
	assert_int_equal(piece(1, half, whole, 0), half); /* late, of before */
	assert_int_equal(piece(3, half, whole, 1), 0);	  /* damaged: begins anew */
	assert_int_equal(question(4), 0);
	assert_int_equal(piece(4, 1, half, 0), 0); /* out of order */
	assert_int_equal(question(5), 0);
	assert_int_equal(piece(5, 0, half, 0), half);
	incoming.chunk.term++; /* another term of that leader */
	assert_int_equal(question(6), 0);
	assert_int_equal(piece(6, 0, half, 0), half);
	(void)piece(6, half, whole, 0);
	assert_true(support_until(world.loop, looks_installed, NULL, WAIT_MS));
	buf_fini(&incoming.file);
}

static void want_snapshot(struct raftreg_node *node, void *argument)
{
	(void)argument;
	node->snapshot_wanted = true;
	node_snapshot_turn(node);
}

static struct sent {
	struct raft_snapshot snapshot;
	struct buf file;
	bool seen;
} sent;

static void see_snapshot(struct raftreg_node *node, void *argument)
{
	(void)argument;
	sent.seen = !node->snapshot_busy && node->snapshot_bytes > 0;
	sent.snapshot =
		(struct raft_snapshot){.index = node->state.applied, .term = node->applied_term};
}

static bool has_snapshot(void *context)
{
	(void)context;
	ask(see_snapshot, NULL);
	return sent.seen;
}

static void send_snapshot(struct raftreg_node *node, void *argument)
{
	(void)argument;
	peers_send_snapshot(node->peers, PEER, node->now.term, &sent.snapshot);
}

/* The newest chunk that lies anywhere in what came. */
static bool find_chunk(const struct buf *seen, struct wire_chunk *ret_chunk)
{
	bool found = false;

	for (size_t at = 0; at + 5 < seen->size; at++) {
		const uint8_t *prefix = seen->data + at;
		size_t size = (size_t)prefix[3] << 8 | prefix[4];
		struct slice inner;

		if (prefix[0] == 0 && prefix[1] == 0 && prefix[2] == 0 && size > 0 &&
			size <= seen->size - at - 5 &&
			wire_scan(slice_make(prefix + 5, size), WIRE_BULK_MAX) == 0 &&
			wire_peek(slice_make(prefix + 5, size), &inner) == WIRE_CHUNK &&
			wire_get_chunk(inner, ret_chunk) == 0 && ret_chunk->to == PEER) {
			found = true;
		}
	}
	return found;
}

static bool await_chunk(
	const int fds[2], bool with_bytes, struct buf *seen, struct wire_chunk *ret_chunk)
{
	uint64_t until = clock_monotonic_ms() + WAIT_MS;

	while (clock_monotonic_ms() < until) {
		for (int i = 0; i < 2; i++) {
			uint8_t *room = buf_reserve(&seen[i], 65536);
			ssize_t got = recv(fds[i], room, 65536, MSG_DONTWAIT);

			seen[i].size += got > 0 ? (size_t)got : 0;
			if (find_chunk(&seen[i], ret_chunk) &&
				(ret_chunk->bytes.size > 0) == with_bytes) {
				return true;
			}
		}
		loop_turn(world.loop, 1);
	}
	return false;
}

static void load_file(struct raftreg_node *node, void *argument)
{
	char name[SNAPFILE_NAME_SIZE];
	uint8_t *data = NULL;
	size_t size = 0;

	(void)argument;
	snapfile_name(sent.snapshot.index, sent.snapshot.term, name);
	assert_int_equal(disk_load_file(node->disk, name, 1u << 20, &data, &size), 0);
	buf_init(&sent.file);
	buf_append(&sent.file, data, size);
	mem_free(data);
}

/* RT-08, the other side: asks first, and sends what the peer says that it does not have. */
static void test_snapshot_is_sent(void **state)
{
	struct wire_chunk chunk = {0};
	struct wire_chunk answer;
	struct buf seen[2];
	int fds[2];

	(void)state;
	buf_init(&seen[0]);
	buf_init(&seen[1]);
	ask(want_snapshot, NULL);
	assert_true(support_until(world.loop, has_snapshot, NULL, WAIT_MS));
	ask(load_file, NULL);
	connect_lanes(fds);
	ask(send_snapshot, NULL);
	assert_true(await_chunk(fds, false, seen, &chunk));
	assert_int_equal(chunk.total, sent.file.size);
	assert_int_equal(chunk.index, sent.snapshot.index);
	answer = chunk;
	answer.from = PEER;
	answer.to = chunk.from;
	answer.offset = 40;
	answer.transfer ^= 1; /* of another question: not heard */
	ask(receive, &answer);
	answer.transfer ^= 1;
	ask(receive, &answer);
	assert_true(await_chunk(fds, true, seen, &chunk));
	assert_int_equal(chunk.offset, 40);
	assert_true(slice_equal(chunk.bytes, slice_from(buf_slice(&sent.file), 40)));
	assert_int_equal(chunk.crc, crc32c(0, chunk.bytes.data, chunk.bytes.size));
	assert_int_equal(chunk.transfer, answer.transfer);
	buf_fini(&sent.file);
	buf_fini(&seen[0]);
	buf_fini(&seen[1]);
	close(fds[0]);
	close(fds[1]);
}

static void add_commits(struct raftreg_node *node, void *argument)
{
	(void)argument;
	node_trace_add(node->trace, 7, "commit 90001\ncommit 90002\n");
	node_trace_add(node->trace, 8, "commit 90003\nnews\ncommit 90004\nend\n");
}

static void add_lines(struct raftreg_node *node, void *argument)
{
	char line[32];

	(void)argument;
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(line, sizeof line, "line %u\n", i);
		node_trace_add(node->trace, i, line);
	}
}

/* RO-03: the decisions of the core are there, and only the last of them are kept. */
static void test_trace_is_kept(void **state)
{
	struct buf json;

	(void)state;
	buf_init(&json);
	raftreg_node_trace(world.node, &json);
	assert_non_null(strstr(buf_string(&json), "candidate to leader in term 2\""));
	buf_clear(&json);
	ask(add_commits, NULL);
	raftreg_node_trace(world.node, &json);
	assert_null(strstr(buf_string(&json), "90002"));
	assert_non_null(strstr(
		buf_string(&json), "\"8 commit 90003\",\"8 news\",\"8 commit 90004\",\"8 end\""));
	buf_clear(&json);
	ask(add_lines, NULL);
	raftreg_node_trace(world.node, &json);
	assert_null(strstr(buf_string(&json), "candidate to leader"));
	assert_null(strstr(buf_string(&json), "line 903\""));
	assert_non_null(strstr(buf_string(&json), "{\"lines\":[\"904 line 904\""));
	assert_non_null(strstr(buf_string(&json), "\"4999 line 4999\"]}"));
	buf_fini(&json);
}

static void meet(struct raftreg_node *node, void *argument)
{
	assert_true(node_meet(node, argument));
}

/* The leader must stay reachable for a newcomer that another newcomer greets: that one names
 * nobody, and is no member to knock at alone (RB-03). */
static void test_newcomers_meet(void **state)
{
	struct wire_hello *hello = mem_zalloc(sizeof *hello);
	int fds[2];

	(void)state;
	hello->uuid[0] = 7;
	hello->epoch = 1;
	hello->self = (struct state_replica){.id = PEER, .host = "127.0.0.1", .name = "leader"};
	hello->self.port = world.port;
	hello->replicas[0] = hello->self;
	hello->replica_count = 1;
	ask(meet, hello);
	connect_lanes(fds);
	hello->self.id = PEER + 1;
	hello->self.port = 1;
	hello->replica_count = 0;
	ask(meet, hello);
	assert_int_equal(world.node->known_count, 2);
	assert_true(figures_now().connected);
	assert_true(figures_now().connected); /* a turn later, too */
	close(fds[0]);
	close(fds[1]);
	mem_free(hello);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_heartbeats_replace_each_other),
		TEST(test_heartbeats_pass), TEST(test_overflow_closes),
		TEST(test_standstill_closes), TEST(test_snapshot_arrives),
		TEST(test_snapshot_is_sent), TEST(test_trace_is_kept),
		cmocka_unit_test_setup_teardown(test_newcomers_meet, setup_newcomer, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
