/* frame: the byte examples of section 11, every kind there and back, cuts and bent bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "broker/frame.h"

static const uint8_t deliver[] = {0x22, 0x3a, 0x08, 0x03, 0x12, 0x36, 0x08, 0xc3, 0x0d, 0x11, 0x00,
	0xa8, 0xda, 0x76, 0x9b, 0x01, 0x00, 0x00, 0x18, 0x01, 0x2d, 0x35, 0xc2, 0x0d, 0xfa, 0x32,
	0x18, 0x02, 0x02, 0x00, 'i', 'd', 'a', '1', 0x0c, 0x02, 0x00, 'p', 'a', 'r', 't', 'i', 't',
	'i', 'o', 'n', 'k', 'e', 'y', 'c', '7', 0x3a, 0x07, '{', '"', 'n', '"', ':', '1', '}'};
static const uint8_t results[] = {0x22, 0x0f, 0x08, 0x03, 0x12, 0x0b, 0x08, 0xc3, 0x0d, 0x10, 0xc3,
	0x0d, 0x18, 0x01, 0x20, 0xcc, 0x01};

static void test_examples(void **state)
{
	struct frame *frame = frame_create(true, FRAME_DELIVER, 3);
	struct message *message = message_create();
	struct frame_outcome outcome = {
		.first = 1731, .last = 1731, .kind = RESULT_ACK, .status = 204};
	struct buf text;

	(void)state;
	buf_init(&text);
	record_put_attribute(&message->attributes, SLICE("id"), SLICE("a1"));
	record_put_attribute(&message->attributes, SLICE("partitionkey"), SLICE("c7"));
	buf_append_string(&message->body, "{\"n\":1}");
	message->time_ms = UINT64_C(1767225600000);
	message->pcrc = record_pcrc(buf_slice(&message->attributes), buf_slice(&message->body));
	frame_add_item(frame, 1731, 1, message);
	message_unref(message);
	frame_encode(frame, &text);
	assert_int_equal(text.size, sizeof deliver);
	assert_memory_equal(text.data, deliver, sizeof deliver);
	frame_destroy(frame);
	assert_int_equal(frame_decode(slice_make(deliver, sizeof deliver), true, &frame), 0);
	assert_int_equal(frame->lane, 3);
	assert_int_equal(frame->item_count, 1);
	assert_int_equal(frame->items[0].seq, 1731);
	assert_int_equal(frame->items[0].message->pcrc, 0xfa0dc235);
	frame_destroy(frame);
	frame = frame_create(false, FRAME_RESULTS, 3);
	frame_add_result(frame, &outcome);
	buf_clear(&text);
	frame_encode(frame, &text);
	assert_int_equal(text.size, sizeof results);
	assert_memory_equal(text.data, results, sizeof results);
	frame_destroy(frame);
	buf_fini(&text);
}

static struct frame *sample(bool up, unsigned kind)
{
	struct frame *frame = frame_create(up, kind, 77);
	struct frame_outcome outcome = {.first = 5,
		.last = 9,
		.kind = RESULT_DEAD,
		.status = 422,
		.delay_ms = 12,
		.detail = SLICE("why"),
		.well = true};
	struct message *message;

	frame->version_min = frame->version_max = 1;
	frame->log = 0x9f3c1a7be2d04451;
	frame->lanes_max = 1024;
	frame->frame_max = 1 << 20;
	memset(frame->sidecar, 7, sizeof frame->sidecar);
	snprintf(frame->topic, sizeof frame->topic, "orders.placed");
	snprintf(frame->group, sizeof frame->group, "billing");
	snprintf(frame->member, sizeof frame->member, "bill");
	snprintf(frame->reason, sizeof frame->reason, "no such member");
	frame->status = 404;
	frame->delay_ms = 5000;
	frame->want = 64;
	frame->used = 123456789012;
	frame->limit = 123456789076;
	if (up && kind == FRAME_DELIVER) {
		message = message_create();
		buf_append_string(&message->body, "body");
		frame_add_item(frame, 1, 2, message);
		frame_add_item(frame, 2, 1, message);
		message_unref(message);
	}
	if (!up && kind == FRAME_RESULTS) {
		frame_add_result(frame, &outcome);
	}
	return frame;
}

/* What was coded is read, and printed again to the same bytes; no cut of it is taken. */
static void test_all_kinds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 11; i++) {
		bool up = i < 5;
		struct frame *frame = sample(up, up ? i + 1 : i - 4), *again;
		struct buf first, second;

		buf_init(&first);
		buf_init(&second);
		frame_encode(frame, &first);
		assert_int_equal(frame_decode(buf_slice(&first), up, &again), 0);
		assert_int_equal(again->kind, frame->kind);
		frame_encode(again, &second);
		assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
		frame_destroy(again);
		for (size_t cut = 0; cut < first.size; cut++) {
			assert_int_equal(
				frame_decode(slice_make(first.data, cut), up, &again), -EBADMSG);
		}
		/* Any single byte changed: read or refused, never a crash. */
		for (size_t at = 0; at < first.size; at++) {
			for (unsigned value = 0; value < 256; value += 17) {
				uint8_t old = first.data[at];

				first.data[at] = (uint8_t)value;
				if (frame_decode(buf_slice(&first), up, &again) == 0) {
					frame_destroy(again);
				}
				first.data[at] = old;
			}
		}
		buf_fini(&first);
		buf_fini(&second);
		frame_destroy(frame);
	}
}

static void test_ranges(void **state)
{
	struct frame *frame = frame_create(false, FRAME_RESULTS, 1);
	struct frame_outcome outcome = {.kind = RESULT_ACK, .status = 204};

	(void)state;
	for (uint64_t seq = 1; seq <= 10; seq++) {
		outcome.first = outcome.last = seq;
		frame_add_result(frame, &outcome);
	}
	outcome.first = outcome.last = 12;
	frame_add_result(frame, &outcome);
	assert_int_equal(frame->result_count, 2);
	assert_int_equal(frame->results[0].last, 10);
	frame_destroy(frame);
}

static void test_refused(void **state)
{
	/* A range without end, a later kind, two members of the oneof. */
	static const uint8_t range[] = {
		0x22, 0x0c, 0x08, 3, 0x12, 8, 0x08, 1, 0x10, 0xff, 0xff, 3, 0x18, 1};
	static const uint8_t later[] = {0x7a, 0x00};
	static const uint8_t two[] = {0x2a, 0x02, 0x08, 1, 0x2a, 0x02, 0x08, 1};
	struct frame *frame;

	(void)state;
	assert_int_equal(frame_decode(slice_make(range, sizeof range), false, &frame), -EBADMSG);
	assert_int_equal(frame_decode(slice_make(later, sizeof later), true, &frame), -ENOSYS);
	assert_int_equal(frame_decode(slice_make(two, sizeof two), true, &frame), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
