#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_clear(struct err *err)
{
	ASSERT(err != NULL);
	err->code = 0;
	err->line = 0;
	err->column = 0;
	err->file[0] = '\0';
	err->text[0] = '\0';
}

void err_set(struct err *err, unsigned code, const char *format, ...)
{
	va_list arguments;

	if (err == NULL) {
		return;
	}
	ASSERT(code > 0);
	err_clear(err);
	err->code = code;
	va_start(arguments, format);
	/* A text that is too long is cut: it is for people. */
	(void)vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
}

/* Built aside, since the old text is a part of the new one. */
void err_prefix(struct err *err, const char *format, ...)
{
	char text[sizeof(err->text)];
	va_list arguments;
	int used;

	if (err == NULL) {
		return;
	}
	va_start(arguments, format);
	used = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ASSERT(used >= 0);
	/* Nothing of the old text fits behind a prefix as long as the field. */
	if ((size_t)used < sizeof(text)) {
		size_t room = sizeof(text) - (size_t)used;
		size_t rest = strlen(err->text);

		(void)snprintf(text + used, room, ": ");
		if (room > 3) {
			rest = rest < room - 3 ? rest : room - 3;
			memcpy(text + used + 2, err->text, rest);
			text[(size_t)used + 2 + rest] = '\0';
		}
	}
	memcpy(err->text, text, sizeof(text));
}
