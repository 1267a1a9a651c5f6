package costs

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// ReconcileOptions say how rows and an export are compared.
type ReconcileOptions struct {
	// Unit is what the gateway rounds each call to, half up. Default: $0.000002, as relays of this family do; 1
	// picodollar for none.
	Unit holysheep.USD

	// Tolerance is how far apart the times of a row and a line without the same request id may be. Default: 2 min.
	Tolerance time.Duration

	// Zone is whose days count. Default: UTC.
	Zone *time.Location
}

// Drift is the comparison for one model on one day.
type Drift struct {
	Day, Model string
	Matched    int           // attempts that the export has, too
	OnlyHere   int           // attempts that may be billed, and are not in the export
	OnlyThere  int           // lines of the export that no attempt explains
	Here       holysheep.USD // what the rows say, rounded like the gateway's
	AtMost     holysheep.USD // the same, with what may be billed
	There      holysheep.USD // what the export says
}

// Difference is what was billed beyond what the rows say; negative if less.
func (d Drift) Difference() holysheep.USD { return d.There - d.Here }

// Explained reports whether what was billed lies between what was delivered and what might be billed.
func (d Drift) Explained() bool { return d.Here <= d.There && d.There <= max(d.AtMost, d.Here) }

// Reconcile compares the attempts that cost something with a gateway's export, for each day and model, in their order.
// They are matched by request id, and the rest by time, model (as asked for or as served, under any of its names) and
// tokens. It holds both in memory. An error of either sequence ends it. opts may be nil.
func Reconcile(rows iter.Seq2[Row, error], export iter.Seq2[Billed, error], opts *ReconcileOptions) ([]Drift, error) {
	var o ReconcileOptions
	if opts != nil {
		o = *opts
	}
	if o.Unit < 0 || o.Tolerance < 0 {
		return nil, &holysheep.RequestError{Field: "ReconcileOptions", Reason: "a negative unit or tolerance"}
	}
	if o.Unit == 0 {
		o.Unit = 2_000_000
	}
	if o.Tolerance == 0 {
		o.Tolerance = 2 * time.Minute
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	b := books{
		zone: o.Zone, tolerance: o.Tolerance,
		drifts: map[day]*Drift{}, byID: map[string]*Row{}, byKind: map[kind][]*Row{}, matched: map[*Row]bool{}, rest: map[kind][]Billed{},
	}
	sent, err := requests(rows)
	if err != nil {
		return nil, err
	}
	for _, row := range sent {
		b.add(row, o.Unit)
	}
	for line, err := range export {
		if err != nil {
			return nil, err
		}
		b.bill(line)
	}
	b.matchTheRest()
	all := make([]Drift, 0, len(b.drifts))
	for _, d := range b.drifts {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Model, b.Model)) })
	return all, nil
}

// requests gives the attempts that may be on the bill. Calls that shared a request have a row each; the gateway has one
// line for all of them, so they are put together.
func requests(rows iter.Seq2[Row, error]) ([]*Row, error) {
	type request struct {
		sent      int64
		id, model string
	}
	var all, parts []*Row
	whole := map[request]*Row{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		switch {
		case row.Attempt == 0 || row.Billing == holysheep.NotBilled:
		case row.Shared:
			parts = append(parts, &row)
		default:
			all = append(all, &row)
			whole[request{row.Time.UnixNano(), row.RequestID, row.Model}] = &row
		}
	}
	for _, part := range parts {
		r := request{part.Time.UnixNano(), part.RequestID, part.Model}
		if w := whole[r]; w != nil {
			w.Usage, w.Cost = w.Usage.Plus(part.Usage), w.Cost.Plus(part.Cost)
			continue
		}
		all = append(all, part) // the row that counts it is not among these
		whole[r] = part
	}
	return all, nil
}

