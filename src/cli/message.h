/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said to people, on stderr: "gospect: …", then "hint: …". */
#ifndef GOSPECT_CLI_MESSAGE_H
#define GOSPECT_CLI_MESSAGE_H

struct err;

/* From now on a stderr that takes nothing holds nobody up: what does not go out in
 * a tenth of a second goes with the next message, or in msg_end(), or not at all. */
void msg_begin(void);
void msg_end(void);

void msg_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What is being done: one line on a terminal, which the next one and any message
 * replace; nothing elsewhere.  At most a few times a second, the first after a while. */
void msg_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_progress_end(void);
/* Says what is in e (and its hint), returns the exit status its code means. */
int msg_fail(const struct err *e);
/* The exit status that a negative errno means. */
int exit_status_of(int code);

#endif
