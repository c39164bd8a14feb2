/* SPDX-License-Identifier: BSD-2-Clause */
/* A program made here, byte by byte; and what names say: of releases, frames, modules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "gobin/gobin.h"
#include "gobin_open.h"
#include "tiny_elf.h"

static void assert_frame(const struct goframe *f, const char *function, const char *file, int line,
			 bool inlined)
{
	assert_string_equal(f->function, function);
	assert_string_equal(f->file, file);
	assert_int_equal(f->line, line);
	assert_int_equal(f->inlined, inlined);
}

static void check_tiny(int minor)
{
	struct goframe fr[8];
	struct gobin *gb;
	struct gofunc f;
	struct tiny t;
	char version[16];
	int32_t v;

	snprintf(version, sizeof(version), "go1.%d.3", minor);
	tiny_make(&t, minor, version, modinfo);
	gb = open_tiny(&t);
	assert_int_equal(gb->release.minor, minor);
	assert_int_equal(gb->release.patch, 3);
	assert_int_equal(gb->mod.addr, TINY_DATA);
	assert_int_equal(pclntab_nfunc(gb->pcln), TINY_NFUNC);

	/* leaf in helper in main: lines of the code, then of the calls */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x15, false, fr, 8), 3);
	assert_frame(&fr[0], "main.leaf", "main.go", 70, true);
	assert_frame(&fr[1], "main.helper", "main.go", 50, true);
	assert_frame(&fr[2], "main.main", "main.go", 11, false);
	assert_string_equal(fr[0].path, "/src/shop/main.go");
	/* again, from the cache, and cut to what there is room for */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x15, false, fr, 2), 2);
	assert_frame(&fr[1], "main.helper", "main.go", 50, true);
	/* a return address belongs to the call before it */
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x20, true, fr, 8), 2);
	assert_frame(&fr[0], "main.helper", "main.go", 51, true);
	assert_int_equal(pclntab_frames(gb->pcln, TINY_TEXT + 0x20, false, fr, 8), 1);
	assert_frame(&fr[0], "main.main", "main.go", 12, false);

	assert_int_equal(pclntab_frame_size(gb->pcln, TINY_TEXT, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pclntab_frame_size(gb->pcln, TINY_TEXT + 0x3b, &v), 0);
	assert_int_equal(v, 24);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 2, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 0, &v), 0);
	assert_int_equal(v, -1);
	assert_int_equal(pclntab_pcdata(gb->pcln, TINY_TEXT + 0x15, 9, &v), 0);
	assert_int_equal(v, -1);

	/* the body, not the wrapper of the same name before it */
	assert_int_equal(pclntab_find_name(gb->pcln, "runtime.newproc", &f), 0);
	assert_int_equal(f.entry, TINY_TEXT + 0xa0);
	assert_string_equal(gobin_start_name(gb, TINY_TEXT + 0x40), "main.body");
	assert_string_equal(gobin_start_name(gb, TINY_TEXT + 0x100), "main.target");
	assert_true(gobin_is_uncounted_start(gb, TINY_TEXT + 0x60));
	assert_int_equal(gobin_go_place(gb, TINY_TEXT + 0x20, &fr[0]), 0);
	assert_frame(&fr[0], "main.helper", "main.go", 51, true);
	gobin_free(gb);
}

static void test_tiny_program(void **state)
{
	(void)state;
	for (int minor = 18; minor <= 27; minor++)
		check_tiny(minor);
}

