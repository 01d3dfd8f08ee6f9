/*
 * derive: what nobody has to write because it follows.
 */
#include "config/derive.h"

#include <signal.h>

#include "base/assert.h"
#include "config/keys.h"
#include "config/type.h"

/* In flight without a number of its own: broker.md 4. */
#define IN_FLIGHT_PUSH 16
#define IN_FLIGHT_PULL 256

#define SUBSCRIPTION_NAME_MAX 64

#define INBOUND_PORT  7440
#define OUTBOUND_PORT 7441

bool config_derive_written(const struct config *config, const char *pointer)
{
	return config_node_find(config->tree->root, slice_from_string(pointer)) != NULL;
}

static void set_address(struct arena *arena, const char *text, struct config_address *ret)
{
	if (!address_parse(slice_from_string(text), false, &ret->address)) {
		ASSERT(false && "a built-in address");
	}
	ret->text = arena_string(arena, slice_from_string(text));
}

/*
 * The words that were written become what readers want to know: a signal number, the kind of a
 * check, whether there is an application at all.
 */
static void derive_self(struct config *config, const char *fallback_name)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL};
	struct config_app *app = &config->self.app;
	struct config_check *check = &app->check;

	ASSERT(app->stop_word >= 0 && (size_t)app->stop_word < ARRAY_SIZE(signals));
	app->stop_signal = signals[app->stop_word];
	app->present = config_derive_written(config, "/service/app");
	/* "none" and the ways to look at it exclude each other; meaning checks complain. */
	if (check->word == 1) {
		check->kind = CONFIG_CHECK_NONE;
	} else if (check->http != NULL) {
		check->kind = CONFIG_CHECK_HTTP;
	} else if (check->grpc != NULL) {
		check->kind = CONFIG_CHECK_GRPC;
	} else {
		check->kind = CONFIG_CHECK_TCP;
		check->tcp = check->tcp || !config_derive_written(config, "/service/app/check");
	}
	if (fallback_name != NULL && !config_derive_written(config, "/service/name") &&
		config_type_name(slice_from_string(fallback_name))) {
		config->self.name = arena_string(&config->arena, slice_from_string(fallback_name));
	}
}

/* Creating a cluster is a voter's work (ZC-02). */
static void derive_registry(struct config *config)
{
	struct config_registry *registry = &config->registry;

	if (registry->bootstrap != CONFIG_BOOTSTRAP_NEVER &&
		!config_derive_written(config, "/registry/role")) {
		registry->role = CONFIG_ROLE_VOTER;
	}
}

/* Plaintext is served beyond loopback only where the configuration says so. */
static void default_listen(struct config *config, struct config_listener *listener)
{
	bool inbound = listener->kind == CONFIG_INBOUND;

	if (inbound && config->registry.insecure) {
		set_address(&config->arena, "0.0.0.0:7440", &listener->address);
	} else if (inbound) {
		set_address(&config->arena, "127.0.0.1:7440", &listener->address);
	} else {
		set_address(&config->arena, "127.0.0.1:7441", &listener->address);
		set_address(&config->arena, "[::1]:7441", &listener->second);
	}
	ASSERT(address_port(&listener->address.address) ==
		(inbound ? INBOUND_PORT : OUTBOUND_PORT));
}

/* PIL1102 for keys that are required only in some company. */
static void missing(struct config_parser *parser, const struct config_node *node, const char *key,
	const char *why)
{
	struct config_complaint complaint = {.code = 1102};

	complaint.text = config_complain_format(parser, "\"%s\" is missing: %s", key, why);
	config_complain(parser, node, NULL, &complaint);
}

/* What "inbound" and "outbound" mean by their names, and what other listeners must say. */
static void complete_listener(struct config_parser *parser, struct config *config,
	struct config_listener *listener, const struct config_node *node)
{
	bool inbound = strcmp(listener->name, "inbound") == 0;
	bool outbound = strcmp(listener->name, "outbound") == 0;

	if (config_node_get(node, SLICE("kind")) == NULL) {
		if (!inbound && !outbound) {
			missing(parser, node, "kind", "inbound, outbound or service");
		}
		listener->kind = outbound ? CONFIG_OUTBOUND : CONFIG_INBOUND;
	}
	listener->explicit_address = config_node_get(node, SLICE("listen")) != NULL;
	if (!listener->explicit_address) {
		if (inbound || outbound) {
			default_listen(config, listener);
		} else {
			missing(parser, node, "listen", "the address to listen on");
		}
	}
	if (listener->kind == CONFIG_PER_SERVICE &&
		config_node_get(node, SLICE("service")) == NULL) {
		missing(parser, node, "service", "the service that this listener leads to");
	}
}

/* A listener of that name in the file is the built-in one with other settings. */
static void append_builtin(struct config_parser *parser, struct config *config, const char *name,
	enum config_listener_kind kind)
{
	struct config_listener *listener;

	if (config_listener(config, slice_from_string(name)) != NULL) {
		return;
	}
	listener = &config->listeners.items[config->listeners.count++];
	config_parse_defaults(parser, &config_sections[CONFIG_SECTION_listener], listener);
	listener->name = name;
	listener->kind = kind;
	default_listen(config, listener);
}

