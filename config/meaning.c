/*
 * meaning: parts that are well formed, each for itself, and still do not go together (operations.md
 * CF-24). A check is left out where its parts already have an error (CF-21).
 */
#include "config/derive.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/assert.h"
#include "config/load.h"

/* All names and values of service.metadata. */
#define METADATA_BYTES_MAX 8192

/* What every check needs. */
struct meaning {
	struct config_parser *parser;
	const struct config *config;
};

static const struct config_node *node_at(const struct meaning *meaning, const char *pointer)
{
	return config_node_find(meaning->config->tree->root, slice_from_string(pointer));
}

/* No error at or below the pointer so far. */
static bool sound(const struct meaning *meaning, const char *pointer)
{
	const struct config_report *report = meaning->parser->report;
	size_t size = strlen(pointer);

	for (size_t i = 0; i < report->count; i++) {
		const char *other = report->problems[i].pointer;

		if (report->problems[i].severity == CONFIG_ERROR &&
			strncmp(other, pointer, size) == 0 &&
			(other[size] == '\0' || other[size] == '/')) {
			return false;
		}
	}
	return true;
}

/* At the value of the pointer where somebody wrote it, else without a place. */
static void complain(
	const struct meaning *meaning, const char *pointer, struct config_complaint complaint)
{
	const struct config_node *node = node_at(meaning, pointer);

	ASSERT(complaint.text != NULL);
	config_complain(meaning->parser, node, pointer, &complaint);
}

/*
 * The name may come from the file, a flag, a variable or the command; only here is it known that
 * nobody gave one.
 */
static void check_self(const struct meaning *meaning)
{
	const struct config_self *self = &meaning->config->self;
	size_t bytes = 0;

	if (self->name == NULL && sound(meaning, "/service")) {
		complain(meaning, "/service/name",
			(struct config_complaint){.code = 1106,
				.text = "the service has no name",
				.fix = "write \"service\": {\"name\": ...}, or give --name"});
	}
	for (size_t i = 0; i < self->metadata.count; i++) {
		const struct config_pair *pair = &self->metadata.items[i];

		bytes += strlen(pair->name) + (pair->value != NULL ? strlen(pair->value) : 0);
	}
	if (bytes > METADATA_BYTES_MAX) {
		complain(meaning, "/service/metadata",
			(struct config_complaint){.code = 1105,
				.text = config_complain_format(meaning->parser,
					"expected at most 8192 bytes of metadata, found %zu",
					bytes)});
	}
}

/* Exactly one way to look at the application. */
static void check_app(const struct meaning *meaning)
{
	const struct config_check *check = &meaning->config->self.app.check;
	const struct config_node *node = node_at(meaning, "/service/app/check");
	struct config_complaint complaint = {.code = 1104,
		.text = "expected exactly one of \"http\", \"tcp\": true or \"grpc\""};
	int ways;

	if (node == NULL || node->kind != CONFIG_NODE_OBJECT ||
		!sound(meaning, "/service/app/check")) {
		return;
	}
	ways = (check->http != NULL ? 1 : 0) + (check->grpc != NULL ? 1 : 0) + (check->tcp ? 1 : 0);
	if (ways != 1) {
		complaint.fix = "for no check at all write \"check\": \"none\"";
		complain(meaning, "/service/app/check", complaint);
	}
}

static const char *listener_pointer(const struct meaning *meaning, const char *name)
{
	return config_complain_format(meaning->parser, "/listeners/%s", name);
}

/* The same port on the same address, or on all of them. */
static bool same_place(const struct address *a, const struct address *b)
{
	if (a->size == 0 || b->size == 0) {
		return false;
	}
	if (address_equal(a, b)) {
		return true;
	}
	if (a->u.any.sa_family != b->u.any.sa_family || a->u.any.sa_family == AF_UNIX ||
		address_port(a) != address_port(b)) {
		return false;
	}
	return address_is_any(a) || address_is_any(b);
}

/* An address that will be bound, and who wants it. */
struct bound {
	const char *pointer;
	const struct address *address;
};

/* Shown once, at the later of the two, with the other one beside it. */
static void check_pair(
	const struct meaning *meaning, const struct bound *first, const struct bound *second)
{
	char text[ADDRESS_TEXT_MAX];
	const struct config_node *related = node_at(meaning, first->pointer);
	struct config_complaint complaint = {
		.code = 1210, .related = related, .related_text = "the other one"};

	if (!same_place(first->address, second->address)) {
		return;
	}
	/* The place is that of the one that somebody wrote. */
	if (node_at(meaning, second->pointer) == NULL) {
		const struct bound *swap = first;

		complaint.related = NULL;
		first = second;
		second = swap;
	}
	complaint.text = config_complain_format(meaning->parser, "%s is already the address of %s",
		address_format(second->address, text), first->pointer);
	complaint.fix = "give one of the two another port";
	complain(meaning, second->pointer, complaint);
}

