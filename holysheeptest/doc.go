// Package holysheeptest is a gateway to test against: it answers, fails and charges as it is told, over memory or
// TCP, and remembers what it was asked and what it would have billed.
//
//	func TestWaitsAsTold(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // a minute of waiting passes in no time
//			gw := holysheeptest.Start(t)
//			gw.Reply(holysheeptest.Status(429).RetryAfter(time.Minute), holysheeptest.Text("Within 30 days."))
//			resp, err := gw.Client(nil).Chat(t.Context(), req)
//			…
//		})
//	}
//
// Without a script it answers every question with a text that depends on it. Prices are those of
// holysheep.ListPrices; tokens are counted roughly as models count them, a word or a punctuation mark each.
package holysheeptest
