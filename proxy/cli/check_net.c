/* check_net: addresses, names, the application and the registry (operations.md CL-10). */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/check.h"
#include "cli/http_client.h"

/* Without a sidecar what does not answer may not have been started yet. */
static enum check_verdict unanswered(const struct check *check)
{
	return check->setting->status ? CHECK_FAIL : CHECK_WARN;
}

/* Does the sidecar of this configuration listen there? */
static bool is_ours(const json_t *status, const char *text)
{
	size_t index;
	const json_t *row;

	json_array_foreach(json_object_get(status, "listeners"), index, row)
	{
		const char *address = json_string_value(json_object_get(row, "address"));

		if (address && strcmp(address, text) == 0) {
			return true;
		}
	}
	return false;
}

/* Likewise for the admin interface, which says who it is, and the metrics listener, which only says
 * that it is a sidecar's: that one is believed. */
static bool answers_as_ours(const struct check *check, const char *address)
{
	bool admin = check->index == check->setting->config->listeners.count;
	struct http_client_request request = {.address = address,
		.method = "GET",
		.path = admin ? "/v1/status" : "/livez",
		.timeout_ms = check->setting->timeout_ms};
	const json_t *own = json_object_get(check->setting->status, "instance");
	struct answer answer;
	json_t *json = NULL;
	bool ours = own && http_client_do(&request, &answer) && answer.status == 200;

	if (ours && admin) {
		json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
		ours = json_equal(json_object_get(json, "instance"), own);
		json_decref(json);
	}
	if (own) {
		command_answer_fini(&answer);
	}
	return ours;
}

/* The names in `pillion status` for what is no listener of the file. */
static const struct config_address *address_at(const struct check *check, const char **ret_name)
{
	const struct config *config = check->setting->config;
	size_t index = check->index;

	if (index < config->listeners.count) {
		*ret_name = config->listeners.items[index].name;
		return config->listeners.items[index].enabled
			       ? &config->listeners.items[index].address
			       : NULL;
	}
	*ret_name = index == config->listeners.count ? "admin" : "metrics";
	return index == config->listeners.count ? &config->admin.address : &config->metrics.address;
}

/* Bound as the sidecar does it: old connections in TIME_WAIT do not count as taken. 0 or -errno. */
static int try_bind(const struct address *address)
{
	int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	int result = 0;

	if (fd < 0) {
		return -errno;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, &address->u.any, address->size) < 0) {
		result = -errno;
	}
	close(fd);
	return result;
}

/* A port that is taken is a failure only where a sidecar says that it is not its own. */
void check_net_port(struct check *check)
{
	const char *name;
	const struct config_address *address = address_at(check, &name);
	size_t listeners = check->setting->config->listeners.count;
	int result;

	if (!address || address->address.size == 0) {
		return; /* switched off: there is nothing to say */
	}
	result = try_bind(&address->address);
	if (result == 0) {
		check_say(check, CHECK_OK, 0, "%s %s is free", name, address->text);
	} else if (result == -EADDRINUSE &&
		   (is_ours(check->setting->status, address->text) ||
			   (check->index >= listeners && answers_as_ours(check, address->text)))) {
		check_say(check, CHECK_OK, 0, "%s %s is ours", name, address->text);
	} else if (result == -EADDRINUSE) {
		check_say(check, CHECK_WARN, 2001, "%s %s is taken", name, address->text);
	} else {
		check_say(check, CHECK_FAIL, result == -EACCES ? 2002 : 2001, "%s %s: %s", name,
			address->text, strerror(-result));
	}
}

/* Resolved and dialled in one: what a name resolves to is no use unless somebody answers there. */
void check_net_seed(struct check *check)
{
	const struct config_host *seed =
		&check->setting->config->registry.seeds.items[check->index];
	int fd = http_client_connect(seed->text, check->setting->timeout_ms);
	unsigned code;

	if (fd < 0) {
		check_say(check, unanswered(check), 3001, "%s: %s", seed->text,
			fd == -ENXIO ? "does not resolve" : http_client_error(-fd, &code));
		return;
	}
	close(fd);
	check_say(check, CHECK_OK, 0, "%s resolves and takes connections", seed->text);
}

