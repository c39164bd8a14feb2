// SPDX-License-Identifier: BSD-2-Clause

// pgxstmts runs statements of pgx v5 and v4, by its pools and by database/sql, with a server of
// its own in the program: what has "bad" in it fails where it is run, "unprepared" where it is
// prepared, "slow" takes 3 ms.
//
// It prints `READY pid=N` and answers every line on its standard input with one line of JSON,
// what each place has run and how many of that failed since the start: "run N" runs every kind
// N times, on four goroutines; "loop N" lets N goroutines run one kind all the time, "stop" ends
// that; "counts" does nothing else.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	pool4 "github.com/jackc/pgx/v4/pgxpool"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

var ctx = context.Background()

const dsn = "postgres://u@127.0.0.1:1/d?sslmode=disable&pool_max_conns=16"

type count struct{ n, errors int64 }

func (c *count) add(err error) {
	atomic.AddInt64(&c.n, 1)
	if err != nil {
		atomic.AddInt64(&c.errors, 1)
	}
}

type database struct {
	v5     *pgxpool.Pool
	v4     *pool4.Pool
	std    *sql.DB
	counts [16]count
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func open() *database {
	c5, err := pgxpool.ParseConfig(dsn)
	must(err)
	c5.ConnConfig.DialFunc = dial
	v5, err := pgxpool.NewWithConfig(ctx, c5)
	must(err)
	c4, err := pool4.ParseConfig(dsn)
	must(err)
	c4.ConnConfig.DialFunc = dial
	v4, err := pool4.ConnectConfig(ctx, c4)
	must(err)
	std := stdlib.OpenDB(*c5.ConnConfig)
	std.SetMaxIdleConns(8)
	return &database{v5: v5, v4: v4, std: std}
}

// One function is one place.

func (d *database) query(text string) error {
	r, err := d.v5.Query(ctx, text, "x")
	if err == nil {
		for r.Next() {
		}
		err = r.Err()
	}
	return err
}

func (d *database) queryRow(text string) error {
	var s string
	return d.v5.QueryRow(ctx, text, "x").Scan(&s)
}

func (d *database) querySimple(text string) error {
	r, err := d.v5.Query(ctx, text, pgx.QueryExecModeSimpleProtocol, "x")
	if err == nil {
		r.Close()
		err = r.Err()
	}
	return err
}

func (d *database) exec(text string) error {
	_, err := d.v5.Exec(ctx, text, "x")
	return err
}

func (d *database) execSimple(text string) error {
	_, err := d.v5.Exec(ctx, text)
	return err
}

// wrongArguments fails before anything is sent.
func (d *database) wrongArguments(string) error {
	r, err := d.v5.Query(ctx, "select $1", "x", "y")
	if err == nil {
		r.Close()
	}
	return err
}

// inRows runs a statement while the rows of another, on another connection, are open.
func (d *database) inRows(text string) error {
	err := errNoRows
	d.rows(func() { err = d.inner(text) })
	return err
}

var errNoRows = fmt.Errorf("no rows")

func (d *database) rows(each func()) {
	r, err := d.v5.Query(ctx, "select $1", "x")
	must(err)
	for r.Next() {
		each()
	}
	must(r.Err())
}

func (d *database) inner(text string) error {
	_, err := d.v5.Exec(ctx, text, "x")
	return err
}

func (d *database) query4(text string) error {
	r, err := d.v4.Query(ctx, text, "x")
	if err == nil {
		for r.Next() {
		}
		err = r.Err()
	}
	return err
}

func (d *database) exec4(text string) error {
	_, err := d.v4.Exec(ctx, text, "x")
	return err
}

func (d *database) exec4Simple(text string) error {
	_, err := d.v4.Exec(ctx, text)
	return err
}

func (d *database) queryStd(text string) error {
	var s string
	return d.std.QueryRow(text, "x").Scan(&s)
}

func (d *database) execStd(text string) error {
	_, err := d.std.Exec(text, "x")
	return err
}

func (d *database) slowQuery(string) error { return d.query5("select $1 slow") }

func (d *database) query5(text string) error {
	var s string
	return d.v5.QueryRow(ctx, text, "x").Scan(&s)
}

var kinds = []struct {
	name string
	f    func(*database, string) error
}{
	{"query", (*database).query},
	{"queryRow", (*database).queryRow},
	{"querySimple", (*database).querySimple},
	{"exec", (*database).exec},
	{"execSimple", (*database).execSimple},
	{"wrongArguments", (*database).wrongArguments},
	{"inner", (*database).inRows},
	{"query4", (*database).query4},
	{"exec4", (*database).exec4},
	{"exec4Simple", (*database).exec4Simple},
	{"queryStd", (*database).queryStd},
	{"execStd", (*database).execStd},
	{"query5", (*database).slowQuery},
}

// Half of those that are told what to run fail.
func (d *database) one(kind, i int) {
	text := [...]string{"select $1", "select 1 $1", "select $1 bad", "select $1 unprepared"}[i%4]
	d.counts[kind].add(kinds[kind].f(d, text))
}

func (d *database) all(n int) {
	var busy sync.WaitGroup
	for g := 0; g < 4; g++ {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for i := 0; i < n/4; i++ {
				for k := range kinds {
					d.one(k, i)
				}
			}
		}()
	}
	busy.Wait()
}

func (d *database) loop(stop *int32, busy *sync.WaitGroup) {
	defer busy.Done()
	for atomic.LoadInt32(stop) == 0 {
		d.counts[0].add(d.query("select $1"))
	}
}

func main() {
	d := open()
	var stop int32
	var busy sync.WaitGroup
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words, n := strings.Fields(in.Text()), 0
		if len(words) > 1 {
			n, _ = strconv.Atoi(words[1])
		}
		switch words[0] {
		case "run":
			d.all(n)
		case "loop":
			atomic.StoreInt32(&stop, 0)
			for ; n > 0; n-- {
				busy.Add(1)
				go d.loop(&stop, &busy)
			}
		case "stop":
			atomic.StoreInt32(&stop, 1)
			busy.Wait()
		}
		counts := map[string][2]int64{}
		for i, k := range kinds {
			counts["main.(*database)."+k.name] = [2]int64{atomic.LoadInt64(&d.counts[i].n), atomic.LoadInt64(&d.counts[i].errors)}
		}
		// what rows() runs: once for each of inRows, and none fails
		counts["main.(*database).rows"] = [2]int64{counts["main.(*database).inner"][0], 0}
		json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "counts": counts})
	}
}
