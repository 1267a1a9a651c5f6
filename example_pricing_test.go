package holysheep_test

import (
	"encoding/json"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
)

// A million questions of 2,000 tokens, each answered with 1,024.
func ExamplePrice_Of() {
	prices := holysheep.ListPrices()
	for _, model := range []string{holysheep.GPT41, holysheep.DeepSeekV32} {
		price, ok := prices.Lookup(model)
		if !ok {
			continue // no price is known
		}
		one := price.Of(holysheep.Usage{PromptTokens: 2_000, CompletionTokens: 1_024})
		fmt.Println(model, one, one*1_000_000)
	}
	// Output:
	// gpt-4.1 $0.012192 $12192.00
	// deepseek-v3.2 $0.00099008 $990.08
}

// A price of one's own goes into Options.Prices.
func ExamplePriceTable_With() {
	prices, err := holysheep.ListPrices().With("ft:gpt-4.1:shop::returns", holysheep.Price{
		Input: holysheep.Dollars(3), CachedInput: holysheep.Dollars(0.75), Output: holysheep.Dollars(12),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	price, _ := prices.Lookup("ft:gpt-4.1:shop::returns")
	fmt.Println(price.Of(holysheep.Usage{PromptTokens: 1_000, CachedTokens: 800, CompletionTokens: 100}))

	_, err = prices.With("gpt-4.1", holysheep.Price{Input: holysheep.Dollars(2_000), Output: -1})
	fmt.Println(err)
	// Output:
	// $0.0024
	// holysheep: bad price: gpt-4.1, input: $2000.00 for a million tokens: is that the unit?
	// holysheep: bad price: gpt-4.1, output: negative
}

// A table from a file; every mistake in it is reported at once.
func ExamplePriceTable_UnmarshalJSON() {
	var prices holysheep.PriceTable
	err := json.Unmarshal([]byte(`{"date":"2026-11","source":"contract","models":{
		"gpt-4.1": {"input": 1.80, "cached_input": 0.45, "output": 7.20}
	}}`), &prices)
	fmt.Println(prices.Models(), prices.Date(), err)

	err = json.Unmarshal([]byte(`{"models":{"gpt-4.1":{"input":1.80},"o3":{"input":2,"output":8,"cache":0.5}}}`), &prices)
	fmt.Println(err)
	// Output:
	// [gpt-4.1] 2026-11 <nil>
	// holysheep: bad price: gpt-4.1, output: missing
	// holysheep: bad price: o3, cache: unknown field
}
