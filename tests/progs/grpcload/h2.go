// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

// web is golang.org/x/net/http2 on its own, as client and as server, without
// TLS.
type web struct {
	url    string
	host   string
	client *http.Client
}

func newWeb() (*web, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go (&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(answerWeb)})
		}
	}()
	return &web{url: "http://" + l.Addr().String() + "/topsecretpath", host: l.Addr().String(), client: &http.Client{
		Timeout: time.Minute, Transport: &http2.Transport{AllowHTTP: true,
			DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, addr)
			}}}}, nil
}

func answerWeb(w http.ResponseWriter, r *http.Request) {
	ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
	time.Sleep(time.Duration(ms) * time.Millisecond)
	_, _ = w.Write(make([]byte, 1000))
}

func (b *web) get(n, ms int) (answer, error) {
	var took []time.Duration
	for i := 0; i < n; i++ {
		begin := time.Now()
		r, err := b.client.Get(b.url + "?ms=" + strconv.Itoa(ms))
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin)) // to the header
		_, err = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	return answer{"host": b.host, "p50_ns": median(took)}, nil
}
