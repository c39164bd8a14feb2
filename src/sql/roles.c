/* SPDX-License-Identifier: BSD-2-Clause */
/* What goroutines do in database/sql, by the functions on their stacks. */
#include "sql/priv.h"

#include "gort/goslots.h"

#define MAX_FRAMES 128 /* of one stack that are looked at */

static const struct {
	const char *function;
	unsigned int word;
} roles[ROLE_COUNT] = {
	[ROLE_OPENER] = { "database/sql.(*DB).connectionOpener", 0 }, /* db */
	[ROLE_CONN] = { "database/sql.(*DB).conn", 0 },               /* db */
	[ROLE_TX] = { "database/sql.(*Tx).awaitDone", 0 },
	[ROLE_ROWS] = { "database/sql.(*Rows).awaitDone", 0 }, /* in memory since 1.21 */
	/* db, ctx (and txctx of a query), then the driverConn */
	[ROLE_EXEC] = { "database/sql.(*DB).execDC", 3 },
	[ROLE_QUERY] = { "database/sql.(*DB).queryDC", 5 },
	[ROLE_BEGIN] = { "database/sql.(*DB).beginDC", 3 },
	[ROLE_PING] = { "database/sql.(*DB).pingDC", 3 },
	[ROLE_PREPARE] = { "database/sql.(*DB).prepareDC", 3 },
	/* ctx, ci, then the driverStmt */
	[ROLE_STMT_EXEC] = { "database/sql.resultFromStatement", 4 },
	[ROLE_STMT_QUERY] = { "database/sql.rowsiFromStatement", 4 },
};

int sqlroles_at(struct sqlpools *p, uint64_t pc)
{
	uint64_t *at = u64map_find(&p->role_of_pc, pc);
	struct gofunc fn = { .name = NULL };
	int role = -1;

	if (at)
		return (int)*at - 1;
	if (!pclntab_find_pc(p->rt->gb->pcln, pc - p->rt->bias, &fn))
		for (int i = 0; i < ROLE_COUNT; i++)
			if (p->entry[i] && p->entry[i] == fn.entry)
				role = i;
	if (role < 0 && fn.name && !strncmp(fn.name, "database/sql.", 13))
		role = ROLE_INSIDE;
	if (p->role_of_pc.len == MAX_ROLE_PCS)
		u64map_clear(&p->role_of_pc);
	u64map_put(&p->role_of_pc, pc, (uint64_t)(role + 1), NULL);
	return role;
}

int sqlroles_of_stack(struct sqlpools *p, const struct gostack *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		int role = sqlroles_at(p, p->look->stacks->pc[s->first + i]);

		if (role >= 0 && role != ROLE_INSIDE)
			return role;
	}
	return -1;
}

bool sqlroles_word(struct sqlpools *p, const struct goroutine *g, int role, uint64_t *out,
		   bool *waits)
{
	struct gostack_frame f[MAX_FRAMES];
	int n = goruntime_stack_frames(p->rt, g, f, MAX_FRAMES);
	struct gofunc fn;
	int32_t slot;

	*waits = false;
	for (int i = 0; i < n; i++) {
		if (sqlroles_at(p, f[i].pc) != role)
			continue;
		if (goslot_arg(p->rt, f[i].pc, !i, roles[role].word, &slot) || !f[i].argp ||
		    mem_read_u64(p->rt->mem, f[i].argp + (uint64_t)slot, out))
			return false;
		*waits = i && !pclntab_find_pc(p->rt->gb->pcln, f[i - 1].pc - p->rt->bias, &fn) &&
			 fn.entry == p->selectgo;
		return true;
	}
	return false;
}

bool sqlroles_place(struct sqlpools *p, size_t g, struct place *out)
{
	const struct gostack *s;
	uint32_t from = 0;

	*out = (struct place){ 0 };
	if (p->look->stack_of[g] >= GOSTACK_MAX || p->look->stack_of[g] >= p->look->stacks->n)
		return false;
	s = &p->look->stacks->stack[p->look->stack_of[g]];
	for (uint32_t i = 0; i < s->n; i++)
		if (sqlroles_at(p, p->look->stacks->pc[s->first + i]) >= 0)
			from = i;
	return place_of_pcs(p->rt, p->look->stacks->pc + s->first + from, (int)(s->n - from), false,
			    out);
}

int sqlroles_find(struct sqlpools *p)
{
	const char *name[ROLE_COUNT + 1];
	struct gofunc fn[ROLE_COUNT + 1];
	int err;

	for (int i = 0; i < ROLE_COUNT; i++)
		name[i] = roles[i].function;
	name[ROLE_COUNT] = "runtime.selectgo";
	err = pclntab_find_names(p->rt->gb->pcln, name, ROLE_COUNT + 1, fn);
	for (int i = 0; i < ROLE_COUNT && !err; i++)
		p->entry[i] = fn[i].entry;
	p->selectgo = err ? 0 : fn[ROLE_COUNT].entry;
	p->present = !err && p->entry[ROLE_OPENER];
	return err;
}
