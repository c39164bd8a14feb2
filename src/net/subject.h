/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_SUBJECT_H
#define GOSPECT_NET_SUBJECT_H

#include "model/subject.h"
#include "net/window.h"

extern const struct subject net_subject;

/* Its detectors, one file each. */
extern const struct detector grpc_no_timeout_detector, no_timeout_detector;
extern const struct detector silent_connection_detector;
extern const struct detector resolver_detector;
extern const struct detector slow_phase_detector;
extern const struct detector failing_phase_detector, grpc_failing_detector;
extern const struct detector connection_leak_detector, lost_slot_detector;
extern const struct detector dead_connection_detector, lookup_hangs_detector;
extern const struct detector connection_churn_detector;
extern const struct detector server_no_timeout_detector;

/* Whether a request without any limit, whose body is not being read, hangs after so long: nothing
 * else decides that.  p99_ns: of the calls of its place that came back; 0 not known. */
bool no_timeout_hangs(double age_s, uint64_t p99_ns);
/* Whether a connection hangs that has waited for its request's bytes for so long. */
bool server_no_timeout_hangs(double age_s);
/* Whether there will be a finding of connection-leak. */
bool connection_leak_found(const struct window *w);
/* Whether none of these dials gets through, and callers have given up: no phase that is slow. */
bool net_dials_fail(const struct net_window *n, const struct net_dial_row *d);
/* Whether there is a finding of the look-ups of many hosts: none of each of them besides. */
bool net_resolver_is_slow(const struct window *w);
/* Whether calls to a host fail there: no phase that is slow either. */
bool net_calls_fail(const struct net_window *n, const char *host, int phase);
/* What those in flight to a host, of one place or (NULL) of all, wait for in that phase, as evidence:
 * most of them. */
enum net_waits net_say_waits(struct finding *f, const struct net_window *n, const char *host,
			     int phase, const struct place *at);
/* Likewise, where most of so many that are stuck in that phase are on one HTTP/2 connection on which
 * nothing has come for long, and that nobody checks: what helps; NULL: it is not so. */
const char *net_say_silent(struct finding *f, const struct net_window *n, const char *host,
			   int phase, uint64_t stuck);
/* NULL: nothing particular. */
const char *net_advice_for(enum net_waits w);
/* What requests to that host that are being written wait for, where looks have seen it: advice
 * (static; NULL: not known), and a line of evidence. */
const char *net_upload_advice(const struct net_window *n, const char *host);
void net_upload_evidence(struct finding *f, const struct net_window *n, const char *host);
/* Whether there is a finding of that phase already. */
bool slow_phase_found(const struct findings *fs, const char *host, enum net_phase phase);

#endif
