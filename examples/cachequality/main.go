// Cachequality measures how often a semantic cache answers, and how often it is wrong, on questions whose answers are
// known: a shuffled stream, from an empty cache on, for thresholds and for bounds on the share of wrong hits.
//
//	go run ./examples/cachequality                                  # the sample that comes with it
//	go run ./examples/cachequality -data DIR -svg quality.svg       # DIR/train.csv (text,label), DIR/train.f32
//	go run ./examples/cachequality -live http://127.0.0.1:18090/v1  # and pairs of questions through a real encoder
//	go run ./examples/cachequality -calibrate labelled.csv -embed http://127.0.0.1:18090/v1
//
// train.f32 has the vectors of the questions, in their order, as little-endian float32. Everything is the real cache:
// only the encoder looks its vectors up, and the model its answers. The same seed gives the same bytes on machines of
// one kind; vectors are multiplied in another order on a processor without AVX2.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

func main() {
	log.SetFlags(0)
	o := options{}
	flag.StringVar(&o.data, "data", "", "the folder of train.csv and train.f32, or of a folder banking77 with them")
	flag.StringVar(&o.svg, "svg", "", "where to draw hits and errors over time")
	flag.Uint64Var(&o.seed, "seed", 1, "of the order of the questions, and of what is explored")
	flag.IntVar(&o.seeds, "seeds", 1, "how many orders, from that seed on; the table has their mean")
	flag.BoolVar(&o.traffic, "traffic", false, "compare kinds of traffic: by how much calls fall")
	flag.StringVar(&o.embed, "embed", "", "an OpenAI-compatible server of embeddings")
	flag.StringVar(&o.live, "live", "", "such a server, for pairs of questions whose vectors are in no file")
	flag.StringVar(&o.model, "model", "use-lite", "the model to ask it for")
	flag.StringVar(&o.calibrate, "calibrate", "", "suggest a threshold for these questions (text,label), with -embed or with -data")
	flag.Float64Var(&o.target, "target", 0.01, "the share of hits that may be wrong, for -calibrate")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	data, svg, embed, live, model, calibrate string
	seed                                     uint64
	seeds                                    int
	target                                   float64
	traffic                                  bool
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.seeds < 1 {
		return errors.New("-seeds: at least one")
	}
	if o.calibrate != "" {
		return calibrate(ctx, o, out)
	}
	set, err := banking.Load(o.data)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d questions, %d answers, vectors of %d dimensions; seed %d, %d order(s)\n\n",
		set.Name, len(set.Texts), set.Kinds(), len(set.Vectors[0]), o.seed, o.seeds)
	if o.traffic {
		return compareTraffic(ctx, set, o.seed, out)
	}
	results, err := measure(ctx, set, policies(), o.seed, o.seeds)
	if err != nil {
		return err
	}
	writeTable(out, results)
	if o.svg != "" {
		if err := os.WriteFile(o.svg, draw(results), 0o644); err != nil {
			return err
		}
	}
	if o.live == "" {
		fmt.Fprintln(out, "\nPairs of questions are left out: they need an encoder, -live URL.")
		return nil
	}
	o.embed = o.live
	encoder, err := encoderOf(o)
	if err != nil {
		return err
	}
	return live(ctx, encoder, allPairs(o.seed), out)
}
