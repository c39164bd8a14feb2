/* SPDX-License-Identifier: BSD-2-Clause */
/* What could not be read is never exact: also of a sensor that was added later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/vec.h"
#include "model/losses.h"
#include "plan/plan.h"

static const enum sensor sensor_of[PROBE_COUNT] = {
#define PROBE(id, name, sensor, ...) [PROBE_##id] = SENSOR_##sensor,
#include "gospect/probes.def"
};

static void counts_that_were_not_read_are_not_exact(void **state)
{
	static const enum loss of_probes[] = { LOSS_READINGS, LOSS_SLICES };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of_probes); i++) {
		struct losses l = { 0 };
		uint32_t probed = 0;

		for (int p = 0; p < PROBE_COUNT; p++)
			probed |= SENSOR_BIT(sensor_of[p]);
		for (int s = 0; s < SENSOR_COUNT; s++)
			assert_false(losses_of_counts(&l, (enum sensor)s));
		lose(&l, of_probes[i], 1);
		for (int s = 0; s < SENSOR_COUNT; s++)
			assert_int_equal(losses_of_counts(&l, (enum sensor)s),
					 (probed & SENSOR_BIT(s)) != 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_that_were_not_read_are_not_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
