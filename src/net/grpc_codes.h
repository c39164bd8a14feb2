/* SPDX-License-Identifier: BSD-2-Clause */
/* gRPC's codes by name. */
#ifndef GOSPECT_NET_GRPC_CODES_H
#define GOSPECT_NET_GRPC_CODES_H

/* "Unavailable", as gRPC writes it; code is below NET_CODES.  Static. */
const char *net_grpc_code_name(int code);

#endif
