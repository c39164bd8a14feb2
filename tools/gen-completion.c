/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prints the completions of a shell from the tables that parse the command
 * line: gen-completion bash|zsh|fish.
 */
#include <string.h>

#include "cli/options.h"
#include "plan/sensor.h"

/* One that may be left out is not asked for. */
static bool has_value(const struct option_def *d)
{
	return d->arg && d->arg[0] != '[';
}

/* The values that an option can have, or that are files, pids or free text. */
static const char *values_of(const struct option_def *d, char *out, size_t size)
{
	size_t len = 0;

	out[0] = 0;
	if (!has_value(d))
		return out;
	if (strchr(d->arg, '|')) {
		snprintf(out, size, "%s", d->arg);
		for (char *p = out; *p; p++)
			if (*p == '|')
				*p = ' ';
	} else if (!strncmp(d->arg, "SENSOR", 6)) {
		for (int i = 0; i < SENSOR_COUNT; i++)
			len += (size_t)snprintf(out + len, size - len, "%s%s", i ? " " : "",
						sensor_name((enum sensor)i));
	} else if (!strcmp(d->arg, "SEVERITY")) {
		for (int i = 0; i <= SEVERITY_CRITICAL; i++)
			len += (size_t)snprintf(out + len, size - len, "%s%s", i ? " " : "",
						severity_word[i]);
	}
	return out;
}

static bool is_list(const struct option_def *d)
{
	return d->arg && strstr(d->arg, ",...");
}

static bool is_file(const struct option_def *d)
{
	return d->arg && !strcmp(d->arg, "FILE");
}

