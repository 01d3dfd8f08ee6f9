/* http_client: one request, one answer, on a blocking socket. The codec is the data path's own, so
 * that the command line needs no second HTTP. */
#include "cli/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "http/h1.h"

#define BODY_MAX ((size_t)64 << 20)

struct exchange_state {
	struct answer *answer;
	bool done;
	bool late;	     /* nothing came in time */
	enum reason failure; /* REASON_ok: none */
};

/* Copied out, because the head belongs to the codec and goes with it. */
static void copy_field(const struct head *head, const char *name, char *ret_text, size_t size)
{
	const struct field *field = head_find_name(head, slice_from_string(name));

	if (field) {
		(void)snprintf(ret_text, size, "%.*s", (int)field->value.size,
			(const char *)field->value.data);
	}
}

/* Interim responses say nothing to a command line; the last final head counts. */
static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct exchange_state *state = stream->owner;

	if (head->kind == HEAD_RESPONSE) {
		state->answer->status = head->status;
		copy_field(head, "x-pillion-reason", state->answer->reason,
			sizeof state->answer->reason);
		copy_field(head, "grpc-status", state->answer->grpc_status,
			sizeof state->answer->grpc_status);
		copy_field(head, "content-type", state->answer->content_type,
			sizeof state->answer->content_type);
	}
	state->done = state->done || end;
}

/* Bodies are gathered whole and bounded: an answer is printed once it is known to be complete. */
static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct exchange_state *state = stream->owner;

	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&state->answer->body, chain_span(body, i));
	}
	stream->codec->ops->credit(stream, body->size);
	chain_clear(body);
	if (state->answer->body.size > BODY_MAX) {
		state->failure = REASON_body_too_large;
	}
	state->done = state->done || end;
}

/* The body was queued as a whole; how fast it goes is nobody's concern here. */
static void on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

/* An end without a reason is still no answer. */
static void on_reset(struct stream *stream, enum reason why)
{
	struct exchange_state *state = stream->owner;

	state->failure = why == REASON_ok ? REASON_upstream_closed : why;
}

static const struct stream_ops ops = {on_head, on_body, on_sent, on_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	(void)codec;
	(void)stream;
	ASSERT(false); /* a client codec opens its own */
}

/* Reading and writing follow each other in this client; there is nothing to wake. */
static void on_change(struct codec *codec)
{
	(void)codec;
}

static const struct codec_events events = {on_stream, on_change};

/* The only way for a blocking socket not to hang: every read, write and connect is bounded by
 * --timeout. */
