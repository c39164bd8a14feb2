// SPDX-License-Identifier: BSD-2-Clause

// shop is a small web shop with a load generator inside, and with bugs that
// can be switched on, one by one:
//
//	leak        orders.go: a goroutine per order waits for news on a channel
//	            that nobody closes
//	flood       notify.go: a goroutine per cart calls a partner that is slow
//	ticker      session.go: a goroutine per login ticks on after the session
//	bigbuf      report.go: a buffer of 10 MiB per report
//	gcpressure  search.go: the whole catalogue is copied for each page of a
//	            search, and GOGC is low
//	latereply   supplier.go: an answer is sent to somebody who has given up
//	            waiting
//	waitgroup   receipt.go: a wait group that is never done
//	deadlock    stock.go: two goroutines take two mutexes in different order
//	trail       trail.go: a map that only grows
//	slowbank    bank.go: a service that takes its time to be found, to shake
//	            hands, and most of all to answer
//	patient     bank.go: requests without a timeout that are never answered
//	openbody    bank.go: responses of which only the status is looked at
//	opentx      ledger.go: transactions that nobody ends, until the pool of
//	            connections is empty and others wait
//	convoy      prices.go: a lock that is held while a label is printed
//	config      settings.go: a flag that is changed without a lock while others read it
//
// Without them it is a healthy shop: a steady pool of packers, keep-alive
// connections, a bank that answers, transactions that end, housekeeping by the clock, contexts that somebody waits on.
//
// It prints `READY pid=N addr=HOST:PORT`, and, when it ends, one line of JSON
// with what each bug did.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // as most services have it: the runtime then keeps a heap profile
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	bugList := flag.String("bugs", "none", "bugs to switch on, with commas between: all, none or names")
	rate := flag.Int("rate", 200, "requests per second from the load generator; 0: none")
	lasts := flag.Duration("for", 0, "end after this time; 0: at SIGINT or SIGTERM")
	where := flag.Bool("where", false, "print the place of each bug as JSON, and end")
	list := flag.Bool("list", false, "the same as lines to read")
	flag.Parse()

	if *where || *list {
		learnPlaces()
		printPlaces(*list)
		return
	}
	bugs, err := parseBugs(*bugList)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(2)
	}
	if err := run(bugs, *rate, *lasts); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(bugs bugSet, rate int, lasts time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lasts)
		defer cancel()
	}

	shop := newShop(bugs)
	shop.open(ctx)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: shop.routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	customers := newLoad("http://"+listener.Addr().String(), rate)
	customers.start(ctx)
	if err := customers.warm(ctx); err != nil {
		return err
	}
	fmt.Printf("READY pid=%d addr=%s\n", os.Getpid(), listener.Addr())

	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	return end(server, customers)
}

func end(server *http.Server, customers *load) error {
	customers.wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"requests": customers.answered(), "failed": customers.failed(), "bugs": places()})
}
