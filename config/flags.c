/*
 * flags: one table of flags and variables, each with the key that it writes and the way its text
 * becomes JSON. What the value may be is the key's business, so all errors look alike.
 */
#include "config/flags.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "config/keys.h"
#include "config/nearest.h"
#include "config/type.h"

enum conversion {
	AS_STRING,
	AS_LIST,      /* comma list of strings */
	AS_APP,	      /* a port, or an address */
	AS_PORT,      /* a port */
	AS_BOOTSTRAP, /* takes no argument: "alone" */
	AS_APPEND,    /* one more element; the first one replaces what the file says */
	AS_CHECK,     /* {"http": PATH}, whatever check the file has */
	AS_SUBSCRIBE, /* TOPIC[/GROUP]=PATH */
	AS_SET,	      /* /pointer=JSON */
};

/* One flag, with the variable that does the same. */
struct row {
	struct config_flag flag;
	const char *variable; /* NULL: none */
	const char *pointer;
	enum conversion conversion;
};

static const struct row rows[] = {
	{{"--name", "NAME", "name of the service"}, "PILLION_NAME", "/service/name", AS_STRING},
	{{"--version", "VERSION", "version of the application"}, NULL, "/service/version",
		AS_STRING},
	{{"--port", "N", "port on which the application listens"}, NULL, "/service/app/address",
		AS_PORT},
	{{"--app", "ADDR", "address of the application, ip:port or unix:/path"}, "PILLION_APP",
		"/service/app/address", AS_APP},
	{{"--check", "PATH", "path that answers 200..399 while the application is well"}, NULL,
		"/service/app/check", AS_CHECK},
	{{"--speaks", "FORMAT", "what the application speaks: grpc, json, opaque"}, NULL,
		"/translation/app", AS_STRING},
	{{"--proto", "FILE", "descriptor set of the application (repeatable)"}, NULL,
		"/translation/descriptors", AS_APPEND},
	{{"--join", "HOST:PORT,...", "sidecars of the cluster to join"}, "PILLION_JOIN",
		"/registry/seeds", AS_LIST},
	{{"--bootstrap", NULL, "create a cluster of one"}, NULL, "/registry/bootstrap",
		AS_BOOTSTRAP},
	{{"--new-cluster", "UUID", "create one although a seed knows this one (8 digits or more)"},
		NULL, "/registry/new_cluster", AS_STRING},
	{{"--role", "ROLE", "client, learner or voter"}, "PILLION_ROLE", "/registry/role",
		AS_STRING},
	{{"--advertise", "HOST:PORT", "address under which others reach this sidecar"},
		"PILLION_ADVERTISE", "/registry/advertise", AS_STRING},
	{{"--subscribe", "TOPIC[/GROUP]=PATH", "push a topic to a path of the application"}, NULL,
		"/broker/subscriptions", AS_SUBSCRIBE},
	{{"--data-dir", "DIR", "directory of registry, spool and last view"}, "PILLION_DATA_DIR",
		"/process/data_dir", AS_STRING},
	{{"--grace", "TIME", "budget of the whole stop, such as 25s"}, NULL, "/process/grace",
		AS_STRING},
	{{"--log-level", "LEVEL", "error, warn, info or debug"}, "PILLION_LOG_LEVEL", "/log/level",
		AS_STRING},
	{{"--set", "/POINTER=JSON", "any key, by its JSON pointer"}, NULL, NULL, AS_SET},
};

/* Variables of others: the client's, and those that a sidecar gives to its application (ML-08). */
static const char *const known_variables[] = {"PILLION_CONFIG", "PILLION_ADMIN",
	"PILLION_TOKEN_FILE", "PILLION_OUTBOUND", "PILLION_INSTANCE", "PILLION_SERVICE"};

size_t config_flag_count(void)
{
	return ARRAY_SIZE(rows);
}

const struct config_flag *config_flag_at(size_t index)
{
	ASSERT(index < ARRAY_SIZE(rows));
	return &rows[index].flag;
}

void config_flags_init(struct config_flags *flags)
{
	*flags = (struct config_flags){0};
	arena_init(&flags->arena);
}

void config_flags_fini(struct config_flags *flags)
{
	mem_free(flags->items);
	arena_fini(&flags->arena);
	*flags = (struct config_flags){0};
}

/* Pointer and value are copied. */
static void push(struct config_flags *flags, const char *pointer, struct slice value, bool is_json,
	const char *origin)
{
	struct config_assignment *item;

	if (flags->count == flags->capacity) {
		flags->capacity = flags->capacity == 0 ? 16 : flags->capacity * 2;
		flags->items = mem_realloc(flags->items, flags->capacity * sizeof(*flags->items));
	}
	ASSERT(flags->count < flags->capacity);
	item = &flags->items[flags->count++];
	item->pointer = arena_string(&flags->arena, slice_from_string(pointer));
	item->value = arena_string(&flags->arena, value);
	item->is_json = is_json;
	item->origin = arena_string(&flags->arena, slice_from_string(origin));
}

