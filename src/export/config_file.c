/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration as YAML, by libyaml: a mapping of keys and sections.  What it
 * does not know it refuses, with the line.
 */
#include "export/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define FILE_MAX_BYTES (256u << 10)

struct reading {
	struct host_config *c;
	const char *file;
	yaml_document_t doc;
	struct err *err;
};

/* Says where; returns code. */
static int at_line(const struct reading *r, size_t line, int code, const char *what,
		   const char *hint)
{
	err_set(r->err, code, "'%s' line %zu: %s", r->file, line + 1, what);
	if (*hint)
		err_hint(r->err, "%s", hint);
	return code;
}

static const char *text(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* The keys of a section ("": the top) in one line. */
static const char *keys_of(const char *section, char *out, size_t size)
{
	size_t n = strlen(section), used = 0;

	used += (size_t)snprintf(out, size, "keys:");
	for (const struct config_key *k = config_keys; k->name; k++) {
		const char *dot = strchr(k->name, '.');
		size_t len = dot ? (size_t)(dot - k->name) : strlen(k->name);
		bool again = k > config_keys && dot && !strncmp(k[-1].name, k->name, len + 1);

		if (n && dot && len == n && !strncmp(k->name, section, n))
			used += (size_t)snprintf(out + used, size - used, " %s", dot + 1);
		else if (!n && !again)
			used += (size_t)snprintf(out + used, size - used, " %.*s", (int)len,
						 k->name);
		if (used >= size)
			break;
	}
	return out;
}

/* A scalar that may be text for this purpose: an anchor, a list, a NUL in it are not. */
static int scalar(const struct reading *r, int index, const char **out, const yaml_node_t **node)
{
	const yaml_node_t *n = yaml_document_get_node((yaml_document_t *)&r->doc, index);

	*node = n;
	*out = text(n);
	if (!*out)
		return at_line(r, n->start_mark.line, -EINVAL, "one value is wanted here", "");
	if (strlen(*out) != n->data.scalar.length)
		return at_line(r, n->start_mark.line, -EINVAL, "a NUL is in the text", "");
	return 0;
}

static bool said_before(const struct reading *r, const yaml_node_t *map,
			const yaml_node_pair_t *pair)
{
	const yaml_node_t *n = yaml_document_get_node((yaml_document_t *)&r->doc, pair->key);

	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		const yaml_node_t *o = yaml_document_get_node((yaml_document_t *)&r->doc, p->key);

		if (text(o) && text(n) && !strcmp(text(o), text(n)))
			return true;
	}
	return false;
}

/* Calls take() for each key with its value's node; `what` names the mapping in messages. */
static int each(const struct reading *r, const yaml_node_t *map, const char *section,
		int (*take)(const struct reading *r, const char *section, const char *key,
			    const yaml_node_t *key_node, int value, void *to),
		void *to)
{
	int ret = 0;

	if (map->type != YAML_MAPPING_NODE)
		return at_line(r, map->start_mark.line, -EINVAL, "keys with values are wanted here",
			       "");
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top && !ret; p++) {
		const yaml_node_t *n;
		const char *key;

		ret = scalar(r, p->key, &key, &n);
		if (!ret && said_before(r, map, p)) {
			char what[160];

			snprintf(what, sizeof(what), "'%.80s' is there twice", key);
			ret = at_line(r, n->start_mark.line, -EINVAL, what, "");
		}
		if (!ret)
			ret = take(r, section, key, n, p->value, to);
	}
	return ret;
}

static const char of_a_rule[] = "processes";

/* Of a rule, or of a key that has pairs: `to` is that. */
static int take_setting(const struct reading *r, const char *section, const char *key,
			const yaml_node_t *key_node, int value, void *to)
{
	const yaml_node_t *n;
	struct err why = { 0 };
	const char *s;
	int ret = scalar(r, value, &s, &n);

	if (ret)
		return ret;
	ret = section == of_a_rule ? config_rule_set(r->c, to, key, s, &why)
				   : config_pair_add(r->c, to, key, s, &why);
	return ret ? at_line(r, key_node->start_mark.line, ret, why.what, why.hint) : 0;
}

