package costs

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Sum is what a group of rows comes to.
type Sum struct {
	Spent    holysheep.USD   `json:"spent"`   // what was delivered
	AtMost   holysheep.USD   `json:"at_most"` // what may be billed
	Wasted   holysheep.USD   `json:"wasted"`  // the part of AtMost that brought no answer: retries, torn and left streams
	Saved    holysheep.USD   `json:"saved"`   // by caches and routers
	Calls    int64           `json:"calls"`   // of the client; what decorators did is in Saved
	Attempts int64           `json:"attempts"`
	Failed   int64           `json:"failed"`   // calls
	Unpriced int64           `json:"unpriced"` // attempts that cost something nobody knows, since their model has no price
	Usage    holysheep.Usage `json:"usage"`
}

func (s *Sum) add(r *Row) {
	s.Spent, s.AtMost, s.Saved = s.Spent.Plus(r.Cost.USD), s.AtMost.Plus(r.Cost.AtMost), s.Saved.Plus(r.Saved)
	s.Usage = s.Usage.Plus(r.Usage)
	if r.Wasted() {
		s.Wasted = s.Wasted.Plus(r.Cost.AtMost)
	}
	if r.Attempt > 0 && !r.Shared {
		s.Attempts++
	}
	if r.Cost.Basis == holysheep.Unknown {
		s.Unpriced++
	}
	if r.Last && (r.Operation == "chat" || r.Operation == "embed") {
		s.Calls++
		if r.Outcome != OK && r.Outcome != Left {
			s.Failed++
		}
	}
}

// Report sums rows up by day, model and tag. It is used by one goroutine.
type Report struct {
	Total   Sum             `json:"total"`
	ByDay   map[string]*Sum `json:"by_day"` // "2026-11-24"
	ByModel map[string]*Sum `json:"by_model"`
	ByTag   map[string]*Sum `json:"by_tag,omitempty"`
	Tag     string          `json:"tag,omitempty"`
	Zone    string          `json:"zone"`
	Limit   holysheep.USD   `json:"limit,omitempty"`
	zone    *time.Location
}

// ReportOptions are what a report can be told.
type ReportOptions struct {
	Zone  *time.Location // whose days count. Default: UTC
	Tag   string         // whose values are summed up. Default: none
	Limit holysheep.USD  // of a day, to be shown beside it. Default: none
}

// NewReport makes an empty report. opts may be nil.
func NewReport(opts *ReportOptions) *Report {
	var o ReportOptions
	if opts != nil {
		o = *opts
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	return &Report{
		ByDay: map[string]*Sum{}, ByModel: map[string]*Sum{}, ByTag: map[string]*Sum{},
		Tag: o.Tag, Zone: o.Zone.String(), Limit: o.Limit, zone: o.Zone,
	}
}

// Add adds a row. Its day is that of the attempt.
func (r *Report) Add(row Row) {
	r.Total.add(&row)
	group(r.ByDay, row.Time.In(r.zone).Format(time.DateOnly)).add(&row)
	group(r.ByModel, row.Model).add(&row)
	if r.Tag != "" {
		group(r.ByTag, row.Tags[r.Tag]).add(&row)
	}
}

// AddAll adds rows until the first error, which it returns.
func (r *Report) AddAll(rows iter.Seq2[Row, error]) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		r.Add(row)
	}
	return nil
}

// Names come from callers: past so many, the rest is summed up as "other".
const (
	maxGroups = 10_000
	other     = "other"
)

func group(groups map[string]*Sum, name string) *Sum {
	if name == "" {
		name = "(none)"
	}
	s := groups[name]
	if s != nil {
		return s
	}
	if len(groups) >= maxGroups {
		if s = groups[other]; s != nil {
			return s
		}
		name = other
	}
	s = &Sum{}
	groups[name] = s
	return s
}

// WriteJSON writes the report as JSON, indented.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for a person: one table for each grouping, the dearest first and days in their order.
func (r *Report) WriteText(w io.Writer) error {
	amount := amounts(max(r.Total.AtMost, r.Total.Saved))
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, s *Sum, limit holysheep.USD) {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t", plain(name), amount(s.Spent), amount(s.AtMost), amount(s.Wasted),
			amount(s.Saved), s.Calls, s.Failed, s.Attempts, s.Usage.Total())
		if limit > 0 {
			fmt.Fprintf(out, "%.1f %%\t", 100*float64(s.AtMost)/float64(limit))
		}
		fmt.Fprintln(out)
	}
	table := func(title string, names []string, sums map[string]*Sum, limit holysheep.USD) {
		fmt.Fprintf(out, "%s\tspent\tat most\twasted\tsaved\tcalls\tfailed\tattempts\ttokens\t", title)
		if limit > 0 {
			fmt.Fprintf(out, "of %v\t", limit)
		}
		fmt.Fprintln(out)
		for _, name := range names {
			line(name, sums[name], limit)
		}
		fmt.Fprintln(out)
	}
	table("day", slices.Sorted(maps.Keys(r.ByDay)), r.ByDay, r.Limit)
	table("model", dearest(r.ByModel), r.ByModel, 0)
	if r.Tag != "" {
		table(plain(r.Tag), dearest(r.ByTag), r.ByTag, 0)
	}
	table("total", []string{""}, map[string]*Sum{"": &r.Total}, 0)
	if err := out.Flush(); err != nil || r.Total.Unpriced == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "not in it: %d attempts with models that have no price\n", r.Total.Unpriced)
	return err
}

// amounts writes amounts with as many decimals as the largest of them needs to be of use: the exact ones are in the
// JSON.
func amounts(largest holysheep.USD) func(holysheep.USD) string {
	decimals := 2
	for least := holysheep.Dollars(1000); decimals < 8 && largest < least; least /= 10 {
		decimals++
	}
	return func(u holysheep.USD) string { return fmt.Sprintf("$%.*f", decimals, u.Dollars()) }
}

// plain keeps names from breaking the table.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, name)
}

func dearest(sums map[string]*Sum) []string {
	return slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		if x, y := sums[a].AtMost, sums[b].AtMost; x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
}
