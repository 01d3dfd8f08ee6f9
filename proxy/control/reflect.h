/*
 * reflect: one refresh of the application's schema by gRPC server reflection (codec.md RF-01..03):
 * v1, then v1alpha, over an in-process call to the application on one worker. Files are gathered
 * there and handed back whole. Bounded by 10 s, 16 MiB, 4,096 files and requests.
 */
#ifndef PILLION_CONTROL_REFLECT_H
#define PILLION_CONTROL_REFLECT_H

#include <stdbool.h>

struct control;
struct descriptor_builder;

struct reflect_result {
	bool answered; /* the application speaks reflection */
	bool complete; /* every asked file came */
	/* Not yet built; the receiver's. NULL when nothing came. */
	struct descriptor_builder *builder;
	char detail[160]; /* why not, for the log */
};

/* done runs once on control's thread; the result is valid during the call but for the builder. */
void reflect_start(struct control *control,
	void (*done)(struct control *control, struct reflect_result *result));

#endif
