/*
 * Which sockets this sidecar listens on: asked of the parent process, kept by name, compared at a
 * reload. Ports of the built-in listeners move together when another sidecar has them (ZC-03).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/channel.h"
#include "control/passed.h"
#include "control/state.h"
#include "net/listener.h"

#define PORT_STEP      20 /* ZC-03: families of ports */
#define PORT_STEPS_MAX 9

/* Answers to BIND come in order; whatever else the parent says meanwhile is kept for the loop. */
static void defer(struct control *control, const struct channel_message *message)
{
	struct deferred_message *kept = mem_zalloc(sizeof *kept);

	kept->message = *message;
	list_push_back(&control->deferred, &kept->node);
}

/* Blocking, which is right here: before the first listener is bound nothing is served, and a
 * reload must know the outcome before it commits (RL-01). */
static int await_listener(struct control *control, uint32_t id, int *ret_socket)
{
	for (;;) {
		struct channel_message message;
		int descriptor = -1;
		int result = channel_receive(control->channel, true, &message, &descriptor);

		if (result < 0) {
			return result;
		}
		if (message.op != CHANNEL_LISTENER || message.id != id) {
			if (descriptor >= 0) {
				close(descriptor);
			}
			defer(control, &message);
			continue;
		}
		if (message.value < 0) {
			(void)snprintf(
				control->holder, sizeof control->holder, "%.95s", message.text);
			return message.value;
		}
		*ret_socket = descriptor;
		return descriptor >= 0 ? 0 : -EBADMSG;
	}
}

/* Asks the parent for `count` sockets of one address. */
static int bind_sockets(struct control *control, uint32_t id, const struct address *address,
	unsigned count, int *ret_sockets)
{
	struct channel_message message = {
		.op = CHANNEL_BIND, .id = id, .count = count, .address = *address};
	int result = channel_send(control->channel, &message, -1);

	for (unsigned i = 0; i < count; i++) {
		ret_sockets[i] = -1;
	}
	for (unsigned i = 0; i < count && result == 0; i++) {
		result = await_listener(control, id, &ret_sockets[i]);
	}
	return result;
}

/* Both processes hold the socket; the address is free only when both have closed it. */
static void release(struct control *control, struct bound_listener *listener)
{
	struct channel_message message = {.op = CHANNEL_CLOSE, .id = listener->id};

	for (unsigned i = 0; i < control->worker_count; i++) {
		if (listener->sockets[i] >= 0) {
			close(listener->sockets[i]);
			listener->sockets[i] = -1;
		}
	}
	(void)!channel_send(control->channel, &message, -1);
	mem_free(listener->name);
	listener->name = NULL;
}

/* PIL2001 and 2002 with the listener's name: the address alone does not say which line of the file
 * to change. */
static void explain(const struct control *control, const struct address *address, const char *name,
	int error, struct err *err)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	if (error == -EADDRINUSE && control->holder[0]) {
		err_set(err, 2001, "%s: the address %s is in use by %s", name, text,
			control->holder);
	} else if (error == -EADDRINUSE) {
		err_set(err, 2001, "%s: the address %s is in use by another program", name, text);
	} else if (error == -EACCES) {
		err_set(err, 2002, "%s: no right to listen on %s", name, text);
	} else {
		err_set(err, 2001, "%s: cannot listen on %s: %s", name, text, strerror(-error));
	}
}

/* One address of one configured listener. An IPv6 twin that this host cannot bind is left out. */
static int bind_one(struct control *control, const struct config_listener *configured, bool second,
	struct err *err)
{
	struct bound_listener *listener = &control->listeners[control->listener_count];
	struct address address = second ? configured->second.address : configured->address.address;
	int result;

	if (control->listener_count == CONTROL_LISTENERS_MAX) {
		err_set(err, 1240, "more than %d listeners", CONTROL_LISTENERS_MAX);
		return -ENOSPC;
	}
	if (!configured->explicit_address) {
		address_set_port(
			&address, (uint16_t)(address_port(&address) + control->port_shift));
	}
	*listener = (struct bound_listener){.id = ++control->next_listener_id,
		.address = address,
		.kind = configured->kind,
		.second = second,
		.keep = true};
	result = bind_sockets(
		control, listener->id, &address, control->worker_count, listener->sockets);
	listener->name = mem_strdup(configured->name);
	if (result < 0) {
		release(control, listener);
		if (second && result != -EADDRINUSE) {
			return 0;
		}
		explain(control, &address, configured->name, result, err);
		return result;
	}
	control->listener_count++;
	return 0;
}

