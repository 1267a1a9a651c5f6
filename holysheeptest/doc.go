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
// Without a script it answers every question with a text that depends on it, and every text to be embedded with a
// vector that is near to those of texts with the same words. Prices are those
// of holysheep.ListPrices; tokens are counted roughly as models count them, a word or a punctuation mark each, unless
// Server.Tokens counts them.
//
// A test can hold a code path to its price, and a prompt to its length:
//
//	func TestAnswersStayCheap(t *testing.T) {
//		gw := holysheeptest.Start(t)
//		gw.Tokens = &tokens.Counter{}
//		answerReturns(t.Context(), gw.Client(nil))
//		gw.CostsAtMost(t, holysheep.Dollars(0.002))
//		gw.GoldenTokens(t, "testdata/returns.tokens") // HOLYSHEEP_UPDATE_GOLDEN=1 go test writes it
//	}
package holysheeptest
