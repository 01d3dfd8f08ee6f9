/*
 * Names are checked after decoding and by length, never as C strings: a NUL or a slash that was
 * escaped is as wrong as a plain one.
 */
#include "broker/names.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/crc32c.h"

/* B2-01. */
static bool token_byte(uint8_t byte)
{
	return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

/* Between one and 64 bytes. */
static bool token_valid(struct slice token)
{
	if (token.size == 0 || token.size > NAMES_TOKEN_MAX) {
		return false;
	}
	for (size_t i = 0; i < token.size; i++) {
		if (!token_byte(token.data[i])) {
			return false;
		}
	}
	return true;
}

/* The token up to the next dot; *rest is what follows it. False at the end. */
static bool next_token(struct slice *rest, struct slice *ret_token)
{
	size_t dot;

	if (!rest->data) {
		return false;
	}
	dot = slice_find(*rest, '.');
	*ret_token = slice_make(rest->data, dot);
	*rest = dot < rest->size ? slice_from(*rest, dot + 1) : slice_make(NULL, 0);
	return true;
}

/* B2-01. Reserved names are told from malformed ones, because the first may be read and never
 * published to. */
enum reason names_topic(struct slice name)
{
	struct slice rest = name, token;
	unsigned tokens = 0;
	bool reserved = false;

	if (name.size == 0 || name.size > NAMES_TOPIC_MAX) {
		return REASON_bad_topic;
	}
	if (name.data[0] == '$' || name.data[0] == '~') {
		return REASON_reserved;
	}
	while (next_token(&rest, &token)) {
		if (!token_valid(token) || ++tokens > NAMES_TOKENS) {
			return REASON_bad_topic;
		}
		reserved = reserved || slice_equal(token, SLICE("dlq"));
	}
	return reserved ? REASON_reserved : REASON_ok;
}

/* B2-01, B2-02: `$` is for groups of the sidecar itself, `~` for ephemeral ones, which only a
 * broadcast fetch may name. */
enum reason names_group(struct slice name, bool ephemeral)
{
	if (name.size > 0 && name.data[0] == '$') {
		return REASON_reserved;
	}
	if (name.size > 0 && name.data[0] == '~') {
		if (!ephemeral) {
			return REASON_reserved;
		}
		name = slice_from(name, 1);
	}
	return token_valid(name) && name.size < NAMES_GROUP_MAX ? REASON_ok : REASON_bad_group;
}

/* The last occurrence counts, since a group has no dot. */
bool names_dead_letter(struct slice name, struct slice *ret_topic, struct slice *ret_group)
{
	static const char middle[] = ".dlq.";
	size_t size = sizeof middle - 1;

	for (size_t i = name.size; i > size; i--) {
		size_t at = i - size;

		if (memcmp(name.data + at, middle, size) == 0) {
			*ret_topic = slice_make(name.data, at);
			*ret_group = slice_from(name, i);
			return at > 0 && ret_group->size > 0;
		}
	}
	return false;
}

/* B10-10: a dead-letter topic is read like any other, as long as both of its halves are names. */
enum reason names_readable_topic(struct slice name)
{
	struct slice base, group;
	enum reason reason = names_topic(name);

	if (reason == REASON_reserved && names_dead_letter(name, &base, &group)) {
		reason = names_topic(base);
		return reason == REASON_ok ? names_group(group, true) : reason;
	}
	return reason;
}

/* Token by token; a wildcard never stands for `dlq`, so a broad pattern does not drink dead
 * letters. */
bool names_match(struct slice pattern, struct slice topic)
{
	struct slice wanted, token;

	while (next_token(&pattern, &wanted)) {
		/* B2-02: `>` takes this token and all that follow, at least one. */
		bool rest = slice_equal(wanted, SLICE(">"));

		if (!next_token(&topic, &token)) {
			return false;
		}
		do {
			bool literal = !rest && !slice_equal(wanted, SLICE("*"));

			if (literal ? !slice_equal(wanted, token)
				    : slice_equal(token, SLICE("dlq"))) {
				return false;
			}
		} while (rest && next_token(&topic, &token));
	}
	return topic.data == NULL;
}

/* Dead letters live with their topic, so that a message moves there without leaving its
 * thread. */
unsigned names_owner(struct slice topic, unsigned workers)
{
	struct slice base, group;

	ASSERT(workers > 0);
	if (names_dead_letter(topic, &base, &group)) {
		topic = base;
	}
	return crc32c(0, topic.data, topic.size) % workers;
}

/* A function of the names alone: every worker and every link finds the member without asking. */
unsigned names_home(struct slice group, struct slice member, unsigned workers)
{
	uint32_t sum = crc32c(0, group.data, group.size);

	ASSERT(workers > 0);
	return crc32c(crc32c(sum, "/", 1), member.data, member.size) % workers;
}

/* -1: none. */
static int hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - '0';
	}
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Once; what is then still escaped was meant literally. */
bool names_percent_decode(struct slice text, struct buf *ret_bytes)
{
	for (size_t i = 0; i < text.size; i++) {
		int high, low;

		if (text.data[i] != '%') {
			buf_append_byte(ret_bytes, text.data[i]);
			continue;
		}
		high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
		low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
		if (low < 0) {
			return false;
		}
		buf_append_byte(ret_bytes, (uint8_t)(high << 4 | low));
		i += 2;
	}
	return true;
}

/* The CloudEvents HTTP binding, 3.1.3.2. */
void names_percent_encode(struct slice bytes, struct buf *ret_text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < bytes.size; i++) {
		uint8_t byte = bytes.data[i];

		if (byte > 0x20 && byte < 0x7F && byte != '"' && byte != '%') {
			buf_append_byte(ret_text, byte);
			continue;
		}
		buf_append_byte(ret_text, '%');
		buf_append_byte(ret_text, (uint8_t)digits[byte >> 4]);
		buf_append_byte(ret_text, (uint8_t)digits[byte & 15]);
	}
}

/* A number and a unit, nothing else; the product is checked before it is made. */
bool names_duration(struct slice text, uint64_t max_ms, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	size_t digits = 0;
	uint64_t number;

	while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
		digits++;
	}
	if (!slice_parse_u64(slice_make(text.data, digits), UINT32_MAX, &number)) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (slice_equal(slice_from(text, digits), slice_from_string(units[i].unit)) &&
			number <= max_ms / units[i].ms) {
			*ret_ms = number * units[i].ms;
			return true;
		}
	}
	return false;
}

/* Fixed width, so that it can be cut out of any text. */
void names_print_lease(const struct lease *lease, char ret_text[NAMES_LEASE_SIZE])
{
	int size = snprintf(ret_text, NAMES_LEASE_SIZE, "%016llx%016llx",
		(unsigned long long)lease->counter, (unsigned long long)lease->random);

	ASSERT(size == NAMES_LEASE_SIZE - 1);
}

/* 32 hex digits; whether it was ever given is the member's to say. */
bool names_parse_lease(struct slice text, struct lease *ret_lease)
{
	uint8_t bytes[16];
	uint64_t parts[2] = {0, 0};

	if (!slice_parse_hex(text, bytes, sizeof bytes)) {
		return false;
	}
	for (size_t i = 0; i < sizeof bytes; i++) {
		parts[i / 8] = parts[i / 8] << 8 | bytes[i];
	}
	*ret_lease = (struct lease){parts[0], parts[1]};
	return true;
}
