package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// calibrate suggests a threshold for the user's questions and encoder.
func calibrate(ctx context.Context, o options, out io.Writer) error {
	rows, err := banking.ReadCSV(o.calibrate)
	if err != nil {
		return err
	}
	encoder, err := encoderOf(o)
	if err != nil {
		return err
	}
	questions := make([]cache.Labelled, len(rows))
	for i, row := range rows {
		questions[i] = cache.Labelled{Question: row[0], Label: row[1]}
	}
	found, err := cache.Calibrate(ctx, encoder, questions, o.target, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "| threshold | hits | of them wrong (95 %) |")
	fmt.Fprintln(out, "|---|---|---|")
	for _, p := range found.Curve {
		if p.Threshold < 0.5 {
			break
		}
		fmt.Fprintf(out, "| %.2f | %.1f %% | %.2f %% (%.2f–%.2f) |\n", p.Threshold, 100*p.HitRate, 100*p.Wrong, 100*p.Low, 100*p.High)
	}
	if !found.Found {
		fmt.Fprintf(out, "\nno threshold keeps wrong hits under %.3g %%: use a bound (SemanticOptions.MaxWrong), or more questions\n", 100*o.target)
		return nil
	}
	fmt.Fprintf(out, "\nuse SemanticOptions{Threshold: %.3f} for at most %.3g %% wrong hits\n", found.Threshold, 100*o.target)
	return nil
}

// encoderOf is the server of -embed, or the vectors of -data.
func encoderOf(o options) (holysheep.Embedder, error) {
	if o.embed == "" {
		if o.data == "" {
			return nil, errors.New("-calibrate needs -embed or -data")
		}
		s, err := banking.Load(o.data)
		if err != nil {
			return nil, err
		}
		return newOracle(s), nil
	}
	client, err := holysheep.New(cmp.Or(os.Getenv("HOLYSHEEP_API_KEY"), "none"), &holysheep.Options{BaseURL: o.embed, AnyKey: true})
	if err != nil {
		return nil, err
	}
	return client.Embedder(o.model, nil), nil
}