/* The help's first clause, within single quotes of a shell; `escape` gets a backslash. */
static void brief(const char *help, const char *escape)
{
	size_t len = strcspn(help, ";(");

	while (len && help[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (help[i] == '\'')
			fputs("'\\''", stdout);
		else if (strchr(escape, help[i]))
			printf("\\%c", help[i]);
		else
			putchar(help[i]);
	}
}

#define EACH_OPTION(c, i)                   \
	for (int i = 0; i < OPT_COUNT; i++) \
		if ((c)->options & OPT_BIT(i))

/* Every program word is asked of `gospect list`: its first column is the pid. */
#define PIDS "list 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }'"

static void bash_command(const struct command *c)
{
	printf("\t%s)\n\t\toptions='", c->name);
	EACH_OPTION(c, i)
	{
		printf("%s ", option_defs[i].flag);
	}
	printf("'\n");
	if (c->operand == OPERAND_PID || c->operand == OPERAND_PID_OR_FILE)
		printf("\t\tpids=1\n");
	if (c->operand == OPERAND_TWO_FILES || c->operand == OPERAND_PID_OR_FILE)
		printf("\t\tfiles=1\n");
	printf("\t\tcase $prev in\n");
	EACH_OPTION(c, i)
	{
		const struct option_def *d = &option_defs[i];
		char values[200];

		if (!has_value(d))
			continue;
		printf("\t\t%s) %s='%s' ;;\n", d->flag,
		       is_list(d)   ? "list"
		       : is_file(d) ? "files=1 value"
				    : "value",
		       is_file(d) ? "" : values_of(d, values, sizeof(values)));
	}
	printf("\t\tesac\n\t\t;;\n");
}

static void bash(void)
{
	printf("# bash completion for gospect; generated from its table of options\n"
	       "_gospect()\n{\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal options='' pids='' files='' list value\n"
	       "\tunset list value\n"
	       "\tCOMPREPLY=()\n"
	       "\t# --flag=word is three words here\n"
	       "\tif [[ $cur == '=' ]]; then cur=''\n"
	       "\telif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	       "\tif ((COMP_CWORD == 1)); then\n\t\tCOMPREPLY=($(compgen -W '");
	for (const struct command *c = commands; c->name; c++)
		printf("%s ", c->name);
	printf("--help --version --schema' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase "
	       "${COMP_WORDS[1]} in\n");
	for (const struct command *c = commands; c->name; c++)
		bash_command(c);
	printf("\tesac\n"
	       "\tif [[ -n ${list+x} ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -P \"${cur%%\"${cur##*,}\"}\" -W \"$list\" -- "
	       "\"${cur##*,}\"))\n"
	       "\t\tcompopt -o nospace 2>/dev/null\n"
	       "\telif [[ -n ${value+x} ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$value\" -- \"$cur\"))\n"
	       "\telif [[ $cur == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
	       "\telif [[ -n $pids ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$(\"$1\" " PIDS ")\" -- \"$cur\"))\n"
	       "\tfi\n"
	       "\t# readline knows how to complete file names\n"
	       "\t[[ -z $files || -n ${COMPREPLY[*]} ]] || compopt -o default 2>/dev/null\n"
	       "\t:\n}\n"
	       "complete -F _gospect gospect\n");
}

static void zsh_operands(const struct command *c)
{
	if (c->operand == OPERAND_PID)
		printf("\t\t\t'1:PID:_gospect_pids'\n");
	else if (c->operand == OPERAND_PID_OR_FILE)
		printf("\t\t\t'1:PID or FILE:_gospect_pid_or_file'\n");
	else if (c->operand == OPERAND_TWO_FILES)
		printf("\t\t\t'1:A.json:_files' \\\n\t\t\t'2:B.json:_files'\n");
	else
		printf("\t\t\t&& return\n");
}

static void zsh_command(const struct command *c)
{
	printf("\t\t%s)\n\t\t\t_arguments \\\n", c->name);
	EACH_OPTION(c, i)
	{
		const struct option_def *d = &option_defs[i];
		char values[200];

		values_of(d, values, sizeof(values));
		printf("\t\t\t'%s%s[", d->flag, has_value(d) && d->flag[1] == '-' ? "=" : "");
		brief(d->help, "[]:");
		printf("]");
		if (is_file(d))
			printf(":file:_files");
		else if (is_list(d))
			printf(":list:_sequence compadd - %s", values);
		else if (has_value(d))
			printf(*values ? ":value:(%s)" : ":value:%s", values);
		printf("' \\\n");
	}
	zsh_operands(c);
	printf("\t\t\t;;\n");
}

static void zsh(void)
{
	printf("#compdef gospect\n# generated from gospect's table of options\n"
	       "_gospect_pids() {\n\tlocal -a pids\n\tpids=(${(f)\"$(gospect " PIDS ")\"})\n"
	       "\t_describe 'Go process' pids\n}\n"
	       "_gospect_pid_or_file() {\n\t_alternative 'pids:Go process:_gospect_pids' "
	       "'files:file:_files'\n}\n\n"
	       "_gospect() {\n\tlocal curcontext=$curcontext state line\n\tlocal -a commands\n"
	       "\tcommands=(\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		brief(c->summary, ":");
		printf("'\n");
	}
	printf("\t)\n\t_arguments -C '(- *)--help[commands and exit status]' "
	       "'(- *)--version[version and report schema]' "
	       "'(- *)--schema[JSON Schema of the reports]' \\\n"
	       "\t\t'1:command:->command' '*::argument:->argument'\n"
	       "\tcase $state in\n\tcommand) _describe command commands ;;\n"
	       "\targument)\n\t\tcase $words[1] in\n");
	for (const struct command *c = commands; c->name; c++)
		zsh_command(c);
	printf("\t\tesac\n\t\t;;\n\tesac\n}\n\n_gospect \"$@\"\n");
}

static void fish_option(const struct command *c, const struct option_def *d)
{
	char values[200];

	values_of(d, values, sizeof(values));
	printf("complete -c gospect -n '__fish_seen_subcommand_from %s' ", c->name);
	printf(d->flag[1] == '-' ? "-l %s" : "-s %s", d->flag + (d->flag[1] == '-' ? 2 : 1));
	if (is_file(d))
		printf(" -rF");
	else if (*values)
		printf(" -xa '%s'", values);
	else if (has_value(d))
		printf(" -x");
	printf(" -d '");
	brief(d->help, "");
	printf("'\n");
}

static void fish(void)
{
	printf("# fish completion for gospect; generated from its table of options\n"
	       "complete -c gospect -f\n"
	       "complete -c gospect -n __fish_use_subcommand -l help -d 'commands and exit "
	       "status'\n"
	       "complete -c gospect -n __fish_use_subcommand -l version -d 'version and report "
	       "schema'\n"
	       "complete -c gospect -n __fish_use_subcommand -l schema -d 'JSON Schema of the "
	       "reports'\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("complete -c gospect -n __fish_use_subcommand -a %s -d '", c->name);
		brief(c->summary, "");
		printf("'\n");
		if (c->operand == OPERAND_PID || c->operand == OPERAND_PID_OR_FILE)
			printf("complete -c gospect -n '__fish_seen_subcommand_from %s' -a "
			       "\"(gospect list 2>/dev/null | string match -r '^ *[0-9]+' | string "
			       "trim)\" -d 'Go process'\n",
			       c->name);
		if (c->operand == OPERAND_TWO_FILES || c->operand == OPERAND_PID_OR_FILE)
			printf("complete -c gospect -n '__fish_seen_subcommand_from %s' -F\n",
			       c->name);
		EACH_OPTION(c, i)
		{
			fish_option(c, &option_defs[i]);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

	for (size_t i = 0; argc == 2 && i < sizeof(shells) / sizeof(*shells); i++)
		if (!strcmp(argv[1], shells[i].shell)) {
			shells[i].print();
			return ferror(stdout) || fflush(stdout) ? 1 : 0;
		}
	fprintf(stderr, "usage: gen-completion bash|zsh|fish\n");
	return 2;
}
