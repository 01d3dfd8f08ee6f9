/* check: what a request brings along against what its route takes (operations.md AD-06): nothing
 * that nobody reads is accepted. Both answer the call and return false when it is refused. On
 * control's thread. */
#ifndef PILLION_ADMIN_CHECK_H
#define PILLION_ADMIN_CHECK_H

#include <stdbool.h>

struct admin_call;

bool check_query(struct admin_call *call);
/* Fills call->json with the object, an empty one where no body came. */
bool check_body(struct admin_call *call);

#endif
