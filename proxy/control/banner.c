#include "control/banner.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "control/state.h"

/* A listener may be switched off; the banner says so instead of inventing an address. */
static const char *listener_text(
	const struct control *control, const char *name, char ret_text[ADDRESS_TEXT_MAX])
{
	const struct bound_listener *listener = listeners_find(control, name);

	return listener ? address_format(&listener->address, ret_text) : "-";
}

/* The line that others need to join: with the host and port they would really reach. */
static void describe_registry(const struct control *control, char *ret_text, size_t size)
{
	if (!control->registry_is_raft) {
		(void)snprintf(ret_text, size, "instances from the configuration");
	} else if (control->launch->dev) {
		(void)snprintf(ret_text, size,
			"--dev: cluster of one, not kept; others on this host join with: --join "
			"%s:%u",
			control->advertise_host, control->advertise_port);
	} else if (control->node) {
		(void)snprintf(ret_text, size, "a replica; others join with: --join %s:%u",
			control->advertise_host, control->advertise_port);
	} else {
		(void)snprintf(ret_text, size, "client of %s",
			control->config->registry.seeds.count > 0
				? control->config->registry.seeds.items[0].text
				: "the replicas known from the last run");
	}
}

/* ZC-05: six lines for a person; for a machine one JSON line with the same facts, since a banner
 * in a log collector is six broken records. */
void banner_print(const struct control *control)
{
	const struct config *config = control->config;
	char in[ADDRESS_TEXT_MAX], out[ADDRESS_TEXT_MAX], app[ADDRESS_TEXT_MAX];
	char admin[ADDRESS_TEXT_MAX], registry[512];
	const char *name = config->self.name ? config->self.name : "pillion";

	listener_text(control, "inbound", in);
	listener_text(control, "outbound", out);
	(void)snprintf(app, sizeof app, "%s",
		config->self.app.present ? config->self.app.address.text : "none");
	(void)snprintf(admin, sizeof admin, "off");
	if (control->admin_address.size > 0) {
		address_format(&control->admin_address, admin);
	}
	describe_registry(control, registry, sizeof registry);
	if (!isatty(STDERR_FILENO)) {
		log_event(LOG_LEVEL_INFO, "control", 0, "started",
			(struct log_field[]){LOG_TEXT("event.action", "started"),
				LOG_TEXT("pillion.inbound", in), LOG_TEXT("pillion.outbound", out),
				LOG_TEXT("pillion.app", app), LOG_TEXT("pillion.admin", admin),
				LOG_TEXT("pillion.registry", registry),
				LOG_TEXT("pillion.data_dir",
					control->data.path ? control->data.path : "")},
			7);
		return;
	}
	(void)fprintf(stderr,
		"pillion %s   %s/%s   instance %s   %s%s\n"
		"  app        %s%s\n"
		"  in / out   %s / http://%s    try: curl -H 'host: %s' http://%s/\n"
		"  registry   %s\n"
		"  admin      http://%s   `pillion status`\n",
		PILLION_VERSION, name, config->self.version, control->snapshot->id8,
		config->file ? "configuration " : "no configuration file (defaults)",
		config->file ? config->file : "", app,
		config->self.app.present ? "   waiting for it to listen; registered when it does"
					 : "",
		in, out, name, out, registry, admin);
}
