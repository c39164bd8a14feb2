// SPDX-License-Identifier: BSD-2-Clause

// rediscases has two clients of go-redis, with pools of 3 and of 9 connections.
// The server is in the program: it answers PING, GET and what clients say first,
// and keeps BLPOP waiting until "release".
//
// It prints `READY pid=N` and answers every line on its standard input with one
// line of JSON, the clients' own PoolStats(): "hold N" takes N connections of the
// first pool by client.Conn and keeps them, "block N" lets N goroutines block in
// BLPOP, "wait N" starts N goroutines that want a connection, "busy N" N that make
// one call after the other, "work" makes 1,000 calls, "release" ends all that.
// A line is answered when what it asks for is so.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	ctx     = context.Background()
	mu      sync.Mutex
	unblock = make(chan struct{})
	held    []*redis.Conn
	busy    sync.WaitGroup
	popping atomic.Int32 // that the server keeps waiting
	ending  atomic.Bool
)

// An array of bulk strings, as clients send them.
func command(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != '*' {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	out := make([]string, n)
	for i := range out {
		if _, err := r.ReadString('\n'); err != nil {
			return nil, err
		}
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		out[i] = strings.ToLower(strings.TrimSpace(line))
	}
	return out, nil
}

func serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		words, err := command(r)
		if err != nil || len(words) == 0 {
			return
		}
		answer := "-ERR unknown command\r\n"
		switch words[0] {
		case "ping":
			answer = "+PONG\r\n"
		case "get":
			answer = "$5\r\nhello\r\n"
		case "client", "select":
			answer = "+OK\r\n"
		case "blpop":
			mu.Lock()
			until := unblock
			mu.Unlock()
			popping.Add(1)
			<-until
			popping.Add(-1)
			answer = "*-1\r\n"
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func open(most int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: "redis.test:6379", PoolSize: most, PoolTimeout: 10 * time.Minute, ReadTimeout: -1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			x, y := net.Pipe()
			go serve(y)
			return x, nil
		},
	})
}

func get(c *redis.Client) {
	if v, err := c.Get(ctx, "k").Result(); err != nil || v != "hello" {
		panic(fmt.Sprint(v, err))
	}
}

func pop(c *redis.Client) { c.BLPop(ctx, 0, "queue") }

func keep(c *redis.Client) {
	k := c.Conn()
	if err := k.Ping(ctx).Err(); err != nil {
		panic(err)
	}
	held = append(held, k)
}

func start(n int, f func()) {
	for ; n > 0; n-- {
		busy.Add(1)
		go func() {
			defer busy.Done()
			f()
		}()
	}
}

func wait(what string, done func() bool) {
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			panic("waited a minute for " + what)
		}
	}
}

func waiting() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "(*ConnPool).waitTurn(")
}

func do(c *redis.Client, words []string) {
	n := 0
	if len(words) > 1 {
		n, _ = strconv.Atoi(words[1])
	}
	switch words[0] {
	case "hold":
		for ; n > 0; n-- {
			keep(c)
		}
	case "block":
		start(n, func() { pop(c) })
		wait("BLPOPs", func() bool { return int(popping.Load()) == n })
	case "wait":
		start(n, func() { get(c) })
		wait("waiters", func() bool { return waiting() == n })
	case "busy":
		start(n, func() {
			for !ending.Load() {
				get(c)
			}
		})
	case "work":
		for i := 0; i < 1000; i++ {
			get(c)
		}
	case "release":
		for _, k := range held {
			k.Close()
		}
		held = nil
		mu.Lock()
		close(unblock)
		unblock = make(chan struct{})
		mu.Unlock()
		ending.Store(true)
		busy.Wait()
		ending.Store(false)
	}
}

func main() {
	a, b := open(3), open(9)
	get(b)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		do(a, strings.Fields(in.Text()))
		pools := map[string]any{}
		for most, p := range map[int]*redis.Client{3: a, 9: b} {
			s := p.PoolStats()
			pools[fmt.Sprint(most)] = map[string]any{"max_open": most, "open": s.TotalConns,
				"in_use": s.TotalConns - s.IdleConns, "idle": s.IdleConns}
		}
		json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "pools": pools})
	}
}
