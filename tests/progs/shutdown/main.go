// A server that ends at SIGTERM in the way that its argument names; says READY before.  What is slow
// ends when a line comes on standard input.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

var released = make(chan struct{})

type conn struct{}
type tx struct{}

func (conn) Open(string) (driver.Conn, error)    { return conn{}, nil }
func (conn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("none") }
func (conn) Close() error                        { return nil }
func (conn) Begin() (driver.Tx, error)           { return tx{}, nil }
func (tx) Commit() error                         { return nil }
func (tx) Rollback() error                       { return nil }

// Serves until it is released, in a transaction.
//
//go:noinline
func report(w http.ResponseWriter, r *http.Request) {
	db, _ := sql.Open("none", "")
	t, _ := db.Begin()
	<-released
	t.Commit()
}

//go:noinline
func pause(w http.ResponseWriter, r *http.Request) { time.Sleep(2 * time.Second) }

//go:noinline
func worker(done *sync.WaitGroup) {
	<-released
	done.Done()
}

func serve() (*http.Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/report", report)
	mux.HandleFunc("/pause", pause)
	s := &http.Server{Handler: mux}
	go s.Serve(l)
	return s, "http://" + l.Addr().String()
}

func ask(url string) { http.Get(url) }

func main() {
	asked, done := make(chan os.Signal, 1), &sync.WaitGroup{}
	signal.Notify(asked, syscall.SIGTERM)
	sql.Register("none", conn{})
	s, url := serve()
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(released)
	}()
	if os.Args[1] == "worker" {
		done.Add(1)
		go worker(done)
	}
	if os.Args[1] == "requests" {
		for i := 0; i < 3; i++ {
			go ask(url + "/report")
		}
		time.Sleep(500 * time.Millisecond)
	}
	fmt.Println("READY")
	<-asked
	if os.Args[1] == "pause" {
		go ask(url + "/pause")
		time.Sleep(100 * time.Millisecond)
	}
	if os.Args[1] != "worker" {
		s.Shutdown(context.Background())
	}
	done.Wait()
}
