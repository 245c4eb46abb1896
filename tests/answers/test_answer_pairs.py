r"""What a person would say of an answer, kind by kind: a completion that ends in `\boxed{answer}` against the gold."""
# ruff: noqa: E501, RUF001 (a table of cases, signs that look like others among them)

import pytest

from tina_lite.rewards.accuracy import verdicts

BOXED: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "whole numbers": [
        ("34", ["34", "34.", "034", "+34", " 34 ", "34.0", "**34**", r"\mathbf{34}", "(34)"], ["35", "3", "4", "-34", ""]),
        ("-3", ["-3", "−3", "– 3", "-3.0", r"\text{-3}"], ["3", "−4", "--3"]),
        ("0", ["0", "-0", "0.0", r"\frac{0}{5}"], ["1", "0.0000001", "", "O"]),
        ("48480", ["48480", "48,480", "48 480", "48{,}480", r"48\,480"], ["48", "480", "48.480"]),
        ("123456789012345678901234567890", ["123456789012345678901234567890"], ["123456789012345678901234567891"]),
    ],
    "thousands": [
        ("1234", ["1,234", "1 234", r"1\,234", "1 234", "1 234", "1{,}234", "1,234.00"], ["1.234", "1, 234", "12,34"]),
        ("1,234,567", ["1234567", "1 234 567", r"1\,234\,567"], ["1,234", "1234568", "1,234,576"]),
        ("1 000", ["1000", "1,000", "10^3"], ["1", "0", "100"]),
    ],
    "decimals": [
        ("0.5", ["0.5", ".5", "1/2", r"\frac{1}{2}", r"\frac12", "½", "0.50", "0,5", r"50\%"], ["0.05", "5", "2", "0.51"]),
        ("3.14", ["3.14", "3.140", "3,14", r"\frac{157}{50}"], ["3.15", "3", "314", "3.141"]),
        ("0.333333", ["1/3", "0.333333"], ["0.3333", "0.33", "0.334"]),
        ("2.5", ["2,5", "2.5", "5/2", r"2\frac{1}{2}", "2½"], ["25", "2", "5", "2, 5"]),
    ],
    "tiny and large": [
        ("0.0000001", ["0.0000001", "1e-7", "10^{-7}", r"1 \times 10^{-7}"], ["0.0000002", "0", "0.000001", "1e-8"]),
        ("2e-05", ["0.00002", "2e-5", r"2 \times 10^{-5}", r"2\cdot10^{-5}", "2 × 10⁻⁵"], ["0.0002", "2", "2e-06", "2e5"]),
        (r"\frac{1}{2^{99}}", [r"\frac{1}{2^{99}}", "2^{-99}", "1/2^{99}"], [r"\frac{1}{2^{98}}", "0", "2^{99}"]),
    ],
    "scientific": [
        ("100000", ["1e5", "1E5", "1e+5", "10^5", "10^{5}", r"1 \times 10^5", "100,000"], ["1e4", "1e6", "15", "10^6"]),
        ("1.5e3", ["1500", "1.5e3", r"1.5 \times 10^{3}", "1,500", r"15 \cdot 10^2"], ["1.5", "150", "15000"]),
        (r"6.02 \times 10^{23}", [r"6.02\times10^{23}", "6.02e23", "602000000000000000000000"], ["6.02", "6.02e22"]),
    ],
    "fractions": [
        (r"\frac{3}{4}", ["3/4", r"\frac34", r"\dfrac{3}{4}", r"\tfrac{6}{8}", "0.75", "¾", r"\frac{75}{100}"], ["4/3", "3", "34"]),
        (r"-\frac{1}{2}", [r"\frac{-1}{2}", "-1/2", "-0.5", "−½", r"\frac{1}{-2}"], ["1/2", "-2", "-1"]),
        ("71/6", [r"\frac{71}{6}", "11 5/6", r"11\frac{5}{6}"], ["11", "5/6", "115/6", "11.8"]),
    ],
    "mixed numbers": [
        ("11 5/6", ["71/6", r"\frac{71}{6}", "11 5/6", r"11\frac{5}{6}", r"11 \frac{5}{6}"], ["55/6", "11", "5/6", "115/6"]),
        ("2", ["2", r"1\frac{2}{2}"], ["2 2/3", r"2\frac{2}{3}", "2 1/2"]),
        (r"3\frac{1}{2}", ["3.5", "7/2", "3½", r"\frac{7}{2}"], [r"\frac{3}{2}", "1.5", "31/2"]),
    ],
    "percent": [
        ("-9", [r"-9\%", "-9%", "-9 percent", "-9"], ["9%", r"-90\%", "-0.9"]),
        ("12.5", [r"12.5\%", "12.5%", "12.5 per cent", r"12.5\text{ percent}"], ["12%", "125%", r"1.25\%"]),
        (r"28\%", ["28", r"28\%", "28 percent", "0.28"], ["2.8", r"29\%", "280"]),
        ("100%", ["100%", "100", "1"], ["10%", "0.1", "1000"]),
        ("0.5", ["50%", "0.5"], ["0.05%", "5%"]),
    ],
    "currency": [
        ("5", ["5€", "€5", r"\$5", "5 dollars", "$5", "£5", "5 euros", "5.00", r"\$5.00"], ["6€", r"\$50", "0.05"]),
        (r"\$18", ["18", "18 dollars", r"\$18.00", "18 USD"], ["18 euros", r"\$1.8", "18€"]),
        ("1250 dollars", [r"\$1,250", "1250", "1,250 dollars"], ["1250 euros", r"\$12.50"]),
    ],
    "units": [
        ("6", ["6 eggs", r"6\text{ eggs}", "6 cm", "6cm", r"6\,\mathrm{cm}", "6 square meters", r"6\text{ m/s}"], ["7 eggs", "6x"]),
        ("6 eggs", ["6", "6 eggs", r"6 \text{ eggs}", "6 egg"], ["5 eggs", "60 eggs"]),
        ("5 cm", ["5", "5 cm", "5cm", r"5\text{ cm}", "5 centimeters", r"5 \mathrm{~cm}", "5 centimetres"], ["5 m", "5 km", "50 cm"]),
        (r"12\text{ cm}^2", ["12", r"12\text{ cm}^2", r"12\mathrm{cm}^2", "12 square centimeters"], [r"12\text{ cm}", r"12\text{ cm}^3"]),
        (r"90\text{ inches}^2", ["90", "90 square inches"], [r"90\text{ inches}^3", "91"]),
        (r"15\mbox{ cm}^2", ["15", r"15\text{ cm}^{2}"], [r"15\mbox{ cm}^3"]),
        ("60 km/h", ["60", "60 kilometers per hour", r"60\text{ km/h}"], ["60 m/s", "6"]),
        ("3 hours", ["3", "3 h", "3 hours", "3 hr", "180 minutes"], ["3 minutes", "3 days"]),
    ],
    "degrees": [
        ("90", ["90°", r"90^\circ", r"90^{\circ}", "90 degrees", r"90\degree", r"90\text{ degrees}"], ["9°", "90.5°"]),
        (r"45^\circ", ["45", "45°", "45 degrees"], ["46°", r"\frac{\pi}{4}", "45 radians"]),
        ("20°C", ["20", r"20^\circ C", "20 degrees Celsius"], ["20°F", "21°C"]),
    ],
    "unicode": [
        (r"\sqrt{2}", ["√2", r"\sqrt2", "√{2}", r"2^{1/2}", "√(2)"], ["2", "√3", "1.41"]),
        (r"10 - 2\sqrt{5}", ["10 - 2√5", "10 − 2√5", r"-2\sqrt{5} + 10"], ["10 + 2√5", "10 - 2√6", "8√5"]),
        ("42", ["４２", "42", "４2"], ["４３", "24"]),
        (r"2\pi", ["2π", r"2 \pi", r"\pi \cdot 2", "2·π"], ["π", "3π", "6.28"]),
        ("x^2", ["x²", "x^{2}", r"x \cdot x"], ["x³", "2x", "x"]),
        (r"\infty", ["∞", r"\infty"], [r"-\infty", "0"]),
        (r"x \le 3", ["x ≤ 3", r"x \leq 3", r"x\leqslant 3"], ["x ≥ 3", "x < 3", r"x \le 4"]),
    ],
    "dates, times, ranges, ratios: the same text alone": [
        ("2024-05-01", ["2024-05-01"], ["2018", "2024", "2024-05-02", "2024-01-05"]),
        ("May 1, 2024", ["May 1, 2024", "may 1, 2024"], ["May 2, 2024", "May", "2018", "1"]),
        ("2018", ["2018"], ["2024-05-01"]),
        ("05/01/2024", ["05/01/2024"], ["05/02/2024", "5", "0.0025"]),
        ("3:30 PM", ["3:30 pm", "3:30 PM", r"3:30 \text{ PM}"], ["3:30 AM", "3:31 PM", "3.5", "0.1"]),
        ("15:30", ["15:30"], ["15:03", "1530", "15"]),
        ("10-20", ["10-20", "10 - 20", "10–20"], ["-10", "10", "20", "10-21", "30"]),
        ("5 to 10 cm", ["5 to 10 cm"], ["5", "10 cm", "5-11 cm"]),
        ("3:2", ["3:2", "3 : 2", r"\frac{3}{2}", "6:4"], ["2:3", "3", "3:3", "5"]),
        ("1:2:3", ["1:2:3"], ["1:2", "3:2:1", "6"]),
        ("3:20", ["6:40"], ["2:20"]),
        (r"\frac{1}{12}", ["1:12"], ["12:1"]),
    ],
    "bases": [
        ("52_8", ["52_8", "52_{8}", r"52_{8}"], ["52_9", "53_8", "25_8"]),
        ("1A_{16}", ["1A_{16}", "1a_{16}"], ["1B_{16}", "A1_{16}"]),
    ],
    "words": [
        ("Evelyn", ["Evelyn", "evelyn", r"\text{Evelyn}", r"\textbf{Evelyn}", "Evelyn.", '"Evelyn"'], ["Carla", "nylevE", "Evelyn and Bob"]),
        ("True", ["true", "True", "TRUE", r"\text{True}"], ["false", "False", "eurt", "yes"]),
        ("yes", ["Yes", "YES", "yes."], ["no", "No", "sey", ""]),
        ("New York", ["new york", "New  York", r"\text{New York}"], ["York New", "NewYork", "York"]),
        ("listen", ["listen"], ["silent", "enlist", "netsil", "l"]),
        (r"\text{even}", ["even", r"\text{Even}"], ["odd", "neve", r"\text{odd}"]),
        ("Room 12", ["Room 12", "room 12"], ["Room 21", "12", "moor 12"]),
    ],
    "lists of words": [
        ("apple, banana, cherry", ["apple, banana, cherry", "apple,banana,cherry"], ["banana, apple, cherry", "apple, banana", "cherry"]),
        ("['a', 'b', 'c']", ["['a', 'b', 'c']", '["a", "b", "c"]', "[a, b, c]"], ["['c', 'b', 'a']", "['a', 'b']"]),
        ("Alice and Bob", ["Alice and Bob", "Alice, Bob"], ["Alice", "Bob", "Alice and Carl"]),
    ],
    "rows of numbers": [
        ("1 2\n3 4", ["1 2\n3 4", "1  2 \n 3 4"], ["1 3\n2 4", "4 3\n2 1", "10", "1 2\n3 5"]),
        ("1 2 3", ["1 2 3"], ["3 2 1", "123", "6", "1 2"]),
        ("10-20-30", ["10-20-30", "10–20–30"], ["-40", "30-20-10", "10-20"]),
    ],
    "choices": [
        ("B", ["B", "(B)", r"\text{B}", r"\text{(B)}", "B.", "B)", "B. 12 apples", r"\textbf{(B)}\ 12", "b", "Option B"], ["A", "C", "(A)", "A. B", "AB"]),
        ("(C)", ["C", "(C)", "c", r"\mathrm{C}"], ["B", "(D)", "D. C"]),
        ("B. 12 apples", ["B", "B. 12 apples", "12 apples", "12"], ["A", "A. 12 apples", "13 apples"]),
        ("12", ["12", "B. 12", "(B) 12 apples"], ["B", "B. 13"]),
        ("A, C", ["A, C", "C, A", "A and C", r"\text{A, C}", "A,C"], ["A", "A, B", "A, C, D"]),
        ("J", ["J", "(J)"], ["I", "A"]),
    ],
    "sets": [
        (r"\{1, 2, 3\}", [r"\{1,2,3\}", r"\{3, 2, 1\}", "1, 2, 3", r"\left\{1,2,3\right\}", r"\{1,2,2,3\}"], ["1, 2", r"\{1,2,3,4\}", "6", "123"]),
        ("3, 5, 7", ["3, 5, 7", "7,5,3", "3, 5 and 7", r"3, 5, \text{ and } 7", r"\{3,5,7\}", "3; 5; 7"], ["3, 5", "3, 5, 8", "357", "7", "15"]),
        ("1331 and 1728", ["1331 and 1728", "1728, 1331", r"1331\text{ and }1728", "1,331 and 1,728"], ["1728", "1331", "1331 and 1729"]),
        ("2", ["2", "2, 2", r"\{2\}"], ["2 or 3", "2, 3", r"\{2, 3\}"]),
        (r"x = 1 \text{ or } x = -3", ["x=1, x=-3", "1, -3", r"\{-3, 1\}", "x = -3 or x = 1"], ["x=1", "1, 3", "x=1, x=3"]),
        (r"\pm 3", ["3, -3", r"\pm 3", "±3", "-3 and 3"], ["3", "-3", r"\pm 4"]),
        (r"\{\sqrt{2}, 1\}", [r"1, \sqrt{2}", r"\{1, \sqrt2\}"], [r"\{1, \sqrt3\}", r"\sqrt2"]),
    ],
    "tuples": [
        ("(1, 2)", ["(1,2)", "(1, 2)", r"\left(1, 2\right)", "1, 2", "(x, y) = (1, 2)", r"(\frac{2}{2}, 2.0)"], ["(2, 1)", "2, 1", "(1, 2, 3)", "(1, 3)", "[1, 2]", "12", "3"]),
        (r"\left( 3, \frac{\pi}{2} \right)", [r"(3, \frac{\pi}{2})", r"(3, \pi/2)", "(3, π/2)"], [r"(\frac{\pi}{2}, 3)", r"(3, \pi)", "3"]),
        ("(1,2), (3,4)", ["(1,2), (3,4)", "(3,4), (1,2)", "(1, 2) and (3, 4)"], ["(1,2)", "(2,1), (3,4)", "(1,2), (3,5)"]),
        ("(0,1)", ["(0, 1)"], ["(1, 0)", "12", "0.1", "1"]),
    ],
    "intervals": [
        ("[1, 2)", ["[1,2)", r"\left[1, 2\right)", r"x \in [1, 2)"], ["(1,2]", "[1,2]", "(1,2)", "[1,3)", "[2,1)"]),
        (r"(-\infty, 2]", [r"(-\infty,2]", "(−∞, 2]", r"x \in (-\infty, 2]"], [r"(-\infty,2)", r"[2, \infty)", r"(-\infty,3]"]),
        (r"(-\infty,2)\cup(3,\infty)", [r"(3,\infty)\cup(-\infty,2)", r"(-\infty, 2) ∪ (3, ∞)"], [r"(-\infty,2)", r"(-\infty,3)\cup(3,\infty)"]),
        ("[0, 10]", ["[0,10]"], ["[10,0]", "(0,10)", "10", "0"]),
    ],
    "equations": [
        ("x=5", ["5", "x = 5", r"x=5.0"], ["x=6", "y=5", "6"]),
        ("5", ["x = 5", "x=5", r"x \approx 5", "f(2) = 5", r"\angle ABC = 5", "n_1 = 5"], ["x = 6", "5x", "x"]),
        ("y = 2x + 3", ["y = 2x + 3", "y=3+2x", "2x + 3 = y"], ["y = 2x", "y = 3x + 2", "2x - 3"]),
        ("2x + 3", ["3 + 2x", "2x+3", "2(x + 1.5)"], ["2x", "3x + 2", "2x - 3"]),
    ],
    "inequalities": [
        ("x > 3", ["x>3", "3 < x", r"(3, \infty)"], ["x < 3", r"x \ge 3", "3", "x > 4"]),
        ("-1 < x < 1", ["-1<x<1"], ["-1 < x", r"-1 \le x \le 1", "x"]),
    ],
    "matrices": [
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", [r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}"], [r"\begin{pmatrix}1&3\\2&4\end{pmatrix}", "10", "1, 2, 3, 4"]),
        (r"\begin{pmatrix} -1 \\ 6 \end{pmatrix}", [r"\begin{pmatrix} -1 \\ 6 \end{pmatrix}", r"\begin{pmatrix}-1\\6\end{pmatrix}"], [r"\begin{pmatrix} 6 \\ -1 \end{pmatrix}", "5"]),
    ],
    "formulas": [
        ("x + 1", ["1 + x", "x+1"], ["x - 1", "x", "1"]),
        ("x^{12}", ["x^{12}"], ["x^{13}", "12x"]),
        ("11/2", ["5.5"], ["1 1/2"]),
        (r"\frac{\sqrt{3}}{2}", [r"\sqrt{3}/2", r"\frac{3}{2\sqrt{3}}", r"\frac{1}{2}\sqrt{3}"], [r"\frac{\sqrt{2}}{2}", r"\sqrt{3}", "0.8"]),
        ("2^{10}", ["1024", "2^{10}", "4^5"], ["20", "1023", "10^2"]),
        (r"\sqrt{16}", ["4", r"\sqrt{16}"], ["-4", "16", "8"]),
        ("4!", ["24", "4!"], ["4", "12"]),
    ],
    "what is still to be worked out": [
        ("-15", ["-15", "59 - 74 = -15", "-15 = 59 - 74", r"-\frac{30}{2}"], ["59 - 74", "59-74", "x = 59 - 74", "-(7 + 8)", "9 - 74 + 50"]),
        ("133", ["59 + 74 = 133", r"1.33 \cdot 10^2"], ["59 + 74", "59+74+0", "(59) + 74", "59 + 74 = 100 + 33", r"7 \times 19", r"7 \cdot 19", "7(10 + 9)"]),
        ("5/6", [r"\frac{10}{12}", r"\frac{1}{2} + \frac{1}{3} = \frac{5}{6}"], [r"\frac{1}{2} + \frac{1}{3}", r"\frac{2 + 3}{6}"]),
        ("1024", ["2^{10}", "32^2", r"\frac{2048}{2}"], [r"2 \cdot 512", "(30 + 2)^2", "2^{11} - 2^{10}"]),
        ("70", ["70", r"\{70\}", r"n = \binom{8}{4} = 70", r"\binom{8}{4}", r"\frac{8!}{4!4!}"], [r"7 \cdot 10", r"\sum_{i=1}^{4} 7i", r"\sqrt{4900}", r"\lfloor 70.5 \rfloor", r"|{-70}|", r"\int_0^{70} 1\,dx"]),
        ("3", ["3", "9/3"], [r"\log_2 8", r"\gcd(6, 9)", r"\sqrt[3]{27}", r"x = \log_2 8"]),
        ("6.283185", [r"2\pi"], []),
        ("2.414214", [r"1 + \sqrt{2}"], []),
        ("59 + 74", ["59 + 74", "133"], ["59 - 74"]),
        (r"2 \cdot 3", [r"2 \cdot 3", "6"], ["5"]),
    ],
}  # fmt: skip

