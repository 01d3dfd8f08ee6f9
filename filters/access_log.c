/*
 * access_log: a filter with nothing but an end. It has no on_request, so it has begun for every
 * exchange, whatever ends it, and each one leaves its record (http.md C-13).
 */
#include "filters/access_log.h"

#include "config/config.h"
#include "exchange/access_record.h"

/* NULL options: everything is written, as in tests and without a configuration file. */
static bool access_log_configure(void *conf, const void *options, struct err *err)
{
	const struct config_access_log *log = options;
	struct access_options *access = conf;

	ASSERT(conf != NULL);
	*access = (struct access_options){.success_per_mille = 1000};
	if (log == NULL) {
		return true; /* everything is written, nothing is added */
	}
	if (log->success_per_mille < 0 || log->success_per_mille > 1000) {
		err_set(err, 1105, "the share of successes that are logged is not a percentage");
		return false;
	}
	access->success_per_mille = log->success_per_mille;
	access->slow_ms = log->slow_ms;
	access->query = log->query;
	access->headers = log->headers.items;
	access->header_count = log->headers.count;
	return true;
}

/* The only thing that happens on the request path: a fixed record is filled (LG-04). */
static void access_log_on_done(const struct filter_call *call)
{
	ASSERT(call->conf != NULL);
	exchange_log(call->exchange, call->conf);
}

/* No plugin: its options stand in `log.access` and control places it first (FL-08, FL-10). */
const struct filter_ops access_log_filter = {
	.name = "access_log",
	.conf_size = sizeof(struct access_options),
	.configure = access_log_configure,
	.on_done = access_log_on_done,
};
