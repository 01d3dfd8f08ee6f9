#include "control/launch.h"

#include <errno.h>
#include <stdlib.h>

#include "config/schema.h"

/* Switches of run and proxy that write no key; the others come from config's own table. */
struct launch_switch {
	const char *name;
	size_t offset;
	bool run_only;
	const char *help;
};

static const struct launch_switch switches[] = {
	{"--dev", offsetof(struct launch, dev), true,
		"try things out: a cluster of one, nothing is kept"},
	{"--env-proxy", offsetof(struct launch, env_proxy), true,
		"give the application HTTP_PROXY and MICRO_PROXY"},
	{"--stdin", offsetof(struct launch, keep_stdin), true,
		"leave standard input to the application"},
	{"--forward-hup", offsetof(struct launch, forward_hup), true,
		"send SIGHUP on to the application too"},
	{"--help", offsetof(struct launch, help), false, "this text"},
};

/* Switches about an application make no sense without one, so `proxy` does not know them. */
static const struct launch_switch *find_switch(const struct launch *launch, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (strcmp(switches[i].name, name) == 0 &&
			!(switches[i].run_only && launch->proxy)) {
			return &switches[i];
		}
	}
	return NULL;
}

/* Both tables count as candidates: people do not know which flag writes a key and which does not
 * (CF-23). */
static void unknown_flag(const struct launch *launch, const char *name, struct err *err)
{
	const char *names[64];
	size_t count = 0;
	int nearest;

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (!switches[i].run_only || !launch->proxy) {
			names[count++] = switches[i].name;
		} else if (strcmp(switches[i].name, name) == 0) {
			err_set(err, 1101, "%s is a flag of pillion run alone", name);
			return;
		}
	}
	for (size_t i = 0; i < config_flag_count() && count < ARRAY_SIZE(names); i++) {
		names[count++] = config_flag_at(i)->name;
	}
	nearest = config_nearest(slice_from_string(name), names, count);
	if (nearest >= 0) {
		err_set(err, 1101, "unknown flag %s; did you mean %s?", name, names[nearest]);
	} else {
		err_set(err, 1101, "unknown flag %s; see pillion %s --help", name,
			launch->proxy ? "proxy" : "run");
	}
}

/* By length and bytes, because the argument may go on with "=value". */
static const struct config_flag *find_flag(const char *name, size_t size)
{
	for (size_t i = 0; i < config_flag_count(); i++) {
		const struct config_flag *flag = config_flag_at(i);

		if (strlen(flag->name) == size && memcmp(flag->name, name, size) == 0) {
			return flag;
		}
	}
	return NULL;
}

/* One flag that writes keys: "--port 8080" or "--port=8080". Returns how many arguments it took. */
static int take_flag(struct launch *launch, int count, char **arguments, struct err *err)
{
	const char *equals = strchr(arguments[0], '=');
	size_t size = equals ? (size_t)(equals - arguments[0]) : strlen(arguments[0]);
	const struct config_flag *flag = find_flag(arguments[0], size);
	const char *value = NULL;
	int taken = 1;
	int result;

	if (!flag) {
		unknown_flag(launch, arguments[0], err);
		return -EINVAL;
	}
	if (flag->argument) {
		if (equals) {
			value = equals + 1;
		} else if (count > 1) {
			value = arguments[1];
			taken = 2;
		} else {
			err_set(err, 1101, "%s needs a value: %s %s", flag->name, flag->name,
				flag->argument);
			return -EINVAL;
		}
	} else if (equals) {
		err_set(err, 1101, "%s takes no value", flag->name);
		return -EINVAL;
	}
	result = config_flags_add(&launch->flags, flag->name, value, err);
	return result < 0 ? -EINVAL : taken;
}

/* Everything behind "--" is the command, untouched: its flags are none of ours (ZC-01). */
int launch_parse(
	struct launch *launch, const char *verb, int count, char **arguments, struct err *err)
{
	int i = 0;

	ASSERT(launch && verb);
	*launch = (struct launch){.proxy = strcmp(verb, "proxy") == 0};
	config_flags_init(&launch->flags);
	while (i < count) {
		const struct launch_switch *found;
		int taken;

		if (strcmp(arguments[i], "--") == 0) {
			/* argv ends with NULL, and so does the command: execvp takes it as it is.
			 */
			launch->command = arguments + i + 1;
			break;
		}
		if (strcmp(arguments[i], "-c") == 0) {
			if (i + 1 == count) {
				err_set(err, 1101, "-c needs a file");
				return -EINVAL;
			}
			launch->file = arguments[i + 1];
			i += 2;
			continue;
		}
		found = find_switch(launch, arguments[i]);
		if (found) {
			*(bool *)(void *)((char *)launch + found->offset) = true;
			i++;
			continue;
		}
		if (arguments[i][0] != '-') {
			err_set(err, 1101, "unexpected argument %s; the command goes behind --",
				arguments[i]);
			return -EINVAL;
		}
		taken = take_flag(launch, count - i, arguments + i, err);
		if (taken < 0) {
			return taken;
		}
		i += taken;
	}
	if (launch->command && !launch->command[0]) {
		err_set(err, 1101, "no command behind --");
		return -EINVAL;
	}
	/* ZC-02: --dev is a cluster of one that nobody else is asked about. */
	if (launch->dev && config_flags_add(&launch->flags, "--bootstrap", NULL, err) < 0) {
		return -EINVAL;
	}
	if (launch->command && launch->proxy) {
		err_set(err, 1101, "pillion proxy starts no application; use pillion run");
		return -EINVAL;
	}
	return 0;
}

/* The command's words stay argv's own. */
void launch_fini(struct launch *launch)
{
	config_flags_fini(&launch->flags);
}

/* CL-01: help begins with what people want to copy. */
void launch_help(const struct launch *launch, const char *verb, struct buf *ret_text)
{
	ASSERT(ret_text);
	buf_appendf(ret_text,
		"pillion run --name orders --port 8080 --join 127.0.0.1:7440 -- ./orders\n"
		"pillion run --dev --name stock --port 9000 -- ./stock\n"
		"pillion proxy -c /etc/pillion/pillion.json\n\n"
		"usage: pillion %s [-c FILE] [FLAGS]%s\n",
		verb, launch->proxy ? "" : " [-- COMMAND ...]");
	for (size_t i = 0; i < config_flag_count(); i++) {
		const struct config_flag *flag = config_flag_at(i);

		buf_appendf(ret_text, "  %-12s %-16s %s\n", flag->name,
			flag->argument ? flag->argument : "", flag->help);
	}
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (!(switches[i].run_only && launch->proxy)) {
			buf_appendf(ret_text, "  %-29s %s\n", switches[i].name, switches[i].help);
		}
	}
}
