// Peakload is a shop's worst hour, in virtual time: 50,000 questions, and a gateway of which a model loses four fifths of
// its capacity for ten minutes. It is lived through by clients without this library, and by the library a part at a time.
//
//	go run ./examples/peakload                                   # the table, in half a minute
//	go run ./examples/peakload -svg peakload.svg                 # and the picture
//	go run ./examples/peakload -sweep -sweepsvg cliff.svg        # and where each client gives up
//	go run ./examples/peakload -data DIR                         # all questions of Banking77 instead of the sample
//
// The clients are real: requests are written and answers read, only the network is a model of one (gateway.go). Everything
// follows from the seed and from the assumptions that are printed first; the same seed gives the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
	"github.com/holysheep-ai/holysheep-go/examples/internal/virtual"
)

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.data, "data", "", "the folder of banking77 with train.csv and train.f32, instead of the sample")
	flag.Uint64Var(&o.seed, "seed", 1, "of everything")
	flag.DurationVar(&o.length, "length", time.Hour, "how long it lasts")
	flag.StringVar(&o.svg, "svg", "", "where to draw it")
	flag.BoolVar(&o.sweep, "sweep", false, "find the capacity at which clients give up")
	flag.StringVar(&o.sweepSVG, "sweepsvg", "", "where to draw that")
	flag.Parse()
	virtual.Main(func(out *os.File) error { return run(context.Background(), o, out) })
}

type options struct {
	data string
	svg  string

	sweep    bool
	sweepSVG string

	seed   uint64
	length time.Duration
}

func run(ctx context.Context, o options, out io.Writer) error {
	set, err := banking.Load(o.data)
	if err != nil {
		return err
	}
	h := &hour{questions: traffic(set, o.seed, o.length), seed: o.seed, length: o.length, capacity: 1.2, brownout: true}
	writeAssumptions(out, o, set, h)
	var results []*result
	for _, v := range variants() {
		r, err := simulate(ctx, h, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		results = append(results, r)
	}
	writeTable(out, results)
	writeGoals(out, results)
	if o.svg != "" {
		last := results[len(results)-1]
		if err := os.WriteFile(o.svg, draw([]*result{results[0], results[1], results[2], last}, o.length), 0o644); err != nil {
			return err
		}
	}
	if !o.sweep {
		return nil
	}
	all := variants()
	found, err := sweep(ctx, h, []*variant{all[0], all[1], all[len(all)-1]})
	if err != nil {
		return err
	}
	writeSweep(out, found, o.length)
	if o.sweepSVG == "" {
		return nil
	}
	return os.WriteFile(o.sweepSVG, drawSweep(found), 0o644)
}
