/* The one list: everything else finds filters through the three functions below. */
#include "filters/filters.h"

#include "base/assert.h"
#include "exchange/filter.h"
#include "filters/access_log.h"
#include "filters/headers.h"
#include "filters/translate.h"

static const struct filter_ops *const filters_list[] = {
	&access_log_filter,
	&headers_filter,
	&translate_filter,
};

/* For those who build chains or test all filters alike. */
const struct filter_ops *const *filters_all(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(filters_list);
	return filters_list;
}

/* By the word of `use` in a configuration. A linear walk: it happens when a snapshot is built,
 * never for an exchange. */
const struct filter_ops *filters_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(filters_list); i++) {
		ASSERT(filters_list[i]->name != NULL);
		if (slice_equal(slice_from_string(filters_list[i]->name), name)) {
			return filters_list[i];
		}
	}
	return NULL;
}

/* The tables go to the loader of the configuration, which may not include this room: so the options
 * of a filter are checked like all others, with line and column (FL-01). */
size_t filters_plugins(const struct config_filter_plugin **ret_plugins, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(filters_list) && count < most; i++) {
		/* Built-in ones are placed by the sidecar itself and have no table. */
		if (filters_list[i]->plugin != NULL) {
			ret_plugins[count++] = filters_list[i]->plugin;
		}
	}
	ASSERT(count <= most);
	return count;
}
