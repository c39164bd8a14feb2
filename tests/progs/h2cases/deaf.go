// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"syscall"

	"golang.org/x/net/http2"
)

// ignore makes a socket lose all that comes in: nothing is acknowledged any more.
func ignore(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	must(err)
	must(raw.Control(func(fd uintptr) {
		must(syscall.AttachLsf(int(fd), []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}))
	}))
}

// serveDeaf gives leave to send without end, and reads nothing.
func serveDeaf() string {
	s := httptest.NewUnstartedServer(nil)
	s.EnableHTTP2 = true
	s.StartTLS()
	config := &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			go func() {
				t := tls.Server(c, config)
				_, err := io.ReadFull(t, make([]byte, len(http2.ClientPreface)))
				must(err)
				f := http2.NewFramer(t, t)
				must(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
				must(f.WriteWindowUpdate(0, 1<<31-1-65535))
				must(f.WriteSettingsAck())
			}()
		}
	}()
	return l.Addr().String()
}
