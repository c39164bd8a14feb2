/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/screen.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/screen_view.h"
#include "base/text.h"

#define ESCAPE_DELAY_MS 25 /* of a lone Esc; arrow keys begin with one */
#define FRAME_MAX       (1u << 20)
#define LEAVE_NS        (300 * NS_PER_MS) /* for the last bytes of a screen */

struct screen {
	SCREEN *term;
	struct output *out; /* borrowed: the terminal */
	FILE *memory;       /* what curses writes to */
	struct buf frame;
	bool behind; /* a frame is to be drawn when the output has gone */
	FILE *keys;  /* stdin, or /dev/tty: then owned */
	bool owns_keys;
	struct termios before; /* the modes of the terminal */
	bool utf8;             /* the terminal's locale can show more than ASCII */
	struct screen_state state;
	struct screen_view view;
	/* the report on the screen; arrays owned, strings borrowed */
	bool has_report;
	struct report report;
};

static int open_keys(struct screen *s, struct err *err)
{
	if (isatty(STDIN_FILENO)) {
		s->keys = stdin;
		return 0;
	}
	s->keys = fopen("/dev/tty", "re");
	s->owns_keys = s->keys != NULL;
	if (!s->keys)
		return err_set(err, -EOPNOTSUPP, "cannot read keys from the terminal: %s",
			       strerror(errno));
	return 0;
}

static void init_colors(void)
{
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && no_color[0]) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(STYLE_BAD, COLOR_RED, -1);
	init_pair(STYLE_WARN, COLOR_YELLOW, -1);
	init_pair(STYLE_NOTE, COLOR_CYAN, -1);
}

/* Curses cannot: what it writes to is no terminal. */
static void key_modes(struct screen *s)
{
	struct termios m = s->before;

	m.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	m.c_iflag &= ~(tcflag_t)ICRNL;
	m.c_oflag &= ~(tcflag_t)ONLCR;
	m.c_cc[VMIN] = 1;
	m.c_cc[VTIME] = 0;
	tcsetattr(STDOUT_FILENO, TCSANOW, &m);
}

/* Takes what curses has written. */
static void take_frame(struct screen *s)
{
	int fd = fileno(s->memory);
	off_t size = lseek(fd, 0, SEEK_CUR);
	char *p = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p != MAP_FAILED) {
		buf_add(&s->frame, p, (size_t)size);
		munmap(p, (size_t)size);
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || ftruncate(fd, 0))
		s->frame.err = -errno;
}

/* newterm() writes to the descriptor of a stream. */
static int open_memory(struct screen *s)
{
	int fd = memfd_create("screen", MFD_CLOEXEC);

	s->memory = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!s->memory && fd >= 0)
		close(fd);
	return s->memory ? 0 : -errno;
}

static void begin_curses(void)
{
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_DELAY_MS);
	curs_set(0);
	init_colors();
}

int screen_open(struct screen **out, struct output *to, struct err *err)
{
	struct screen *s = calloc(1, sizeof(*s));
	const char *type = getenv("TERM");
	struct sigaction stop;
	int r;

	*out = NULL;
	if (!s)
		return err_set(err, -ENOMEM, "no memory for the screen");
	s->out = to;
	screen_view_init(&s->view);
	buf_init(&s->frame, FRAME_MAX);
	setlocale(LC_CTYPE, "");
	s->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	r = open_keys(s, err);
	if (!r && (open_memory(s) || tcgetattr(STDOUT_FILENO, &s->before)))
		r = err_set(err, -EOPNOTSUPP, "no memory for the screen");
	if (r)
		goto fail;
	/* not initscr(), which ends the process when it fails */
	sigaction(SIGTSTP, NULL, &stop);
	s->term = newterm(NULL, s->memory, s->keys);
	sigaction(SIGTSTP, &stop, NULL); /* curses would stop by itself */
	if (!s->term) {
		r = err_set(err, -EOPNOTSUPP, "unknown terminal type '%s'", type ? type : "");
		goto fail;
	}
	key_modes(s);
	begin_curses();
	*out = s;
	return 0;
fail:
	screen_close(s);
	return r;
}

void screen_leave(struct screen *s)
{
	struct patience brief = { .ns = LEAVE_NS, .signal_fd = -1 };

	if (!s || !s->term)
		return;
	tcsetattr(STDOUT_FILENO, TCSANOW, &s->before);
	endwin();
	take_frame(s);
	if (sink_wait(s->out->sink, &brief) == -ETIMEDOUT)
		return;
	output_begin(s->out, &s->frame);
	sink_wait(s->out->sink, &brief);
}

void screen_return(struct screen *s)
{
	if (!s)
		return;
	key_modes(s);
	clearok(curscr, TRUE);
	screen_redraw(s);
}

void screen_close(struct screen *s)
{
	if (!s)
		return;
	screen_leave(s);
	if (s->term)
		delscreen(s->term);
	if (s->memory)
		fclose(s->memory);
	if (s->owns_keys)
		fclose(s->keys);
	report_deinit(&s->report);
	screen_view_deinit(&s->view);
	buf_deinit(&s->frame);
	free(s);
}

int screen_fd(const struct screen *s)
{
	return fileno(s->keys);
}

