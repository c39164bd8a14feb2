// SPDX-License-Identifier: BSD-2-Clause

// dbcases uses database/sql in one way that is wrong, or right, for ever:
//
//	dbcases CASE
//
// The driver is its own, and has no server: a query that is "slow" takes 20 ms,
// one that is "hung" never comes back.  It prints `READY pid=N` once it is where
// it is going to be, and answers every line on its standard input with
// sql.DBStats as one line of JSON.
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
	"sync/atomic"
	"time"
)

type drv struct{}
type conn struct{}
type rows struct{ n int }
type tx struct{}
type stmt struct{ q string }

func ask(q string) {
	switch q {
	case "slow":
		time.Sleep(20 * time.Millisecond)
	case "late": // and comes back: no query hangs
		time.Sleep(1200 * time.Millisecond)
	case "batch": // likewise, each of them after 4 s
		time.Sleep(4 * time.Second)
	case "hung":
		<-make(chan int)
	}
}

func (drv) Open(string) (driver.Conn, error)              { return conn{}, nil }
func (conn) Prepare(q string) (driver.Stmt, error)        { return stmt{q}, nil }
func (conn) Close() error                                 { return nil }
func (conn) Begin() (driver.Tx, error)                    { return tx{}, nil }
func (tx) Commit() error                                  { return nil }
func (tx) Rollback() error                                { return nil }
func (stmt) Close() error                                 { return nil }
func (stmt) NumInput() int                                { return 0 }
func (s stmt) Exec([]driver.Value) (driver.Result, error) { ask(s.q); return driver.ResultNoRows, nil }
func (s stmt) Query([]driver.Value) (driver.Rows, error)  { ask(s.q); return &rows{5}, nil }
func (*rows) Columns() []string                           { return []string{"a"} }
func (*rows) Close() error                                { return nil }
func (r *rows) Next(d []driver.Value) error {
	if r.n == 0 {
		return io.EOF
	}
	r.n--
	d[0] = int64(r.n)
	return nil
}

var begun int64 // goroutines that are where they hold something

// all waits until n of them are, so that none gets what the others need.
func all(n int) {
	atomic.AddInt64(&begun, 1)
	for atomic.LoadInt64(&begun) < int64(n) {
		time.Sleep(time.Millisecond)
	}
}

func listOrders(db *sql.DB, n int) {
	rs, err := db.Query("orders")
	if err != nil {
		return
	}
	defer rs.Close()
	for rs.Next() {
		all(n)
		loadItems(db)
	}
}

func loadItems(db *sql.DB) {
	var v int64
	db.QueryRow("items").Scan(&v)
}

func transfer(db *sql.DB, n int) {
	t, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return
	}
	defer t.Rollback()
	all(n)
	audit(db)
	t.Commit()
}

func audit(db *sql.DB) {
	t, err := db.Begin()
	if err == nil {
		t.Commit()
	}
}

// oneByOne is what listOrders should be.
func oneByOne(db *sql.DB) {
	rs, err := db.Query("orders")
	if err != nil {
		return
	}
	for rs.Next() {
	}
	rs.Close()
	loadItems(db)
}

var errStock = errors.New("out of stock")

func forget(db *sql.DB, last bool) error {
	t, err := db.Begin()
	if err != nil {
		return err
	}
	if !last {
		return errStock // neither Commit nor Rollback
	}
	return t.Commit()
}

func keep(db *sql.DB) { db.Conn(context.Background()) }

func report(db *sql.DB)                          { db.Exec("hung") }
func reportBackground(db *sql.DB)                { db.ExecContext(context.Background(), "hung") }
func reportWith(ctx context.Context, db *sql.DB) { db.ExecContext(ctx, "hung") }
func reportLate(db *sql.DB)                      { db.Exec("late") }
func reportBatch(db *sql.DB)                     { db.Exec("batch") }
func slow(db *sql.DB)                            { db.Exec("slow") }

func loop(n int, f func()) {
	for i := 0; i < n; i++ {
		go func() {
			for {
				f()
				time.Sleep(time.Millisecond)
			}
		}()
	}
}

func start(db *sql.DB, name string) {
	switch name {
	case "nested1":
		db.SetMaxOpenConns(1)
		loop(1, func() { listOrders(db, 1) })
	case "nested":
		db.SetMaxOpenConns(10)
		loop(30, func() { listOrders(db, 10) })
	case "nestedtx":
		db.SetMaxOpenConns(4)
		loop(4, func() { transfer(db, 4) })
	case "onebyone":
		db.SetMaxOpenConns(4)
		db.SetMaxIdleConns(4) // with the default of 2, a busy machine closes some a second
		loop(8, func() { oneByOne(db) })
	case "hung", "hungfull":
		if name == "hungfull" {
			db.SetMaxOpenConns(5)
		}
		loop(5, func() { report(db) })
		if name == "hung" {
			loop(3, func() { reportBackground(db) })
		} else {
			loop(7, func() { report(db) })
		}
	case "deadline":
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		_ = cancel
		loop(5, func() { reportWith(ctx, db) })
	case "cancel":
		ctx, cancel := context.WithCancel(context.Background())
		loop(5, func() { reportWith(ctx, db) })
		defer func() { stop = cancel }()
	case "late":
		db.SetMaxIdleConns(5)
		loop(5, func() { reportLate(db) })
	case "batch":
		loop(2, func() { reportBatch(db) })
	case "lifetime":
		db.SetMaxIdleConns(10)
		db.SetConnMaxLifetime(50 * time.Millisecond)
		loop(8, func() { slow(db) })
	case "idle":
		loop(8, func() { slow(db) })
	case "usual":
		db.SetMaxOpenConns(10)
		loop(2, func() { slow(db) })
	case "forget":
		db.SetMaxOpenConns(10)
		loop(1, func() { forget(db, false) })
	case "keep":
		db.SetMaxOpenConns(3)
		loop(1, func() { keep(db) })
	default:
		fmt.Fprintln(os.Stderr, "dbcases: no case", name)
		os.Exit(2)
	}
}

var stop func()

func main() {
	sql.Register("none", drv{})
	db, _ := sql.Open("none", "")
	start(db, os.Args[1])
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		s := db.Stats()
		json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "open": s.OpenConnections, "in_use": s.InUse,
			"wait_count": s.WaitCount, "max_idle_closed": s.MaxIdleClosed, "max_lifetime_closed": s.MaxLifetimeClosed})
	}
	if stop != nil {
		stop()
	}
}
