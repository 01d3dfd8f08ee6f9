/*
 * identity: ids that must be unguessable are not made here; these only tell requests apart, so the
 * worker's generator is good enough and costs no system call.
 */
#include "exchange/identity.h"

/* "00-" trace id "-" span id "-" flags (W3C Trace Context 3.2). */
#define IDENTITY_PARENT_SIZE 55
#define IDENTITY_REQUEST_MAX 128

static const char identity_digits[] = "0123456789abcdef";

static void identity_write_hex(uint8_t *text, uint64_t value, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--) {
		text[i - 1] = (uint8_t)identity_digits[value & 15];
		value >>= 4;
	}
}

/* Lower-case hex digits, at least one of them not zero. */
static bool identity_hex(const uint8_t *text, size_t size, bool may_be_zero)
{
	bool zero = true;

	for (size_t i = 0; i < size; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';

		if (!digit && (text[i] < 'a' || text[i] > 'f')) {
			return false;
		}
		zero = zero && text[i] == '0';
	}
	return may_be_zero || !zero;
}

/* W3C Trace Context 3.2.2. What is invalid is treated as absent, never repaired. */
static bool identity_parent_valid(struct slice parent)
{
	const uint8_t *text = parent.data;

	if (parent.size < IDENTITY_PARENT_SIZE || text[2] != '-' || text[35] != '-' ||
		text[52] != '-' || !identity_hex(text, 2, true)) {
		return false;
	}
	/* Version ff is forbidden; version 00 has exactly these parts, later ones may have more. */
	if ((text[0] == 'f' && text[1] == 'f') ||
		(text[0] == '0' && text[1] == '0' && parent.size != IDENTITY_PARENT_SIZE) ||
		(parent.size > IDENTITY_PARENT_SIZE && text[IDENTITY_PARENT_SIZE] != '-')) {
		return false;
	}
	return identity_hex(text + 3, 32, false) && identity_hex(text + 36, 16, false) &&
	       identity_hex(text + 53, 2, true);
}

struct slice identity_trace(struct head *head, struct rng *rng)
{
	const struct field *field = head_find(head, TOKEN_trace_parent);
	uint8_t *text;

	if (field != NULL && identity_parent_valid(field->value) &&
		head_find_next(head, field) == NULL) {
		return slice_make(field->value.data + 3, IDENTITY_TRACE_SIZE);
	}
	if (field != NULL) {
		head_remove(head, TOKEN_trace_parent);
	}
	head_remove(head, TOKEN_trace_state);
	text = arena_alloc(head->arena, IDENTITY_PARENT_SIZE);
	memcpy(text, "00-", 3);
	/* Not zero: the lowest bit of each id is set. */
	identity_write_hex(text + 3, rng_next(rng), 16);
	identity_write_hex(text + 19, rng_next(rng) | 1, 16);
	text[35] = '-';
	identity_write_hex(text + 36, rng_next(rng) | 1, 16);
	memcpy(text + 52, "-00", 3);
	head_add_borrowed(head, TOKEN_trace_parent, token_name(TOKEN_trace_parent),
		slice_make(text, IDENTITY_PARENT_SIZE));
	return slice_make(text + 3, IDENTITY_TRACE_SIZE);
}

static bool identity_request_valid(struct slice id)
{
	if (id.size == 0 || id.size > IDENTITY_REQUEST_MAX) {
		return false;
	}
	for (size_t i = 0; i < id.size; i++) {
		uint8_t byte = id.data[i];
		uint8_t lower = (uint8_t)(byte | 0x20);

		if (!(byte >= '0' && byte <= '9') && !(lower >= 'a' && lower <= 'z') &&
			byte != '.' && byte != '_' && byte != ':' && byte != '-') {
			return false;
		}
	}
	return true;
}

struct slice identity_request(struct head *head, struct rng *rng, bool believed)
{
	const struct field *field = head_find(head, TOKEN_x_request_id);
	uint64_t high;
	uint64_t low;
	uint8_t *text;

	if (field != NULL && believed && identity_request_valid(field->value) &&
		head_find_next(head, field) == NULL) {
		return field->value;
	}
	if (field != NULL) {
		head_remove(head, TOKEN_x_request_id);
	}
	/* A version 4 UUID (RFC 9562 5.4). */
	high = (rng_next(rng) & 0xffffffffffff0fffu) | 0x4000;
	low = (rng_next(rng) & 0x3fffffffffffffffu) | 0x8000000000000000u;
	text = arena_alloc(head->arena, 36);
	identity_write_hex(text, high >> 32, 8);
	text[8] = '-';
	identity_write_hex(text + 9, high >> 16, 4);
	text[13] = '-';
	identity_write_hex(text + 14, high, 4);
	text[18] = '-';
	identity_write_hex(text + 19, low >> 48, 4);
	text[23] = '-';
	identity_write_hex(text + 24, low, 12);
	head_add_borrowed(
		head, TOKEN_x_request_id, token_name(TOKEN_x_request_id), slice_make(text, 36));
	return slice_make(text, 36);
}
