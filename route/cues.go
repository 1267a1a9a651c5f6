package route

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// cue is what a word says about a turn.
type cue struct {
	word                 string
	reasoning            bool  // one of those that the default policy looks for
	thought, code, maths uint8 // points
}

// longestCue bounds the runs of letters that can be known words.
const longestCue = 20

// The default policy's words, and what they are in Chinese, simplified and traditional. "analyse" is the same word.
var (
	reasoningEnglish = []string{"how", "why", "explain", "compare", "analyze", "analyse"}
	reasoningChinese = []string{
		"怎么", "怎樣", "怎样", "怎麼", "如何", "为什么", "為什麼", "为何", "為何", "为啥", "為啥",
		"解释", "解釋", "说明", "說明", "比较", "比較", "对比", "對比", "分析",
	}
)

// howChinese are those that ask for a way, as "how" does: not yet for thought.
var howChinese = []string{"怎么", "怎樣", "怎样", "怎麼", "如何"}

// Words by what they speak for. Those that shops and banks use as well ("return", "class", "积分", "code") are left out, or
// need a second one.
var wordLists = []struct {
	thought, code, maths uint8
	english, chinese     string
}{
	{
		thought: 1,
		english: `analysis comparison contrast evaluate assess critique pros cons tradeoff tradeoffs strategy strategies
			implications justify summarize summarise summary draft essay rewrite outline propose proposal optimize
			optimise forecast differences difference versus vs roadmap recommend recommendation consequences argue
			advantages disadvantages diagnose prioritize prioritise plan design negotiate persuasive`,
		chinese: `优缺点 区别 差异 方案 策略 评估 总结 设计 规划 优化 撰写 起草 利弊 权衡 论证 拟一 写一份 写一封 写一篇 改写
			推荐 建议 影响 原因 计划 優缺點 區別 差異 評估 總結 設計 規劃 優化 撰寫 權衡 論證 寫一份 寫一封 寫一篇 建議 影響 計劃`,
	},
	{
		code: 2,
		english: `python javascript typescript golang java kotlin sql regex regexp html css php coding programming
			compiler traceback stacktrace segfault refactor dockerfile docker kubernetes npm goroutine bash backend
			frontend nodejs postgres mysql sqlite mongodb graphql pytest junit webpack nullpointerexception typeerror
			valueerror keyerror mutex deadlock subquery leetcode rustc codebase unmarshal
			async struct enum stdin stdout`,
		chinese: `代码 编程 正则 脚本 编译 爬虫 前端 后端 重构 单元测试 线程 多线程 指针 代碼 程式碼 編程 正則 腳本 編譯 前端 後端
			重構 單元測試 哈希表 链表 二叉树 死锁 协程 存储过程`,
	},
	{
		code: 1,
		english: `function functions script bug debug exception algorithm json yaml xml endpoint webhook await query
			loop recursion recursive array string variable parse parser database linux git api sdk func def const var
			null nil import compile rust swift react vue iterator pointer binary hash linked list thread threads test
			tests unit dictionary dataframe csv code middleware schema table index`,
		chinese: `函数 报错 调试 算法 接口 数据库 递归 数组 变量 字符串 循环 异常 报错 程序 函數 報錯 調試 演算法 資料庫 遞迴 陣列 變數 字串
			并发 缓存 查询 索引 文件`,
	},
	{
		maths: 2,
		english: `equation equations integral derivative derivatives calculus theorem probability polynomial matrix
			eigenvalue eigenvalues factorial logarithm trigonometry algebra hypotenuse quadratic parabola inequality
			permutations combinatorics variance differentiate lcm gcd vertices perpendicular cosine sine tangent`,
		chinese: `方程 微积分 定积分 不定积分 导数 求导 概率 求解 根号 矩阵 等差 等比 方差 三角形 质数 素数 排列组合 复利 数列 不等式 抛物线
			机率 機率 導數 矩陣 三角函数 因式分解 最大公约数 最小公倍数 勾股 圆周 余数 余弦 正弦 向量 极限 标准差 立方 鸡兔 解集`,
	},
	{
		maths: 1,
		english: `solve calculate compute prove percent percentage average sum square root triangle compound integer
			integers ratio median mean deviation radius circumference area perimeter divided multiplied multiply
			divisible remainder geometry rectangle circle angle dice coin coins probability cube times km mph`,
		chinese: `证明 计算 平方 平均 百分之 面积 周长 半径 利息 几何 整数 除以 乘以 公式 函数 比例 角度 多少种 證明 計算 平均 面積 求 小时 千米 公里`,
	},
}

