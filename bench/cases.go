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

	"github.com/holysheep-ai/holysheep-go"
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
	if measure, ok := limitJobs[job]; ok {
		r, err = measure(name, url, scale)
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

// limitJobs measure what has an absolute bound.
var limitJobs = map[string]func(name, url string, scale float64) (result, error){
	"cancel": cancels, "linger": lingers, "late": errorsThatDrip, "hint": hints,
}

// lingers reads streams of a server that keeps the connection busy for 50 ms after [DONE], and measures from the
// last text to the end of the loop.
func lingers(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/linger/v1"})
	if err != nil {
		return result{}, err
	}
	return timed("return after [DONE], with a server that lingers for 50 ms", int(500*scale), func() (time.Duration, error) {
		var last time.Time
		for ev, err := range c.Stream(context.Background(), hello()) {
			if err != nil {
				return 0, err
			}
			if ev.Response == nil {
				last = time.Now()
			}
		}
		return time.Since(last), nil
	})
}

// errorsThatDrip measures how long an error takes whose body would drip for seconds.
func errorsThatDrip(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/late/v1", MaxAttempts: 1})
	if err != nil {
		return result{}, err
	}
	return timed("an error whose body drips for 4 s (limit 250)", int(20*scale)+1, func() (time.Duration, error) {
		start := time.Now()
		_, err := c.Chat(context.Background(), hello())
		if !errors.Is(err, holysheep.ErrServer) {
			return 0, fmt.Errorf("got %w", err)
		}
		return time.Since(start), nil
	})
}

// hints measures how long a call takes that is told to come back in an hour.
func hints(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/hour/v1"})
	if err != nil {
		return result{}, err
	}
	return timed("fail at once when told to come back in an hour", int(2000*scale), func() (time.Duration, error) {
		start := time.Now()
		_, err := c.Chat(context.Background(), hello())
		if !errors.Is(err, holysheep.ErrRateLimited) {
			return 0, fmt.Errorf("got %w", err)
		}
		return time.Since(start), nil
	})
}

func hello() *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}}
}

// timed runs f n times and gives the median and the 99.9th percentile.
func timed(what string, n int, f func() (time.Duration, error)) (result, error) {
	var took []float64
	for range n {
		d, err := f()
		if err != nil {
			return result{}, err
		}
		took = append(took, float64(d)/1e6)
	}
	return percentiles(what, took)
}

func percentiles(what string, took []float64) (result, error) {
	if len(took) == 0 {
		return result{}, errors.New(what + ": nothing was measured")
	}
	slices.Sort(took)
	at := func(p float64) float64 { return took[min(len(took)-1, int(p*float64(len(took))))] }
	return result{Limits: []limit{
		{fmt.Sprintf("%s; %d times, p50", what, len(took)), at(0.5)},
		{"the same, p99.9", at(0.999)},
	}}, nil
}

// cancels cancels calls at random moments, in all phases, and measures how long they take to return.
func cancels(name, url string, scale float64) (result, error) {
	n := int(10_000 * scale)
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
	return percentiles("return after a cancel in a random phase", took)
}
