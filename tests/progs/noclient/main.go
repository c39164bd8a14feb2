// What `gospect lint` must find: the lines that end in "no timeout" and in "the default client",
// and nothing else.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// ---- wrong ----

//go:noinline
func badGet(url string) (*http.Response, error) {
	c := http.Client{}
	return c.Get(url) // no timeout
}

//go:noinline
func badPointer(url string) (*http.Response, error) {
	c := &http.Client{Transport: &http.Transport{MaxIdleConns: 3}}
	return c.Get(url) // no timeout
}

//go:noinline
func badDo(url string) (*http.Response, error) {
	c := &http.Client{}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain")
	return c.Do(req) // no timeout
}

//go:noinline
func badBackground(url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), "GET", url, nil)
	if err != nil {
		return nil, err
	}
	c := http.Client{CheckRedirect: noRedirect}
	return c.Do(req) // no timeout
}

//go:noinline
func badPost(url string) (*http.Response, error) {
	return (&http.Client{}).Post(url, "text/plain", strings.NewReader("x")) // no timeout
}

//go:noinline
func badLoop(urls []string) {
	for _, u := range urls {
		c := &http.Client{}
		show(c.Head(u)) // no timeout
	}
}

//go:noinline
func badDefault(url string) (*http.Response, error) {
	return http.Get(url) // the default client
}

//go:noinline
func badDefaultDo(url string) (*http.Response, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req) // the default client
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func show(r *http.Response, err error) {
	if err == nil {
		r.Body.Close()
	}
	fmt.Println(err != nil)
}

func main() {
	url := "http://127.0.0.1:1/"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	show(badGet(url))
	show(badPointer(url))
	show(badDo(url))
	show(badBackground(url))
	show(badPost(url))
	badLoop([]string{url, url})
	show(badDefault(url))
	show(badDefaultDo(url))
	good(url, time.Duration(len(os.Args))*time.Second)
}
