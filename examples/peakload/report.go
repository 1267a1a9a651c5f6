package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// writeAssumptions says what every figure follows from.
func writeAssumptions(out io.Writer, o options, set *banking.Set, h *hour) {
	fmt.Fprintf(out, `seed %d; %d questions in %v: Poisson, %.1f a second; deadline %v; at most %d tokens an answer
%.0f %% are word for word one that was asked before; %.0f %% are the next question of %s (%d of %d kinds; once all were
  asked, again in other words); %.0f %% ask for an order of their own, in nearly the same words; the others are like no other,
  and two thirds of those are long and ask why; %.0f %% of all customers are promised the best model
the gateway serves each model at %.2g of the mean load; a request takes %v on the way and %v on average there (log-normal, sigma %.2f), waits
  in its model's queue, and is refused, with 429 and 503 by turns and no Retry-After, when that would take over %v; %.1f %% are
  refused with 503 out of the blue; a request whose caller has left is served and billed all the same
for %v in the middle the model that the client uses most has a fifth of its capacity

`, o.seed, len(h.questions), h.length, perSecond, deadline, maxTokens, 100*repeats, 100*paraphrases, set.Name, len(set.Texts), set.Kinds(),
		100*orders, 100*premium, h.capacity, wireTime, serviceMean, serviceSigma, longestWait, 100*faultShare, brownoutFor)
}

// writeTable prints how the clients did.
func writeTable(out io.Writer, results []*result) {
	fmt.Fprintln(out, "| client | answered in time | p50, s | p95, s | p99, s | requests sent | cost | from caches | of them wrong |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range results {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %d | $%.2f | %.1f %% | %s |\n", r.name, percent(r.answered, r.asked),
			seconds(r.latencies, 0.5), seconds(r.latencies, 0.95), seconds(r.latencies, 0.99), r.sent, r.cost.Dollars(),
			100*float64(r.cached)/float64(r.asked), wrongOf(r))
	}
	fmt.Fprintln(out, "\nLatencies are of the answers that came in time. What became of the other questions:")
	for _, r := range results {
		if r.answered < r.asked {
			fmt.Fprintf(out, "  %s: %s\n", r.name, r.failed())
		}
	}
}

// failed lists the failures by kind.
func (r *result) failed() string {
	kinds := make([]string, 0, len(r.failures))
	for kind, n := range r.failures {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	return strings.Join(kinds, ", ")
}

// percent writes a share so that what is missing can be seen.
func percent(n, of int) string {
	if n == of {
		return "100 %"
	}
	return fmt.Sprintf("%.3f %%", 100*float64(n)/float64(of))
}

func seconds(sorted []time.Duration, q float64) string {
	return fmt.Sprintf("%.2f", quantile(sorted, q).Seconds())
}

func wrongOf(r *result) string {
	if r.cached == 0 {
		return "–"
	}
	return fmt.Sprintf("%d, %.2f %%", r.wrong, 100*float64(r.wrong)/float64(r.cached))
}

// writeGoals compares the last variant with what was promised.
func writeGoals(out io.Writer, results []*result) {
	stack, all41 := results[len(results)-1], results[2]
	cheaper := 1 - perAnswer(stack)/perAnswer(all41)
	fmt.Fprintf(out, "\n%s: %.3f %% answered in time (goal 99.97), an answer is %.0f %% cheaper than with gpt-4.1 for everything (goal 73), %.2f %% of the cached\nanswers are wrong (goal at most 1)\n",
		stack.name, 100*float64(stack.answered)/float64(stack.asked), 100*cheaper, 100*float64(stack.wrong)/float64(max(stack.cached, 1)))
}

func perAnswer(r *result) float64 {
	return r.cost.Dollars() / float64(max(r.answered, 1))
}

// total of some minutes.
func total(minutes []minute) (asked, answered int, latencies []time.Duration, cost holysheep.USD) {
	for _, m := range minutes {
		asked, answered, cost = asked+m.asked, answered+m.answered, cost+m.cost
		latencies = append(latencies, m.latencies...)
	}
	slices.Sort(latencies)
	return asked, answered, latencies, cost
}
