/*
 * translate_rig: the filter `translate` in front of a scripted application: what the application
 * answers is set before a call, what it saw is looked at after it. The schema is that of
 * shop.Stock, written by hand:
 *
 *   message Item { string sku = 1; int32 qty = 2; repeated int32 tags = 3; Item child = 4; }
 *   service Stock { Get, Watch (server stream), Push (client stream), Raw (HttpBody answer) }
 */
#ifndef PILLION_TESTS_TRANSLATE_RIG_H
#define PILLION_TESTS_TRANSLATE_RIG_H

#include "rig.h"

#include "config/translation.h"
#include "filters/translate.h"

struct translate_answer { /* of the application */
	int status;	  /* 0: 200 */
	const char *fields[16];
	const void *body;
	size_t body_size;
	const char *trailers[16]; /* none: the body ends plainly */
	size_t cut;		  /* the body comes in two pieces, this many bytes first */
	bool hang;		  /* no answer at all */
};

struct translate_rig {
	struct rig rig;
	struct translate_worker *worker;
	struct descriptor_pool *pool;
	struct config_translation options;
	enum config_format formats[3];
	void *conf;
	struct filter_instance filters[1];
	struct translate_answer answer;
	struct listener *listener; /* of the application */
	struct address address;
	unsigned connections;
	struct list_node served; /* requests that it has not ended */
	bool refuse_next;	 /* the next request is refused by RST_STREAM: not processed */
	/* What the application saw last: */
	unsigned streams;  /* begun */
	unsigned requests; /* whole ones */
	struct arena arena;
	struct head *seen;
	struct buf body;
	struct translate_totals totals; /* after translate_rig_totals */
};

/* Defaults of the options; change them before translate_rig_start. */
void translate_rig_init(struct translate_rig *rig, uint64_t memory);
/* app: of the application, such as "grpc" or "json opaque" or "auto". */
void translate_rig_start(struct translate_rig *rig, const char *app, bool h2);
void translate_rig_fini(struct translate_rig *rig);
void translate_rig_schema(struct translate_rig *rig, enum translate_schema state, bool grpc_app);
/* The second piece of an answer that was cut. */
void translate_rig_rest(struct translate_rig *rig);
/* Requests that the application has not ended are cut. */
void translate_rig_cut(struct translate_rig *rig);
void translate_rig_totals(struct translate_rig *rig);
/* All faults of one side. */
uint64_t translate_rig_faults(const struct translate_totals *totals, bool response);

/* A JSON call of path over HTTP/1, to its end. */
struct rig_call *translate_rig_json(struct translate_rig *rig, const char *path, const char *body);
/* A gRPC call of /shop.Stock/Get over HTTP/2 with these bytes as its body, to its end. */
struct rig_call *translate_rig_grpc(struct translate_rig *rig, const void *body, size_t size);
/* A field that the application saw, or NULL. */
const char *translate_rig_seen(const struct translate_rig *rig, const char *name);

struct descriptor_pool *translate_rig_pool(void);

#define assert_body(call, text)                                                                    \
	do {                                                                                       \
		assert_int_equal((call)->body.size, strlen(text));                                 \
		assert_memory_equal((call)->body.data, text, strlen(text));                        \
	} while (0)

#endif
