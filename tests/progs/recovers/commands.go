// SPDX-License-Identifier: BSD-2-Clause

// Commands on the standard input, each answered with a line of JSON; recovers and appends have it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The argument, or 0.
func number(words []string, i int) int {
	if i >= len(words) {
		return 0
	}
	n, _ := strconv.Atoi(words[i])
	return n
}

func serve(answer func(words []string) error, counts func() interface{}) {
	out := json.NewEncoder(os.Stdout)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		err := answer(strings.Fields(in.Text()))
		a := map[string]interface{}{"ok": err == nil}
		if err != nil {
			a["error"] = err.Error()
		}
		a["counts"] = counts()
		out.Encode(a)
	}
}