static bool is_port(struct slice text)
{
	uint64_t port = 0;

	return slice_parse_u64(text, 65535, &port);
}

static void push_port(
	struct config_flags *flags, const struct row *row, struct slice port, const char *origin)
{
	struct buf address;

	buf_init(&address);
	buf_append_string(&address, "127.0.0.1:");
	buf_append_slice(&address, port);
	push(flags, row->pointer, buf_slice(&address), false, origin);
	buf_fini(&address);
}

/* Blanks around the elements of a comma list are nobody's intention. */
static void push_list(
	struct config_flags *flags, const struct row *row, struct slice list, const char *origin)
{
	struct buf json;
	const char *separator = "";

	buf_init(&json);
	buf_append_byte(&json, '[');
	for (struct slice rest = list; rest.size > 0;) {
		struct slice item = slice_make(rest.data, slice_find(rest, ','));

		rest = slice_from(rest, item.size < rest.size ? item.size + 1 : item.size);
		buf_append_string(&json, separator);
		config_type_quote(&json, slice_trim(item));
		separator = ",";
	}
	buf_append_byte(&json, ']');
	push(flags, row->pointer, buf_slice(&json), true, origin);
	buf_fini(&json);
}

static bool has_pointer(const struct config_flags *flags, const char *pointer, const char *origin)
{
	for (size_t i = 0; i < flags->count; i++) {
		if (strcmp(flags->items[i].pointer, pointer) == 0 &&
			strcmp(flags->items[i].origin, origin) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * The first one replaces what the file says, as flags stand above files (CF-12); further ones add
 * to it.
 */
static void push_append(
	struct config_flags *flags, const struct row *row, struct slice value, const char *origin)
{
	struct buf text;

	buf_init(&text);
	if (has_pointer(flags, row->pointer, origin)) {
		buf_appendf(&text, "%s/-", row->pointer);
		push(flags, buf_string(&text), value, false, origin);
	} else {
		buf_append_byte(&text, '[');
		config_type_quote(&text, value);
		buf_append_byte(&text, ']');
		push(flags, row->pointer, buf_slice(&text), true, origin);
	}
	buf_fini(&text);
}

static void push_check(
	struct config_flags *flags, const struct row *row, struct slice path, const char *origin)
{
	struct buf json;

	buf_init(&json);
	buf_append_string(&json, "{\"http\":");
	config_type_quote(&json, path);
	buf_append_byte(&json, '}');
	push(flags, row->pointer, buf_slice(&json), true, origin);
	buf_fini(&json);
}

/* TOPIC[/GROUP]=PATH becomes one subscription. */
static int push_subscribe(struct config_flags *flags, const struct row *row, struct slice value,
	const char *origin, struct err *err)
{
	size_t equals = slice_find(value, '=');
	struct slice topic = slice_make(value.data, equals);
	struct slice path = slice_from(value, equals + (equals < value.size ? 1 : 0));
	size_t slash = slice_find(topic, '/');
	struct buf text;

	if (equals == value.size || topic.size == 0 || path.size == 0) {
		err_set(err, 1104, "--subscribe: expected TOPIC[/GROUP]=PATH, found \"%.*s\"",
			(int)value.size, (const char *)value.data);
		return -EINVAL;
	}
	buf_init(&text);
	buf_append_string(&text, "{\"topic\":");
	config_type_quote(&text, slice_make(topic.data, slash));
	if (slash < topic.size) {
		buf_append_string(&text, ",\"group\":");
		config_type_quote(&text, slice_from(topic, slash + 1));
	}
	buf_append_string(&text, ",\"push\":");
	config_type_quote(&text, path);
	buf_append_byte(&text, '}');

	struct buf pointer;

	buf_init(&pointer);
	buf_appendf(&pointer, "%s/-", row->pointer);
	push(flags, buf_string(&pointer), buf_slice(&text), true, origin);
	buf_fini(&pointer);
	buf_fini(&text);
	return 0;
}

/*
 * The JSON text is read with the rest of the configuration; only the form of the flag is judged
 * here.
 */
static int push_set(struct config_flags *flags, struct slice value, struct err *err)
{
	size_t equals = slice_find(value, '=');

	if (equals == value.size || value.data[0] != '/') {
		err_set(err, 1104,
			"--set: expected /pointer=JSON, such as /services/pay/timeout='\"3s\"', "
			"found \"%.*s\"",
			(int)value.size, (const char *)value.data);
		return -EINVAL;
	}

	const char *pointer = arena_string(&flags->arena, slice_make(value.data, equals));

	push(flags, pointer, slice_from(value, equals + 1), true, "--set");
	return 0;
}

/* Flag and variable of one row take the same way. */
static int convert(struct config_flags *flags, const struct row *row, struct slice value,
	const char *origin, struct err *err)
{
	switch (row->conversion) {
	case AS_STRING:
		push(flags, row->pointer, value, false, origin);
		return 0;
	case AS_LIST:
		push_list(flags, row, value, origin);
		return 0;
	case AS_PORT:
		if (!is_port(value)) {
			err_set(err, 1104, "%s: expected a port in 1..65535, found \"%.*s\"",
				row->flag.name, (int)value.size, (const char *)value.data);
			return -EINVAL;
		}
		push_port(flags, row, value, origin);
		return 0;
	case AS_APP:
		if (is_port(value)) {
			push_port(flags, row, value, origin);
		} else {
			push(flags, row->pointer, value, false, origin);
		}
		return 0;
	case AS_BOOTSTRAP:
		push(flags, row->pointer, SLICE("alone"), false, origin);
		return 0;
	case AS_APPEND:
		push_append(flags, row, value, origin);
		return 0;
	case AS_CHECK:
		push_check(flags, row, value, origin);
		return 0;
	case AS_SUBSCRIBE:
		return push_subscribe(flags, row, value, origin, err);
	case AS_SET:
		return push_set(flags, value, err);
	}
	ASSERT(false && "a conversion");
	return -EINVAL;
}

/*
 * Nothing is judged here that the key itself can judge; -EINVAL is for texts that cannot even be
 * a value.
 */
int config_flags_add(
	struct config_flags *flags, const char *name, const char *value, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct buf origin;
		int result;

		if (strcmp(row->flag.name, name) != 0) {
			continue;
		}
		if ((row->flag.argument != NULL) != (value != NULL) ||
			(value != NULL && value[0] == '\0')) {
			err_set(err, 1104, "%s %s", name,
				row->flag.argument != NULL ? "needs a value" : "takes no value");
			return -EINVAL;
		}
		buf_init(&origin);
		buf_appendf(&origin, "flag %s", name);
		result = convert(flags, row, slice_from_string(value), buf_string(&origin), err);
		buf_fini(&origin);
		return result;
	}
	return -ENOENT;
}

static bool contains(struct slice text, const char *part)
{
	size_t size = strlen(part);

	for (size_t i = 0; i + size <= text.size; i++) {
		if (memcmp(text.data + i, part, size) == 0) {
			return true;
		}
	}
	return false;
}

/* What links of Kubernetes and Docker put there for services called like us (CF-12). */
static bool injected(struct slice name)
{
	return slice_starts_with(name, SLICE("PILLION_PORT")) ||
	       slice_starts_with(name, SLICE("PILLION_SERVICE_")) ||
	       slice_ends_with(name, SLICE("_SERVICE_HOST")) || contains(name, "_SERVICE_PORT") ||
	       (contains(name, "_PORT_") && contains(name, "_TCP"));
}

/* PIL1510 with the nearest name. */
static void warn_unknown(struct config_report *report, struct slice name)
{
	const char *names[ARRAY_SIZE(rows) + ARRAY_SIZE(known_variables)];
	size_t count = 0;
	int best;
	char shown[128];
	char fix[192];
	struct config_problem problem = {.code = 1510, .severity = CONFIG_WARNING};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].variable != NULL) {
			names[count++] = rows[i].variable;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(known_variables); i++) {
		names[count++] = known_variables[i];
	}
	ASSERT(count <= ARRAY_SIZE(names));
	best = config_nearest(name, names, count);
	snprintf(shown, sizeof(shown), "env %.*s", (int)(name.size < 100 ? name.size : 100),
		(const char *)name.data);
	problem.place.file = shown;
	problem.text = "no such variable is read";
	if (best >= 0) {
		snprintf(fix, sizeof(fix), "did you mean %s?", names[best]);
		problem.fix = fix;
		problem.suggestion = names[best];
	}
	config_report_add(report, &problem);
}

