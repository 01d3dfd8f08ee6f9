/*
 * Plans are small beside messages and change rarely, so they are copied whole; that buys readers
 * without locks.
 */
#include "broker/plan.h"

#include "base/mem.h"
#include "broker/names.h"

/* Everything off and empty. */
struct plan *plan_create(void)
{
	struct plan *plan = mem_zalloc(sizeof *plan);

	atomic_init(&plan->refs, 1);
	arena_init(&plan->arena);
	return plan;
}

/* Any thread. */
struct plan *plan_ref(struct plan *plan)
{
	atomic_fetch_add(&plan->refs, 1);
	return plan;
}

/* The last one frees the arena with all strings. */
void plan_unref(struct plan *plan)
{
	if (plan && atomic_fetch_sub(&plan->refs, 1) == 1) {
		arena_fini(&plan->arena);
		mem_free(plan);
	}
}

/* The source may be the configuration or another plan. */
static const char *const *copy_texts(struct plan *plan, const char *const *texts, size_t count)
{
	const char **copies = arena_alloc(&plan->arena, (count + 1) * sizeof *copies);

	for (size_t i = 0; i < count; i++) {
		copies[i] = arena_string(&plan->arena, slice_from_string(texts[i]));
	}
	return copies;
}

/* The only place that reads the configuration's structs. */
void plan_set_config(struct plan *plan, const struct config_broker *config)
{
	struct plan_policy *policies =
		arena_alloc(&plan->arena, (config->topics.count + 1) * sizeof *policies);

	ASSERT(plan->policies == NULL);
	plan->enabled = config->enabled;
	plan->auto_topics = config->auto_topics;
	plan->auto_groups = config->auto_groups;
	plan->fallback = config->topic_default;
	plan->fallback.name = ">";
	for (size_t i = 0; i < config->topics.count; i++) {
		policies[i].topic = config->topics.items[i];
		policies[i].pattern =
			arena_string(&plan->arena, slice_from_string(config->topics.items[i].name));
		policies[i].topic.name = policies[i].pattern;
	}
	plan->policies = policies;
	plan->policy_count = config->topics.count;
	plan->origins =
		copy_texts(plan, (const char *const *)config->origins.items, config->origins.count);
	plan->origin_count = config->origins.count;
	plan->keep_headers = copy_texts(
		plan, (const char *const *)config->keep_headers.items, config->keep_headers.count);
	plan->keep_header_count = config->keep_headers.count;
}

/* A plan that only groups have changed keeps the policies; strings are copied, since the other
 * plan may end first. */
void plan_copy_config(struct plan *plan, const struct plan *from)
{
	struct plan_policy *policies =
		arena_alloc(&plan->arena, (from->policy_count + 1) * sizeof *policies);

	plan->enabled = from->enabled;
	plan->auto_topics = from->auto_topics;
	plan->auto_groups = from->auto_groups;
	plan->fallback = from->fallback;
	for (size_t i = 0; i < from->policy_count; i++) {
		policies[i] = from->policies[i];
		policies[i].pattern =
			arena_string(&plan->arena, slice_from_string(from->policies[i].pattern));
		policies[i].topic.name = policies[i].pattern;
	}
	plan->policies = policies;
	plan->policy_count = from->policy_count;
	plan->origins = copy_texts(plan, from->origins, from->origin_count);
	plan->origin_count = from->origin_count;
	plan->keep_headers = copy_texts(plan, from->keep_headers, from->keep_header_count);
	plan->keep_header_count = from->keep_header_count;
}

/* More literal tokens first; among equals `*` before `>` (B4-02). */
static int weight(const char *pattern)
{
	/* One token more than there are dots, less the wildcards. */
	int literal = 1, rest = 0;

	for (const char *at = pattern; *at; at++) {
		literal += *at == '.';
		literal -= *at == '*' || *at == '>';
		rest += *at == '>';
	}
	return 2 * literal - rest;
}

/* Asked per publish: patterns are few. */
const struct config_topic *plan_policy(const struct plan *plan, struct slice topic)
{
	const struct config_topic *best = &plan->fallback;
	int best_weight = -1000;

	for (size_t i = 0; i < plan->policy_count; i++) {
		const struct plan_policy *policy = &plan->policies[i];

		if (names_match(slice_from_string(policy->pattern), topic) &&
			weight(policy->pattern) > best_weight) {
			best = &policy->topic;
			best_weight = weight(policy->pattern);
		}
	}
	return best;
}

/* By group and name, as members are. */
const struct plan_local *plan_local(const struct plan *plan, struct slice group, struct slice name)
{
	for (size_t i = 0; i < plan->local_count; i++) {
		const struct plan_local *local = &plan->locals[i];

		if (slice_equal(group, slice_from_string(local->group)) &&
			slice_equal(name, slice_from_string(local->name))) {
			return local;
		}
	}
	return NULL;
}
