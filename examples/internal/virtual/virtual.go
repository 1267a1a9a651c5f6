// Package virtual runs a program in virtual time, where sleeping costs nothing: an hour passes as fast as its work is
// done. It is testing/synctest, which wants to be in a test, for programs.
package virtual

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

// Main runs f, whose clock is virtual, and ends the process: with status 1 if f fails. What f prints goes to out, because
// the test that it is run as has something to say on os.Stdout as well.
func Main(f func(out *os.File) error) {
	out := os.Stdout
	os.Stdout, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	os.Args = []string{os.Args[0], "-test.timeout=0"}
	every := func(string, string) (bool, error) { return true, nil }
	testing.Main(every, []testing.InternalTest{{Name: "virtual", F: func(t *testing.T) { //nolint:thelper // a program
		synctest.Test(t, func(t *testing.T) {
			if err := f(out); err != nil {
				fmt.Fprintln(os.Stderr, err)
				t.FailNow()
			}
		})
	}}}, nil, nil)
}