/* SIGWINCH only sets a flag that the next key would find: ask the terminal. */
static void follow_size(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col &&
	    is_term_resized(size.ws_row, size.ws_col))
		resizeterm(size.ws_row, size.ws_col);
}

static attr_t attributes(enum screen_style style)
{
	switch (style) {
	case STYLE_TITLE:
	case STYLE_KEYS:
		return A_REVERSE;
	case STYLE_HEAD:
		return A_UNDERLINE;
	case STYLE_DIM:
		return A_DIM;
	case STYLE_BAD:
	case STYLE_WARN:
	case STYLE_NOTE:
		return A_BOLD | (has_colors() ? (attr_t)COLOR_PAIR(style) : 0);
	case STYLE_PLAIN:
		break;
	}
	return A_NORMAL;
}

/* Where the locale knows only ASCII: a stand-in for each character. */
static void to_ascii(const char *text, char *out, size_t size)
{
	size_t n = 0;
	int32_t code;

	while (*text && n + 1 < size) {
		text += utf8_next(text, &code);
		out[n++] = code >= ' ' && code < 0x7f ? (char)code
			   : code == 0x2026           ? '.'
			   : code == 0xb5             ? 'u'
						      : '?';
	}
	out[n] = '\0';
}

static void paint_line(const struct screen *s, int y, const struct screen_line *line)
{
	const char *text = s->view.text.data + line->start;
	char ascii[4096];

	if (!s->utf8) {
		to_ascii(text, ascii, sizeof(ascii));
		text = ascii;
	}
	attrset((int)attributes(line->style));
	if (line->style == STYLE_TITLE || line->style == STYLE_KEYS)
		mvhline(y, 0, ' ', COLS);
	mvaddstr(y, 0, text);
	attrset(A_NORMAL);
}

void screen_redraw(struct screen *s)
{
	if (!s->has_report)
		return;
	s->behind = sink_busy(s->out->sink);
	if (s->behind)
		return;
	follow_size();
	screen_view_make(&s->view, &s->report, &s->state, COLS, LINES);
	erase();
	for (int i = 0; i < s->view.nline; i++) {
		bool keys = s->view.line[i].style == STYLE_KEYS;

		paint_line(s, keys ? LINES - 1 : i, &s->view.line[i]);
	}
	refresh();
	take_frame(s);
	output_begin(s->out, &s->frame);
}

void screen_catch_up(struct screen *s)
{
	if (s->behind)
		screen_redraw(s);
}

void screen_draw(struct screen *s, struct report *r)
{
	struct report old = report_move(s->state.paused && s->has_report ? r : &s->report);

	if (!s->state.paused || !s->has_report)
		s->report = report_move(r);
	report_deinit(&old);
	s->has_report = true;
	screen_redraw(s);
}

struct report screen_take_report(struct screen *s)
{
	struct report none = { 0 };

	if (!s || !s->has_report || s->state.paused)
		return none;
	s->has_report = false;
	return report_move(&s->report);
}

static enum screen_action on_letter(struct screen *s, int key)
{
	static const char sorts[] = "lbdan"; /* as enum screen_sort has them */
	const char *sort = key > 0 && key < 128 ? strchr(sorts, key) : NULL;

	if (sort) {
		s->state.sort = (enum screen_sort)(sort - sorts);
		s->state.scroll = 0;
		return SCREEN_REDRAW;
	}
	switch (key) {
	case 'q':
	case 'Q':
		return SCREEN_QUIT;
	case 'p':
	case ' ':
		s->state.paused = !s->state.paused;
		break;
	case 'f':
		s->state.details = !s->state.details;
		break;
	case '?':
	case 'h':
		s->state.help = !s->state.help;
		break;
	case '\x0c': /* Ctrl-L: the terminal was written over */
		clearok(curscr, TRUE);
		break;
	default:
		return SCREEN_NONE;
	}
	return SCREEN_REDRAW;
}

static enum screen_action on_key(struct screen *s, int key)
{
	int page = s->state.rows_shown > 1 ? s->state.rows_shown : 1;

	switch (key) {
	case KEY_RESIZE:
		break;
	case KEY_UP:
		s->state.scroll--;
		break;
	case KEY_DOWN:
		s->state.scroll++;
		break;
	case KEY_PPAGE:
		s->state.scroll -= page;
		break;
	case KEY_NPAGE:
		s->state.scroll += page;
		break;
	case KEY_HOME:
		s->state.scroll = 0;
		break;
	case KEY_END:
		s->state.scroll = s->has_report ? s->report.window.goroutines->nsite : 0;
		break;
	default:
		return on_letter(s, key);
	}
	return SCREEN_REDRAW; /* which puts scroll into range */
}

static bool terminal_is_gone(const struct screen *s)
{
	struct pollfd p = { .fd = screen_fd(s), .events = POLLIN };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

enum screen_action screen_poll_key(struct screen *s)
{
	enum screen_action all = SCREEN_NONE, one;
	int key;

	if (terminal_is_gone(s))
		return SCREEN_QUIT;
	while ((key = getch()) != ERR) {
		one = on_key(s, key);
		if (one == SCREEN_QUIT)
			return one;
		if (one == SCREEN_REDRAW)
			all = one;
	}
	return all;
}
