/* explain: what a PIL number, a reason word or a key means, offline (operations.md 8, reasons.md).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/codes.h"
#include "cli/command.h"
#include "cli/verbs.h"
#include "config/schema.h"

/* RE-03: the word as clients, logs and metrics show it, with what its user can do. */
static int explain_reason(const struct reason_info *info)
{
	(void)printf("%s", info->word);
	if (info->pil) {
		(void)printf("   PIL%u", info->pil);
	}
	if (info->http) {
		(void)printf("   HTTP %d   gRPC %d   %s", info->http, info->grpc,
			info->outcome == OUTCOME_BY_PROGRESS ? "outcome by progress"
							     : outcome_word(info->outcome));
	}
	(void)printf("\nwhat:  %s\nfix:   %s\n", info->text, info->fix[0] ? info->fix : "-");
	return CLI_DONE;
}

/* Reasons have numbers too; they are looked up first, because their answer says more. False: there
 * is no such number. */
static bool explain_number(const char *digits)
{
	const struct reason_info *reason;
	const struct code_info *info;
	uint64_t number;

	if (!slice_parse_u64(slice_from_string(digits), 99999, &number)) {
		return false;
	}
	reason = reason_info_by_pil((unsigned)number);
	info = code_info((unsigned)number);
	if (reason) {
		(void)explain_reason(reason);
	} else if (info) {
		(void)printf("PIL%u   %s\ncause: %s\nfix:   %s\n", (unsigned)number, info->slug,
			info->cause, info->fix);
	}
	return reason || info;
}

/* CF-23: near misses among the words; numbers and keys have no neighbours worth showing. */
static int unknown(const char *word)
{
	const char *words[REASON_COUNT];
	int nearest;

	for (size_t i = 0; i < REASON_COUNT; i++) {
		words[i] = reason_word((enum reason)i);
	}
	nearest = config_nearest(slice_from_string(word), words, REASON_COUNT);
	(void)fprintf(stderr, "nothing is known about %s", word);
	if (nearest >= 0) {
		(void)fprintf(stderr, "; did you mean %s?", words[nearest]);
	}
	(void)fputc('\n', stderr);
	return CLI_FAILED;
}

/* Offline: a number, a word or a key of the configuration, whichever it is, so that whatever
 * stands in a log can be pasted here. */
int explain_run(struct command *command)
{
	const char *word = command->word_count > 0 ? command->words[0] : NULL;
	const char *digits;
	enum reason reason;
	struct buf text;
	int code;

	if (!word) {
		(void)fprintf(stderr, "usage: pillion explain CODE | WORD | KEY\n");
		return CLI_USAGE;
	}
	/* With or without the letters: logs have them, people leave them out. */
	digits = strncasecmp(word, "PIL", 3) == 0 ? word + 3 : word;
	if (isdigit((unsigned char)digits[0])) {
		if (explain_number(digits)) {
			return CLI_DONE;
		}
		(void)fprintf(stderr, "no such code: PIL%s\n", digits);
		return CLI_FAILED;
	}
	if (reason_from_word(slice_from_string(word), &reason)) {
		return explain_reason(reason_info(reason));
	}
	buf_init(&text);
	if (config_explain(word, &text)) {
		(void)fputs(buf_string(&text), stdout);
		code = CLI_DONE;
	} else {
		code = unknown(word);
	}
	buf_fini(&text);
	return code;
}
