// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"
)

// bank takes the customers' money: a service elsewhere, asked by HTTPS.  Here
// it is on the loopback interface, with a resolver of its own.
type bank struct {
	url     string // "" until it is open
	parcels string // the same server by another name
	client  *http.Client
	patient *http.Client // its requests may take as long as they take
	asked   int64        // atomic
	lookup  time.Duration
	shake   time.Duration
	decide  time.Duration
	endless chan struct{} // of what the bank never answers
}

const (
	tellers    = 2
	tellEvery  = 50 * time.Millisecond
	couriers   = 4
	parcelAsks = time.Second
	mostChecks = 4 // of the bank's health, that nobody closes
)

func newBank(bugs bugSet) *bank {
	b := &bank{endless: make(chan struct{}), decide: 2 * time.Millisecond, client: &http.Client{}, patient: &http.Client{}}
	if bugs["slowbank"] {
		b.lookup, b.shake, b.decide = 50*time.Millisecond, 60*time.Millisecond, 300*time.Millisecond
	}
	return b
}

// open starts the bank's side, and those who ask it.
func (s *Shop) openBank(ctx context.Context) {
	b := s.bank
	server := httptest.NewUnstartedServer(http.HandlerFunc(b.answer))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		time.Sleep(b.shake)
		return nil, nil
	}}
	server.StartTLS()
	b.client = server.Client()
	b.client.Timeout = 10 * time.Second
	b.patient.Transport = b.client.Transport
	t := b.client.Transport.(*http.Transport)
	t.TLSClientConfig.ServerName = "example.com" // whom the certificate is for
	t.DialContext = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: b.askNames}}).DialContext
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		panic(err)
	}
	b.url = "https://" + net.JoinHostPort("bank.example.com", port)
	b.parcels = "https://" + net.JoinHostPort("parcels.example.com", port)
	for i := 0; i < tellers; i++ {
		go s.every(ctx, tellEvery, func() { s.charge("/charge") })
	}
	if s.bugs["patient"] {
		for i := 0; i < couriers; i++ {
			go s.track("/track")
		}
	}
	checks := 0
	go s.every(ctx, parcelAsks, func() {
		if checks++; checks <= mostChecks || !s.bugs["openbody"] {
			s.isBankUp("/health")
		}
	})
}

// answer is the bank's: now and then it wants a new connection.
func (b *bank) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/track" {
		select {
		case <-b.endless:
		case <-r.Context().Done():
		}
		return
	}
	if r.URL.Path == "/charge" {
		time.Sleep(b.decide)
		if atomic.AddInt64(&b.asked, 1)%5 == 0 {
			w.Header().Set("Connection", "close")
		}
	}
	_, _ = w.Write(make([]byte, 4096))
}

// charge takes money.
func (s *Shop) charge(path string) {
	nextLineIs("slowbank")
	r, err := s.bank.client.Post(s.bank.url+path, "text/plain", http.NoBody)
	if err != nil {
		return
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
}

// track asks where a parcel is: there are no limits to how long that may take.
func (s *Shop) track(path string) {
	nextLineIs("patient")
	r, err := s.bank.patient.Get(s.bank.parcels + path)
	if err != nil {
		return
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
}

// isBankUp looks at the status only.  A client with a timeout would close the
// body at its end.
func (s *Shop) isBankUp(path string) bool {
	nextLineIs("openbody")
	r, err := s.bank.patient.Get(s.bank.url + path)
	if err != nil {
		return false
	}
	if !s.bugs["openbody"] {
		r.Body.Close()
	}
	return r.StatusCode == http.StatusOK
}

// every does something by the clock.
func (s *Shop) every(ctx context.Context, d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}

// askNames is a connection to a name server that knows one address.
func (b *bank) askNames(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go b.answerNames(theirs)
	return ours, nil
}

// answerNames speaks DNS over a stream: a length before each message.
func (b *bank) answerNames(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil || len(q) < 12 {
			return
		}
		time.Sleep(b.lookup)
		m := nameAnswer(q)
		binary.BigEndian.PutUint16(size[:], uint16(len(m)))
		if _, err := c.Write(append(size[:], m...)); err != nil {
			return
		}
	}
}

// nameAnswer answers one question: 127.0.0.1, and no IPv6 address.
func nameAnswer(q []byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	if end+5 > len(q) {
		return q
	}
	end += 5
	m := append([]byte(nil), q[:end]...)
	m[2], m[3] = 0x85, 0x80
	copy(m[6:12], make([]byte, 6))
	if m[end-3] == 1 { // A
		m[7] = 1
		m = append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return m
}
