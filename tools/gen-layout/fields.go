// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// field is one FIELD() line of layout_fields.def.
type field struct {
	id    string
	typ   string
	paths []string // alternatives; "" is the size of the type
}

var fieldLine = regexp.MustCompile(`^FIELD\((\w+),\s*(".*")\)$`)

func readFields(path string) ([]field, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var fields []field
	seen := map[string]bool{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "FIELD(") {
			continue
		}
		f, err := parseField(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		if seen[f.id] {
			return nil, fmt.Errorf("%s:%d: '%s' is there twice", path, i+1, f.id)
		}
		seen[f.id] = true
		fields = append(fields, f)
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("'%s' has no FIELD() line", path)
	}
	return fields, nil
}

func parseField(line string) (field, error) {
	m := fieldLine.FindStringSubmatch(line)
	if m == nil {
		return field{}, fmt.Errorf("not FIELD(ID, \"type\", \"path\"…): %s", line)
	}
	var args []string
	for _, a := range strings.Split(m[2], ",") {
		a = strings.TrimSpace(a)
		if len(a) < 2 || a[0] != '"' || a[len(a)-1] != '"' {
			return field{}, fmt.Errorf("not a string: %s", a)
		}
		args = append(args, a[1:len(a)-1])
	}
	if len(args) < 2 {
		return field{}, fmt.Errorf("no path: %s", line)
	}
	return field{id: m[1], typ: args[0], paths: args[1:]}, nil
}
