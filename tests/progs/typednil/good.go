package main

import (
	"errors"
	"fmt"
	"strings"
)

// Healthy twins: none of them returns a typed nil.

//go:noinline
func goodConstant(n int) error {
	if n > 10 {
		return &myError{n}
	}
	return nil
}

//go:noinline
func goodTested(n int) error {
	if e := find(n); e != nil {
		return e
	}
	return nil
}

//go:noinline
func goodTestedCallee(n int) error {
	e := notInlined(n)
	if e == nil {
		return nil
	}
	return e
}

//go:noinline
func goodFlag(n int) error {
	e, ok := pair(n)
	if !ok {
		return nil
	}
	return e
}

//go:noinline
func pairNotInlined(n int) (*myError, bool) { return pair(n) }

//go:noinline
func goodFlagOfCall(n int) error {
	e, ok := pairNotInlined(n)
	if ok {
		fmt.Println("failed")
		return e
	}
	return nil
}

//go:noinline
func goodCommaOk(err error) error {
	e, ok := err.(*myError)
	if ok {
		return e
	}
	return err
}

//go:noinline
func goodFlagInMemory(err error, names []string) error {
	e, ok := err.(*myError)
	for _, s := range names {
		fmt.Println(s, ok)
	}
	if ok {
		return e
	}
	return nil
}

//go:noinline
func goodLoop(names []string) error {
	var first *myError
	failed := false
	for i, s := range names {
		if strings.HasPrefix(s, "bad") && !failed {
			first = &myError{i}
			failed = true
		}
	}
	if failed {
		return first
	}
	return nil
}

//go:noinline
func goodCount(names []string) error {
	var last *myError
	n := 0
	for i, s := range names {
		if strings.HasPrefix(s, "bad") {
			last = &myError{i}
			n++
		}
	}
	if n > 0 {
		return last
	}
	return nil
}

//go:noinline
func goodSwitch(n int) error {
	var e *myError
	switch {
	case n > 30:
		e = &myError{30}
	case n > 20:
		e = &myError{20}
	default:
		return errors.New("small")
	}
	return e
}

//go:noinline
func goodClosure(n int) error {
	var e *myError
	set := func(code int) { e = &myError{code} }
	each(n, set)
	return e
}

//go:noinline
func each(n int, f func(int)) {
	for i := 0; i <= n; i++ {
		f(i)
	}
}

type job struct{ err error }

// The error is stored, and nothing is returned.
//
//go:noinline
func (j *job) goodStored(n int) {
	var e *myError
	if n > 10 {
		e = &myError{n}
		j.err = e
	}
}

// What is nil here is the error.
//
//go:noinline
func wrap(err error) *myError {
	if err == nil {
		return nil
	}
	return &myError{len(err.Error())}
}

//go:noinline
func goodArgument(n int) error {
	return wrap(fmt.Errorf("number %d", n))
}

// The same of any value, as packages that wrap errors have it: what is made an `any` is an error
// that is not nil, which only the called function knows, or a test before.
//
//go:noinline
func wrapAny(v interface{}) *myError {
	if v == nil {
		return nil
	}
	var err error
	switch v := v.(type) {
	case *myError:
		return v
	case error:
		err = v
	default:
		err = fmt.Errorf("%v", v)
	}
	return &myError{len(err.Error())}
}

//go:noinline
func goodMadeAny(n int) error {
	return wrapAny(fmt.Errorf("number %d", n))
}

type loader interface{ load(n int) (string, error) }

func (j *job) load(n int) (string, error) { return fmt.Sprint(n), goodConstant(n) }

//go:noinline
func goodTestedAny(l loader, n int) (string, error) {
	text, err := l.load(n)
	if err != nil {
		return "", wrapAny(err)
	}
	return text, nil
}

//go:noinline
func goodDeferred(n int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &myError{n}
		}
	}()
	fmt.Println(n)
	return nil
}

//go:noinline
func goodPanics(n int) error {
	var e *myError
	if n < 1000 {
		e = &myError{n}
	} else {
		panic("too many")
	}
	return e
}

//go:noinline
func goodAlways(n int) error {
	return always(n)
}

//go:noinline
func goodSecond(n int) (*myError, error) {
	if n > 10 {
		return nil, &myError{n}
	}
	return &myError{n}, nil
}

// ---- errors.As has set it ----

func orNil(e *myError) *myError {
	if e == nil {
		return nil
	}
	return &myError{e.code + 1}
}

//go:noinline
func orNilCalled(e *myError) *myError {
	if e == nil {
		return nil
	}
	return &myError{e.code + 1}
}

//go:noinline
func goodAs(err error) error {
	var e *myError
	if errors.As(err, &e) {
		return orNil(e)
	}
	return err
}

//go:noinline
func goodAsCalled(err error) error {
	var e *myError
	if ok := errors.As(err, &e); ok {
		return orNilCalled(e)
	}
	return err
}

func good(n int) {
	report(goodAs(fmt.Errorf("%w", always(n))))
	report(goodAsCalled(fmt.Errorf("%w", always(n))))
	names := []string{"good", "bad"}[:n%3]
	report(goodConstant(n))
	report(goodTested(n))
	report(goodTestedCallee(n))
	report(goodFlag(n))
	report(goodFlagOfCall(n))
	report(goodCommaOk(goodConstant(n)))
	report(goodFlagInMemory(goodConstant(n), names))
	report(goodLoop(names))
	report(goodCount(names))
	report(goodSwitch(n))
	report(goodClosure(n))
	j := &job{}
	j.goodStored(n)
	report(j.err)
	report(goodArgument(n))
	report(goodMadeAny(n))
	_, err := goodTestedAny(j, n)
	report(err)
	report(goodDeferred(n))
	report(goodPanics(n))
	report(goodAlways(n))
	_, err = goodSecond(n)
	report(err)
}
