// SPDX-License-Identifier: BSD-2-Clause

//go:build ignore

// gen writes packages with many functions into a folder: go run gen.go DIR
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

const (
	packages  = 18
	functions = 2500 // in each
	dataSize  = 44 << 20
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run gen.go DIR")
		os.Exit(2)
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "package gen\n\nimport (\n\t_ \"embed\"\n")
	for p := 0; p < packages; p++ {
		write(filepath.Join(os.Args[1], "gen", fmt.Sprintf("part%d", p), "part.go"), part(p))
		fmt.Fprintf(&all, "\t\"gospect.test/bigbin/gen/part%d\"\n", p)
	}
	fmt.Fprintf(&all, ")\n\n// All calls into every part.\nfunc All(n int) int {\n\ts := 0\n")
	for p := 0; p < packages; p++ {
		fmt.Fprintf(&all, "\ts += part%d.Call(n)\n", p)
	}
	fmt.Fprintf(&all, "\treturn s\n}\n")
	fmt.Fprintf(&all, "\n//go:embed data\nvar Data string\n")
	write(filepath.Join(os.Args[1], "gen", "all.go"), all.Bytes())
	write(filepath.Join(os.Args[1], "gen", "data"), data())
}

// data stands for the pictures and pages that big programs carry along: bytes
// without a pattern.
func data() []byte {
	b := make([]byte, dataSize)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// part is one package: functions with an inlined call each, a wrapped go
// statement here and there, and a table of all of them.
func part(p int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package part%d\n\nimport \"fmt\"\n\n", p)
	fmt.Fprintf(&b, "type item struct{ a, b int; text string; next *item }\n\n")
	fmt.Fprintf(&b, "func (i *item) sum(n int) int { if i == nil { return n }; return i.a*n + i.b }\n\n")
	for f := 0; f < functions; f++ {
		function(&b, p, f)
	}
	fmt.Fprintf(&b, "var table = [...]func(*item, int) int{\n")
	for f := 0; f < functions; f++ {
		fmt.Fprintf(&b, "\tcomputeStep%d,\n", f)
	}
	fmt.Fprintf(&b, "}\n\nfunc Call(n int) int { return table[n%%len(table)](&item{a: n}, n) }\n")
	return b.Bytes()
}

func function(b *bytes.Buffer, p, f int) {
	fmt.Fprintf(b, "func computeStep%d(i *item, n int) int {\n", f)
	fmt.Fprintf(b, "\tif n == %d {\n\t\tfmt.Println(\"step\", n, i.text)\n\t}\n", p*f+7)
	fmt.Fprintf(b, "\tm := i.sum(n)\n")
	for k := 0; k < 1; k++ {
		fmt.Fprintf(b, "\tswitch {\n\tcase m > %d:\n\t\ti.text += fmt.Sprint(m, i.a, \"part %d\")\n", f+k*31, p)
		fmt.Fprintf(b, "\tcase m < %d:\n\t\ti = &item{a: i.sum(m), b: m, next: i}\n\t}\n", f-k)
		fmt.Fprintf(b, "\tm += i.next.sum(m ^ %d)\n", f*k+1)
	}
	if f%50 == 0 {
		fmt.Fprintf(b, "\tgo i.sum(m)\n")
	}
	fmt.Fprintf(b, "\tif m < 0 {\n\t\tpanic(fmt.Sprintf(\"%%d at %%s\", m, i.text))\n\t}\n")
	fmt.Fprintf(b, "\treturn m\n}\n\n")
}

func write(path string, text []byte) {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