static void test_build_info_text(void **state)
{
	struct tiny t;
	struct gobin *gb;

	(void)state;
	tiny_make(&t, 24, "go1.24.1 X:rangefunc", modinfo);
	gb = open_tiny(&t);
	assert_string_equal(gb->build.version, "go1.24.1 X:rangefunc");
	assert_string_equal(gb->build.main_path, "shop.test/cmd/shop");
	assert_string_equal(gb->build.module, "shop.test");
	assert_string_equal(gb->build.module_version, "v1.2.3");
	assert_string_equal(gb->build.goexperiment, "rangefunc,x");
	assert_true(gb->build.race && gb->build.cgo && gb->build.no_optimize);
	gobin_free(gb);

	tiny_make(&t, 24, "go1.24.1", "path\tx\nmod\ta\033[31m\t(devel)\t\n");
	gb = open_tiny(&t);
	assert_string_equal(gb->build.module, "a?[31m"); /* nothing for the terminal */
	assert_string_equal(gb->build.module_version, "(devel)");
	assert_false(gb->build.race || gb->build.cgo || gb->build.no_optimize);
	gobin_free(gb);

	tiny_make(&t, 20, "unknown", "");
	gb = open_tiny(&t);
	assert_string_equal(gb->build.version, "unknown");
	assert_true(gb->build.present && gb->release_is_dated);
	assert_int_equal(gb->release.minor, 20); /* no function to date it by: the table's format */
	gobin_free(gb);

	tiny_make(&t, 19, "go1.27.4", ""); /* the table says otherwise */
	gb = open_tiny(&t);
	assert_true(gb->release_is_dated);
	assert_int_equal(gb->release.minor, 18);
	gobin_free(gb);
}

