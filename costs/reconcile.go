package costs

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Billed is a line of a gateway's own export.
type Billed struct {
	Time             time.Time     `json:"time"`
	RequestID        string        `json:"request_id"`
	Model            string        `json:"model"`
	PromptTokens     int64         `json:"prompt_tokens"`
	CompletionTokens int64         `json:"completion_tokens"`
	Cost             holysheep.USD `json:"cost"` // in JSON and CSV: dollars
}

// ReadBilledJSON reads an export of JSON lines with the members of [Billed]. The first line that is none ends it with a
// *RowError.
func ReadBilledJSON(r io.Reader) iter.Seq2[Billed, error] {
	return func(yield func(Billed, error) bool) {
		err := eachLine(r, func(_ int, line []byte) error {
			var b Billed
			if err := json.Unmarshal(line, &b); err != nil {
				return err
			}
			if err := b.check(); err != nil {
				return err
			}
			if !yield(b, nil) {
				return errDone
			}
			return nil
		})
		if err != nil && err != errDone { //nolint:errorlint // ours, bare
			yield(Billed{}, err)
		}
	}
}

func (b *Billed) check() error {
	switch {
	case b.Cost < 0 || b.PromptTokens < 0 || b.CompletionTokens < 0:
		return errors.New("a negative amount")
	case b.Time.IsZero():
		return errors.New("no time")
	case b.Model == "":
		return errors.New("no model")
	}
	return nil
}

// billedColumns are the columns of a CSV export, and the other names that gateways have for them.
var billedColumns = map[string]string{
	"time": "time", "created_at": "time", "timestamp": "time",
	"request_id": "request_id", "id": "request_id",
	"model": "model", "model_name": "model",
	"prompt_tokens": "prompt_tokens", "input_tokens": "prompt_tokens",
	"completion_tokens": "completion_tokens", "output_tokens": "completion_tokens",
	"cost": "cost", "cost_usd": "cost", "amount": "cost",
}

// ReadBilledCSV reads an export as CSV, whose first line names the columns: time (RFC 3339, or seconds since 1970),
// model and cost (dollars) are needed, request_id, prompt_tokens and completion_tokens are used, others are passed over.
func ReadBilledCSV(r io.Reader) iter.Seq2[Billed, error] {
	return func(yield func(Billed, error) bool) {
		in := csv.NewReader(io.LimitReader(r, 1<<40))
		in.ReuseRecord = true
		head, err := in.Read()
		if err != nil {
			yield(Billed{}, &RowError{Line: 1, Err: err})
			return
		}
		at := map[string]int{}
		for i, name := range head {
			name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
			if column, ok := billedColumns[name]; ok {
				if _, twice := at[column]; twice {
					yield(Billed{}, &RowError{Line: 1, Err: fmt.Errorf("two columns for %s", column)})
					return
				}
				at[column] = i
			}
		}
		for _, needed := range []string{"time", "model", "cost"} {
			if _, ok := at[needed]; !ok {
				yield(Billed{}, &RowError{Line: 1, Err: fmt.Errorf("no column %q among %.200q", needed, head)})
				return
			}
		}
		for {
			fields, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			line, _ := in.FieldPos(0)
			var b Billed
			if err == nil {
				b, err = billedOf(fields, at)
			}
			if err != nil {
				yield(Billed{}, &RowError{Line: line, Err: err})
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func billedOf(fields []string, at map[string]int) (b Billed, err error) {
	field := func(name string) string {
		if i, ok := at[name]; ok {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	number := func(name string) int64 {
		s := field(name)
		if s == "" || err != nil {
			return 0
		}
		n, bad := strconv.ParseInt(s, 10, 64)
		if bad != nil {
			err = fmt.Errorf("%s: %.40q is no number", name, s)
		}
		return n
	}
	b = Billed{
		RequestID: strings.Clone(field("request_id")), Model: strings.Clone(field("model")),
		PromptTokens: number("prompt_tokens"), CompletionTokens: number("completion_tokens"),
	}
	if err != nil {
		return b, err
	}
	when := field("time")
	if seconds, bad := strconv.ParseInt(when, 10, 64); bad == nil {
		b.Time = time.Unix(seconds, 0)
	} else if b.Time, err = time.Parse(time.RFC3339, when); err != nil {
		return b, fmt.Errorf("time: %.40q is neither RFC 3339 nor seconds", when)
	}
	cost := strings.TrimPrefix(field("cost"), "$")
	if err := json.Unmarshal([]byte(strconv.Quote(cost)), &b.Cost); err != nil {
		return b, fmt.Errorf("cost: %.40q: %w", cost, err)
	}
	return b, b.check()
}

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
// They are matched by request id, and the rest by time, model and tokens. It holds both in memory. An error of either
// sequence ends it. opts may be nil.
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
	type key struct{ day, model string }
	drifts := map[key]*Drift{}
	at := func(t time.Time, model string) *Drift {
		k := key{t.In(o.Zone).Format(time.DateOnly), model}
		d := drifts[k]
		if d == nil {
			d = &Drift{Day: k.day, Model: model}
			drifts[k] = d
		}
		return d
	}
	type kind struct {
		model              string
		prompt, completion int64
	}
	byID := map[string]*Row{}
	byKind := map[kind][]*Row{}
	matched := map[*Row]bool{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		if row.Attempt == 0 || row.Billing == holysheep.NotBilled {
			continue
		}
		d := at(row.Time, row.Model)
		d.Here, d.AtMost = d.Here.Plus(round(row.Cost.USD, o.Unit)), d.AtMost.Plus(round(row.Cost.AtMost, o.Unit))
		d.OnlyHere++
		if row.RequestID != "" {
			byID[row.RequestID] = &row
		}
		k := kind{row.Model, row.Usage.PromptTokens, row.Usage.CompletionTokens}
		byKind[k] = append(byKind[k], &row)
	}
	var rest []Billed
	match := func(r *Row, b Billed) {
		matched[r] = true
		d := at(r.Time, r.Model)
		d.Matched++
		d.OnlyHere--
		d.There = d.There.Plus(b.Cost)
	}
	for b, err := range export {
		if err != nil {
			return nil, err
		}
		if r := byID[b.RequestID]; b.RequestID != "" && r != nil && !matched[r] {
			match(r, b)
			continue
		}
		rest = append(rest, b)
	}
	for _, b := range rest {
		var nearest *Row
		for _, r := range byKind[kind{b.Model, b.PromptTokens, b.CompletionTokens}] {
			apart := r.Time.Sub(b.Time).Abs()
			if !matched[r] && apart <= o.Tolerance && (nearest == nil || apart < nearest.Time.Sub(b.Time).Abs()) {
				nearest = r
			}
		}
		if nearest != nil {
			match(nearest, b)
			continue
		}
		d := at(b.Time, b.Model)
		d.OnlyThere++
		d.There = d.There.Plus(b.Cost)
	}
	all := make([]Drift, 0, len(drifts))
	for _, d := range drifts {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Model, b.Model)) })
	return all, nil
}

// round rounds to units, half up.
func round(u, unit holysheep.USD) holysheep.USD {
	return u.Plus(unit/2) / unit * unit
}
