/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack maps of every function of an executable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prove/stackmap.h"
#include "prove_world.h"

static void maps_of_all_functions(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		struct stackmaps m;
		unsigned int described = 0, objects = 0;

		world_open(&w, releases[i]);
		stackmaps_init(&m, w.gb);
		for (int f = 0; f < pclntab_nfunc(w.gb->pcln); f++) {
			struct gofunc fn;
			uint32_t locals = 0;
			int32_t size = 0;

			assert_int_equal(pclntab_func_at(w.gb->pcln, (uint32_t)f, &fn), 0);
			for (uint64_t pc = fn.entry; pc < fn.end; pc += 41) {
				const struct framemap *fm = stackmaps_at(&m, pc);

				stackmaps_trim(&m);
				if (!fm || fm->no_locals)
					continue;
				described += fm->nlocals != 0;
				objects += fm->nobjects != 0;
				locals = fm->nlocals > locals ? fm->nlocals : locals;
				size = fm->size > size ? fm->size : size;
			}
			/* what is described fits into the frame, where it was seen set up */
			assert_true(!size || fn.end - fn.entry < 200 ||
				    8 * locals <= (uint32_t)size);
		}
		assert_true(described > 1000);
		assert_true(objects > 100);
		stackmaps_deinit(&m);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_of_all_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
