// Bench puts this client side by side with net/http + encoding/json ("raw"), go-openai and openai-go.
//
//	go run -C bench . [-rounds 5] [-only chat,stream,packets,varied,parallel,embeddings,floats,shared,tokens,guards,routing,ledgers,binary,limits,caches]
//
// One mock server process answers; each client runs in a process of its own, the clients in turn, several rounds.
// What is compared is the CPU time and the allocations of the client's process, as the median of the ratios to raw
// within each round, so that a machine that gets slower does not change the result.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	serve := flag.Bool("serve", false, "run the mock server (used by the program itself)")
	child := flag.String("client", "", "measure this client once (used by the program itself)")
	job := flag.String("case", "", "the case to measure with -client")
	url := flag.String("url", "", "the server's base URL with -client")
	rounds := flag.Int("rounds", 5, "how often each client is measured")
	scale := flag.Float64("scale", 1, "how much of the work to do, for a quick look")
	only := flag.String("only", "", "make these tables only, by their names with commas between them")
	flag.Parse()
	var err error
	switch {
	case *serve:
		err = runServer()
	case *child != "":
		err = runChild(*child, *job, *url, *scale)
	default:
		err = compare(*rounds, *scale, *only)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// result is what one run of one client gives. Its figures are per unit: a call or a chunk.
type result struct {
	CPU    float64 // ns of the client's process
	Allocs float64
	Bytes  float64 // allocated
	Rate   float64 // units a second, by the clock
	Conns  int     // connections opened after the warm-up
	Limits []limit

	Requests int    // that the server got
	Note     string // what else there is to say
}

type limit struct {
	Name  string
	Value float64 // ms
}

func compare(rounds int, scale float64, only string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	url, stop, err := startServer(self)
	if err != nil {
		return err
	}
	defer stop()

	type table struct {
		name  string
		write func() error
	}
	var tables []table
	for _, c := range cases {
		tables = append(tables, table{c.name, func() error { return compareCase(self, url, c, rounds, scale) }})
	}
	tables = append(tables,
		table{"shared", func() error { return compareShared(self, url, rounds, scale) }},
		table{"tokens", func() error { return compareTokens(self, scale) }},
		table{"guards", func() error { return compareGuards(self, scale) }},
		table{"routing", func() error { return compareRouting(self, scale) }},
		table{"ledgers", func() error { return compareLedgers(self, scale) }},
		table{"binary", func() error { return compareBinaries(rounds) }},
		table{"limits", func() error { return limits(self, url, scale) }},
		table{"caches", func() error { return caches(self, url, scale) }},
		table{"neighbours", func() error { return compareNeighbours(scale) }},
	)
	for _, t := range tables {
		if only == "" || slices.Contains(strings.Split(only, ","), t.name) {
			if err := t.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareCase(self, url string, c benchCase, rounds int, scale float64) error {
	results := map[string][]result{}
	for range rounds {
		for _, client := range clients {
			r, err := measure(self, url, client.name, c.name, scale)
			if err != nil {
				return err
			}
			results[client.name] = append(results[client.name], r)
		}
	}
	fmt.Printf("\n**%s** (%s)\n\n", c.name, c.what)
	fmt.Println("| client | CPU, ratio to raw | CPU, µs | allocations | rate, ratio to raw | new connections |")
	fmt.Println("|---|---|---|---|---|---|")
	raw := results["raw"]
	for _, client := range clients {
		rs := results[client.name]
		fmt.Printf("| %s | %.2f | %.2f | %.1f | %.2f | %.0f |\n", client.name,
			medianOf(rs, func(i int) float64 { return rs[i].CPU / raw[i].CPU }),
			medianOf(rs, func(i int) float64 { return rs[i].CPU / 1e3 }),
			medianOf(rs, func(i int) float64 { return rs[i].Allocs }),
			medianOf(rs, func(i int) float64 { return rs[i].Rate / raw[i].Rate }),
			medianOf(rs, func(i int) float64 { return float64(rs[i].Conns) }))
	}
	return nil
}

func medianOf(rs []result, f func(i int) float64) float64 {
	values := make([]float64, len(rs))
	for i := range rs {
		values[i] = f(i)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func measure(self, url, client, job string, scale float64) (result, error) {
	cmd := exec.Command(self, "-client", client, "-case", job, "-url", url, "-scale", strconv.FormatFloat(scale, 'g', -1, 64))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s, %s: %w", client, job, err)
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// startServer runs the mock server in a process of its own and reads its address.
func startServer(self string) (url string, stop func(), err error) {
	cmd := exec.Command(self, "-serve")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(line), stop, nil
}

// compareBinaries builds the smallest program with each client and compares sizes and start-up times.
func compareBinaries(rounds int) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Print("\n**binary** (a program that makes a client, stripped; start-up is process start to exit)\n\n")
	fmt.Println("| client | MB | start-up, ratio to raw |")
	fmt.Println("|---|---|---|")
	names := []string{"raw", "holysheep", "goopenai", "openaigo"}
	times := map[string][]float64{}
	sizes := map[string]float64{}
	for _, name := range names {
		path := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./min/"+name)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		sizes[name] = float64(info.Size()) / 1e6
	}
	for range 10 * rounds {
		for _, name := range names {
			start := time.Now()
			if err := exec.Command(filepath.Join(dir, name)).Run(); err != nil {
				return err
			}
			times[name] = append(times[name], float64(time.Since(start)))
		}
	}
	for _, name := range names {
		ratios := make([]float64, len(times[name]))
		for i := range ratios {
			ratios[i] = times[name][i] / times["raw"][i]
		}
		slices.Sort(ratios)
		fmt.Printf("| %s | %.2f | %.2f |\n", name, sizes[name], ratios[len(ratios)/2])
	}
	return nil
}

// limits measures what has an absolute bound, for this client alone.
func limits(self, url string, scale float64) error {
	return list(self, url, scale, "limits", "this client, by the real clock", "ms", slices.Sorted(maps.Keys(limitJobs)))
}

// list writes a table of what jobs measure for this client.
func list(self, url string, scale float64, name, what, unit string, jobs []string) error {
	fmt.Printf("\n**%s** (%s)\n\n| what | %s |\n|---|---|\n", name, what, unit)
	for _, job := range jobs {
		r, err := measure(self, url, "holysheep", job, scale)
		if err != nil {
			return err
		}
		for _, l := range r.Limits {
			fmt.Printf("| %s | %.2f |\n", l.Name, l.Value)
		}
	}
	return nil
}
