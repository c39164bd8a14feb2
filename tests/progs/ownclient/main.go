// A program that gives http.DefaultClient a timeout: `gospect lint` finds nothing.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

//go:noinline
func get(url string) (*http.Response, error) { return http.Get(url) }

//go:noinline
func setUp() {
	if len(os.Args) > 2 {
		http.DefaultClient = &http.Client{Timeout: time.Minute}
	} else {
		http.DefaultClient.Timeout = time.Second
	}
}

func main() {
	setUp()
	_, err := get(os.Args[1])
	fmt.Println(err)
}
