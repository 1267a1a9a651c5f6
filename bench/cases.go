package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type benchCase struct {
	name, what string
	run        func(chat, stream call, n int) error
	n          int // calls
	units      int // per call
}

const callers = 64

var cases = []benchCase{
	{"chat", "one call after another; per call", oneByOne, 6000, 1},
	{"stream", "200 chunks of one shape in bursts; per chunk", streams, 600, chunksPerStream},
	{"packets", "the same, a packet per chunk; per chunk", streams, 150, chunksPerStream},
	{"varied", "200 chunks of six shapes in bursts; per chunk", streams, 600, chunksPerStream},
	{"parallel", "64 callers at once; per call", parallel, 16000, 1},
}

func oneByOne(chat, _ call, n int) error {
	for range n {
		if err := checked(chat); err != nil {
			return err
		}
	}
	return nil
}

func streams(_, stream call, n int) error {
	for range n {
		if err := checked(stream); err != nil {
			return err
		}
	}
	return nil
}

func parallel(chat, _ call, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = checked(chat)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func checked(f call) error {
	n, err := f(context.Background())
	if err == nil && n == 0 {
		err = errors.New("empty answer")
	}
	return err
}

// runChild measures one client and prints the result as JSON.
func runChild(name, job, url string, scale float64) error {
	var r result
	var err error
	if job == "cancel" {
		r, err = cancels(name, url, int(10_000*scale))
	} else {
		r, err = runCase(name, job, url, scale)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func runCase(name, job, url string, scale float64) (result, error) {
	i := slices.IndexFunc(cases, func(c benchCase) bool { return c.name == job })
	if i < 0 {
		return result{}, fmt.Errorf("no case %q", job)
	}
	c := cases[i]
	chat, stream, err := makeClient(name, url+"/"+job+"/v1")
	if err != nil {
		return result{}, err
	}
	n := max(1, int(float64(c.n)*scale))
	if err := c.run(chat, stream, n/10+1); err != nil { // warm-up
		return result{}, err
	}
	conns, err := connections(url)
	if err != nil {
		return result{}, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if file := os.Getenv("BENCH_PROFILE"); file != "" {
		stop, err := profile(file)
		if err != nil {
			return result{}, err
		}
		defer stop()
	}
	cpu, start := cpuTime(), time.Now()
	if err := c.run(chat, stream, n); err != nil {
		return result{}, err
	}
	wall := time.Since(start)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	opened, err := connections(url)
	if err != nil {
		return result{}, err
	}
	units := float64(n * c.units)
	return result{
		CPU: float64(cpu) / units, Allocs: float64(after.Mallocs-before.Mallocs) / units,
		Bytes: float64(after.TotalAlloc-before.TotalAlloc) / units,
		Rate:  units / wall.Seconds(), Conns: opened - conns - 1, // the question itself takes one
	}, nil
}

// profile writes the CPU profile of what is measured.
func profile(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func connections(url string) (int, error) {
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := hc.Get(url + "/conns")
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// cancels cancels calls at random moments, in all phases, and measures how long they take to return.
func cancels(name, url string, n int) (result, error) {
	slowChat, slowStream, err := makeClient(name, url+"/slow/v1")
	if err != nil {
		return result{}, err
	}
	busyChat, _, err := makeClient(name, url+"/busy/v1") // spends its time in waits
	if err != nil {
		return result{}, err
	}
	calls := []call{slowChat, slowStream, busyChat}
	var mu sync.Mutex
	var took []float64
	var wg sync.WaitGroup
	const workers = 16
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				ctx, cancel := context.WithCancel(context.Background())
				var at atomic.Int64
				timer := time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), func() {
					at.Store(time.Now().UnixNano())
					cancel()
				})
				_, err := calls[i%len(calls)](ctx)
				end := time.Now().UnixNano()
				timer.Stop()
				cancel()
				if s := at.Load(); s != 0 && errors.Is(err, context.Canceled) {
					mu.Lock()
					took = append(took, float64(end-s)/1e6)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		return result{}, errors.New("nothing was cancelled")
	}
	at := func(p float64) float64 { return took[min(len(took)-1, int(p*float64(len(took))))] }
	return result{Limits: []limit{
		{fmt.Sprintf("return after a cancel, %d random cancels, p50", len(took)), at(0.5)},
		{"the same, p99.9", at(0.999)},
	}}, nil
}
