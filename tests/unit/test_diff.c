/* SPDX-License-Identifier: BSD-2-Clause */
/* Two reports compared. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "observe/detect.h"
#include "report/report.h"
#include "save_report.h"
#include "snapshot_window.h"

static void reports_compared(void **state)
{
	struct fixture f;
	struct buf a, out;
	struct err err = { 0 };

	(void)state;
	set_up(&f);
	buf_init(&a, 1 << 20);
	buf_init(&out, 1 << 20);
	save_report(&f.r, &a);
	f.group[0].count = 2000;
	f.heap[0].in_use_bytes = 40 << 20;
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	detect_all(&f.r.window, &f.r.findings);
	save_report(&f.r, &f.out);
	assert_int_equal(report_diff(a.data, a.len, f.out.data, f.out.len, 100, &out, &err), 0);
	has(out.data, "appeared    high goroutine-leak: 1,204 goroutines");
	has(out.data, "grew   1,204  2,000  +796  chan receive at main.inner work.go:57");
	has(out.data, "grew  20.0 MiB  40.0 MiB  +20.0 MiB  main.keep keep.go:50");
	assert_int_equal(report_diff(a.data, a.len - 40, f.out.data, f.out.len, 100, &out, &err),
			 -EBADMSG);
	assert_int_equal(report_diff("{}", 2, f.out.data, f.out.len, 100, &out, &err), -EBADMSG);
	assert_int_equal(report_diff("", 0, "", 0, 100, &out, &err), -EBADMSG);
	buf_deinit(&a);
	buf_deinit(&out);
	tear_down(&f);
}

/* A stack is named by its first frame of the program's own, as in the report. */
static void stacks_compared(void **state)
{
#define ONE(COUNT)                                                                            \
	"{\"schema\":\"gospect.report/1\",\"goroutines\":{\"groups\":[{\"reason\":\"sleep\"," \
	"\"count\":" COUNT ",\"stack\":[{\"function\":\"time.Sleep\",\"file\":\"time.go\","   \
	"\"line\":363},{\"function\":\"main.reply\",\"file\":\"main.go\",\"line\":70}]}]}}"
	static const char a[] = ONE("6"), b[] = ONE("60");
	struct err err = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(report_diff(a, strlen(a), b, strlen(b), 100, &out, &err), 0);
	has(out.data, "grew       6     60  +54  sleep at main.reply main.go:70");
	buf_deinit(&out);
#undef ONE
}

/* The number from before is in the unit of the title, and not of how long each was watched. */
static void findings_compared(void **state)
{
#define ONE(COUNT, PER_S)                                                                    \
	"{\"schema\":\"gospect.report/1\",\"findings\":[{\"id\":\"alloc:x\",\"kind\":"       \
	"\"large-allocation\",\"severity\":\"low\",\"title\":\"it allocates\",\"numbers\":{" \
	"\"count\":" COUNT ",\"bytes_per_s\":" PER_S "}}]}"
	static const char a[] = ONE("1000", "104857600"), b[] = ONE("200", "209715200");
	struct err err = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(report_diff(a, strlen(a), b, strlen(b), 100, &out, &err), 0);
	has(out.data, "grew        low large-allocation: it allocates (was 100.0 MiB/s)");
	buf_deinit(&out);
#undef ONE
}

/* As many in ten times the time are a tenth. */
static void counts_of_windows_are_compared_by_rate(void **state)
{
#define ONE(KIND, SECONDS, NAME, N)                                                              \
	"{\"schema\":\"gospect.report/1\",\"window_s\":" SECONDS ",\"findings\":[{\"id\":\"x\"," \
	"\"kind\":\"" KIND "\",\"severity\":\"low\",\"title\":\"it is so\",\"numbers\":{\"" NAME \
	"\":" N "}}]}"
	static const struct {
		const char *a, *b, *says;
	} of[] = {
		{ ONE("slow-phase", "5", "count", "100"), ONE("slow-phase", "50", "count", "1010"),
		  "still there low slow-phase: it is so" },
		{ ONE("slow-phase", "5", "count", "100"), ONE("slow-phase", "50", "count", "100"),
		  "shrank      low slow-phase: it is so (was 20/s)" },
		{ ONE("failing-phase", "10", "errors", "3"),
		  ONE("failing-phase", "5", "errors", "3"),
		  "grew        low failing-phase: it is so (was 0.3/s)" },
		{ ONE("gc-pressure", "0", "count", "3"), ONE("gc-pressure", "5", "count", "9"),
		  "still there low gc-pressure: it is so" },
		/* a state, and no count of the window */
		{ ONE("goroutine-leak", "5", "count", "100"),
		  ONE("goroutine-leak", "50", "count", "110"),
		  "grew        low goroutine-leak: it is so (was 100)" },
	};
	struct err err = { 0 };
	struct buf out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		buf_init(&out, 1 << 20);
		assert_int_equal(report_diff(of[i].a, strlen(of[i].a), of[i].b, strlen(of[i].b),
					     100, &out, &err),
				 0);
		has(out.data, of[i].says);
		buf_deinit(&out);
	}
#undef ONE
}

#define CPU_REPORT(SAMPLES, FUNCTIONS)                                                      \
	"{\"schema\":\"gospect.report/1\",\"findings\":[],\"cpu\":{\"with_stack\":" SAMPLES \
	",\"functions\":[" FUNCTIONS "]}}\n"
#define FN(NAME, LINE, PCT) \
	"{\"function\":\"" NAME "\",\"file\":\"a.go\",\"line\":" LINE ",\"flat_pct\":" PCT "},"
#define REST(PCT) "{\"other\":true,\"flat_pct\":" PCT "}"

/* By function, whatever the line; not what so few samples cannot say; and who is not among those
 * listed has less than these, which is not none. */
static void shares_are_compared(void **state)
{
	static const char a[] =
		CPU_REPORT("1000",
			   FN("main.hot", "3", "40") FN("main.same", "9", "20")
				   FN("main.gone", "5", "30") FN("main.last", "6", "8") REST("2"));
	static const char b[] =
		CPU_REPORT("2000",
			   FN("main.hot", "4", "60") FN("main.same", "8", "22")
				   FN("main.came", "7", "14") FN("main.few", "7", "3") REST("1"));
	static const char few[] =
		CPU_REPORT("10", FN("main.hot", "4", "60") FN("main.same", "8", "40") "{}");
	struct err err = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1u << 20);
	assert_int_equal(report_diff(a, strlen(a), b, strlen(b), 100, &out, &err), 0);
	assert_non_null(
		strstr(out.data, "in itself (shares of 1000 and 2000 samples): 4 of 6 changed"));
	has(out.data, "grew     40.0%   60.0%  +20.0%  main.hot a.go:4");
	has(out.data, "grew    < 2.0%   14.0%  +12.0%  main.came");
	has(out.data, "shrank   30.0%  < 1.0%  -29.0%  main.gone");
	has(out.data, "main.last");
	assert_null(strstr(out.data, "main.same"));
	assert_null(strstr(out.data, "main.few"));
	buf_reset(&out);
	assert_int_equal(report_diff(a, strlen(a), few, strlen(few), 100, &out, &err), 0);
	has(out.data, "1000 and 10 samples");
	assert_null(strstr(out.data, "main.hot"));
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_of_windows_are_compared_by_rate),
		cmocka_unit_test(reports_compared),
		cmocka_unit_test(stacks_compared),
		cmocka_unit_test(findings_compared),
		cmocka_unit_test(shares_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
