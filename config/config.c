/*
 * config: look-ups in a loaded configuration, and its end.
 */
#include "config/config.h"

#include "base/assert.h"
#include "base/mem.h"

/* Names nobody configured share the settings of "*", which always stands first. */
const struct config_service *config_service(const struct config *config, struct slice name)
{
	const struct config_service *service = map_get(&config->service_index, name);

	ASSERT(config->services.count > 0);
	return service != NULL ? service : &config->services.items[0];
}

const struct config_listener *config_listener(const struct config *config, struct slice name)
{
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *listener = &config->listeners.items[i];

		if (slice_equal(name, slice_from_string(listener->name))) {
			return listener;
		}
	}
	return NULL;
}

static struct slice take_token(struct slice *rest)
{
	struct slice token = slice_make(rest->data, slice_find(*rest, '.'));

	*rest = slice_from(*rest, token.size < rest->size ? token.size + 1 : token.size);
	return token;
}

/*
 * How well the pattern matches: 0 not at all, else higher for more literal tokens and, among
 * equals, for
 * "*" before ">" (B4-02). Wildcards never match a token "dlq" (B2-02).
 */
static int match(struct slice pattern, struct slice topic)
{
	int literal = 0;
	bool tail = false;

	while (pattern.size > 0 && topic.size > 0) {
		struct slice want = take_token(&pattern);
		struct slice token = take_token(&topic);
		bool dead = slice_equal(token, SLICE("dlq"));

		if (slice_equal(want, SLICE(">"))) {
			for (tail = true; !dead && topic.size > 0;) {
				dead = slice_equal(take_token(&topic), SLICE("dlq"));
			}
			if (dead) {
				return 0;
			}
			break;
		}
		if (slice_equal(want, SLICE("*"))) {
			if (dead) {
				return 0;
			}
		} else if (slice_equal(want, token)) {
			literal++;
		} else {
			return 0;
		}
	}
	return pattern.size == 0 && topic.size == 0 ? 2 + 2 * literal - (tail ? 1 : 0) : 0;
}

/* Runs when a topic appears, not per message (B2-02), so a walk over the list is cheap enough. */
const struct config_topic *config_topic(const struct config_broker *broker, struct slice topic)
{
	const struct config_topic *best = &broker->topic_default;
	int best_score = 0;

	for (size_t i = 0; i < broker->topics.count; i++) {
		const struct config_topic *candidate = &broker->topics.items[i];
		int score = match(slice_from_string(candidate->name), topic);

		if (score > best_score) {
			best = candidate;
			best_score = score;
		}
	}
	return best;
}

/* Everything but the index lies in the arena. */
void config_destroy(struct config *config)
{
	if (config == NULL) {
		return;
	}
	map_fini(&config->service_index);
	arena_fini(&config->arena);
	mem_free(config);
}

bool config_broker_syncs(const struct config_broker *broker)
{
	bool syncs = broker->topic_default.durability == CONFIG_DURABILITY_FSYNC;

	for (size_t i = 0; i < broker->topics.count; i++) {
		syncs = syncs || broker->topics.items[i].durability == CONFIG_DURABILITY_FSYNC;
	}
	return broker->enabled && syncs;
}