static void set_timeouts(int fd, int timeout_ms)
{
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* The error is the errno of the connect, which is what PIL4001 shows. */
static int connect_to(const struct address *address, int timeout_ms)
{
	int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0) {
		return -errno;
	}
	set_timeouts(fd, timeout_ms);
	if (connect(fd, &address->u.any, address->size) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

/* The first address that accepts. A name is looked up here alone: the mesh's own names are never
 * host names. */
static int connect_name(const char *host, uint16_t port, int timeout_ms)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char service[8];
	int result = -ENOENT;

	(void)snprintf(service, sizeof service, "%u", port);
	if (getaddrinfo(host, service, &hints, &found) != 0) {
		return -ENXIO;
	}
	for (struct addrinfo *one = found; one && result < 0; one = one->ai_next) {
		struct address address = {.size = one->ai_addrlen};

		if (one->ai_addrlen <= sizeof address.u) {
			memcpy(&address.u, one->ai_addr, one->ai_addrlen);
			result = connect_to(&address, timeout_ms);
		}
	}
	freeaddrinfo(found);
	return result;
}

/* "unix:/path", an address, or a host name with port, with or without "http://". */
int http_client_connect(const char *text, int timeout_ms)
{
	struct address address;
	struct slice host;
	uint16_t port;
	char name[256];

	if (strncmp(text, "http://", 7) == 0) {
		text += 7;
	}
	if (address_parse(slice_from_string(text), false, &address)) {
		return connect_to(&address, timeout_ms);
	}
	if (!address_split(slice_from_string(text), &host, &port) || host.size >= sizeof name) {
		return -EINVAL;
	}
	memcpy(name, host.data, host.size);
	name[host.size] = '\0';
	return connect_name(name, port, timeout_ms);
}

/* What a person reads; the errno texts of the address itself would speak of files and arguments.
 * A queue of connections that stays full, as that of a stopped process does, is a time-out too. */
const char *http_client_error(int error, unsigned *ret_code)
{
	*ret_code = error == EACCES ? 4002 : 4001;
	switch (error) {
	case EINVAL:
		return "not of the form unix:PATH or http://HOST:PORT";
	case ENXIO:
		return "no such host";
	case EAGAIN:
	case EINPROGRESS:
	case ETIMEDOUT:
		*ret_code = 4005;
		return "no answer in time";
	default:
		return strerror(error);
	}
}

/* MSG_NOSIGNAL: a sidecar that closes early has an answer to read, not a signal to send. */
static bool write_all(int fd, struct chain *out)
{
	while (out->size > 0) {
		struct iovec vectors[16];
		int count = chain_iovec(out, vectors, 16);
		struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
		ssize_t put = sendmsg(fd, &message, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR) {
			continue;
		}
		if (put <= 0) {
			return false;
		}
		/* A partial write is ordinary with large bodies. */
		chain_drop(out, (size_t)put);
	}
	return true;
}

/* Without an authority the address is one: AD-03 wants the port in the Host field, and on a Unix
 * socket any name will do. */
static void fill_head(const struct http_client_request *request, struct head *head)
{
	const char *question = strchr(request->path, '?');
	const char *address = request->address;

	if (strncmp(address, "http://", 7) == 0) {
		address += 7;
	}
	head_set_method(head, method_find(slice_from_string(request->method)),
		slice_from_string(request->method));
	head->scheme = SLICE("http");
	head->authority = slice_from_string(request->authority			? request->authority
					    : strncmp(address, "unix:", 5) == 0 ? "localhost"
										: address);
	head->path = slice_make(request->path,
		question ? (size_t)(question - request->path) : strlen(request->path));
	if (question) {
		head->has_query = true;
		head->query = slice_from_string(question + 1);
	}
	for (size_t i = 0; i < request->field_count; i++) {
		head_add(head, slice_from_string(request->fields[i].name),
			slice_from_string(request->fields[i].value));
	}
	if (request->has_body) {
		head->body = BODY_LENGTH;
		head->length = request->body.size;
	}
}

/* Reads until the response is whole. One that drips in would keep each read within its time, so
 * there is a limit for all of them too. */
static bool read_response(
	int fd, struct codec *codec, struct exchange_state *state, uint64_t end_ms)
{
	while (!state->done && state->failure == REASON_ok) {
		struct block *block = block_create(codec->pool);
		ssize_t got;

		do {
			got = recv(fd, block->data, BLOCK_SIZE, 0);
		} while (got < 0 && errno == EINTR);
		if (got < 0 || clock_monotonic_ms() > end_ms) {
			block_unref(block);
			state->late = got >= 0 || errno == EAGAIN;
			return false;
		}
		if (got > 0) {
			block->used = (uint32_t)got;
			chain_append_block(&codec->in, block, block->data, (size_t)got);
		}
		block_unref(block);
		codec->ops->receive(codec, got == 0, clock_monotonic_ms());
		/* The end was told to the codec, which knows whether the response was whole. */
		if (got == 0) {
			break;
		}
	}
	return state->done;
}

/* The request goes out as far as the other side takes it, then the answer is read, which may be an
 * early refusal. */
static bool exchange(int fd, const struct http_client_request *request, struct codec *codec,
	struct exchange_state *state)
{
	struct stream *stream = codec->ops->open(codec);
	struct chain out;
	struct arena arena;
	struct head head;
	bool good;

	ASSERT(stream);
	stream->ops = &ops;
	stream->owner = state;
	arena_init(&arena);
	chain_init(&out);
	head_init(&head, &arena, HEAD_REQUEST);
	fill_head(request, &head);
	good = codec->ops->send_head(stream, &head, !request->has_body) == 0;
	if (good && request->has_body) {
		chain_append_copy(
			&stream->out, codec->pool, request->body.data, request->body.size);
		codec->ops->send_more(stream, true);
	}
	while (good) {
		codec->ops->produce(codec, &out, 262144);
		if (out.size == 0) {
			break;
		}
		good = write_all(fd, &out);
	}
	/* An early answer may stand in the socket even when the body was not taken. */
	good = read_response(
		fd, codec, state, clock_monotonic_ms() + (uint64_t)request->timeout_ms);
	if (!good) {
		state->answer->code = state->late ? 4005 : 4001;
		(void)snprintf(state->answer->error, sizeof state->answer->error, "%s",
			state->late		      ? "no answer in time"
			: state->failure != REASON_ok ? reason_word(state->failure)
						      : "no whole answer");
	}
	stream_reset(stream, REASON_ok);
	chain_fini(&out);
	arena_fini(&arena);
	return good;
}

/* One connection per question: a command asks one or two, and keeping one would need its own rules
 * of reuse. */
bool http_client_do(const struct http_client_request *request, struct answer *ret_answer)
{
	struct http_limits limits;
	struct block_pool pool;
	struct codec_options options = {.events = &events,
		.pool = &pool,
		.limits = &limits,
		.now_ms = clock_monotonic_ms(),
		.client = true};
	struct exchange_state state = {.answer = ret_answer, .failure = REASON_ok};
	struct codec *codec;
	bool good;
	int fd = http_client_connect(request->address, request->timeout_ms);

	*ret_answer = (struct answer){0};
	buf_init(&ret_answer->body);
	(void)snprintf(ret_answer->address, sizeof ret_answer->address, "%s", request->address);
	if (fd < 0) {
		(void)snprintf(ret_answer->error, sizeof ret_answer->error, "%s",
			http_client_error(-fd, &ret_answer->code));
		return false;
	}
	http_limits_default(&limits);
	block_pool_init(&pool, 4);
	codec = h1_create(&options);
	good = exchange(fd, request, codec, &state);
	codec->ops->destroy(codec);
	block_pool_fini(&pool);
	close(fd);
	return good;
}