/* The outbound listener has an IPv6 twin, so that clients that try ::1 first are served too
 * (mesh.md 1). */
static int bind_both(
	struct control *control, const struct config_listener *configured, struct err *err)
{
	int result = bind_one(control, configured, false, err);

	if (result == 0 && configured->second.address.size > 0) {
		result = bind_one(control, configured, true, err);
	}
	return result;
}

/* The admin and metrics sockets are control's own: one socket, no parent, so that a restarted proxy
 * binds them anew. */
static int bind_own(struct control *control, const struct address *address, const char *name,
	int *ret_fd, struct err *err)
{
	int result = listener_bind(address, 1, ret_fd);

	if (result < 0) {
		*ret_fd = -1;
		control->holder[0] = '\0';
		explain(control, address, name, result, err);
	}
	return result;
}

/* The admin port belongs to the family of ports that moves together (ZC-03); the metrics port is
 * only ever named in the file. */
static int bind_admin(struct control *control, const struct config *config, struct err *err)
{
	int result = 0;

	control->admin_address = config->admin.address.address;
	if (control->admin_address.size > 0) {
		if (!config->admin.explicit_address) {
			address_set_port(&control->admin_address,
				(uint16_t)(address_port(&control->admin_address) +
					   control->port_shift));
		}
		result = bind_own(
			control, &control->admin_address, "admin", &control->admin_fd, err);
	}
	if (result == 0 && config->metrics.address.address.size > 0) {
		result = bind_own(control, &config->metrics.address.address, "metrics",
			&control->metrics_fd, err);
	}
	return result;
}

/* Before the next step of ports: nothing of a half-bound family may stay. */
static void release_all(struct control *control)
{
	while (control->listener_count > 0) {
		release(control, &control->listeners[--control->listener_count]);
	}
	if (control->admin_fd >= 0) {
		close(control->admin_fd);
		control->admin_fd = -1;
	}
	if (control->metrics_fd >= 0) {
		close(control->metrics_fd);
		control->metrics_fd = -1;
	}
}

/* In the order of the configuration; the first failure ends it. */
static int bind_family(struct control *control, const struct config *config, struct err *err)
{
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *configured = &config->listeners.items[i];
		int result = configured->enabled ? bind_both(control, configured, err) : 0;

		if (result < 0) {
			return result;
		}
	}
	return bind_admin(control, config, err);
}

/* PR-04: each passed socket must be what a listener of that name asks for; one that fits nothing
 * would be a door that nobody serves. */
static int check_passed(struct control *control, const struct config *config, struct err *err)
{
	const struct passed *passed = control->identity.passed;

	for (size_t i = 0; passed && i < passed->count; i++) {
		const struct passed_socket *one = &passed->sockets[i];
		const struct config_listener *listener =
			config_listener(config, slice_from_string(one->name));
		char text[ADDRESS_TEXT_MAX];

		if (!listener || !listener->enabled) {
			err_set(err, 2003, "passed socket %s: no listener has this name",
				one->name[0] ? one->name : "without a name");
			return -EINVAL;
		}
		if (!one->listens) {
			err_set(err, 2003, "passed socket %s: it is no listening stream socket",
				one->name);
			return -EINVAL;
		}
		if (!address_equal(&one->address, &listener->address.address) &&
			!address_equal(&one->address, &listener->second.address)) {
			err_set(err, 2003,
				"passed socket %s: it is bound to %s, the listener to %s",
				one->name, address_format(&one->address, text),
				listener->address.text);
			return -EINVAL;
		}
	}
	return 0;
}

/* ZC-03: only EADDRINUSE moves the ports. Any other error would be the same twenty ports further
 * on. */
int listeners_bind(
	struct control *control, const struct config *config, bool may_move, struct err *err)
{
	int result = check_passed(control, config, err);

	if (result < 0) {
		return result;
	}
	result = bind_family(control, config, err);
	ASSERT(control->port_shift == 0 || !may_move);
	while (result == -EADDRINUSE && may_move &&
		control->port_shift < PORT_STEP * PORT_STEPS_MAX) {
		release_all(control);
		control->port_shift += PORT_STEP;
		result = bind_family(control, config, err);
	}
	if (result < 0) {
		release_all(control);
	}
	return result;
}

