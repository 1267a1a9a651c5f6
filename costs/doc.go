// Package costs shows where the money went. [Rows] writes one line for every attempt of a client, [Read] reads them back,
// a [Report] sums them up by day, model and tag as text, JSON or a picture, [Reconcile] holds them against what the
// gateway says it billed, and a [Calculator] tells what a number of queries would cost.
//
// The rows are the books: their sums equal the meter of the client, the scopes and the budgets to the picodollar.
package costs
