/* Heads out: pseudo-fields, crossing rules, what is never indexed (X-01..X-08, H2-21, MM-03). */
#include "h2_rig.h"

static void head_of(struct rig *rig, struct head *ret_head, enum head_kind kind, size_t stream)
{
	head_init(ret_head, &rig->streams[stream]->arena, kind);
	if (kind == HEAD_REQUEST) {
		head_set_method(ret_head, METHOD_POST, SLICE("POST"));
		ret_head->scheme = SLICE("https");
		ret_head->authority = SLICE("a:80");
		ret_head->path = SLICE("/p");
	} else {
		ret_head->status = 200;
	}
}

enum edit {
	EDIT_QUERY,
	EDIT_GRPC,
	EDIT_TE,
	EDIT_LENGTH,
	EDIT_FRAMING,
	EDIT_SECRETS,
	EDIT_NEVER,
	EDIT_NO_AUTHORITY,
	EDIT_COOKIE
};

static void edit_head(struct head *head, enum edit edit)
{
	switch (edit) {
	case EDIT_QUERY:
		head->has_query = true;
		head->query = SLICE("a=b");
		break;
	case EDIT_GRPC:
		head->version = HTTP_2;
		head_add(head, SLICE("content-type"), SLICE("application/grpc+proto"));
		break;
	case EDIT_TE:
		head->te_trailers = true;
		break;
	case EDIT_LENGTH:
		head->body = BODY_LENGTH;
		head->length = 12;
		break;
	case EDIT_FRAMING:
		head_add(head, SLICE("connection"), SLICE("x"));
		head_add(head, SLICE("transfer-encoding"), SLICE("chunked"));
		head_add(head, SLICE("content-length"), SLICE("9"));
		head_add(head, SLICE("host"), SLICE("b"));
		head_add(head, SLICE("te"), SLICE("gzip"));
		break;
	case EDIT_SECRETS:
		head_add(head, SLICE("authorization"), SLICE("s"));
		head_add(head, SLICE("cookie"), SLICE("c"));
		head_add(head, SLICE("set-cookie"), SLICE("d"));
		head_add(head, SLICE("x-pillion-attempt"), SLICE("1"));
		head_add(head, SLICE("x-pillion-other"), SLICE("2"));
		break;
	case EDIT_NEVER:
		head_add(head, SLICE("x"), SLICE("y"));
		head->fields[0].never_index = true;
		break;
	case EDIT_NO_AUTHORITY:
		head->authority = SLICE("");
		break;
	case EDIT_COOKIE:
		head_add(head, SLICE("cookie"), SLICE("a=1; b=2"));
		break;
	}
}

#define BASE "H1 :method=POST :scheme=http :authority=a:80 :path=/p"

static void requests(void **state)
{
	static const struct {
		enum edit edit;
		const char *output;
	} rows[] = {
		{EDIT_QUERY, "H1 :method=POST :scheme=http :authority=a:80 :path=/p?a=b;"},
		{EDIT_GRPC, BASE " te=trailers content-type=application/grpc+proto;"},
		{EDIT_TE, BASE " te=trailers;"},
		{EDIT_LENGTH, BASE " content-length=12;"},
		{EDIT_FRAMING, BASE ";"},
		{EDIT_SECRETS, BASE " authorization=s! cookie=c! set-cookie=d! x-pillion-attempt=1!"
				    " x-pillion-other=2!;"},
		{EDIT_NEVER, BASE " x=y!;"},
		{EDIT_NO_AUTHORITY, "H1 :method=POST :scheme=http :path=/p;"},
		{EDIT_COOKIE, BASE " cookie=a=1; b=2!;"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig rig;
		struct buf text;
		struct head head;

		rig_start(&rig, true);
		buf_init(&text);
		rig_adopt(&rig, rig.codec->ops->open(rig.codec));
		head_of(&rig, &head, HEAD_REQUEST, 0);
		head.body = BODY_UNKNOWN;
		edit_head(&head, rows[i].edit);
		assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, false), 0);
		assert_string_equal(rig_output(&rig, &text), rows[i].output);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

static void responses(void **state)
{
	static const struct {
		const char *request;
		uint16_t status;
		enum body_kind body;
		uint64_t declared; /* 0: none */
		bool end;
		const char *output;
	} rows[] = {
		{RIG_GET, 200, BODY_LENGTH, 0, false, "H1 :status=200 content-length=5;"},
		{RIG_GET, 200, BODY_UNKNOWN, 0, false, "H1 :status=200;"},
		{RIG_GET, 200, BODY_UNTIL_CLOSE, 0, false, "H1 :status=200;"},
		{RIG_GET, 200, BODY_NONE, 0, true, "H1 :status=200 end;"},
		{RIG_GET, 304, BODY_NONE, 7, true, "H1 :status=304 content-length=7 end;"},
		{RIG_GET, 204, BODY_NONE, 0, true, "H1 :status=204 end;"},
		{":method:HEAD|:scheme:http|:authority:a|:path:/", 200, BODY_NONE, 9, true,
			"H1 :status=200 content-length=9 end;"},
		{":method:HEAD|:scheme:http|:authority:a|:path:/", 200, BODY_LENGTH, 0, true,
			"H1 :status=200 content-length=5 end;"},
		/* MM-07: a length that cannot come any more. */
		{RIG_GET, 200, BODY_LENGTH, 0, true, "R1 2;"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig rig;
		struct buf text;
		struct head head;

		rig_start(&rig, false);
		buf_init(&text);
		rig_headers(&rig, 1, slice_from_string(rows[i].request), true);
		rig_feed(&rig, 0);
		head_of(&rig, &head, HEAD_RESPONSE, 0);
		head.status = rows[i].status;
		head.body = rows[i].body;
		head.length = rows[i].body == BODY_LENGTH ? 5 : 0;
		head.has_declared_length = rows[i].declared > 0;
		head.declared_length = rows[i].declared;
		assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, rows[i].end), 0);
		assert_string_equal(rig_output(&rig, &text), rows[i].output);
		buf_fini(&text);
		rig_fini(&rig);
	}
}

/* The never-index bit that came is kept in the head (H2-21). */
static void never_index_in(void **state)
{
	struct rig rig;
	struct buf block;

	(void)state;
	rig_start(&rig, true);
	buf_init(&block);
	rig_request(&rig, METHOD_GET, 0, true);
	rig_produce(&rig);
	buf_append(&block, "\x88\x10\x01x\x01y\x00\x01z\x01y", 11);
	rig_frame(&rig, NGHTTP2_HEADERS, 5, 1, buf_slice(&block));
	rig_feed(&rig, 0);
	assert_string_equal(rig_log(&rig), "0> 200 x=y! z=y end;");
	buf_fini(&block);
	rig_fini(&rig);
}

/* A head with more fields than the array on the stack holds. */
static void many_fields(void **state)
{
	struct rig rig;
	struct buf text;
	struct head head;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig_headers(&rig, 1, SLICE(RIG_GET), true);
	rig_feed(&rig, 0);
	head_of(&rig, &head, HEAD_RESPONSE, 0);
	for (int i = 0; i < 200; i++) {
		head_add(&head, SLICE("x"), SLICE("y"));
	}
	assert_int_equal(rig.codec->ops->send_head(rig.streams[0], &head, true), 0);
	rig_output(&rig, &text);
	assert_int_equal(text.size, strlen("H1 :status=200 end;") + 200 * 4);
	buf_fini(&text);
	rig_fini(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(responses),
		cmocka_unit_test(never_index_in),
		cmocka_unit_test(many_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
