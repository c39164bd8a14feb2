// What `gospect lint` must find: the lines that end in "typed nil", and nothing else.
package main

import (
	"errors"
	"fmt"
	"os"
)

type myError struct{ code int }

func (e *myError) Error() string { return fmt.Sprint("code ", e.code) }

func find(n int) *myError {
	if n > 3 {
		return &myError{n}
	}
	return nil
}

func always(n int) *myError { return &myError{n} }

func pair(n int) (*myError, bool) {
	if n > 3 {
		return &myError{n}, true
	}
	return nil, false
}

// ---- wrong ----

//go:noinline
func badConstant(n int) error {
	if n > 10 {
		return errors.New("large")
	}
	var e *myError
	return e // typed nil
}

//go:noinline
func badPath(n int) error {
	var e *myError
	if n > 10 {
		e = &myError{n}
	}
	return e // typed nil
}

//go:noinline
func notInlined(n int) *myError {
	if n > 3 {
		return &myError{n}
	}
	return nil
}

//go:noinline
func badCallee(n int) error {
	return notInlined(n) // typed nil
}

//go:noinline
func badSecond(n int) (int, error) {
	var e *myError
	if n > 20 {
		e = &myError{n}
	}
	return n + 1, e // typed nil
}

func main() {
	n := len(os.Args)
	report(badConstant(n))
	report(badPath(n))
	report(badCallee(n))
	_, err := badSecond(n)
	report(err)
	good(n)
}

//go:noinline
func report(err error) {
	fmt.Println(err != nil)
}
