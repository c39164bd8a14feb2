// SPDX-License-Identifier: BSD-2-Clause

// statements runs statements of database/sql with a driver of its own, which
// has a fast path for queries that begin with "fast" and for others only a Stmt.
// What ends with "bad" fails; what ends with "slow" takes 3 ms.
//
// It prints `READY pid=N` and answers every line on its standard input with one
// line of JSON, what each place has run and how many of that failed since the
// start: "run N" runs every kind N times, on four goroutines; "loop N" lets N
// goroutines run one kind all the time, "memory N" the same of a database in memory, for
// which nothing is written, "stop" ends that; "counts" does nothing else; "long N"
// lets N goroutines run queries of 4 s one after the other.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	ctx    = context.Background()
	errBad = errors.New("bad")
)

type connector struct{}
type conn struct{}
type stmt struct{ text string }
type rows struct{ left int }

func (connector) Connect(context.Context) (driver.Conn, error) { return conn{}, nil }
func (connector) Driver() driver.Driver                        { return nil }

// What a statement writes goes nowhere; it is a system call, as with a server.
var null, _ = os.OpenFile("/dev/null", os.O_WRONLY, 0)

func run(text string) error {
	if !strings.HasSuffix(text, "memory") {
		null.WriteString(text)
	}
	switch {
	case strings.HasSuffix(text, "bad"):
		return errBad
	case strings.HasSuffix(text, "slow"):
		time.Sleep(3 * time.Millisecond)
	case strings.HasSuffix(text, "often"):
		time.Sleep(100 * time.Microsecond)
	case strings.HasSuffix(text, "long"):
		time.Sleep(4 * time.Second)
	}
	return nil
}

func (conn) Prepare(text string) (driver.Stmt, error) { return stmt{text}, nil }
func (conn) Close() error                             { return nil }
func (conn) Begin() (driver.Tx, error)                { return conn{}, nil }
func (conn) Commit() error                            { return nil }
func (conn) Rollback() error                          { return nil }
func (conn) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	if !strings.HasPrefix(text, "fast") {
		return nil, driver.ErrSkip
	}
	return driver.RowsAffected(1), run(text)
}
func (conn) QueryContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Rows, error) {
	if !strings.HasPrefix(text, "fast") {
		return nil, driver.ErrSkip
	}
	return &rows{1}, run(text)
}
func (stmt) Close() error                                 { return nil }
func (stmt) NumInput() int                                { return -1 }
func (s stmt) Exec([]driver.Value) (driver.Result, error) { return driver.RowsAffected(1), run(s.text) }
func (s stmt) Query([]driver.Value) (driver.Rows, error)  { return &rows{1}, run(s.text) }
func (*rows) Columns() []string                           { return []string{"n"} }
func (*rows) Close() error                                { return nil }
func (r *rows) Next(to []driver.Value) error {
	if r.left--; r.left < 0 {
		return io.EOF
	}
	to[0] = int64(1)
	return nil
}

type count struct{ n, errors int64 }

func (c *count) add(err error) {
	atomic.AddInt64(&c.n, 1)
	if err != nil {
		atomic.AddInt64(&c.errors, 1)
	}
}

type database struct {
	*sql.DB
	query, exec *sql.Stmt
	counts      [10]count
}

// One function is one place.

func (d *database) queryDB(text string) error {
	r, err := d.Query(text)
	if err == nil {
		for r.Next() {
		}
		r.Close()
	}
	return err
}

func (d *database) execDB(text string) error {
	_, err := d.Exec(text)
	return err
}

func (d *database) inTx(f func(*sql.Tx) error) error {
	tx, err := d.Begin()
	if err != nil {
		panic(err)
	}
	defer tx.Rollback()
	return f(tx)
}

func (d *database) queryTx(text string) error {
	return d.inTx(func(tx *sql.Tx) error {
		r, err := tx.Query(text)
		if err == nil {
			r.Close()
		}
		return err
	})
}

func (d *database) execTx(text string) error {
	return d.inTx(func(tx *sql.Tx) error {
		_, err := tx.Exec(text)
		return err
	})
}

func (d *database) queryConn(text string) error {
	c, err := d.Conn(ctx)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	var n int
	return c.QueryRowContext(ctx, text).Scan(&n)
}

func (d *database) execConn(text string) error {
	c, err := d.Conn(ctx)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_, err = c.ExecContext(ctx, text)
	return err
}

func (d *database) queryStmt(string) error {
	r, err := d.query.Query()
	if err == nil {
		r.Close()
	}
	return err
}

func (d *database) execStmt(string) error {
	_, err := d.exec.Exec()
	return err
}

func (d *database) slowQuery(string) error { return d.queryDB3("fast slow") }

func (d *database) queryDB3(text string) error {
	var n int
	return d.QueryRow(text).Scan(&n)
}

var kinds = []struct {
	name string
	f    func(*database, string) error
}{
	{"main.(*database).queryDB", (*database).queryDB},
	{"main.(*database).execDB", (*database).execDB},
	{"main.(*database).queryTx.func1", (*database).queryTx},
	{"main.(*database).execTx.func1", (*database).execTx},
	{"main.(*database).queryConn", (*database).queryConn},
	{"main.(*database).execConn", (*database).execConn},
	{"main.(*database).queryStmt", (*database).queryStmt},
	{"main.(*database).execStmt", (*database).execStmt},
	{"main.(*database).queryDB3", (*database).slowQuery},
}

// Half of those that are told what to run fail.
func (d *database) one(kind, i int) {
	text := [...]string{"fast", "prepared", "fast bad", "prepared bad"}[i%4]
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

func (d *database) longQuery() { d.queryDB("fast long") }

func main() {
	d := &database{DB: sql.OpenDB(connector{})}
	d.SetMaxIdleConns(8)
	d.query, _ = d.Prepare("a")
	d.exec, _ = d.Prepare("b")
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
		case "loop", "memory":
			text := map[string]string{"loop": "fast often", "memory": "fast memory"}[words[0]]
			atomic.StoreInt32(&stop, 0)
			for ; n > 0; n-- {
				busy.Add(1)
				go func() {
					defer busy.Done()
					for atomic.LoadInt32(&stop) == 0 {
						d.counts[0].add(d.queryDB(text))
					}
				}()
			}
		case "stop":
			atomic.StoreInt32(&stop, 1)
			busy.Wait()
		case "long":
			for ; n > 0; n-- {
				go func() {
					for {
						d.longQuery()
					}
				}()
			}
		}
		counts := map[string][2]int64{}
		for i, k := range kinds {
			counts[k.name] = [2]int64{atomic.LoadInt64(&d.counts[i].n), atomic.LoadInt64(&d.counts[i].errors)}
		}
		json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "counts": counts})
	}
}
