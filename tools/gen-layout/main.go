// SPDX-License-Identifier: BSD-2-Clause

// gen-layout writes src/gobin/layout_table.c: where the runtime and
// the standard library of each Go release keep the fields listed in
// src/gobin/layout_fields.def.
//
// It builds a small program with every release and architecture wanted and
// reads the offsets from its DWARF, the words of the wait reasons from its
// data, and the function ids from its DWARF constants.  It needs a go of 1.21
// or newer, which fetches the other releases by itself (GOTOOLCHAIN).
//
//	cd tools/gen-layout && go run . [-fields FILE] [-o FILE] [RELEASE…]
//
// Without a RELEASE: those of src/gobin/releases.def.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Patches in between that moved something, besides each minor release's first
// and last.
var moved = []string{"1.23.2", "1.23.4", "1.24.6"}

var arches = []string{"amd64", "arm64"}

func main() {
	fields := flag.String("fields", "../../src/gobin/layout_fields.def", "the fields to look for")
	list := flag.String("releases", "../../src/gobin/releases.def", "the releases to measure")
	out := flag.String("o", "../../src/gobin/layout_table.c", "the C file to write")
	goCmd := flag.String("go", "go", "the go command, 1.21 or newer")
	flag.Parse()
	names := flag.Args()
	var err error
	if len(names) == 0 {
		names, err = readReleases(*list)
	}
	if err == nil {
		err = run(*fields, *out, *goCmd, names)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "gen-layout: %v\n", err)
		os.Exit(1)
	}
}

func run(fieldsPath, outPath, goCmd string, names []string) error {
	fields, err := readFields(fieldsPath)
	if err != nil {
		return err
	}
	releases, err := parseReleases(names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gen-layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	var rows []*row
	for _, arch := range arches {
		for _, rel := range releases {
			r, err := measure(goCmd, dir, rel, arch, fields)
			if err != nil {
				return fmt.Errorf("go%s %s: %w", rel.name, arch, err)
			}
			fmt.Fprintf(os.Stderr, "gen-layout: go%s %s: %d of %d fields, %d wait reasons\n",
				rel.name, arch, r.present(), len(fields), len(r.waitReasons))
			rows = append(rows, r)
		}
	}
	if err := check(fields, rows); err != nil {
		return err
	}
	return writeFile(outPath, emit(fields, releases, rows))
}

// measure builds the probe with one release and reads its row.
func measure(goCmd, dir string, rel release, arch string, fields []field) (*row, error) {
	bin := filepath.Join(dir, "probe-"+rel.name+"-"+arch)
	if err := buildProbe(goCmd, dir, bin, rel, arch); err != nil {
		return nil, err
	}
	defer os.Remove(bin)
	return readRow(bin, rel, arch, fields)
}

// writeFile replaces path only once everything is there.
func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