static void test_release_names(void **state)
{
	static const struct {
		const char *text;
		int err, minor, patch;
	} names[] = {
		{ "go1.26.8", 0, 26, 8 },
		{ "go1.20", 0, 20, 0 },
		{ "go1.21.0", 0, 21, 0 },
		{ "go1.27rc1", 0, 27, -1 },
		{ "go1.22beta2", 0, 22, -1 },
		{ "devel go1.28-abcdef Tue Jan 1", 0, 28, -1 },
		{ "go1.24.3 X:nocoverageredesign", 0, 24, 3 },
		{ "go1.22.5 (Red Hat 1.22.5-1.el9)", 0, 22, 5 },
		{ "go1.27-devel_abc", 0, 27, -1 },
		{ "go1.26.4-custom", 0, 26, 4 },
		{ "unknown", -EINVAL, 0, -1 },
		{ "", -EINVAL, 0, -1 },
		{ "go2.1", -EINVAL, 0, -1 },
		{ "go1.", -EINVAL, 0, -1 },
		{ "devel +abc", -EINVAL, 0, -1 },
		{ "go1.99999999999", -EINVAL, 0, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct go_release r;

		if (go_release_parse(names[i].text, &r) != names[i].err ||
		    r.minor != names[i].minor || r.patch != names[i].patch)
			fail_msg("'%s': 1.%d.%d", names[i].text, r.minor, r.patch);
	}
}

static void test_frame_classes(void **state)
{
	static const struct {
		const char *function;
		bool runtime, std;
	} frames[] = {
		{ "runtime.gopark", true, true },
		{ "internal/runtime/maps.(*Map).Get", true, true },
		{ "type:.eq.main.T", true, true },
		{ "net/http.(*Server).Serve", false, true },
		{ "fmt.Println", false, true },
		{ "sync.(*Mutex).Lock", false, true },
		{ "slices.SortFunc[...]", false, true },
		{ "vendor/golang.org/x/net/idna.f", false, true },
		{ "main.main", false, false },
		{ "main.f[go.shape.int]", false, false },
		{ "shop/internal/db.Query", false, false },
		{ "go.uber.org/zap.New", false, false },
		{ "github.com/a/b.F", false, false },
		{ "network/http.F", false, false },
		{ "gopkg.in/yaml%2ev3.Unmarshal", false, false },
		{ "runtime/debug.Stack", false, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		struct goframe f = { .function = frames[i].function };

		if (goframe_is_runtime(&f) != frames[i].runtime ||
		    goframe_is_std(&f) != frames[i].std)
			fail_msg("%s", f.function);
	}
}

static void test_whose_frame(void **state)
{
	static const char own[] = "github.com/a/b.go/v2";
	static const struct {
		const char *function, *path;
		enum frame_of of;
	} frames[] = {
		{ "runtime.gopark", "", FRAME_RUNTIME },
		{ "internal/poll.(*FD).Read", "", FRAME_INSIDE },
		{ "sync.(*WaitGroup).Go.func1", "", FRAME_INSIDE },
		{ "bytes.growSlice", "", FRAME_STD },
		{ "golang.org/x/net/http2.(*Transport).RoundTrip", "", FRAME_STD },
		{ "golang.org/x/net/http2x.F", "", FRAME_PLUMBING },
		{ "vendor/golang.org/x/net/idna.f", "", FRAME_STD },
		{ "golang.org/x/sync/errgroup.(*Group).Go", "", FRAME_PLUMBING },
		{ "google.golang.org/grpc.newClientStream", "", FRAME_PLUMBING },
		{ "github.com/a/b.go/v2.F", "x/f.go", FRAME_OWN },
		{ "github.com/a/b.go/v2/c%2ed.F", "x/f.go", FRAME_OWN },
		{ "github.com/a/b.go/v2/api.(*client).Get", "x/api.pb.go", FRAME_PLUMBING },
		{ "github.com/a/b.go/v22.F", "x/f.go", FRAME_LIBRARY },
		{ "github.com/a/b.go/v2/vendor/github.com/c/d.F", "", FRAME_LIBRARY },
		{ "github.com/c/d.F", "", FRAME_LIBRARY },
		{ "main.main", NULL, FRAME_OWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		if (frame_of(frames[i].function, frames[i].path, own) != frames[i].of)
			fail_msg("%s: %d", frames[i].function,
				 frame_of(frames[i].function, frames[i].path, own));
	assert_int_equal(frame_of("gopkg.in/yaml%2ev3.F", "", "gopkg.in/yaml.v3"), FRAME_OWN);
	assert_int_equal(frame_of("shop.F", "", NULL), FRAME_LIBRARY);
}

/* Stacks by a letter a frame, innermost first: r(untime), i(nside), s(td), p(lumbing),
 * l(ibrary), o(wn).  The answer in the same letters, by index. */
static void test_which_frame(void **state)
{
	static const struct {
		const char *stack;
		int user, any, inside, inside_std;
	} t[] = {
		{ "rrssoor", 4, 4, -1, 2 }, /* bytes.growSlice under main.load */
		{ "rislsor", 5, 5, 3, 3 },  /* a library counts more than what it uses */
		{ "rplpor", 4, 4, 1, 1 },   /* grpc, a client of it, its caller */
		{ "rsplsr", 3, 3, 2, 2 },   /* nothing of its own */
		{ "rspsr", 2, 2, -1, 1 },   /* but what passes calls on */
		{ "rissr", -1, 3, -1, 2 },  /* the outermost of the standard library */
		{ "riir", -1, 2, -1, -1 },  /* and of its inside */
		{ "rrr", -1, -1, -1, -1 },  { "", -1, -1, -1, -1 },
		{ "oslo", 0, 0, -1, -1 }, /* what it has called, not what called it */
	};
	static const char kinds[] = "?risplo";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct frame_pick p = { 0 };
		int any;

		for (int k = 0; t[i].stack[k]; k++)
			frame_pick_add(&p, (enum frame_of)(strchr(kinds, t[i].stack[k]) - kinds),
				       k);
		any = frame_pick_any(&p);
		if (frame_pick_user(&p) != t[i].user || any != t[i].any ||
		    frame_pick_inside(&p, any, false) != t[i].inside ||
		    frame_pick_inside(&p, any, true) != t[i].inside_std)
			fail_msg("%s: %d %d %d %d", t[i].stack, frame_pick_user(&p), any,
				 frame_pick_inside(&p, any, false),
				 frame_pick_inside(&p, any, true));
	}
}

static void test_own_module(void **state)
{
	static const struct {
		struct buildinfo build;
		const char *own;
	} t[] = {
		{ { .module = "example.org/shop", .main_path = "example.org/shop/cmd/x" },
		  "example.org/shop" },
		/* without modules, as distributions build */
		{ { .main_path = "github.com/a/b/cmd/c" }, "github.com/a/b" },
		{ { .main_path = "github.com/a/b" }, "github.com/a/b" },
		{ { .main_path = "go.example.org/x/cmd/c" }, "go.example.org/x" },
		{ { .main_path = "command-line-arguments" }, "" },
		{ { .module = "log" }, "" },
		{ { .module = "shop" }, "shop" },
		{ { .main_path = "" }, "" },
	};
	char own[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		frames_own(&t[i].build, own, sizeof(own));
		assert_string_equal(own, t[i].own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny_program),  cmocka_unit_test(test_build_info_text),
		cmocka_unit_test(test_release_names), cmocka_unit_test(test_frame_classes),
		cmocka_unit_test(test_whose_frame),   cmocka_unit_test(test_which_frame),
		cmocka_unit_test(test_own_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
