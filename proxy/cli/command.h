/*
 * command: what a verb's file sees: its parsed arguments, where to ask, how to print. The room's
 * own header.
 */
#ifndef PILLION_CLI_COMMAND_H
#define PILLION_CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/cli.h"

#define COMMAND_WORDS_MAX 64

enum command_output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_JSONL };

/* One run of the program; lives on the stack of run_row, whose arguments it borrows. */
struct command {
	const struct cli_setup *setup;
	const char *verb;
	const char *words[COMMAND_WORDS_MAX]; /* what is not a flag, in order */
	int word_count;
	char **flags; /* all arguments, for command_flag */
	int flag_count;
	const char *address; /* --addr or PILLION_ADMIN; NULL: search (AD-01) */
	const char *token_file;
	int timeout_ms;
	enum command_output output;
	bool quiet;
};

/* A flag. Lists of them end with a row without a name. */
struct command_option {
	const char *name;
	const char *value; /* what stands behind it; NULL: a switch */
	const char *help;
};

/* A verb: its function, how it is used, and which flags it takes beside the global ones. */
struct command_row {
	const char *verb;
	int (*run)(struct command *command);
	int words_max;
	const char *arguments;
	const char *help;
	const char *example;		      /* behind the verb */
	const struct command_option *options; /* NULL: none */
};
const struct command_row *command_rows(size_t *ret_count);
/* The flags that every verb takes (CL-02). */
const struct command_option *command_global_options(void);

/* `pillion help`, and the help of one verb, on standard output. */
void command_help(void);
void command_help_verb(const struct command_row *row);

/* The value of "--name VALUE" or "--name=VALUE", "" for a switch that is there, NULL when absent.
 * index: the n-th occurrence. */
const char *command_flag(const struct command *command, const char *name, int index);

/* An answer of the admin interface or of the outbound listener. */
struct answer {
	int status; /* 0: not reached */
	struct buf body;
	char address[256]; /* who answered */
	char reason[128];  /* x-pillion-reason's first item, or empty */
	char grpc_status[16];
	char error[256]; /* why not reached */
	unsigned code;	 /* its PIL number */
	char content_type[128];
};
void command_answer_fini(struct answer *answer);
/* Of a probe, not of a page that has the same path by chance. */
bool command_answer_is_ok(const struct answer *answer);

/*
 * Asks the sidecar: GET when body is NULL, else POST with that JSON. Exit code: CLI_DONE when an
 * answer came (whatever its status), CLI_NOT_REACHED after printing PIL4001. changes: several
 * sidecars found are PIL4003.
 */
int command_ask(struct command *command, const char *path, const char *body, bool changes,
	struct answer *ret_answer);
/* The same for one known address; no message is printed. */
bool command_ask_at(struct command *command, const char *address, const char *path,
	const char *body, struct answer *ret_answer);
/* All admin addresses that could be ours, in the order of AD-01; at most `most`. */
int command_addresses(const struct command *command, char (*ret_addresses)[256], int most);
/* A name as a part of a path or query, percent-encoded; "/" stays. What is longer than any name may
 * be is cut, and remains too long. Returns ret_text. */
#define COMMAND_NAME_MAX 800
#define COMMAND_PATH_MAX (2 * COMMAND_NAME_MAX + 100) /* with one or two of them */
const char *command_escape(const char *name, char ret_text[COMMAND_NAME_MAX]);
/* "127.0.0.1:7441" of the sidecar that would answer; empty when it has none. */
int command_outbound(struct command *command, char *ret_address, size_t size);

/* Appends all of the file, at most 16 MiB. False after a message; `name` is what it calls it. */
bool command_read(const char *verb, const char *name, FILE *file, struct buf *ret_data);

/* json or jsonl: an object is one line in both. */
bool command_wants_json(const struct command *command);
/* CL-05: three lines on standard error, or one JSON object with -o json. Returns `code`. */
int command_error(const struct command *command, int exit_code, unsigned pil, const char *message);
/* An answer with a status >= 400: prints its error; exit code by CL-04. */
int command_refused(const struct command *command, const struct answer *answer);

/* A column of a list: what stands above it, and which key of an element it shows. */
struct column {
	const char *title;
	const char *key;
	bool right; /* numbers */
	bool wide;  /* only with -o wide */
};
/* Prints `items` of a JSON answer in the wanted form (CL-03); other forms print the body itself. */
int command_print_list(const struct command *command, const struct answer *answer,
	const struct column *columns, size_t count);
/* One GET, one list. */
int command_list(
	struct command *command, const char *path, const struct column *columns, size_t count);

#endif
