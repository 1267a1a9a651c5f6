// Package route chooses the model of a request, by rules that can be read in one table, and says why.
//
//	chat, err := route.New(client, route.Default(), nil)
//	resp, err := chat.Chat(ctx, &holysheep.ChatRequest{Messages: …}) // no model: the router's choice
//	fmt.Println(resp.Steps[0].Detail)                                // why, and what it saved
//
// A [Router] goes by a [Policy], which prints as a table: [Default] is the vendor's advice, [ByContent] looks at what a
// question is about as well, [Cheapest] at the price alone; any other is a few lines. What a question is like are its
// [Features]; what follows from them says a [Classifier], of which any function is one. Each choice is a [Receipt].
//
// A [Cascade] asks a cheap model first, checks its answer, and asks a better one where a [Check] rejects it; shadows
// measure what that loses.
//
// # When things are bad
//
// A [Breaker] and a [Pacing] are gates of the client ([Gates]), because they have to see every attempt: one stops sending
// to a model that fails, the other sends no faster than a gateway takes, by priority ([WithPriority]).
//
// A [Fallback] moves on to another model or gateway, a [Hedge] asks twice where the first token is late, and a [Deferral]
// says when what could not be answered may be tried again. A [Ladder] gives up a little of each call while a budget will
// not last or breakers are open. Each is usable alone; package stack puts them together. The usual order, from the caller
// down:
//
//	deferral ▸ ladder ▸ caches ▸ router or cascade ▸ fallback ▸ hedge ▸ client (pacing, breaker)
package route