// Chinese words are found by their first character, the longest first.
var englishCues, chineseCues = makeCues()

func makeCues() (english map[string]cue, byFirst map[rune][]cue) {
	english, byFirst = map[string]cue{}, map[rune][]cue{}
	for _, w := range reasoningEnglish {
		c := cue{word: w, reasoning: true, thought: 1}
		if w == "how" {
			c.thought = 0
		}
		english[w] = c
	}
	chinese := map[string]cue{}
	for _, w := range reasoningChinese {
		c := cue{word: w, reasoning: true, thought: 1}
		if slices.Contains(howChinese, w) {
			c.thought = 0
		}
		chinese[w] = c
	}
	for _, l := range wordLists {
		add := func(cues map[string]cue, words string) {
			for w := range strings.FieldsSeq(words) {
				c := cues[w]
				c.word = w
				c.thought, c.code, c.maths = max(c.thought, l.thought), max(c.code, l.code), max(c.maths, l.maths)
				cues[w] = c
			}
		}
		add(english, l.english)
		add(chinese, l.chinese)
	}
	for w, c := range chinese {
		first, _ := utf8.DecodeRuneInString(w)
		byFirst[first] = append(byFirst[first], c)
	}
	for _, cues := range byFirst {
		slices.SortFunc(cues, func(a, b cue) int {
			if len(a.word) != len(b.word) {
				return len(b.word) - len(a.word)
			}
			return strings.Compare(a.word, b.word)
		})
	}
	return english, byFirst
}

// chinese looks for the known words that t begins with; r is its first character.
func (s *turnScan) chinese(r rune, t string) {
	for i := range chineseCues[r] {
		c := &chineseCues[r][i]
		if strings.HasPrefix(t, c.word) {
			if !s.partOfAnother(c.word, t[len(c.word):]) {
				s.take(*c)
			}
			return
		}
	}
}

// partOfAnother is the word boundary of a language without spaces: the known word, which something comes after, is a
// part of one that means something else, as "how" is of "show".
func (s *turnScan) partOfAnother(word, after string) bool {
	next, _ := utf8.DecodeRuneInString(after)
	switch word {
	case "说明", "說明":
		return next == '书' || next == '書' // a manual
	case "分析":
		return next == '师' || next == '師' || s.last == '部' // an analyst; 部分析出
	case "解释", "解釋":
		return next == '权' || next == '權' // the last word on the terms
	case "比较", "比較":
		return next != utf8.RuneError && strings.ContainsRune(afterRather, next)
	case "积分", "證明", "证明":
		return s.last == '买' || s.last == '買' || s.last == '份' || s.last == '款' // of purchase, identity, payment
	case "程序":
		return s.last == '小'
	case "平方":
		return next == '米' || next == '公'
	case "为何", "為何":
		return s.last == '成' || s.last == '因' && next == '人'
	}
	return false
}

// afterRather follows 比较 where it means "rather" and compares nothing: 比较便宜.
const afterRather = "好多大小高低贵貴便快慢少久长長短难難容简簡重轻輕适適合急严嚴老新差强強弱喜想担擔满滿热熱冷实實麻复複忙远遠近紧緊旧舊常深浅淺硬软軟在关關"