/* Two listeners on one address; admin and metrics listen too (PIL1210). */
static void check_addresses(const struct meaning *meaning)
{
	const struct config *config = meaning->config;
	size_t count = 0;
	struct bound *bounds = arena_alloc(
		meaning->parser->arena, (config->listeners.count * 2 + 2) * sizeof(*bounds));

	if (!sound(meaning, "/listeners") || !sound(meaning, "/admin") ||
		!sound(meaning, "/metrics")) {
		return;
	}
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *listener = &config->listeners.items[i];
		const char *pointer = listener_pointer(meaning, listener->name);

		if (listener->enabled) {
			bounds[count++] = (struct bound){pointer, &listener->address.address};
			bounds[count++] = (struct bound){pointer, &listener->second.address};
		}
	}
	bounds[count++] = (struct bound){"/admin/address", &config->admin.address.address};
	bounds[count++] = (struct bound){"/metrics/address", &config->metrics.address.address};
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			check_pair(meaning, &bounds[j], &bounds[i]);
		}
	}
}

static bool beyond_loopback(const struct address *address)
{
	return address->size > 0 && !address_is_loopback(address);
}

/* Who listens where strangers are: PIL1211, PIL1405, PIL1212. */
static void check_exposure(const struct meaning *meaning)
{
	const struct config *config = meaning->config;

	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *listener = &config->listeners.items[i];
		const char *pointer = listener_pointer(meaning, listener->name);

		if (!listener->enabled || !beyond_loopback(&listener->address.address) ||
			!sound(meaning, pointer)) {
			continue;
		}
		if (listener->kind != CONFIG_INBOUND && !listener->exposed) {
			complain(meaning, pointer,
				(struct config_complaint){.code = 1211,
					.text = "an outbound listener beyond loopback is an open "
						"proxy",
					.fix = "listen on 127.0.0.1, or write \"exposed\": true"});
		} else if (listener->kind == CONFIG_INBOUND && listener->explicit_address) {
			complain(meaning, pointer,
				(struct config_complaint){.code = 1405,
					.severity = CONFIG_WARNING,
					.text = "this listener takes plaintext beyond loopback"});
		}
	}
	if (beyond_loopback(&config->admin.address.address) && sound(meaning, "/admin")) {
		complain(meaning, "/admin/address",
			(struct config_complaint){.code = 1212,
				.text = "the admin interface beyond loopback needs TLS, which is "
					"not in this version",
				.fix = "listen on 127.0.0.1; metrics.address may be beyond "
				       "loopback"});
	}
}

/* registry.md 1: ttl >= 2 renew + 6 E + 1 s, E >= 4 heartbeats, renew <= ttl / 3. */
static void check_times(const struct meaning *meaning)
{
	const struct config_registry *registry = &meaning->config->registry;
	int64_t least = 2 * registry->renew_ms + 6 * registry->election_ms + 1000;
	const char *text = NULL;
	const char *pointer = "/registry/session_ttl";

	if (registry->election_ms < 4 * registry->heartbeat_ms) {
		pointer = "/registry/election";
		text = config_complain_format(meaning->parser,
			"election must be at least 4 heartbeats, which is %" PRId64 "ms",
			4 * registry->heartbeat_ms);
	} else if (registry->renew_ms * 3 > registry->session_ttl_ms) {
		pointer = "/registry/renew";
		text = config_complain_format(meaning->parser,
			"renew must be at most a third of session_ttl, which is %" PRId64 "ms",
			registry->session_ttl_ms / 3);
	} else if (registry->session_ttl_ms < least) {
		text = config_complain_format(meaning->parser,
			"session_ttl must be at least 2 renew + 6 election + 1s, which is %" PRId64
			"ms",
			least);
	}
	if (text != NULL) {
		complain(meaning, pointer, (struct config_complaint){.code = 1233, .text = text});
	}
}

/* A name other than localhost could mean anything, so it is taken as far away. */
static bool host_beyond_loopback(const struct config_host *host)
{
	struct address_prefix literal;
	struct slice name = slice_from_string(host->host);

	if (host->host == NULL || slice_equal_fold(name, SLICE("localhost"))) {
		return false;
	}
	return !address_prefix_parse(name, &literal) || !address_is_loopback(&literal.base);
}

