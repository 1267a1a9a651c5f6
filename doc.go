// Package holysheep is a client for HolySheep AI, a gateway in front of gpt-4.1, claude-sonnet-4.5, gemini-2.5-flash
// and deepseek-v3.2, and for every other gateway that speaks OpenAI's protocol.
//
// Every call knows what it may cost before it is sent and what it did cost after, and ends complete or with a typed
// error.
//
//	client, err := holysheep.FromEnv(nil) // HOLYSHEEP_API_KEY
//	resp, err := client.Chat(ctx, &holysheep.ChatRequest{
//		Messages: []holysheep.Message{holysheep.User("How do I return order 48291?")},
//	})
//	fmt.Println(resp.Text(), resp.Cost)
//
// # Reading order
//
// [Client] and its [Options] (client.go, options.go), [ChatRequest] and [ChatResponse] (chat.go), [Client.Stream]
// (stream.go), the errors (errors.go). How a call goes from its request to its bill is call.go, from top to bottom.
//
// # Money
//
// A [USD] counts picodollars, so that sums are exact. A [Cost] has both ends: what was delivered, and what may be
// billed for it at most. [Plan] prices a request without sending it, [Client.Meter] sums up.
//
// A [Scope] in the context says what a call is part of, sums up what is spent beneath it, and may be capped (scope.go).
// A [Budget] is a limit for a day or a month (budget.go): the worst case of a call is reserved before it is sent, in a
// [Ledger] (ledger.go), which goroutines, processes or machines share. Package tokens counts what a request has,
// package costs keeps the books.
//
// # Above the client
//
// [Completer] is the one interface: a client, and everything that wraps one. A decorator has Unwrap, reports to the
// [Recorder] of what it wraps, and can tell what it would do ([Planner], [Resolver]). A [Gate] sees every attempt,
// an [Observer] every call.
//
// # Vectors
//
// [Client.Embedder] makes an [Embedder] (embed.go). Callers share its requests (flight.go), and each pays for its part
// (shares.go).
//
// Package cache answers equal and similar requests without asking again, and remembers vectors. Package route chooses
// models, and keeps answering while a gateway has a bad hour. Package stack puts the recommended parts before a client.
//
// Package holysheeptest is a gateway to test against, in memory and in virtual time.
package holysheep
