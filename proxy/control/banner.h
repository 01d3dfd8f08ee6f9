/* banner: what a person sees at the start: at most six lines on a terminal (operations.md ZC-05).
 */
#ifndef PILLION_CONTROL_BANNER_H
#define PILLION_CONTROL_BANNER_H

struct control;

/* On standard error: the banner on a terminal, else one JSON line `started`. */
void banner_print(const struct control *control);

#endif