/* PIL1231: others would be believed without proof over a network. */
static void check_plaintext(const struct meaning *meaning)
{
	const struct config_registry *registry = &meaning->config->registry;
	const struct config_host *far = NULL;
	const char *pointer = "/registry/seeds";
	struct config_complaint complaint = {
		.code = 1231, .severity = registry->insecure ? CONFIG_WARNING : CONFIG_ERROR};

	for (size_t i = 0; i < registry->seeds.count && far == NULL; i++) {
		if (host_beyond_loopback(&registry->seeds.items[i])) {
			far = &registry->seeds.items[i];
		}
	}
	if (far == NULL && host_beyond_loopback(&registry->advertise)) {
		far = &registry->advertise;
		pointer = "/registry/advertise";
	}
	if (far == NULL) {
		return;
	}
	complaint.text = config_complain_format(meaning->parser,
		"the registry would speak plaintext beyond loopback (%s)", far->text);
	complaint.fix = registry->insecure
				? NULL
				: "where the network is yours alone, write \"registry\": "
				  "{\"insecure\": true}";
	complain(meaning, pointer, complaint);
}

/* A static registry has no cluster, and none of these apply. */
static void check_registry(const struct meaning *meaning)
{
	const struct config_registry *registry = &meaning->config->registry;
	bool creates = registry->bootstrap != CONFIG_BOOTSTRAP_NEVER;

	if (registry->kind != CONFIG_REGISTRY_RAFT || !sound(meaning, "/registry")) {
		return;
	}
	check_times(meaning);
	check_plaintext(meaning);
	if (registry->bootstrap == CONFIG_BOOTSTRAP_WITH_SEEDS && registry->seeds.count == 0) {
		complain(meaning, "/registry/bootstrap",
			(struct config_complaint){.code = 1230,
				.text = "bootstrap \"with-seeds\" needs registry.seeds"});
	}
	if (creates && registry->role != CONFIG_ROLE_VOTER) {
		complain(meaning, "/registry/role",
			(struct config_complaint){.code = 1234,
				.text = "only a voter can create a cluster",
				.fix = "write \"role\": \"voter\", or remove bootstrap"});
	}
}

/*
 * Apart from loading, because only control knows the data directory, whose place is configuration
 * itself.
 */
bool config_registry_decided(
	const struct config *config, bool identity, struct config_report *report)
{
	const struct config_registry *registry = &config->registry;
	struct config_problem problem = {.code = 1230,
		.text = "no registry: this sidecar knows no cluster",
		.fix = "join one:    pillion run --join HOST:7440 ...        (or \"registry\": "
		       "{\"seeds\": [...]})\n"
		       "       create one:  pillion run --bootstrap ...             (or "
		       "\"registry\": {\"bootstrap\": \"alone\"})"};

	if (identity || registry->kind != CONFIG_REGISTRY_RAFT ||
		registry->bootstrap != CONFIG_BOOTSTRAP_NEVER || registry->seeds.count > 0) {
		return true;
	}
	ASSERT(report != NULL);
	config_report_add(report, &problem);
	return false;
}

/*
 * Looked at only where it was written: the values of "*" are in every service. That a descriptor
 * set can be opened is checked here, what is in it by its reader.
 */
static void check_translation(const struct meaning *meaning,
	const struct config_translation *translation, const char *pointer)
{
	const char *app = config_complain_format(meaning->parser, "%s/app", pointer);
	const char *files = config_complain_format(meaning->parser, "%s/descriptors", pointer);

	for (size_t i = 0; i < translation->app.count && translation->app.count > 1; i++) {
		if (translation->app.items[i] == CONFIG_FORMAT_AUTO &&
			node_at(meaning, app) != NULL && sound(meaning, app)) {
			complain(meaning, app,
				(struct config_complaint){
					.code = 1104, .text = "\"auto\" stands alone"});
			break;
		}
	}
	if (node_at(meaning, files) == NULL || !sound(meaning, files)) {
		return;
	}
	for (size_t i = 0; i < translation->descriptors.count; i++) {
		const char *path = translation->descriptors.items[i];

		if (access(path, R_OK) != 0) {
			complain(meaning,
				config_complain_format(meaning->parser, "%s/%zu", files, i),
				(struct config_complaint){.code = 1301,
					.text = config_complain_format(meaning->parser,
						"the descriptor set %s cannot be read", path)});
		}
	}
}

/*
 * Settings that would be silently without effect are refused, as nothing that is written may be
 * ignored.
 */
