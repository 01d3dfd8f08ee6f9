/* holder: which process listens on a taken address, when /proc allows to see it (operations.md
 * ZC-03). */
#ifndef PILLION_CONTROL_HOLDER_H
#define PILLION_CONTROL_HOLDER_H

#include "base/address.h"

#define HOLDER_TEXT_MAX 96

/* "nginx (pid 812)" into ret_text; false when it cannot be seen. */
bool holder_find(const struct address *address, char ret_text[HOLDER_TEXT_MAX]);

#endif