/* From here on connections are accepted. Everything a request may need exists by then. */
void listeners_start(struct control *control)
{
	for (unsigned l = 0; l < control->listener_count; l++) {
		struct bound_listener *listener = &control->listeners[l];

		for (unsigned i = 0; i < control->worker_count; i++) {
			if (listener->sockets[i] >= 0) {
				worker_add_listener(&control->workers[i], listener->id,
					listener->name, listener->sockets[i]);
				listener->sockets[i] = -1;
			}
		}
	}
}

void listeners_fini(struct control *control)
{
	/* The parent keeps its copies until it ends: closing them here would lose connections that
	 * wait in the accept queue of a proxy that is started again. */
	for (unsigned l = 0; l < control->listener_count; l++) {
		mem_free(control->listeners[l].name);
	}
	control->listener_count = 0;
}

/* For a listener with a twin this is the first of the two, whose address is the one people are
 * shown. */
const struct bound_listener *listeners_find(const struct control *control, const char *name)
{
	for (unsigned l = 0; l < control->listener_count; l++) {
		if (strcmp(control->listeners[l].name, name) == 0) {
			return &control->listeners[l];
		}
	}
	return NULL;
}

/* A reload finds the ports where the start had moved them to, not where the defaults say. */
static struct address wanted_address(
	const struct control *control, const struct config_listener *configured, bool second)
{
	struct address address = second ? configured->second.address : configured->address.address;

	if (!configured->explicit_address) {
		address_set_port(
			&address, (uint16_t)(address_port(&address) + control->port_shift));
	}
	return address;
}

/* Marks the bound listener that already is what the configuration asks for. */
static bool keep_existing(
	struct control *control, const struct config_listener *configured, bool second)
{
	struct address address = wanted_address(control, configured, second);

	for (unsigned l = 0; l < control->listener_count; l++) {
		struct bound_listener *listener = &control->listeners[l];

		if (strcmp(listener->name, configured->name) == 0 && listener->second == second &&
			address_equal(&listener->address, &address)) {
			listener->keep = true;
			return true;
		}
	}
	return false;
}

/* RL-01: binds what is new, touches nothing that serves. A changed address is a new listener and a
 * removed one (reload class L). */
int listeners_prepare(struct control *control, const struct config *config, struct err *err)
{
	for (unsigned l = 0; l < control->listener_count; l++) {
		control->listeners[l].keep = false;
	}
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *configured = &config->listeners.items[i];

		for (int second = 0; second < 2; second++) {
			int result;

			if (!configured->enabled ||
				(second && configured->second.address.size == 0) ||
				keep_existing(control, configured, second != 0)) {
				continue;
			}
			result = bind_one(control, configured, second != 0, err);
			if (result < 0) {
				listeners_abandon(control);
				return result;
			}
		}
	}
	return 0;
}

/* Connections drain by the listener's name: a listener that only changed its address keeps serving
 * those it has. */
static bool name_is_kept(const struct control *control, const char *name)
{
	for (unsigned l = 0; l < control->listener_count; l++) {
		if (control->listeners[l].keep && strcmp(control->listeners[l].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* RL-02: cannot fail. The old sockets go last, after the new ones accept, so that no client finds
 * nobody. */
void listeners_commit(struct control *control)
{
	unsigned left = 0;

	for (unsigned l = 0; l < control->listener_count; l++) {
		const struct bound_listener *listener = &control->listeners[l];
		const char *drain = name_is_kept(control, listener->name) ? NULL : listener->name;

		for (unsigned i = 0; i < control->worker_count && !listener->keep; i++) {
			worker_remove_listener(&control->workers[i], listener->id, drain);
		}
	}
	listeners_start(control);
	for (unsigned l = 0; l < control->listener_count; l++) {
		struct bound_listener listener = control->listeners[l];

		if (listener.keep) {
			control->listeners[left++] = listener;
		} else {
			release(control, &listener);
		}
	}
	control->listener_count = left;
}

/* A dry run or a refused reload: as if it had never been tried. */
void listeners_abandon(struct control *control)
{
	unsigned left = 0;

	/* What was bound for this attempt still has its sockets here; the others have theirs in
	 * use. */
	for (unsigned l = 0; l < control->listener_count; l++) {
		struct bound_listener listener = control->listeners[l];

		if (listener.sockets[0] >= 0) {
			release(control, &listener);
			continue;
		}
		listener.keep = true;
		control->listeners[left++] = listener;
	}
	control->listener_count = left;
}
