package route_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNew() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("At nine, on Sundays at ten."), holysheeptest.Text("Because a larger supply of money chases the same goods."))

	chat, err := route.New(gateway.Client(nil), route.Default(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, q := range []string{"When do you open on Sundays?", "为什么央行印钞会引起通货膨胀？"} {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q)}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(resp.Steps[0].Detail)
	}
	// Output:
	// route: gemini-2.5-flash, by rule "simple" of policy "default"
	//   wanted      balanced
	//   question    simple: 6 words, 1 question
	//   needs       25 tokens, and up to 2048 for the answer
	//   candidates  gemini-2.5-flash  $0.002568 expected, chosen
	//               deepseek-v3.2     $0.000437 expected
	//   cost        $0.000023, $0.00013 less (85 %) than all-premium, $0.000063 less (73 %) than all-gpt-4.1
	// route: deepseek-v3.2, by rule "standard" of policy "default"
	//   wanted      balanced
	//   question    standard: 8 words (14 Chinese characters), 1 question, reasoning word "为什么"
	//   needs       34 tokens, and up to 2048 for the answer
	//   candidates  deepseek-v3.2     $0.00044 expected, chosen
	//               gemini-2.5-flash  $0.00257 expected
	//               gpt-4.1           $0.00826 expected
	//   cost        $0.00000994, $0.000212 less (96 %) than all-premium, $0.000116 less (92 %) than all-gpt-4.1
}

func ExamplePolicy() {
	policy := route.Default()
	fmt.Print(policy)
	// Output:
	// policy default, questions told apart by words: simple under 15 without a reasoning word, complex over 40
	// rule      wanted   question  models
	// premium   premium  any       claude-sonnet-4.5, gpt-4.1
	// coding    coding   any       gpt-4.1, claude-sonnet-4.5
	// economy   economy  any       the cheapest of deepseek-v3.2, gemini-2.5-flash
	// simple    any      simple    gemini-2.5-flash, deepseek-v3.2
	// standard  any      standard  deepseek-v3.2, gemini-2.5-flash, gpt-4.1
	// complex   any      any       deepseek-v3.2, gemini-2.5-flash, gpt-4.1
}