/* The list is copied once, with room for the two built-in ones behind it. */
static void derive_listeners(struct config_parser *parser, struct config *config)
{
	const struct config_node *map = config_node_find(config->tree->root, SLICE("/listeners"));
	struct config_listener *items;

	items = arena_alloc(&config->arena, (config->listeners.count + 2) * sizeof(*items));
	if (config->listeners.count > 0) {
		memcpy(items, config->listeners.items, config->listeners.count * sizeof(*items));
	}
	config->listeners.items = items;
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_node *node =
			config_node_get(map, slice_from_string(items[i].name));

		if (node != NULL && node->kind == CONFIG_NODE_OBJECT) {
			complete_listener(parser, config, &items[i], node);
		}
	}
	append_builtin(parser, config, "inbound", CONFIG_INBOUND);
	append_builtin(parser, config, "outbound", CONFIG_OUTBOUND);
	config->admin.explicit_address = config_derive_written(config, "/admin/address");
}

/* "orders.>" and "billing" make "orders-all-billing": the form of a member's name (B2-01). */
static const char *subscription_name(
	struct arena *arena, const struct config_subscription *subscription)
{
	struct buf name;
	const char *text;

	buf_init(&name);
	for (const char *at = subscription->topic; *at != '\0'; at++) {
		if (*at == '*') {
			buf_append_string(&name, "any");
		} else if (*at == '>') {
			buf_append_string(&name, "all");
		} else {
			buf_append_byte(&name, *at == '.' ? '-' : (uint8_t)*at);
		}
	}
	if (subscription->group != NULL) {
		buf_appendf(&name, "-%s", subscription->group);
	}
	if (name.size > SUBSCRIPTION_NAME_MAX) {
		name.size = SUBSCRIPTION_NAME_MAX;
	}
	text = arena_string(arena, buf_slice(&name));
	buf_fini(&name);
	return text;
}

/* The text has the form already; it is only taken apart. */
static void derive_push(struct config *config, struct config_subscription *subscription)
{
	struct config_push *push = &subscription->push;
	struct arena *arena = &config->arena;
	struct slice text = slice_from_string(subscription->push_text);
	char authority[ADDRESS_TEXT_MAX];

	if (subscription->push_text == NULL) {
		return;
	}
	/* Unless it says otherwise, it goes to the application on its own address. */
	push->text = subscription->push_text;
	push->kind = CONFIG_PUSH_APP;
	push->path = push->text;
	push->address = config->self.app.address.address;
	if (slice_starts_with(text, SLICE("unix:"))) {
		size_t colon = slice_find(slice_from(text, 5), ':');

		push->kind = CONFIG_PUSH_UNIX;
		(void)address_parse(slice_make(text.data, 5 + colon), false, &push->address);
		push->authority = "localhost";
		push->path = arena_string(arena, slice_from(text, 5 + colon + 1));
		return;
	}
	if (slice_starts_with(text, SLICE("http://"))) {
		struct slice rest = slice_from(text, 7);
		size_t slash = slice_find(rest, '/');
		struct slice host = slice_make(rest.data, slash);
		bool local = slice_starts_with(host, SLICE("localhost:"));
		struct buf literal;

		push->authority = arena_string(arena, host);
		push->path = slash < rest.size ? arena_string(arena, slice_from(rest, slash)) : "/";
		buf_init(&literal);
		buf_append_string(&literal, local ? "127.0.0.1" : "");
		buf_append_slice(&literal, local ? slice_from(host, 9) : host);
		(void)address_parse(buf_slice(&literal), false, &push->address);
		buf_fini(&literal);
		if (!address_equal(&push->address, &config->self.app.address.address)) {
			push->kind = CONFIG_PUSH_HTTP;
		}
		return;
	}
	push->authority = arena_string(
		arena, slice_from_string(push->address.u.any.sa_family == AF_UNIX
						 ? "localhost"
						 : address_format(&push->address, authority)));
}

/*
 * A subscription is told apart by its name, so each gets one; what it may have in flight depends
 * on how it is served.
 */
static void derive_broker(struct config_parser *parser, struct config *config)
{
	struct config_broker *broker = &config->broker;

	for (size_t i = 0; i < broker->subscriptions.count; i++) {
		struct config_subscription *subscription = &broker->subscriptions.items[i];

		derive_push(config, subscription);
		if (subscription->name == NULL && subscription->topic != NULL) {
			subscription->name = subscription_name(&config->arena, subscription);
		}
		if (subscription->max_in_flight == 0) {
			subscription->max_in_flight =
				subscription->push_text != NULL ? IN_FLIGHT_PUSH : IN_FLIGHT_PULL;
		}
		subscription->durable = subscription->durable && subscription->group != NULL;
	}
	config_parse_defaults(
		parser, &config_sections[CONFIG_SECTION_topic], &broker->topic_default);
	broker->topic_default.name = ">";
}

static void derive_services(struct config *config)
{
	for (size_t i = 0; i < config->services.count; i++) {
		struct config_service *service = &config->services.items[i];

		(void)map_set(&config->service_index, slice_from_string(service->name), service);
	}
}

/* In this order: listeners depend on the registry, pushes on the address of the application. */
void config_derive(struct config_parser *parser, struct config *config, const char *fallback_name)
{
	ASSERT(config->tree != NULL && config->tree->root != NULL);
	ASSERT(config->services.count > 0);
	derive_self(config, fallback_name);
	derive_registry(config);
	derive_listeners(parser, config);
	derive_broker(parser, config);
	derive_services(config);
}