static int take_rules(const struct reading *r, const yaml_node_t *list)
{
	int ret = 0;

	if (list->type != YAML_SEQUENCE_NODE)
		return at_line(r, list->start_mark.line, -EINVAL, "a list of rules is wanted here",
			       "- exe: /usr/sbin/*");
	for (const yaml_node_item_t *i = list->data.sequence.items.start;
	     i < list->data.sequence.items.top && !ret; i++) {
		const yaml_node_t *n = yaml_document_get_node((yaml_document_t *)&r->doc, *i);
		struct err why = { 0 };
		struct agent_rule *rule = config_rule_add(r->c, &why);

		ret = rule ? each(r, n, of_a_rule, take_setting, rule)
			   : at_line(r, n->start_mark.line, -EINVAL, why.what, "");
	}
	return ret;
}

static bool is_section(const char *name)
{
	size_t n = strlen(name);

	for (const struct config_key *k = config_keys; k->name; k++)
		if (!strncmp(k->name, name, n) && k->name[n] == '.')
			return true;
	return false;
}

static int take_key(const struct reading *r, const char *section, const char *key,
		    const yaml_node_t *key_node, int value, void *to)
{
	const yaml_node_t *n = yaml_document_get_node((yaml_document_t *)&r->doc, value);
	char name[160], what[200], keys[400];
	const struct config_key *k;
	struct err why = { 0 };
	const char *s;
	int ret;

	if (!*section && is_section(key))
		return each(r, n, key, take_key, to);
	snprintf(name, sizeof(name), "%s%s%.80s", section, *section ? "." : "", key);
	k = strchr(key, '.') ? NULL : config_key_find(name);
	if (!k) {
		snprintf(what, sizeof(what), "unknown key '%s'", name);
		return at_line(r, key_node->start_mark.line, -EINVAL, what,
			       keys_of(section, keys, sizeof(keys)));
	}
	if (k->kind == KEY_RULES || k->kind == KEY_PAIRS) {
		config_list_begin(r->c, k);
		return k->kind == KEY_RULES ? take_rules(r, n)
					    : each(r, n, "", take_setting, (void *)k);
	}
	ret = scalar(r, value, &s, &n);
	if (ret)
		return ret;
	ret = config_scalar(r->c, k, s, &why);
	return ret ? at_line(r, n->start_mark.line, ret, why.what, why.hint) : 0;
}

static int take_document(struct reading *r, const yaml_parser_t *p)
{
	const yaml_node_t *top;
	int ret;

	if (p->error != YAML_NO_ERROR)
		return at_line(r, p->problem_mark.line, -EINVAL,
			       p->problem ? p->problem : "not YAML", "");
	top = yaml_document_get_root_node(&r->doc);
	/* a file without a key says nothing */
	if (!top || (text(top) && !*text(top)))
		return 0;
	ret = each(r, top, "", take_key, NULL);
	return ret;
}

static int parse(struct host_config *c, const char *file, const char *bytes, size_t n,
		 struct err *err)
{
	struct reading r = { .c = c, .file = file, .err = err };
	yaml_parser_t p;
	int ret;

	if (!yaml_parser_initialize(&p))
		return err_set(err, -ENOMEM, "no memory for the configuration");
	yaml_parser_set_input_string(&p, (const unsigned char *)bytes, n);
	if (!yaml_parser_load(&p, &r.doc))
		memset(&r.doc, 0, sizeof(r.doc));
	ret = take_document(&r, &p);
	yaml_document_delete(&r.doc);
	yaml_parser_delete(&p);
	return ret;
}

int config_file(struct host_config *c, const char *file, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	size_t n = 0;
	ssize_t got = 0;
	char *bytes;

	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", file, strerror(errno));
	bytes = malloc(FILE_MAX_BYTES + 1);
	while (bytes && n <= FILE_MAX_BYTES &&
	       (got = read(fd, bytes + n, FILE_MAX_BYTES + 1 - n)) > 0)
		n += (size_t)got;
	if (!bytes)
		ret = err_set(err, -ENOMEM, "no memory for the configuration");
	else if (got < 0)
		ret = err_set(err, -errno, "cannot read '%s': %s", file, strerror(errno));
	else if (n > FILE_MAX_BYTES)
		ret = err_set(err, -EINVAL, "'%s' has more than %u bytes", file, FILE_MAX_BYTES);
	else
		ret = parse(c, file, bytes, n, err);
	free(bytes);
	close(fd);
	return ret;
}
