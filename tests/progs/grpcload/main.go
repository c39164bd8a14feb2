// SPDX-License-Identifier: BSD-2-Clause

// grpcload is a gRPC client and its server, and golang.org/x/net/http2 on its
// own, over the loopback interface.  The messages are empty: what counts is the
// calls.
//
// It prints `READY pid=N` and then answers every line on its standard input
// with one line of JSON, once what the line asks for is done:
//
//	call METHOD N MS     N calls, one after the other; the server takes MS milliseconds
//	fail METHOD N        N calls that the server refuses
//	code METHOD N CODE   N calls that the server answers with that code
//	hang METHOD N        N calls that the server does not answer until
//	bound METHOD N       the same, by a context that can be cancelled
//	timed METHOD N       the same, by a context with a deadline
//	watch METHOD N       N streams that receive, and get nothing
//	send METHOD N        N streams that send, and the server does not read
//	release              which ends them
//	deafen               from now on the server's connections hear nothing
//	get N MS             N requests by golang.org/x/net/http2
//	quit                 end
//
// "call" and "get" say how long their median took.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type answer map[string]any

type place struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

var (
	delay    atomic.Int64 // ns
	refuse   atomic.Bool
	answers  atomic.Uint32 // code; 0: well
	hanging  atomic.Bool
	entered  atomic.Int64
	gate     = make(chan struct{})
	callAt   place
	callOnce sync.Once
)

const service = "/gospect.test.Stock/"

func main() {
	conn, err := start()
	other, err2 := newWeb()
	if err == nil {
		err = err2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpcload:", err)
		os.Exit(1)
	}
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	var wg sync.WaitGroup
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			return
		}
		reply(conn, other, &wg, words)
	}
}

// start is a server of any method, and a connection to it.
func start() (*grpc.ClientConn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	heard.Listener = l
	server := grpc.NewServer(grpc.UnknownServiceHandler(serve))
	go server.Serve(&heard)
	return grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func serve(_ any, s grpc.ServerStream) error {
	var m emptypb.Empty
	if err := s.RecvMsg(&m); err != nil {
		return err
	}
	time.Sleep(time.Duration(delay.Load()))
	if hanging.Load() {
		entered.Add(1)
		<-gate
	}
	if refuse.Load() {
		return status.Error(codes.PermissionDenied, "not you")
	}
	if c := codes.Code(answers.Load()); c != codes.OK {
		return status.Error(c, "so it was asked")
	}
	return s.SendMsg(&m)
}

// coded counts what n calls say they ended with.
func coded(conn *grpc.ClientConn, method string, n int, code codes.Code) map[string]int {
	answers.Store(uint32(code))
	defer answers.Store(0)
	got := map[string]int{}
	for i := 0; i < n; i++ {
		got[status.Code(call(conn, method)).String()]++
	}
	return got
}

func call(conn *grpc.ClientConn, method string) error {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-secret", "topsecretheader")
	var in, out emptypb.Empty
	nextLineIsCall()
	return conn.Invoke(ctx, service+method, &in, &out)
}

// nextLineIsCall notes that the call is on the caller's next line.
func nextLineIsCall() {
	pc, file, line, _ := runtime.Caller(1)
	callOnce.Do(func() {
		f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		callAt = place{f.Function, filepath.Base(file), line + 1}
	})
}

// What waits as well, and is no call that hangs.
var twins = map[string]func(*grpc.ClientConn, string){"bound": bound, "timed": timed, "watch": watch, "send": send}

// send fills what the stream and its connection have room for.
func send(conn *grpc.ClientConn, method string) {
	s, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true}, service+method)
	for m := wrapperspb.Bytes(make([]byte, 64<<10)); err == nil; {
		err = s.SendMsg(m)
	}
}

func bound(conn *grpc.ClientConn, method string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var in, out emptypb.Empty
	_ = conn.Invoke(ctx, service+method, &in, &out)
}

func timed(conn *grpc.ClientConn, method string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var in, out emptypb.Empty
	_ = conn.Invoke(ctx, service+method, &in, &out)
}

func watch(conn *grpc.ClientConn, method string) {
	var m emptypb.Empty
	s, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, service+method)
	if err == nil && s.SendMsg(&m) == nil && s.CloseSend() == nil {
		_ = s.RecvMsg(&m)
	}
}

func median(d []time.Duration) int64 {
	slices.Sort(d)
	if len(d) == 0 {
		return 0
	}
	return int64(d[len(d)/2])
}

func waitEntered(want int64) error {
	for end := time.Now().Add(30 * time.Second); entered.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited 30 s for the calls")
		}
	}
	return nil
}

func reply(conn *grpc.ClientConn, other *web, wg *sync.WaitGroup, words []string) {
	a, err := run(conn, other, wg, append(words, "", "", ""))
	if a == nil {
		a = answer{}
	}
	a["cmd"], a["ok"] = words[0], err == nil
	if err != nil {
		a["error"] = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		os.Exit(1)
	}
}

func run(conn *grpc.ClientConn, other *web, wg *sync.WaitGroup, words []string) (answer, error) {
	method := words[1]
	n, _ := strconv.Atoi(words[2])
	ms, _ := strconv.Atoi(words[3])
	switch words[0] {
	case "call", "fail":
		delay.Store(int64(ms) * int64(time.Millisecond))
		refuse.Store(words[0] == "fail")
		failed, took := 0, []time.Duration{}
		for i := 0; i < n; i++ {
			begin := time.Now()
			if call(conn, method) != nil {
				failed++
			}
			took = append(took, time.Since(begin))
		}
		refuse.Store(false)
		delay.Store(0)
		return answer{"failed": failed, "method": service + method, "place": callAt, "p50_ns": median(took)}, nil
	case "code":
		return answer{"codes": coded(conn, method, n, codes.Code(ms)), "place": callAt}, nil
	case "deafen":
		return nil, heard.deafen()
	case "bound", "timed", "watch", "send":
		hanging.Store(true)
		want := entered.Load() + int64(n)
		for i := 0; i < n; i++ {
			wg.Go(func() { twins[words[0]](conn, method) })
		}
		return nil, waitEntered(want)
	case "get":
		n, _ = strconv.Atoi(words[1])
		ms, _ = strconv.Atoi(words[2])
		return other.get(n, ms)
	case "hang":
		hanging.Store(true)
		want := entered.Load() + int64(n)
		for i := 0; i < n; i++ {
			wg.Go(func() { _ = call(conn, method) })
		}
		if err := waitEntered(want); err != nil {
			return nil, err
		}
		return answer{"method": service + method, "place": callAt}, nil
	case "release":
		hanging.Store(false)
		close(gate)
		wg.Wait()
		gate = make(chan struct{})
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command")
}
