package embedlocal

import "slices"

const (
	maxRows = 32 // texts in one pass

	// maxPassed is the tokens in one pass of more than one text, padding included. More are no faster, and a caller
	// who leaves waits for the pass.
	maxPassed = 256
)

// widths are the lengths that texts are padded to. The engine compiles the model for each shape that it meets, so
// shapes have to be few.
var widths = []int{8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024}

// pass is the texts of one run of the model.
type pass struct {
	texts []int
	width int
}

// plan puts texts of about the same length together. The number of texts in a pass is a power of two, so that shapes
// stay few without empty rows.
func plan(tokens [][]int64, longest int) []pass {
	order := make([]int, len(tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(tokens[a]) - len(tokens[b]) })
	var passes []pass
	for len(order) > 0 {
		width := widthOf(len(tokens[order[0]]), longest)
		alike := 1
		for alike < len(order) && len(tokens[order[alike]]) <= width {
			alike++
		}
		rows := min(maxRows, max(1, maxPassed/width))
		for ; alike > 0; alike -= rows {
			for rows > alike || rows&(rows-1) != 0 {
				rows--
			}
			passes = append(passes, pass{order[:rows], width})
			order = order[rows:]
		}
	}
	return passes
}

func widthOf(n, longest int) int {
	for _, w := range widths {
		if n <= w {
			return min(w, longest)
		}
	}
	return longest
}
