package embedlocal

// Tokens is what the model is given for a text.
func (e *Encoder) Tokens(text string) []int64 {
	tokens, _ := e.tokens.encode(text, e.opts.MaxTokens)
	return tokens
}

// Shapes is the passes for texts of so many tokens: rows and width of each.
func Shapes(lengths []int, longest int) [][2]int {
	tokens := make([][]int64, len(lengths))
	for i, n := range lengths {
		tokens[i] = make([]int64, n)
	}
	var shapes [][2]int
	for _, p := range plan(tokens, longest) {
		shapes = append(shapes, [2]int{len(p.texts), p.width})
	}
	return shapes
}
