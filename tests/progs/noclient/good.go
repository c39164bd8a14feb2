package main

import (
	"context"
	"net"
	"net/http"
	"time"
)

// ---- right, or not known ----

//go:noinline
func goodBefore(url string) (*http.Response, error) {
	c := http.Client{Timeout: 3 * time.Second}
	return c.Get(url)
}

//go:noinline
func goodPointer(url string, d time.Duration) (*http.Response, error) {
	c := &http.Client{Transport: http.DefaultTransport, Timeout: d}
	return c.Get(url)
}

//go:noinline
func goodAfter(url string) (*http.Response, error) {
	c := &http.Client{}
	c.CheckRedirect = noRedirect
	c.Timeout = time.Second
	return c.Get(url)
}

//go:noinline
func goodAfterOnStack(url string, d time.Duration) (*http.Response, error) {
	var c http.Client
	if d > time.Second {
		c.Timeout = d
	} else {
		c.Timeout = time.Second
	}
	return c.Get(url)
}

// Only some ways set it: not certain.
//
//go:noinline
func goodMaybe(url string, d time.Duration) (*http.Response, error) {
	c := &http.Client{}
	if d > 0 {
		c.Timeout = d
	}
	return c.Get(url)
}

//go:noinline
func setTimeout(c *http.Client, d time.Duration) {
	if d > 0 {
		c.Timeout = d
	}
}

//go:noinline
func goodHelper(url string, d time.Duration) (*http.Response, error) {
	c := &http.Client{}
	setTimeout(c, d)
	return c.Get(url)
}

//go:noinline
func goodHelperOnStack(url string, d time.Duration) (*http.Response, error) {
	var c http.Client
	setTimeout(&c, d)
	return c.Get(url)
}

//go:noinline
func setDuration(d *time.Duration) { *d = time.Second }

// The address of the one field is given away.
//
//go:noinline
func goodField(url string) (*http.Response, error) {
	c := &http.Client{}
	setDuration(&c.Timeout)
	return c.Get(url)
}

type options struct{ client *http.Client }

//go:noinline
func (o *options) apply() { o.client.Timeout = time.Second }

// Somebody else holds it.
//
//go:noinline
func goodHeld(url string, o *options) (*http.Response, error) {
	c := &http.Client{}
	o.client = c
	o.apply()
	return c.Get(url)
}

var shared = &http.Client{}

//go:noinline
func goodShared(url string) (*http.Response, error) { return shared.Get(url) }

//go:noinline
func goodArgument(c *http.Client, url string) (*http.Response, error) { return c.Get(url) }

//go:noinline
func newClient(d time.Duration) *http.Client { return &http.Client{Timeout: d} }

//go:noinline
func goodMade(url string, d time.Duration) (*http.Response, error) { return newClient(d).Get(url) }

//go:noinline
func goodCopy(url string) (*http.Response, error) {
	c := *shared
	return c.Get(url)
}

//go:noinline
func goodClosure(url string) (*http.Response, error) {
	c := &http.Client{}
	set := func() { c.Timeout = time.Second }
	call(set)
	return c.Get(url)
}

//go:noinline
func call(f func()) { f() }

// ---- the request ends by itself ----

//go:noinline
func goodDeadline(url string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	return (&http.Client{}).Do(req)
}

// Its context may have a deadline.
//
//go:noinline
func goodContext(ctx context.Context, url string) (*http.Response, error) {
	c := &http.Client{}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

//go:noinline
func goodWithContext(ctx context.Context, url string) (*http.Response, error) {
	c := &http.Client{}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req.WithContext(ctx))
}

//go:noinline
func goodMaybeContext(ctx context.Context, url string) (*http.Response, error) {
	c := &http.Client{}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	if ctx != nil {
		req = req.WithContext(ctx)
	}
	return c.Do(req)
}

//go:noinline
func goodRequest(req *http.Request) (*http.Response, error) {
	var c http.Client
	return c.Do(req)
}

//go:noinline
func goodDefaultDo(req *http.Request) (*http.Response, error) {
	return http.DefaultClient.Do(req)
}

func good(url string, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return
	}
	show(goodBefore(url))
	show(goodPointer(url, d))
	show(goodAfter(url))
	show(goodAfterOnStack(url, d))
	show(goodMaybe(url, d))
	show(goodHelper(url, d))
	show(goodHelperOnStack(url, d))
	show(goodField(url))
	show(goodHeld(url, &options{}))
	show(goodShared(url))
	show(goodArgument(&http.Client{Timeout: d}, url))
	show(goodMade(url, d))
	show(goodCopy(url))
	show(goodClosure(url))
	show(goodDeadline(url))
	show(goodContext(ctx, url))
	show(goodWithContext(ctx, url))
	show(goodMaybeContext(ctx, url))
	show(goodRequest(req))
	show(goodDefaultDo(req))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		l.Close()
	}
}
