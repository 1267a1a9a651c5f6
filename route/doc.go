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
package route