/* An HTTP/2 server begins with SETTINGS, whatever it thinks of what it is sent (RFC 9113, 3.4). */
static bool speaks_h2(int fd, int timeout_ms)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				      "\0\0\0\4\0\0\0\0";
	unsigned char head[9];
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	/* With the terminator the frame of SETTINGS is whole: its stream id is four zero bytes. */
	return send(fd, preface, sizeof preface, MSG_NOSIGNAL) == sizeof preface &&
	       poll(&ready, 1, timeout_ms) == 1 &&
	       recv(fd, head, sizeof head, MSG_WAITALL) == sizeof head && head[3] == 4;
}

/* What answers on the application's address, by protocol; the text says what is wrong, or NULL. */
static const char *ask_app(const struct config_app *app, int timeout_ms, struct answer *answer)
{
	bool http = app->check.kind == CONFIG_CHECK_HTTP;
	struct http_client_request request = {.address = app->address.text,
		.method = "GET",
		.path = http ? app->check.http : "/",
		.timeout_ms = timeout_ms};
	unsigned code;
	int fd;
	bool good;

	if (http || app->protocol == CONFIG_APP_HTTP1) {
		if (!http_client_do(&request, answer)) {
			return answer->error;
		}
		return http && answer->status >= 400 ? "fails its check" : NULL;
	}
	fd = http_client_connect(app->address.text, timeout_ms);
	if (fd < 0) {
		return http_client_error(-fd, &code);
	}
	good = app->protocol != CONFIG_APP_H2C || speaks_h2(fd, timeout_ms);
	close(fd);
	return good ? NULL : "does not speak HTTP/2";
}

/* The answer counts in the configured protocol; with `auto` a connection is all that can be asked
 * for without knowing more. */
void check_net_app(struct check *check)
{
	static const char *const protocols[] = {"", "HTTP/1", "HTTP/2"};
	const struct config_app *app = &check->setting->config->self.app;
	bool http = app->check.kind == CONFIG_CHECK_HTTP;
	struct answer answer = {0};
	const char *wrong = ask_app(app, check->setting->timeout_ms, &answer);

	if (wrong) {
		check_say(check, unanswered(check), 5042, "%s: %s", app->address.text, wrong);
	} else {
		check_say(check, CHECK_OK, 0, "%s answers%s%s", app->address.text,
			http || app->protocol != CONFIG_APP_AUTO ? " in " : "",
			http ? "HTTP/1" : protocols[app->protocol]);
	}
	command_answer_fini(&answer);
}

/* As `pillion status` has it; these checks run only where there is one. */
static const json_t *registry_of(const struct check *check)
{
	return json_object_get(check->setting->status, "registry");
}

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

/* RV-07: a stale registry still answers, one that is down leaves what was last known. */
void check_net_leader(struct check *check)
{
	const json_t *registry = registry_of(check);
	const char *mode = text_of(registry, "mode");
	bool live = strcmp(mode, "live") == 0;

	check_say(check, live ? CHECK_OK : CHECK_FAIL,
		live			     ? 0
		: strcmp(mode, "stale") == 0 ? 3002
					     : 3001,
		"%s, leader %s, asked %s%s%s", mode,
		text_of(registry, "leader")[0] ? text_of(registry, "leader") : "unknown",
		text_of(registry, "connected")[0] ? text_of(registry, "connected") : "nobody",
		text_of(registry, "detail")[0] ? ": " : "", text_of(registry, "detail"));
}

/* A sidecar without a session is called by nobody. */
void check_net_session(struct check *check)
{
	bool registered = json_is_true(json_object_get(registry_of(check), "registered"));
	bool app = check->setting->config->self.app.present;

	if (registered || !app) {
		check_say(check, CHECK_OK, 0, "%s",
			registered ? "registered" : "no application, nothing to register");
	} else {
		check_say(check, CHECK_FAIL, 3003, "not registered; the sidecar is %s",
			text_of(check->setting->status, "phase"));
	}
}

/* Bookmarks come each second or so; a view that is older than a session's life is a guess. */
void check_net_age(struct check *check)
{
	json_int_t age = json_integer_value(json_object_get(registry_of(check), "age_ms"));
	bool fresh = age <= check->setting->config->registry.session_ttl_ms;

	check_say(check, fresh ? CHECK_OK : CHECK_WARN, fresh ? 0 : 3001,
		"the view is %.1f s old, at index %lld", (double)age / 1000.0,
		(long long)json_integer_value(json_object_get(registry_of(check), "index")));
}
