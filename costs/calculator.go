package costs

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/holysheep-ai/holysheep-go"
)

// Calculator tells what a number of equal queries costs, model by model and table by table.
//
// Not all figures that the vendor publishes follow from its prices, and this gives none of them: a bill that falls from
// $47,000 to $8,200 a month follows from no token count that is stated (its difference over a year, $465,600, does); the
// price in one of its programs is a thousand times too small, being for a thousand tokens and used for a million; a
// batch saves no 66 %, because running requests at the same time changes nothing of their price; and a cached query has
// no constant cost, because what a hit saves is the price of that answer.
type Calculator struct {
	Queries      int64 // above zero
	InputTokens  int64 // of each
	OutputTokens int64 // of each

	// Models are those of the table, under any of their names. Default: all there are.
	Models []string

	// Tables are what is compared. Default: holysheep.ListPrices, as "list".
	Tables []NamedTable

	// Against is a model of the first table that has one of this name. The queries are then those of a month, and each
	// line tells what a year costs less than with it, and when Moving has paid for itself. Default: none.
	Against string

	// Moving is what it costs to change, once. Default: 0.
	Moving holysheep.USD
}

// NamedTable is a price table under the name of who asks these prices: "list", "Bedrock", "Vertex", "Azure". Tables are
// read from JSON with their dates, as [holysheep.PriceTable.UnmarshalJSON] shows.
type NamedTable struct {
	Name  string
	Table *holysheep.PriceTable
}

// Line is what the queries cost with one model of one table.
type Line struct {
	Table, Date, Model string
	Each, All          holysheep.USD
	Yearly             holysheep.USD // less than with Calculator.Against in a year; negative if more
	PaidBack           float64       // months until Calculator.Moving has come in; +Inf if never
}

// Lines prices the queries with every model of every table, the cheapest first. Amounts that are more than a
// [holysheep.USD] holds, figures that are negative and an Against that is in no table are a *holysheep.RequestError.
func (c *Calculator) Lines() ([]Line, error) {
	fail := func(field, format string, args ...any) error {
		return &holysheep.RequestError{Field: "Calculator." + field, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Queries <= 0:
		return nil, fail("Queries", "%d is not above zero", c.Queries)
	case c.InputTokens < 0:
		return nil, fail("InputTokens", "%d is negative", c.InputTokens)
	case c.OutputTokens < 0:
		return nil, fail("OutputTokens", "%d is negative", c.OutputTokens)
	case c.Moving < 0:
		return nil, fail("Moving", "%v is negative", c.Moving)
	}
	tables := c.Tables
	if len(tables) == 0 {
		tables = []NamedTable{{"list", holysheep.ListPrices()}}
	}
	var lines []Line
	for i, t := range tables {
		if t.Table == nil {
			return nil, fail(fmt.Sprintf("Tables[%d].Table", i), "nil")
		}
		models := c.Models
		if len(models) == 0 {
			models = t.Table.Models()
		}
		for _, model := range models {
			price, ok := t.Table.Lookup(model)
			if !ok {
				continue
			}
			l := Line{Table: t.Name, Date: t.Table.Date(), Model: model}
			if l.Each, l.All, ok = c.price(price); !ok {
				return nil, fail("Queries", "%d of %s cost more than $9.2 million, which cannot be counted: take fewer and multiply", c.Queries, model)
			}
			lines = append(lines, l)
		}
	}
	for i, model := range c.Models {
		if !slices.ContainsFunc(lines, func(l Line) bool { return l.Model == model }) {
			return nil, fail(fmt.Sprintf("Models[%d]", i), "%.60q is in no table", model)
		}
	}
	if c.Against != "" {
		if err := c.compare(tables, lines); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Or(cmp.Compare(a.All, b.All), cmp.Compare(a.Model, b.Model)) })
	return lines, nil
}

// price is what a query and all of them cost, unless that is too much to count.
func (c *Calculator) price(p holysheep.Price) (each, all holysheep.USD, ok bool) {
	each = p.Of(holysheep.Usage{PromptTokens: c.InputTokens, CompletionTokens: c.OutputTokens})
	all, ok = times(each, c.Queries)
	return each, all, ok
}

// compare holds the lines against one model.
func (c *Calculator) compare(tables []NamedTable, lines []Line) error {
	fail := func(reason string) error { return &holysheep.RequestError{Field: "Calculator.Against", Reason: reason} }
	for _, t := range tables {
		p, ok := t.Table.Lookup(c.Against)
		if !ok {
			continue
		}
		_, before, ok := c.price(p)
		if !ok {
			return fail("costs more than $9.2 million, which cannot be counted: take fewer queries and multiply")
		}
		for i := range lines {
			m := Move{Before: before, After: lines[i].All, Cost: c.Moving}
			var err error
			if lines[i].Yearly, err = m.Yearly(); err != nil {
				return err
			}
			lines[i].PaidBack = m.PaidBack()
		}
		return nil
	}
	return fail(fmt.Sprintf("%.60q is in no table", c.Against))
}

// times multiplies, unless it would overflow.
func times(u holysheep.USD, n int64) (holysheep.USD, bool) {
	if u == math.MaxInt64 || u > 0 && n > math.MaxInt64/int64(u) {
		return 0, false
	}
	return u * holysheep.USD(n), true
}

// Write writes the lines as a table. With a rate above zero, yuan for a dollar, a column shows them in yuan.
func (c *Calculator) Write(w io.Writer, cny float64) error {
	lines, err := c.Lines()
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "model\tprices\tof\tone query\t%d queries\t", c.Queries)
	if cny > 0 {
		fmt.Fprint(out, "in yuan\t")
	}
	if c.Against != "" {
		fmt.Fprintf(out, "a year less than %s\tpaid back in\t", plain(c.Against))
	}
	fmt.Fprintln(out)
	for _, l := range lines {
		fmt.Fprintf(out, "%s\t%s\t%s\t%v\t%v\t", plain(l.Model), plain(l.Table), plain(l.Date), l.Each, l.All)
		if cny > 0 {
			fmt.Fprintf(out, "%s\t", l.All.CNY(cny))
		}
		if c.Against != "" {
			fmt.Fprintf(out, "%v\t%s\t", l.Yearly, months(l.PaidBack))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

func months(n float64) string {
	if math.IsInf(n, 1) {
		return "never"
	}
	return fmt.Sprintf("%.1f months", n)
}

// Move is what it brings to pay less from one month to the next.
type Move struct {
	Before, After holysheep.USD // a month
	Cost          holysheep.USD // of moving, once
}

// Yearly is what is paid less in a year; negative if it is more.
func (m Move) Yearly() (holysheep.USD, error) {
	if m.Before < 0 || m.After < 0 || m.Cost < 0 {
		return 0, &holysheep.RequestError{Field: "Move", Reason: "a negative amount"}
	}
	less := m.Before - m.After
	year, ok := times(max(less, -less), 12)
	if !ok {
		return 0, &holysheep.RequestError{Field: "Move", Reason: "more than $9.2 million in a year, which cannot be counted"}
	}
	if less < 0 {
		year = -year
	}
	return year, nil
}

// PaidBack is after how many months the cost of moving has come in; +Inf if never.
func (m Move) PaidBack() float64 {
	switch less := m.Before - m.After; {
	case less > 0:
		return float64(m.Cost) / float64(less)
	case less == 0 && m.Cost == 0:
		return 0
	}
	return math.Inf(1)
}