static void check_services(const struct meaning *meaning)
{
	const struct config *config = meaning->config;
	struct buf pointer;

	check_translation(meaning, &config->translation, "/translation");
	for (size_t i = 0; i < config->services.count; i++) {
		const struct config_service *service = &config->services.items[i];
		const char *base;
		const char *memory;

		buf_init(&pointer);
		buf_append_string(&pointer, "/services");
		config_node_pointer_append(&pointer, slice_from_string(service->name));
		base = config_complain_format(meaning->parser, "%s", buf_string(&pointer));
		buf_fini(&pointer);
		check_translation(meaning, &service->translation,
			config_complain_format(meaning->parser, "%s/translation", base));
		memory = config_complain_format(meaning->parser, "%s/translation/memory", base);
		if (service->translation.memory != config->translation.memory &&
			sound(meaning, memory)) {
			complain(meaning, memory,
				(struct config_complaint){.code = 1104,
					.text = "translation.memory is global",
					.fix = "write it in /translation"});
		}
		memory = config_complain_format(meaning->parser, "%s/instances", base);
		if (i == 0 && service->instances.count > 0) {
			complain(meaning, memory,
				(struct config_complaint){.code = 1104,
					.text = "instances belong to a named service"});
		}
	}
}

/* Members of one sidecar are told apart by name (B3-02). */
static void check_subscriptions(const struct meaning *meaning)
{
	const struct config_broker *broker = &meaning->config->broker;

	for (size_t i = 0; i < broker->subscriptions.count; i++) {
		const char *name = broker->subscriptions.items[i].name;

		for (size_t j = 0; j < i && name != NULL; j++) {
			const char *other = broker->subscriptions.items[j].name;
			const char *pointer = config_complain_format(
				meaning->parser, "/broker/subscriptions/%zu", i);
			const char *first = config_complain_format(
				meaning->parser, "/broker/subscriptions/%zu", j);

			if (other == NULL || strcmp(name, other) != 0 || !sound(meaning, pointer) ||
				!sound(meaning, first)) {
				continue;
			}
			complain(meaning, pointer,
				(struct config_complaint){.code = 1104,
					.text = config_complain_format(meaning->parser,
						"two subscriptions are named \"%s\"", name),
					.fix = "give one of them another \"name\"",
					.related = node_at(meaning, first),
					.related_text = "the other one"});
			break;
		}
	}
}

/* Fields that carry credentials are never logged or stored (LG-03). */
static void check_headers(
	const struct meaning *meaning, const char *const *names, size_t count, const char *pointer)
{
	static const char *const barred[] = {
		"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"};

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(barred); j++) {
			if (names[i] == NULL || strcmp(names[i], barred[j]) != 0) {
				continue;
			}
			complain(meaning,
				config_complain_format(meaning->parser, "%s/%zu", pointer, i),
				(struct config_complaint){.code = 1130,
					.text = config_complain_format(meaning->parser,
						"\"%s\" carries credentials", names[i]),
					.fix = "remove it"});
		}
	}
}

/* PIL1240: only against a bound that somebody wrote. */
static void check_memory(const struct meaning *meaning)
{
	const struct config *config = meaning->config;
	uint64_t sum = config->limits.replay_total + config->translation.memory;

	if (config->limits.memory == 0 || sum <= config->limits.memory) {
		return;
	}
	complain(meaning, "/limits/memory",
		(struct config_complaint){.code = 1240,
			.text = config_complain_format(meaning->parser,
				"limits.replay_total %" PRIu64 " + translation.memory %" PRIu64
				" bytes are more than limits.memory %" PRIu64,
				config->limits.replay_total, config->translation.memory,
				config->limits.memory),
			.fix = "lower them, or raise limits.memory"});
}

/* Each check looks for itself whether its parts are sound. */
void config_meaning_check(struct config_parser *parser, const struct config *config)
{
	struct meaning meaning = {parser, config};
	const struct config_access_log *access_log = &config->log.access;

	ASSERT(config->services.count > 0);
	check_self(&meaning);
	check_app(&meaning);
	check_addresses(&meaning);
	check_exposure(&meaning);
	check_registry(&meaning);
	check_services(&meaning);
	check_subscriptions(&meaning);
	check_memory(&meaning);
	check_headers(&meaning, (const char *const *)access_log->headers.items,
		access_log->headers.count, "/log/access/headers");
	check_headers(&meaning, (const char *const *)config->broker.keep_headers.items,
		config->broker.keep_headers.count, "/broker/keep_headers");
}
