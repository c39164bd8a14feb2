// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// fakeDriver is a database of nothing, with settable delays.
type fakeDriver struct{}

var fake struct {
	openDelay, queryDelay int64 // ns, atomic
	slow                  int64 // atomic: slow queries under way
}

func init() { sql.Register("netload", &fakeDriver{}) }

func (*fakeDriver) Open(string) (driver.Conn, error) {
	time.Sleep(time.Duration(atomic.LoadInt64(&fake.openDelay)))
	return &fakeConn{}, nil
}

type fakeConn struct{}

func (*fakeConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("not prepared for that")
}
func (*fakeConn) Close() error               { return nil }
func (*fakeConn) Begin() (driver.Tx, error)  { return fakeTx{}, nil }
func (*fakeConn) Ping(context.Context) error { return nil }

func (*fakeConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return fakeTx{}, nil }

func (*fakeConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	time.Sleep(time.Duration(atomic.LoadInt64(&fake.queryDelay)))
	return driver.RowsAffected(1), nil
}

func (*fakeConn) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if query == "slow" {
		atomic.AddInt64(&fake.slow, 1)
		defer atomic.AddInt64(&fake.slow, -1)
		select {
		case <-gate.wait():
		case <-ctx.Done():
		}
	}
	time.Sleep(time.Duration(atomic.LoadInt64(&fake.queryDelay)))
	return &fakeRows{left: 1000}, nil
}

type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return nil }

type fakeRows struct{ left int }

func (*fakeRows) Columns() []string { return []string{"n"} }
func (*fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(to []driver.Value) error {
	if r.left--; r.left < 0 {
		return io.EOF
	}
	to[0] = int64(r.left)
	return nil
}
