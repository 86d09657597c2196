// Writes the golden files beside it: what Go's regexp, strconv and unicode packages answer.
// Run with Go 1.27.3, in a module of its own: go run . DIRECTORY
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

var patterns = []string{
	``, `a`, `.*`, `.+`, `a.*`, `a.+`, `.*a`, `.+a`, `.*a.*`, `a.*b`, `(.*)`, `(a|b)`, `a|b|c`, `foo|bar|ba[zx]`, `a(b|c)d(e|f)`,
	`(?i)abc`, `(?i)k`, `(?i)ß`, `(?i:a)b`, `(?i)a(?-i)b`, `(?s:.)`, `(?-s:.)`, `(?-s).`, `(?s-s:a.b)`, `(?m)^a$`, `(?m)a$.^b`, `^a$`, `^(a|b)$`, `a^b`, `a$b`, `$`, `^`, `^*`, `$+`,
	`(?U)a+`, `(?U)(a+?)(a*)`, `(a+)(a*)`, `(a+?)(a*)`, `(a*)+`, `(a*)*`, `(a|ab)(c|bcd)`, `(a)?(b)?`, `(a){0}(b)`, `(a){2}`, `(a){2,3}`, `a{2,}`, `a{0}`, `a{,2}`, `{`, `}`, `{}`, `a{`, `a{2`, `a{2,`, `a{x}`, `a{01}`, `a{1,01}`, `{2}`, `a{1000}`, `a{1001}`, `a{1,1001}`, `a{2,1}`, `a{99999999999}`, `(a{10}){100}`, `(a{10}){101}`, `((a{2}){500}b{3}){1}`, `(a{1000}){0}`, `((a{0}){1000}){1000}`, `(a{2,}){501}`, `(a{,2}){3}`, `(a*){1000}`,
	`a**`, `a*+`, `a+?`, `a+??`, `a??`, `a*{2}`, `a{2}*`, `a{2}{3}`, `a|*`, `(*)`, `*`, `+`, `?`, `(?i)*`, `a(?i)*`, `a*(?i)*`, `a+(?i)?`, `(?:a+)?`, `\Q\E*`, `a\Q\E*`, `a*\Q\E*`, `\Qab\E*`, `\Qa.b\E`, `\Qa.b`, `\Q`, `\Qa\Eb\Qc\E`, `\E`,
	`\07`, `\0`, `\1`, `\10`, `\101`, `\8`, `\x41`, `\x4`, `\x`, `\x{41}`, `\x{}`, `\x{1F600}`, `\x{110000}`, `\x{D800}`, `\x{zz}`, `\xzz`, `\u0041`, `\U`, `\a\f\n\r\t\v`, `\e`, `\q`, `\_`, `\<`, `\>`, `\-`, `\é`, `\`, `a\`, `\A`, `\z`, `\Z`, `\Aa\z`, `\C`, `\G`, `\K`, `\R`, `\X`, `\h`,
	`\b`, `\B`, `a\b`, `a\b.*`, `a\B.*`, `\bé`, `.*\bé\b.*`, `\b{start}`, `\b+`, `\d`, `\D`, `\s`, `\S`, `\w`, `\W`, `(?i)\w`, `(?i)\W`, `[\d]`, `[^\d]`, `[\D]`, `[\d\D]`, `[^\d\D]`, `[\w.]+`, `[\b]`, `[\A]`, `[\Q]`,
	`[a`, `[`, `[]`, `[]a]`, `[^]a]`, `[^]`, `[^`, `[a-]`, `[-a]`, `[a-c]`, `[c-a]`, `[a-c-e]`, `[a\-c]`, `[\x41-\x43]`, `[a&&b]`, `[a[b]`, `[a[b]]`, `[a--b]`, `[a~~b]`, `[[a]`, `[[:alpha:]]`, `[[:^alpha:]]`, `[^[:alpha:]]`, `[[:foo:]]`, `[[:alpha:]`, `[:alpha:]`, `[[:alpha]]`, `[[:word:][:space:]]+`, `[[:punct:]]`, `(?i)[[:lower:]]`, `(?i)[^[:upper:]]`, `(?i)[k]`, `(?i)[^k]`, `(?i)[a-c]+`, `[ -~]+`, `[\n]`, `[^a]`, `[\]]`, `[\\]`, `[é-ü]`, `[\x{D700}-\x{E000}]`, `[^\x00-\x{10FFFF}]`,
	`\pL`, `\PL`, `\p{L}`, `\p{Lu}`, `\p{^Lu}`, `\P{^Lu}`, `(?i)\p{Lu}`, `(?i)\P{Lu}`, `[\pL\d]`, `[^\pL]`, `\p{Greek}`, `\p{Han}`, `\pN`, `\p`, `\p{`, `\p{}`, `\p{L`, `\p{Foo}`, `\pX`, `\p{Any}`, `\p{Letter}`, `\p{sc=Greek}`, `\p{Alphabetic}`, `[\p{Foo}]`, `\p{Cs}`,
	`(`, `)`, `()`, `(a`, `a)`, `(a))`, `((a)`, `a)|(b`, `(|a)`, `(a|)`, `||`, `a||b`, `(?:a|b)`, `(?:`, `(?`, `(?)`, `(?:)`, `(?a)`, `(?i`, `(?i-`, `(?-)`, `(?i-)`, `(?-i)A`, `(?--i)`, `(?x)a`, `(?R)`, `(?=a)`, `(?!a)`, `(?<=a)`, `(?<!a)`, `(?>a)`, `(?#a)`, `(?P<n>a)`, `(?<n>a)`, `(?P<n>a)(?P<n>b)`, `(?P<n>a)|(?P<n>b)`, `(?P<>a)`, `(?P<n`, `(?P<n-m>a)`, `(?P<1>a)`, `(?P<é>a)`, `(?P=n)`, `(?P>n)`, `(?'n'a)`, `(?<n`, `(?<`, `(?P`, `(?P<`,
	`a # b`, ` a`, `a/b`, `a&b`, `a"b`, `#`, `~`, `-`, `a&&b`, `a--b`, `é+`, `(?i)É`, `😱.`, `node-[0-9]+(-[a-z])?`, `(prod|dev)-(eu|us)-\d{1,2}`, `[^:]+(?::\d+)?`, `https?://([^/]+)/.*`, `.*\.(js|css)`, `5..`, `4..|5..`, `kube.*|node.*`, `(?:(?:(?:a)))`, `a.b.c`,
}
var texts = []string{"", "a", "b", "c", "A", "ab", "aa", "aaa", "abc", "ABC", "AbC", "k", "K", "\u212a", "ſ", "ß", "ẞ", "\n", "a\nb", "axb", "a.b", "a.bc", "é", "É", "aé", "a é", "1", "٣", "_", "-", "]", "[", "&", "b]", "\\", "{", "a{", "a{,2}", "\u00a0", "\v", "\t", " ", "\x07", "😱a", "node-12-b", "prod-eu-1", "db1:9090", "https://x.y/z", "main.js", "503", "foo", "bax", "adbe", "acdf", "α", "花", "a # b", "\u0000", "kube-x"}

func q(s string) string { return strconv.Quote(s) }

func emit(w *strings.Builder, p string, ts []string) {
	fmt.Fprintf(w, "%s", q(p))
	if _, err := syntax.Parse(p, syntax.Perl|syntax.DotNL); err != nil {
		e := err.(*syntax.Error)
		fmt.Fprintf(w, " error %s\n", q(string(e.Code)+": `"+e.Expr+"`"))
		return
	}
	re, err := regexp.Compile("^(?s:" + p + ")$")
	if err != nil { re = regexp.MustCompile("^(?s:" + p + "\\E)$") }
	var yes []string
	for _, t := range ts {
		m := re.FindStringSubmatchIndex(t)
		if m == nil { continue }
		y := "  " + q(t)
		for g := 1; g <= re.NumSubexp(); g++ {
			if m[2*g] < 0 { y += " -" } else { y += " " + q(t[m[2*g]:m[2*g+1]]) }
		}
		yes = append(yes, y)
	}
	fmt.Fprintf(w, "\n")
	for _, y := range yes { fmt.Fprintln(w, y) }
}

func gen(r *rand.Rand, d int) string {
	atoms := []string{"a", "b", "c", "A", ".", "[ab]", "[^a]", `\d`, `\w`, `\W`, "é", `\x41`, "(?i:a)", `\b`, "^", "$", "k", `\s`, "1", "_", "-"}
	switch n := r.Intn(10); {
	case d <= 0 || n < 3:
		return atoms[r.Intn(len(atoms))]
	case n < 6:
		return gen(r, d-1) + gen(r, d-1)
	case n < 7:
		return "(" + gen(r, d-1) + "|" + gen(r, d-1) + ")"
	case n < 8:
		return "(?:" + gen(r, d-1) + ")" + []string{"*", "+", "?", "{2}", "{1,2}", "*?", "+?", "{0,2}?"}[r.Intn(8)]
	case n < 9:
		return "(" + gen(r, d-1) + ")" + []string{"*", "+", "?", "{2}", "{1,2}", "*?", "+?"}[r.Intn(7)]
	}
	return gen(r, d-1) + "(?i)" + gen(r, d-1)
}

func main() {
	var w strings.Builder
	w.WriteString("# Written by Go 1.27.3: each pattern, its error or the texts that ^(?s:pattern)$ matches, with groups 1 and up.\n")
	w.WriteString("# Strings as strconv.Quote writes them; a group that took no part is -.\n")
	w.WriteString("texts")
	for _, t := range texts { w.WriteString(" " + q(t)) }
	w.WriteString("\n")
	for _, p := range patterns { emit(&w, p, texts) }
	r := rand.New(rand.NewSource(1))
	for i := 0; i < 250; i++ { emit(&w, gen(r, 4), texts) }
	os.WriteFile(os.Args[1]+"/regex_go.txt", []byte(w.String()), 0o644)

	w.Reset()
	w.WriteString("# Written by Go 1.27.3: bits of a float, then FormatFloat with 'g', 'f' and 'e', precision -1.\n")
	fl := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.3, 1e-4, 1e-5, 1e5, 1e6, 123456, 1234567, 123456.7, 1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 9007199254740991, 9007199254740992, 9007199254740994, math.MaxFloat64, 5e-324, 2.2250738585072014e-308, 1e-6, 9.999e-7, 1e23, math.Pi, 1.0 / 3, 100, 1e100, 12345678901234567890, math.Inf(1), math.Inf(-1), math.NaN()}
	for i := 0; i < 150; i++ { f := math.Float64frombits(r.Uint64()); fl = append(fl, f) }
	for i := 0; i < 150; i++ { fl = append(fl, float64(r.Int63n(1000000000))/math.Pow(10, float64(r.Intn(9)))) }
	for _, f := range fl {
		if math.IsNaN(f) { f = math.NaN() }
		fmt.Fprintf(&w, "%016x %s %s %s\n", math.Float64bits(f), strconv.FormatFloat(f, 'g', -1, 64), strconv.FormatFloat(f, 'f', -1, 64), strconv.FormatFloat(f, 'e', -1, 64))
	}
	os.WriteFile(os.Args[1]+"/float_go.txt", []byte(w.String()), 0o644)

	w.Reset()
	w.WriteString("# Written by Go 1.27.3: the first code point of each run that unicode.IsPrint tells apart from the one before, and its answer.\n")
	prev := false
	for c := rune(0); c <= 0x10ffff; c++ {
		if c >= 0xd800 && c < 0xe000 { continue }
		if p := strconv.IsPrint(c); p != prev || c == 0 { fmt.Fprintf(&w, "%x %v\n", c, p); prev = p }
	}
	os.WriteFile(os.Args[1]+"/printable_go.txt", []byte(w.String()), 0o644)
}
