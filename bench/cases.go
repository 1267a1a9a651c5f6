package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
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
	{"embeddings", "64 texts, 384 numbers each, in the form that each client asks for; per call", oneByOne, 600, 1},
	{"floats", "the same from a server that only gives numbers; per call", oneByOne, 600, 1},
}

// embeds are the cases that ask for embeddings.
var embeds = map[string]bool{"embeddings": true, "floats": true}

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
	} else if strings.HasPrefix(job, "shared") {
		r, err = runShared(name, job, url, scale)
	} else if measure, ok := cacheJobs[job]; ok {
		r, err = measure(name, url, scale)
	} else if measure, ok := ownJobs[job]; ok {
		r, err = measure(scale)
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
	var chat, stream call
	var err error
	if embeds[job] {
		var embed embedCall
		embed, err = embedder(name, url+"/"+job+"/v1")
		texts := batchOfTexts()
		chat = func(ctx context.Context) (int, error) { return embed(ctx, texts) }
	} else {
		chat, stream, err = makeClient(name, url+"/"+job+"/v1")
	}
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

func connections(url string) (int, error) { return number(url + "/conns") }

// number asks the server for one.
func number(url string) (int, error) {
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := hc.Get(url)
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
