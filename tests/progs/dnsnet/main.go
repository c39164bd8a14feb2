// SPDX-License-Identifier: BSD-2-Clause

// Dnsnet asks a resolver of its own that is slow or does not answer, by HTTP
// requests, dials or look-ups, and says what it has seen.
//
//	dnsnet MODE HOSTS HOW [NAMESERVER]
//
// MODE: what the resolver does.
//
//	ok     answers at once
//	slow   answers after 1.5 s
//	one    likewise for the first host, at once for the others
//	drop   does not answer
//	aaaa   does not answer for IPv6
//	ndots  says after 400 ms that names of the search list do not exist
//
// HOW: http, dial (net.Dialer), lookup (net.LookupHost).  Without NAMESERVER the
// program's own net.Resolver asks; with it, which is an address that
// /etc/resolv.conf names, whichever Go chooses (GODEBUG=netdns=cgo).
//
// Prints READY when the first call has begun; a line on standard input gives a
// line of JSON with the counts.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var done, failed int64

type answer struct {
	delay    time.Duration
	drop, nx bool
}

func behave(mode, name string, qtype uint16) answer {
	switch {
	case mode == "drop", mode == "aaaa" && qtype == 28:
		return answer{drop: true}
	case mode == "slow", mode == "one" && strings.HasPrefix(name, "h0."):
		return answer{delay: 1500 * time.Millisecond}
	case strings.HasSuffix(name, ".local"):
		return answer{delay: 400 * time.Millisecond, nx: true}
	}
	return answer{}
}

// reply answers one query: A with 127.0.0.1, all else with nothing.
func reply(pc net.PacketConn, from net.Addr, q []byte, mode string) {
	var labels []string
	i := 12
	for q[i] != 0 {
		labels = append(labels, string(q[i+1:i+1+int(q[i])]))
		i += 1 + int(q[i])
	}
	qtype := binary.BigEndian.Uint16(q[i+1:])
	a := behave(mode, strings.ToLower(strings.Join(labels, ".")), qtype)
	time.Sleep(a.delay)
	if a.drop {
		return
	}
	r := append([]byte{q[0], q[1], 0x85, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:i+5]...)
	if a.nx {
		r[3] |= 3
	} else if qtype == 1 {
		r[7] = 1
		r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
	}
	pc.WriteTo(r, from)
}

func nameserver(at, mode string) string {
	pc, err := net.ListenPacket("udp", at)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			b := make([]byte, 1500)
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			go reply(pc, from, b[:n], mode)
		}
	}()
	return pc.LocalAddr().String()
}

// patience is what a call may take; the healthy ones always come back in time.
func patience(mode string) time.Duration {
	if mode == "ok" {
		return time.Minute
	}
	return 2 * time.Second
}

func byHTTP(d *net.Dialer, port string, limit time.Duration) func(string) error {
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	c := &http.Client{Transport: tr, Timeout: limit}
	return func(host string) error {
		resp, err := c.Get("http://" + host + ":" + port + "/")
		if err != nil {
			return err
		}
		io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
}

func byDial(d *net.Dialer, port string, limit time.Duration) func(string) error {
	return func(host string) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		c, err := d.DialContext(ctx, "tcp", host+":"+port)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

func byLookup(r *net.Resolver, limit time.Duration) func(string) error {
	return func(host string) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_, err := r.LookupHost(ctx, host)
		return err
	}
}

func serve() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func ask(host string, call func(string) error) {
	for {
		if call(host) != nil {
			atomic.AddInt64(&failed, 1)
		} else {
			atomic.AddInt64(&done, 1)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	mode, how := os.Args[1], os.Args[3]
	hosts, _ := strconv.Atoi(os.Args[2])
	port, resolver := serve(), net.DefaultResolver
	if len(os.Args) > 4 {
		nameserver(os.Args[4]+":53", mode)
	} else {
		addr := nameserver("127.0.0.1:0", mode)
		resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", addr)
		}}
	}
	d := &net.Dialer{Timeout: 30 * time.Second, Resolver: resolver}
	limit := patience(mode)
	call := map[string]func(string) error{
		"http": byHTTP(d, port, limit), "dial": byDial(d, port, limit), "lookup": byLookup(resolver, limit),
	}[how]
	for i := 0; i < hosts; i++ {
		for k := 0; k < 4/hosts+1; k++ {
			go ask(fmt.Sprintf("h%d.example.com", i), call)
		}
	}
	fmt.Println("READY")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
			"ok": true, "done": atomic.LoadInt64(&done), "failed": atomic.LoadInt64(&failed), "port": port})
	}
	select {}
}