COMPLETIONS: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "several boxes": [
        ("2, 3", [r"\boxed{2} and \boxed{3}", r"$\boxed{3}$, $\boxed{2}$", r"\boxed{2}, \boxed{3}."], [r"\boxed{2}", r"\boxed{3}", r"\boxed{2} and \boxed{4}"]),
        ("1, 2, 5", [r"\boxed{1},\boxed{2},\boxed{5}", r"\boxed{1}, \boxed{2} and \boxed{5}"], [r"\boxed{1},\boxed{2}", r"\boxed{5}"]),
        ("(45, 2)", [r"$k=\boxed{45}$, $n=\boxed{2}$", r"\boxed{45}, \boxed{2}"], [r"$k=\boxed{2}$, $n=\boxed{45}$", r"\boxed{45}"]),
        ("3, 5, 7", [r"\boxed{3}, \boxed{5}, \boxed{7}"], [r"\boxed{7}", r"\boxed{3}, \boxed{5}"]),
        ("7", [r"\boxed{7}", r"\boxed{7}, that is \boxed{7}", r"\boxed{7}, \boxed{7}"], [r"\boxed{3}, \boxed{5}, \boxed{7}", r"\boxed{7} or \boxed{8}"]),
        ("3", [r"\boxed{2}. Wait, \boxed{3}", r"First \boxed{1}, which gives us the second and last one: \boxed{3}"], [r"\boxed{3}. Wait, \boxed{2}"]),
        (r"\{1, 2\}", [r"$\boxed{1}$ \text{ and } $\boxed{2}$", r"\boxed{2} or \boxed{1}"], [r"\boxed{1} and then, after much thought, \boxed{2}"]),
    ],
    "other boxes and tags": [
        ("42", [r"\fbox{42}", r"\framebox{42}", r"\boxed {42}", "<answer>42</answer>", "<answer> 42 </answer>", "<think>41</think><answer>42</answer>", "<answer>\\boxed{42}</answer>"], [r"\fbox{43}", "<answer>43</answer>", "<answer></answer> 41"]),
        ("48480", ["<answer>48480</answer>", "<answer>48,480</answer>"], ["<answer>4848</answer>"]),
        ("Paris", ["<answer>Paris</answer>", "<answer>paris.</answer>"], ["<answer>London</answer>"]),
    ],
    "plain text": [
        ("B", ["The answer is B.", "The answer is (B).", "Answer: B", "**Answer:** B", "so\n</think>\nB"], ["The answer is A.", "A or B?", "Answer: C. Not B."]),
        ("34", ["So the answer is 34.", "66+38=104\n104-70=34", "Answer: 34 hours", "#### 34", "The answer is $34$.", "**34**", "It is \\$34.", "the answer is 34, not 35."], ["34 then 35", "The answer is 35, not 34", "no number", "", "34 + 1"]),
        ("-15", ["59 - 74 = -15", "It is $59 - 74 = -15$."], ["59 - 74 =", "We need $59 - 74$.", "The answer is 59 - 74.", "I take 74 from 59: 59 - 74"]),
        ("133", ["So 133 = 59 + 74", "She has 133 eggs (59 + 74)", "I get 133. Check: 59 + 74."], ["59 + 74", "I add 74 to 59: 59 + 74", "59 + 74 = 100 + 33", "It is 133. No, 132: 58 + 74"]),
        ("2", ["The answer is 2.", "2"], ["The answer is 2 2/3", "It is 2 1/2.", "2024-05-01 is 2 or 3"]),
        ("2018", ["It was in 2018."], ["It was on 2024-05-01.", "The answer is 2024-05-01"]),
        ("-9", ["The answer is -9.", "it is −9", "-9%"], ["The answer is 9.", "9"]),
        ("0.75", ["It took 3/4.", "The answer is 75%"], ["The answer is 3.", "4"]),
        ("Paris", ["The answer is Paris.", "…\n</think>\nParis.", "Paris"], ["Not Paris, London.", "The answer is London."]),
        ("True", ["The answer is true."], ["The answer is false."]),
        (r"\frac{1}{2}", ["The answer is $\\frac{1}{2}$.", "The answer is 1/2.", "It is 0.5"], ["The answer is $\\frac{1}{3}$.", "2"]),
    ],
}  # fmt: skip


def cases(table: dict[str, list[tuple[str, list[str], list[str]]]]) -> list[tuple[str, str, str, bool]]:
    return [
        (kind, gold, text, is_right)
        for kind, golds in table.items()
        for gold, *sides in golds
        for is_right, texts in zip((True, False), sides, strict=True)
        for text in texts
    ]


ALL = [(kind, gold, f"So\n</think>\n\\boxed{{{text}}}", is_right) for kind, gold, text, is_right in cases(BOXED)]
ALL += cases(COMPLETIONS)


@pytest.mark.parametrize("kind", [*BOXED, *COMPLETIONS])
def test_a_person_would_say_the_same(kind: str) -> None:
    mine = [one for one in ALL if one[0] == kind]
    found = verdicts([text for _, _, text, _ in mine], [gold for _, gold, _, _ in mine])
    wrong = [
        (gold, text, said) for (_, gold, text, is_right), said in zip(mine, found, strict=True) if said is not is_right
    ]
    assert wrong == []


def test_the_table_is_large() -> None:
    assert len(ALL) > 400
    assert {is_right for *_, is_right in ALL} == {True, False}
