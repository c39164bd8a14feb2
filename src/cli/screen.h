/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live screen of `attach` on a terminal (ncurses).  Shows the latest
 * report; sorts, scrolls and pauses by itself.  Does not own the loop: the
 * caller polls screen_fd() and calls screen_poll_key() when it is readable.
 *
 * Curses writes to memory, and the caller's output from there to the terminal:
 * while that is stopped (Ctrl-S) no frame is drawn, and nobody waits.
 */
#ifndef GOSPECT_CLI_SCREEN_H
#define GOSPECT_CLI_SCREEN_H

#include "base/err.h"
#include "report/report.h"

struct screen;
struct output;

enum screen_action {
	SCREEN_NONE,   /* nothing for the caller to do */
	SCREEN_REDRAW, /* the view changed: call screen_redraw() */
	SCREEN_QUIT    /* 'q', or the terminal is gone */
};

/*
 * Takes over the terminal on stdout; keys come from stdin, or from /dev/tty
 * where stdin is no terminal.  -EOPNOTSUPP when there is none, or when it is of
 * a kind that curses does not know: the caller continues without a screen.
 */
int screen_open(struct screen **out, struct output *to, struct err *err);
/* Hands over what is shown, which no longer is; an empty one where there is none, or it stands still.
 * NULL is fine. */
struct report screen_take_report(struct screen *s);
/* Gives the terminal back as it was.  NULL is fine.  Call it before anything
 * else is printed, also on the way out after an error or a signal. */
void screen_close(struct screen *s);
/* The same for a while, and back. NULL is fine. */
void screen_leave(struct screen *s);
void screen_return(struct screen *s);
/* To poll for POLLIN. */
int screen_fd(const struct screen *s);
/*
 * Takes a report over and shows it (unless paused); *r is then empty.  Its
 * borrowed strings have to stay valid until the next screen_draw() or
 * screen_close().  Follows a changed size of the terminal.
 */
void screen_draw(struct screen *s, struct report *r);
/* The kept report again, after a key or a resize. */
void screen_redraw(struct screen *s);
/* What could not be drawn because the terminal took nothing; the output has just gone. */
void screen_catch_up(struct screen *s);
/* Reads all keys that are there. */
enum screen_action screen_poll_key(struct screen *s);

#endif