// books are rows and an export on their way to be compared.
type books struct {
	zone      *time.Location
	tolerance time.Duration
	drifts    map[day]*Drift
	byID      map[string]*Row
	byKind    map[kind][]*Row
	matched   map[*Row]bool
	rest      map[kind][]Billed // lines whose request id is in no row
}

type day struct{ day, model string }

// kind is what a line without a known request id has in common with its attempt.
type kind struct {
	model              string
	prompt, completion int64
}

func (b *books) at(t time.Time, model string) *Drift {
	k := day{t.In(b.zone).Format(time.DateOnly), oneName(model)}
	d := b.drifts[k]
	if d == nil {
		d = &Drift{Day: k.day, Model: k.model}
		b.drifts[k] = d
	}
	return d
}

// oneName is the same for all names that gateways give a model.
func oneName(model string) string {
	if info, ok := holysheep.LookupModel(model); ok {
		return info.Name
	}
	return strings.ToLower(model)
}

func (b *books) add(r *Row, unit holysheep.USD) {
	d := b.at(r.Time, r.Model)
	d.Here, d.AtMost = d.Here.Plus(round(r.Cost.USD, unit)), d.AtMost.Plus(round(r.Cost.AtMost, unit))
	d.OnlyHere++
	if r.RequestID != "" && b.byID[r.RequestID] == nil {
		b.byID[r.RequestID] = r
	}
	k := kind{oneName(r.Model), r.Usage.PromptTokens, r.Usage.CompletionTokens}
	b.byKind[k] = append(b.byKind[k], r)
	if served := oneName(r.Served); served != "" && served != k.model {
		k.model = served
		b.byKind[k] = append(b.byKind[k], r)
	}
}

func (b *books) bill(line Billed) {
	if r := b.byID[line.RequestID]; r != nil && !b.matched[r] {
		b.match(r, line)
		return
	}
	k := kind{oneName(line.Model), line.PromptTokens, line.CompletionTokens}
	b.rest[k] = append(b.rest[k], line)
}

func (b *books) match(r *Row, line Billed) {
	b.matched[r] = true
	d := b.at(r.Time, r.Model)
	d.Matched++
	d.OnlyHere--
	d.There = d.There.Plus(line.Cost)
}

// matchTheRest gives each line, in the order of time, the first attempt of its kind that is near enough: so as many as
// possible find one.
func (b *books) matchTheRest() {
	for k, lines := range b.rest {
		rows := b.byKind[k]
		slices.SortFunc(rows, func(a, b *Row) int { return a.Time.Compare(b.Time) })
		slices.SortFunc(lines, func(a, b Billed) int { return a.Time.Compare(b.Time) })
		for _, line := range lines {
			for len(rows) > 0 && (b.matched[rows[0]] || line.Time.Sub(rows[0].Time) > b.tolerance) {
				rows = rows[1:]
			}
			if len(rows) > 0 && rows[0].Time.Sub(line.Time) <= b.tolerance {
				b.match(rows[0], line)
				continue
			}
			d := b.at(line.Time, line.Model)
			d.OnlyThere++
			d.There = d.There.Plus(line.Cost)
		}
	}
}

// WriteDrifts writes what Reconcile found as a table.
func WriteDrifts(w io.Writer, drifts []Drift) error {
	largest := holysheep.USD(0)
	for _, d := range drifts {
		largest = max(largest, d.AtMost, d.There)
	}
	amount := amounts(largest)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(out, "day\tmodel\tin both\tonly here\tonly there\there\tat most\tthere\tdifference\t\t\n")
	for _, d := range drifts {
		verdict := ""
		if !d.Explained() {
			verdict = "not explained"
		}
		fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", d.Day, plain(d.Model), d.Matched, d.OnlyHere, d.OnlyThere,
			amount(d.Here), amount(d.AtMost), amount(d.There), amount(d.Difference()), verdict)
	}
	return out.Flush()
}

// round rounds to units, half up.
func round(u, unit holysheep.USD) holysheep.USD {
	return u.Plus(unit/2) / unit * unit
}
