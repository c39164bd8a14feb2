/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts as reports name them: "name:port", lower case, IPv6 in brackets,
 * foreign bytes made printable.  Nothing of a URL but its host and port ever
 * gets here.
 */
#ifndef GOSPECT_NET_HOST_H
#define GOSPECT_NET_HOST_H

#include <stddef.h>

#include "net/window.h"

/*
 * raw: the host of a URL, or an address that was dialled ("host", "host:port",
 * "::1", "[::1]:80", "/run/x.sock"), n foreign bytes.  port: what to add when
 * there is none ("443"), or NULL.  out gets at most WINDOW_MAX_HOST bytes and
 * a NUL; what is longer loses the end of its name, never its port.
 */
void net_host_format(const char *raw, size_t n, const char *port, char out[WINDOW_MAX_HOST + 1]);
/* "443" for https, "80" for http …; NULL when the scheme has none. */
const char *net_scheme_port(const char *scheme, size_t n);
/* The host of a whole URL ("http://user:pw@proxy:3128/x"), n foreign bytes: as net_host_format(). */
void net_host_of_url(const char *url, size_t n, char out[WINDOW_MAX_HOST + 1]);

/*
 * Replaces every host of the window by "host-xxxxxxxx:port": the same for the
 * same host and salt.  Without the salt a name cannot be tried out.
 */
void net_redact_host(char host[WINDOW_MAX_HOST + 1], const char *salt);
void net_redact_hosts(struct net_window *w, const char *salt);

#endif