static const struct row *row_of(struct slice variable)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].variable != NULL &&
			slice_equal(variable, slice_from_string(rows[i].variable))) {
			return &rows[i];
		}
	}
	return NULL;
}

static bool is_known(struct slice variable)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_variables); i++) {
		if (slice_equal(variable, slice_from_string(known_variables[i]))) {
			return true;
		}
	}
	return false;
}

/* Empty values are skipped, as compose files like to set them. */
void config_flags_environment(
	struct config_flags *flags, const char *const *environment, struct config_report *report)
{
	for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
		struct slice entry = slice_from_string(environment[i]);
		struct slice name = slice_make(entry.data, slice_find(entry, '='));
		struct slice value;
		struct err err;
		char origin[160];

		if (!slice_starts_with(name, SLICE("PILLION_")) || name.size == entry.size) {
			continue;
		}

		const struct row *row = row_of(name);

		if (row == NULL) {
			if (!is_known(name) && !injected(name)) {
				warn_unknown(report, name);
			}
			continue;
		}
		value = slice_from(entry, name.size + 1);
		snprintf(origin, sizeof(origin), "env %s", row->variable);
		if (value.size > 0 && convert(flags, row, value, origin, &err) < 0) {
			ASSERT(false && "variables have no form of their own");
		}
	}
}
