/* placeholder until merged */
#include "observe/window.h"
#include "target/gostacks.h"
struct contention;
static inline int contention_new(struct contention **o, struct goruntime *rt) { (void)rt; *o = 0; return 0; }
static inline void contention_free(struct contention *c) { (void)c; }
static inline int contention_look(struct contention *c, const struct gowalk *w, const struct gostacks *g, const uint32_t *s, uint64_t n) { (void)c;(void)w;(void)g;(void)s;(void)n; return 0; }
static inline void contention_begin_window(struct contention *c) { (void)c; }
static inline int contention_fill(struct contention *c, struct contention_window *w) { (void)c;(void)w; return 0; }
