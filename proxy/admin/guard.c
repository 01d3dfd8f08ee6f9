#include "admin/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/server.h"
#include "net/loop.h"

#define TOKEN_MIN     32 /* AD-02 */
#define WRONG_MAX     10 /* in WRONG_TIME_MS, then closed for as long */
#define WRONG_TIME_MS 60000

/* CF-09 and AD-02. The descriptor is looked at, not the path, so that nobody can swap the file
 * between check and read. Line ends are dropped: secrets are most often written by an editor. */
static int read_token(struct admin_guard *guard, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	char token[ADMIN_TOKEN_MAX];
	ssize_t got;
	/* Below these the mount is the boundary (CF-09). */
	bool mounted = strncmp(path, "/run/secrets/", 13) == 0 ||
		       strncmp(path, "/var/run/secrets/", 17) == 0;

	if (fd < 0 || fstat(fd, &status) < 0) {
		int error = errno;

		if (fd >= 0) {
			close(fd);
		}
		err_set(err, 1410, "%s: %s", path, strerror(error));
		return -error;
	}
	if (!S_ISREG(status.st_mode) || (!mounted && (status.st_mode & 0006))) {
		close(fd);
		err_set(err, 1410,
			"%s: expected a regular file that others can neither read nor write", path);
		return -EACCES;
	}
	got = read(fd, token, sizeof token);
	close(fd);
	while (got > 0 && (token[got - 1] == '\n' || token[got - 1] == '\r')) {
		got--;
	}
	/* Short tokens could be guessed at ten a minute; a file that was truncated is caught too.
	 */
	if (got < TOKEN_MIN) {
		err_set(err, 1410, "%s: expected at least %d bytes", path, TOKEN_MIN);
		return -EINVAL;
	}
	/* Only now: a bad file leaves the token that is in force. */
	memcpy(guard->token, token, (size_t)got);
	guard->token_size = (size_t)got;
	explicit_bzero(token, sizeof token);
	return 0;
}

/* Without a file in the configuration TCP is for looking only. token_size is set last, so an error
 * leaves S and M closed on TCP or open to the old token, never open to everybody. */
int admin_guard_reload(struct admin_guard *guard, struct control *control, struct err *err)
{
	const char *path = control_config(control)->admin.token_file;

	guard->control = control;
	if (!path) {
		admin_guard_fini(guard);
		return 0;
	}
	return read_token(guard, path, err);
}

/* The bound address, because a Host field must name the port that was really taken (AD-03, ZC-03).
 */
int admin_guard_init(struct admin_guard *guard, struct control *control, int fd, struct err *err)
{
	guard->address.size = sizeof guard->address.u;
	if (fd < 0 || getsockname(fd, &guard->address.u.any, &guard->address.size) < 0) {
		guard->address.size = 0;
	}
	return admin_guard_reload(guard, control, err);
}

/* CF-09: cleansed, not only freed. */
void admin_guard_fini(struct admin_guard *guard)
{
	explicit_bzero(guard->token, sizeof guard->token);
	guard->token_size = 0;
}

/* AD-03: DNS rebinding ends here. */
static bool host_is_ours(const struct admin_guard *guard, struct slice authority)
{
	const struct config_admin *admin = &control_config(guard->control)->admin;
	static const char *const names[] = {"127.0.0.1", "[::1]", "localhost"};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(text, sizeof text, "%s:%u", names[i], address_port(&guard->address));
		if (slice_equal(authority, slice_from_string(text))) {
			return true;
		}
	}
	for (size_t i = 0; i < admin->hosts.count; i++) {
		if (slice_equal(authority, slice_from_string(admin->hosts.items[i]))) {
			return true;
		}
	}
	return false;
}

/* Browsers add these two by themselves and pages cannot change them; command lines send neither. */
static bool origin_is_ours(const struct head *head)
{
	struct slice origin = head_value(head, TOKEN_origin);
	struct slice site = head_value(head, TOKEN_sec_fetch_site);
	char own[300];

	if (site.size > 0 && !slice_equal(site, SLICE("same-origin")) &&
		!slice_equal(site, SLICE("none"))) {
		return false;
	}
	(void)snprintf(own, sizeof own, "http://%.*s", (int)head->authority.size,
		(const char *)head->authority.data);
	return origin.size == 0 || slice_equal(origin, slice_from_string(own));
}

/* Constant time in the length of the token. */
static bool token_matches(const struct admin_guard *guard, struct slice value)
{
	const struct slice bearer = SLICE("Bearer ");
	uint8_t differs = 0;

	if (guard->token_size == 0 || !slice_starts_with(value, bearer) ||
		value.size - bearer.size != guard->token_size) {
		return false;
	}
	for (size_t i = 0; i < guard->token_size; i++) {
		differs |= (uint8_t)(value.data[bearer.size + i] ^ (uint8_t)guard->token[i]);
	}
	return differs == 0;
}

/* The token opens S and M on TCP (AD-02). Answers and returns false when it does not. */
static bool check_token(struct admin_guard *guard, struct admin_call *call, const struct head *head)
{
	uint64_t now = loop_now_ms(control_loop(guard->control));
	struct slice value = head_value(head, TOKEN_authorization);

	if (now < guard->closed_until_ms) {
		admin_answer_error(
			call, 429, 5403, "rate_limited", "too many wrong tokens; wait a minute");
		return false;
	}
	if (token_matches(guard, value)) {
		return true;
	}
	/* No token at all is no wrong guess: it is a person who used the wrong address. */
	if (value.size > 0) {
		if (now - guard->wrong_since_ms > WRONG_TIME_MS) {
			guard->wrong_since_ms = now;
			guard->wrong = 0;
		}
		if (++guard->wrong >= WRONG_MAX) {
			guard->closed_until_ms = now + WRONG_TIME_MS;
		}
	}
	admin_answer_error(call, 403, 5403, "denied",
		"this path needs the admin socket, or a token on this address");
	return false;
}

/* The order matters: the Unix socket's peer was checked at accept; browsers are refused before
 * anything else is looked at; then looking is free and changing needs proof (AD-02, AD-03). */
bool admin_guard_check(struct admin_guard *guard, struct admin_call *call, const struct head *head)
{
	bool quit = strcmp(call->route->path, "/v1/quit") == 0;

	if (call->door == ADMIN_UNIX) {
		return true;
	}
	if (call->door == ADMIN_TCP &&
		(!host_is_ours(guard, head->authority) || !origin_is_ours(head))) {
		admin_answer_error(call, 403, 5402, "denied",
			"Host or Origin is not this interface's own (admin.hosts names others)");
		return false;
	}
	if (call->route->class == ADMIN_P) {
		return true;
	}
	/* AD-03: what no web page can send across origins without asking first. */
	if (call->route->class == ADMIN_M &&
		(!slice_equal(head_value(head, TOKEN_x_pillion_admin), SLICE("1")) ||
			!slice_starts_with(
				head_value(head, TOKEN_content_type), SLICE("application/json")))) {
		admin_answer_error(call, 403, 5402, "denied",
			"a change needs content-type application/json and x-pillion-admin: 1");
		return false;
	}
	/* operations.md 9: for a second container that has to end its sidecar without a secret. */
	if (quit && control_config(guard->control)->admin.allow_quit && guard->token_size == 0) {
		return true;
	}
	return check_token(guard, call, head);
}
