/* SPDX-License-Identifier: BSD-2-Clause */
/* What the types of an error mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "gospect/abi.h"
#include "net/failures.h"

#define TYPES(a, b, c) \
	((uint64_t)ERRTYPE_##a << 16 | (uint64_t)ERRTYPE_##b << 8 | (uint64_t)ERRTYPE_##c)

static void the_innermost_says_it(void **state)
{
	(void)state;
	assert_int_equal(net_failure_of(TYPES(NET_OP, SYSCALL, ERRNO), ECONNREFUSED),
			 NET_FAILURE_REFUSED);
	assert_int_equal(net_failure_of(TYPES(NET_OP, SYSCALL, ERRNO), ECONNRESET),
			 NET_FAILURE_RESET);
	assert_int_equal(net_failure_of(TYPES(NONE, FROM_SERVER, EOF), 0), NET_FAILURE_EOF);
	assert_int_equal(net_failure_of(TYPES(NONE, NET_OP, POLL_CLOSED), 0), NET_FAILURE_CLOSED);
	assert_int_equal(net_failure_of(TYPES(NONE, NET_OP, OTHER), 0), NET_FAILURE_OTHER);
	assert_int_equal(net_failure_of(0, 0), NET_FAILURE_OTHER);
	assert_int_equal(net_failure_of(TYPES(NONE, CERT_VERIFICATION, OTHER), 0),
			 NET_FAILURE_CERTIFICATE);
}

static void look_ups_have_flags(void **state)
{
	(void)state;
	assert_int_equal(net_failure_of(TYPES(NONE, NET_OP, DNS), 0x010000), NET_FAILURE_NOT_FOUND);
	assert_int_equal(net_failure_of(TYPES(NONE, NET_OP, DNS), 0x000101), NET_FAILURE_TIMEOUT);
	assert_int_equal(net_failure_of(TYPES(NONE, NET_OP, DNS), 0x000100), NET_FAILURE_DNS);
	assert_int_equal(net_failure_of(TYPES(NET_OP, DNS, CANCELED_DIAL), 0),
			 NET_FAILURE_CANCELLED);
	assert_int_equal(net_failure_phase(TYPES(NONE, NET_OP, DNS), 0x000101), NET_DNS);
}

static void some_come_from_one_phase_alone(void **state)
{
	(void)state;
	assert_int_equal(net_failure_phase(TYPES(NET_OP, SYSCALL, ERRNO), ECONNREFUSED),
			 NET_CONNECT);
	assert_int_equal(net_failure_phase(TYPES(NONE, NONE, X509_HOSTNAME), 0), NET_TLS);
	assert_int_equal(net_failure_phase(TYPES(NONE, NONE, TLS_TIMEOUT), 0), NET_TLS);
	assert_int_equal(net_failure_phase(TYPES(NONE, NONE, HTTP_TIMEOUT), 0), -1);
}

static void all_have_words_and_advice(void **state)
{
	(void)state;
	for (int i = 0; i < NET_FAILURES; i++) {
		assert_non_null(net_failure_names[i]);
		assert_non_null(net_failure_words((enum net_failure)i));
		assert_non_null(net_failure_advice((enum net_failure)i, -1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_innermost_says_it),
		cmocka_unit_test(look_ups_have_flags),
		cmocka_unit_test(some_come_from_one_phase_alone),
		cmocka_unit_test(all_have_words_and_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
