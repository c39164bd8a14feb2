// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// ledger is the books, in a database: one of nothing, with a real pool.
type ledger struct {
	db     *sql.DB
	begun  int
	failed int
}

const (
	ledgerPool  = 4
	clerks      = 6
	clerkWrites = 100 * time.Millisecond
	bookEvery   = 1200 * time.Millisecond
)

func newLedger() *ledger {
	db, err := sql.Open("shop", "")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(ledgerPool)
	db.SetMaxIdleConns(ledgerPool) // with the default of 2, clerks who come at once have some closed
	return &ledger{db: db}
}

// openLedger starts the clerks, and who books what was sold.
func (s *Shop) openLedger(ctx context.Context) {
	for i := 0; i < clerks; i++ {
		go s.every(ctx, clerkWrites, func() { s.writeDown(ctx) })
	}
	// one by one: who comes five seconds late still sees one begin
	go s.every(ctx, bookEvery, func() {
		if s.ledger.begun++; s.ledger.begun <= ledgerPool || !s.bugs["opentx"] {
			s.book(ctx, 0)
		}
	})
}

// writeDown is a short query.
func (s *Shop) writeDown(ctx context.Context) {
	// An error here is the end of the shop.
	_, _ = s.ledger.db.ExecContext(ctx, "insert")
}

// book books in a transaction; that it is for nothing is noticed too late.
func (s *Shop) book(ctx context.Context, cents int) {
	nextLineIs("opentx")
	tx, err := s.ledger.db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	if cents == 0 && s.bugs["opentx"] {
		return // neither committed nor rolled back
	}
	if tx.Commit() != nil {
		s.ledger.failed++
	}
}

func init() { sql.Register("shop", &books{}) }

type books struct{}

func (*books) Open(string) (driver.Conn, error) { return page{}, nil }

type page struct{}

func (page) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not prepared for that") }
func (page) Close() error                        { return nil }
func (page) Begin() (driver.Tx, error)           { return page{}, nil }
func (page) Commit() error                       { return nil }
func (page) Rollback() error                     { return nil }

func (page) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}
