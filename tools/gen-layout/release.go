// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

type release struct {
	name         string // "1.26.8"; "1.18" is the first release of 1.18
	minor, patch int
}

var releaseLine = regexp.MustCompile(`(?m)^(?:RELEASE|USUAL)\((\d+), "(1\.\d+\.\d+)"\)$`)

// readReleases lists what to measure: of each minor release in
// src/gobin/releases.def the first and the last patch, and what moved.
func readReleases(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := append([]string(nil), moved...)
	for _, m := range releaseLine.FindAllStringSubmatch(string(text), -1) {
		first := "1." + m[1]
		if minor, _ := strconv.Atoi(m[1]); minor >= 21 {
			first += ".0" // so called since then
		}
		if first != m[2] {
			out = append(out, first)
		}
		out = append(out, m[2])
	}
	if len(out) == len(moved) {
		return nil, fmt.Errorf("no release in '%s'", path)
	}
	return out, nil
}

func parseReleases(names []string) ([]release, error) {
	var out []release
	for _, n := range names {
		p := strings.Split(n, ".")
		if len(p) == 2 {
			p = append(p, "0")
		}
		if len(p) != 3 || p[0] != "1" {
			return nil, fmt.Errorf("not a Go release: '%s'", n)
		}
		minor, err := strconv.Atoi(p[1])
		if err != nil {
			return nil, fmt.Errorf("not a Go release: '%s'", n)
		}
		patch, err := strconv.Atoi(p[2])
		if err != nil {
			return nil, fmt.Errorf("not a Go release: '%s'", n)
		}
		out = append(out, release{n, minor, patch})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].before(out[j]) })
	return out, nil
}

func (r release) before(o release) bool {
	if r.minor != o.minor {
		return r.minor < o.minor
	}
	return r.patch < o.patch
}

// The runtime's types are in every program; those of the standard library in
// one whose linker must keep the code that uses them.
const probeSource = `package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"io"
	"net"
	"net/http"
	"time"
)

func main() {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), 1, 2), time.Second)
	defer cancel()
	db, err := sql.Open("none", "")
	if err == nil {
		c, _ := db.Conn(ctx)
		c.Close()
		tx, _ := db.BeginTx(ctx, nil)
		tx.Commit()
		rows, _ := db.QueryContext(ctx, "")
		rows.Close()
	}
	http.HandleFunc("/", http.NotFound)
	go http.ListenAndServeTLS("", "", "", nil)
	r, err := (&http.Client{Timeout: time.Second}).Get("")
	if err == nil {
		io.Copy(io.Discard, r.Body)
	}
	tls.Dial("tcp", "", &tls.Config{})
	net.Dial("unix", "")
}
`

// buildProbe builds by file name: releases up to 1.19 refuse `go build .`
// outside of a module.
func buildProbe(goCmd, dir, bin string, rel release, arch string) error {
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte(probeSource), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(goCmd, "build", "-o", bin, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=go"+rel.name, "GOOS=linux", "GOARCH="+arch,
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return checkBuiltBy(goCmd, bin, rel)
}

// checkBuiltBy guards against a go that ignores GOTOOLCHAIN (before 1.21):
// it would give the same offsets for every release.
func checkBuiltBy(goCmd, bin string, rel release) error {
	out, err := exec.Command(goCmd, "version", bin).Output()
	if err != nil {
		return fmt.Errorf("go version: %w", err)
	}
	f := strings.Fields(string(out))
	if len(f) < 2 || f[len(f)-1] != "go"+rel.name {
		return fmt.Errorf("was built by another release: %s", strings.TrimSpace(string(out)))
	}
	return nil
}
