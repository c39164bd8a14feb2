// SPDX-License-Identifier: BSD-2-Clause

// pgxcases has two pools of pgxpool, of 3 and of 9 connections, and no
// database/sql.  The server is in the program: it takes every login and has nothing to
// say to a query, which is asked of connections that were idle for a second.
//
// It prints `READY pid=N` and answers every line on its standard input with one
// line of JSON, the pools' own Stat(): "hold N" acquires N connections of the
// first pool and keeps them, "wait N" starts N goroutines that want one, "work"
// acquires and releases, "release" gives all back.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func serve(c net.Conn) {
	b := make([]byte, 4096)
	c.Read(b)
	// AuthenticationOk, ReadyForQuery
	c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'})
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		if b[0] == 'Q' { // EmptyQueryResponse, ReadyForQuery
			c.Write([]byte{'I', 0, 0, 0, 4, 'Z', 0, 0, 0, 5, 'I'})
		}
	}
}

func open(most int) *pgxpool.Pool {
	cfg, err := pgxpool.ParseConfig(fmt.Sprintf("postgres://u@127.0.0.1:1/d?sslmode=disable&pool_max_conns=%d", most))
	if err != nil {
		panic(err)
	}
	cfg.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		x, y := net.Pipe()
		go serve(y)
		return x, nil
	}
	p, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		panic(err)
	}
	return p
}

var held []*pgxpool.Conn

func acquire(p *pgxpool.Pool) *pgxpool.Conn {
	c, err := p.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	return c
}

func waitFor(p *pgxpool.Pool) { acquire(p).Release() }

// waiting counts who waits for a connection of any pool.
func waiting() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "main.waitFor(")
}

func wait(what string, done func() bool) {
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			panic("waited a minute for " + what)
		}
	}
}

func do(p *pgxpool.Pool, words []string) {
	n := 0
	if len(words) > 1 {
		n, _ = strconv.Atoi(words[1])
	}
	want := n
	switch words[0] {
	case "hold":
		for ; n > 0; n-- {
			held = append(held, acquire(p))
		}
	case "wait":
		for ; n > 0; n-- {
			go waitFor(p)
		}
		wait("waiters", func() bool { return waiting() == want })
	case "work":
		for i := 0; i < 1000; i++ {
			waitFor(p)
		}
	case "release":
		for _, c := range held {
			c.Release()
		}
		held = nil
		wait("all to be given back", func() bool { return waiting() == 0 && p.Stat().AcquiredConns() == 0 })
	}
}

func main() {
	a, b := open(3), open(9)
	waitFor(b)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		do(a, strings.Fields(in.Text()))
		pools := map[string]any{}
		for _, p := range []*pgxpool.Pool{a, b} {
			s := p.Stat()
			pools[fmt.Sprint(s.MaxConns())] = map[string]any{"max_open": s.MaxConns(), "open": s.TotalConns(),
				"in_use": s.AcquiredConns(), "idle": s.IdleConns()}
		}
		json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "pools": pools})
	}
}
