"""Maths grading: the right verdict on each pair, time-outs that cost only themselves, no process left behind."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from waiting import HANG, until

from unwaver.judging import LocalReader
from unwaver.judging.graders.maths import Grade, MathsGrader, final_answer
from unwaver.judging.graders.maths_answer import answers
from unwaver.records import Prompt, Trace

RIGHT = [
    ("5", "5"),
    ("033", "33"),  # AIME writes its answers with three digits
    ("1,000", "1000"),
    (r"1{,}000", "1000"),
    (r"1\,000", "1000"),
    (r"11,111,111,100", r"11,\! 111,\! 111,\! 100"),
    (r"\frac{1}{2}", "0.5"),
    (r"\dfrac12", "1/2"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"1\frac45", r"\frac{9}{5}"),
    ("2 1/2", "2.5"),
    (r"6.72\times 10^{-5}", ".0000672"),
    ("1e5", "100000"),
    (r"0.\overline{3}", r"\frac13"),
    ("0.333333", r"\frac13"),  # six places of a number no decimal can write
    ("3.1415927", r"\pi"),
    ("10^{20}+1", "100000000000000000001"),
    (r"2\sqrt5", r"\sqrt{20}"),
    (r"\frac{1}{\sqrt3}", r"\frac{\sqrt{3}}{3}"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\frac{1+i}{2}", r"\frac12+\frac i2"),
    ("2^{1000}", "4^{500}"),
    (r"50\%", "50"),  # the sign left out
    (r"50\%", "0.5"),
    (r"90^\circ", "90"),
    (r"90^\circ", r"\frac{\pi}{2}"),
    (r"\frac{270}{7}^\circ", r"\frac{270}7\text{ degrees}"),
    (r"\$32,348", r"\$32,\!348"),
    ("5.4", r"5.4 \text{ cents}"),
    ("15 square centimeters", r"15\mbox{ cm}^2"),
    ("2516", "2516_8"),
    (r"\textbf{(B)}", r"\text{(B)}"),
    ("evelyn", r"\text{Evelyn}"),
    ("x=5", "5"),
    ("2x+3", "y = 2x + 3"),
    ("10x - 14y + 8 = 0", "5x - 7y + 4 = 0"),
    ("AB = 3 + 2 = 5", "5"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
    ("(x,y)=(1,2)", "(1,2)"),
    (r"\{2, 1\}", r"\{1,2\}"),
    ("5, 3, 7", "3, 5, 7"),
    (r"x=3\text{ or }x=5", "5, 3"),
    (r"1+\sqrt{19}, 1-\sqrt{19}", r"1 \pm \sqrt{19}"),
    (r"(12,102)\cup(2,12)", r"(2,12) \cup (12,102)"),
    (r"-2\le x\le 7", r"x \in [-2,7]"),
    (r"\begin{bmatrix}0.2\\-3.6\end{bmatrix}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}"),
    (r"\frac15\begin{pmatrix}1\\-18\end{pmatrix}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}"),
    (r"\emptyset", r"\{\}"),
]

WRONG = [
    ("5", "500"),
    ("500", "5"),
    ("2.04", "204"),
    ("0.05", "5"),
    ("10^{20}", "10^{20}+1"),
    (r"\sqrt{10^{40}+1}", "10^{20}"),
    ("e^{-100}", "e^{-101}"),
    ("0.33", r"\frac13"),
    ("3.14", r"\pi"),
    ("1.0000001", "1"),
    ("21/2", "2 1/2"),
    ("(10,20)", "(20,10)"),
    ("[1,2]", "(1,2)"),
    ("(3,4]", "(3,4)"),
    ("(1,2,3)", "(1,2)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("1, 1, 2", "1, 2, 2"),
    ("a=1, b=2", "a=2, b=1"),
    ("y=5", "x=5"),
    ("x^2", "x^2 = 4"),
    ("x<5", r"x\le 5"),
    ("p-q", "q-p"),
    (r"\sqrt{x^2}", "x"),
    (r"\cos x", r"\cot x"),
    ("5x", "5"),
    ("f(2)", "f(3)"),
    ("2516_7", "2516_8"),
    ("5 dollars", r"5 \text{ cents}"),
    (r"15\text{ cm}^3", r"15\mbox{ cm}^2"),
    (r"50\%", r"50^\circ"),
    ("(A)", r"\text{(B)}"),
    (r"\text{odd}", r"\text{even}"),
    (r"-\infty", r"\infty"),
    (r"9^{9^{9^{9}}}", "5"),
    (r"\begin{vmatrix}a&b\\c&d\end{vmatrix}", "0"),
    (r"\frac{", "5"),
]

OK, BAD = "correct", "incorrect"


def box(answer: str) -> str:
    return rf"Hence \boxed{{{answer}}}."


BY_TOPIC: dict[str, list[tuple[str, str, str | None]]] = {
    "times and division by zero": [
        ("12:00", box("12:00"), OK),
        ("2:30", box("02:30"), OK),
        ("3:00", box("5:00"), BAD),
        ("10:00", box("22:00"), BAD),
        ("2:30", box("4:60"), BAD),
        ("1/0", box("2/0"), BAD),
        (r"\frac{1}{0}", box(r"\frac{5}{0}"), BAD),
        ("2:30 PM", box(r"2:30\text{ a.m.}"), BAD),
        ("2:30 PM", box("2:30"), OK),
        ("1:2", box("2:4"), OK),
        ("3:2", box("1.5"), OK),
        ("8:15", box(r"8:15 \text{ AM}"), OK),
        ("9:05:30", box("9:05:30"), OK),
        ("9:05:30", box("9:05:31"), BAD),
        (r"\tan 90^\circ", box("1/0"), BAD),
        (r"\infty", box("1/0"), BAD),
    ],
    "imaginary unit, e and named functions": [
        (r"2+3i", box(r"2+3\mathrm{i}"), OK),
        (r"e^2", box(r"\mathrm{e}^{2}"), OK),
        (r"e^2", box(r"\operatorname{e}^2"), OK),
        (r"e^2", box(r"\exp(2)"), OK),
        ("1+2i", box("i(2-i)"), OK),
        ("-1", box("i^2"), BAD),
        ("1+2i", box("1-2i"), BAD),
        ("5i", box(r"\sqrt{-25}"), OK),
        (r"e^{i\pi/2}", box("i"), OK),
        (r"\ln 2", box(r"\operatorname{ln} 2"), OK),
        (r"\log 5", box(r"\mathrm{log}\,5"), OK),
        (r"\arctan 2", box(r"\operatorname{arctan}(2)"), OK),
    ],
    "degrees": [
        (r"\cos x", box(r"\sin(90^\circ - x)"), OK),
        (r"\frac12", box(r"\sin 30^\circ"), OK),
        (r"\sin 30^\circ", box("0.5"), OK),
        (r"\frac{\sqrt3}{2}", box(r"\cos(30°)"), OK),
        (r"60^\circ", box(r"\frac{\pi}{3}"), OK),
        (r"60^\circ", box("60"), OK),
        (r"45^\circ", box(r"60^\circ"), BAD),
        (r"\sin 30^\circ", box(r"\sin 60^\circ"), BAD),
        (r"90^\circ-\theta", box(r"90-\theta"), OK),
    ],
    "letters are no units in a target": [
        ("3s^2", box("3"), BAD),
        ("3s^2", box("3s^2"), OK),
        ("5m", box("5"), BAD),
        ("2g", box("2"), BAD),
        ("5", box("5 m"), OK),
        (r"5\text{ m}", box("5 m"), OK),
        (r"5\text{ m}", box("5"), OK),
        ("4h", box("4"), BAD),
    ],
    "a number of an expression is no last number": [
        ("2", r"The probability is $\frac{1}{2}$.", BAD),
        ("2", r"\frac12", BAD),
        ("2", r"So we get \frac12.", BAD),
        ("1/2", r"So we get \frac12.", OK),
        ("2", r"So it is x^2", BAD),
        ("3", r"Thus \sqrt{3}", BAD),
        ("12", r"= \frac{3}{12}", BAD),
        ("5", "so 3/5", BAD),
        ("3/5", "so 3/5", OK),
        ("2", "The value is 1/2.", BAD),
        ("2", r"That is 7^2", BAD),
        ("2", "It is $x_2$", BAD),
        ("4", "It is log_4(3)", BAD),
    ],
    "boxes in a row": [
        ("1,2", r"\boxed{1} and \boxed{2}", OK),
        ("1, 2, 3", r"$x=\boxed{1}$, $\boxed{2}$, or $\boxed{3}$", OK),
        ("5", r"$a=\boxed{3}$, $b=\boxed{5}$", OK),
        ("3", r"First \boxed{3}. No: \boxed{5}", BAD),
        ("3,5", r"First \boxed{3}. No, it is \boxed{5}", BAD),
        (r"\{1,2\}", r"\boxed{2}, \boxed{1}", OK),
        ("k=45, n=2", r"\boxed{n=2} and \boxed{k=45}", OK),
        ("k=45, n=2", r"\boxed{k=2} and \boxed{n=45}", BAD),
        ("1,2", r"\boxed{1} and \boxed{3}", BAD),
    ],
    "what is stated": [
        ("34", "Final Answer: The largest n is 34.", OK),
        ("33", "Final Answer: The sum m+n is 33.", OK),
        ("33", "Final answer: m+n = 33", OK),
        ("12", "**Final Answer:** There are 12 ways.", OK),
        ("12", "The final answer is: **12**.", OK),
        ("12", "Answer: $12$ dollars", OK),
        ("12", "The answer is 12 (twelve).", OK),
        ("12", "The answer is approximately 12.", OK),
        ("-7", "The answer is −7.", OK),
        ("2.5", "Answer: 2.5.", OK),
        ("12", "Final Answer: 12 of the 30 balls are red.", OK),
        ("x=5", "Final answer\n\n$x = 5$", OK),
    ],
    "tags and tokens": [
        ("42", "<answer>42</answer>", OK),
        ("42", "so <answer> 42 </answer><|im_end|>", OK),
        ("42", "The answer is 42</s>", OK),
        ("42", "<|begin_of_box|>42<|end_of_box|>", OK),
        ("42", r"<answer>\boxed{42}</answer>", OK),
        ("42", "The answer is 42.<|im_end|>\n<|im_start|>user\nAnd 7?", OK),
        ("2", r"<answer>\frac12</answer>", BAD),
        ("42", "<answer>The answer is 42.</answer>", OK),
        ("1/2", "<answer>1/2</answer>", OK),
        ("42", "42<|endoftext|>Question: what is 7", OK),
    ],
    "plainly typed formulas": [
        ("e^{16}-1", box("-1+exp(16)"), OK),
        (r"\frac\pi2", box("pi/2"), OK),
        (r"-2\pi", box("-2*pi"), OK),
        (r"\sqrt2/2", box("sqrt(2)/2"), OK),
        (r"x^2", box("x**2"), OK),
        (r"\frac{1+\sqrt5}{2}", box("(1+sqrt(5))/2"), OK),
        (r"2\sin x", box("2*sin(x)"), OK),
        ("e^{16}", box("exp(15)"), BAD),
    ],
    "compound units": [
        (r"5 \text{ m/s}", box("5 m/s"), OK),
        (r"5 \text{ m/s}", box("5 meters per second"), OK),
        (r"60 \text{ miles per hour}", box("60"), OK),
        (r"5 \text{ m/s}", box("5 km/h"), BAD),
        ("5", box("5 m/s"), OK),
    ],
    "positive letters": [
        (r"\frac1{\sqrt n}", box(r"\sqrt{1/n}"), OK),
        (r"\frac{1}{\sqrt n}", box(r"\sqrt{n}"), BAD),
        (r"a\sqrt b", box(r"\sqrt{a^2b}"), OK),
        ("x", box(r"\sqrt{x^2}"), BAD),
        ("|x|", box(r"\sqrt{x^2}"), OK),
        (r"2\log x", box(r"\log x^2"), OK),
        (r"\sqrt{ab}", box(r"\sqrt a\sqrt b"), OK),
        (r"\frac{x}{\sqrt{x}}", box(r"\sqrt x"), OK),
        (r"x^{3/2}", box(r"x\sqrt x"), OK),
        (r"-x\sqrt{2}", box(r"x\sqrt2"), BAD),
    ],
    "sets": [
        (r"x = \{1\pm\sqrt5,-2\}", box(r"\{-2,1+\sqrt5,1-\sqrt5\}"), OK),
        (r"\{1,2\}", box("x = {1, 2}"), OK),
        ("1,2", box("{2,1}"), OK),
        (r"\{1\}", box("{1}"), OK),
    ],
    "signs of their own": [
        (r"2\sqrt3", box("2√3"), OK),
        ("x^2", box("x²"), OK),
        ("1/2", box("½"), OK),
        ("7/2", box("3½"), OK),
        ("5", box("5。"), OK),
        ("5", "答案：The answer is 5。", OK),
        (r"\sqrt{x+1}", box("√(x+1)"), OK),
        ("10^{-3}", box("10⁻³"), OK),
        ("12", box("１２"), OK),
        ("x_1+x_2", box("x₁+x₂"), OK),
        (r"\sqrt{12}", box("√12"), OK),
        (r"\sqrt{1}2", box("√12"), BAD),
        ("(1,2)", box("（1，2）"), OK),
        (r"\frac34", box("¾"), OK),
        (r"\theta", box("θ"), OK),
    ],
    "glued words": [
        ("(11,7)or(7,11)", box("(7,11), (11,7)"), OK),
        ("(1,2) and (3,4)", box("(3,4),(1,2)"), OK),
        ("5 or 7", box("7,5"), OK),
    ],
    "choices": [
        ("E", box(r"\text{E}"), OK),
        ("E", box("(E) 12"), OK),
        ("E", box("E: the last"), OK),
        ("E", box(r"\textbf{(E)}\ 12"), OK),
        ("E", box("D"), BAD),
        ("E", box("(D) 12"), BAD),
        ("(B)", "The answer is (B).", OK),
        ("B", "The correct answer is B) 7.", OK),
        ("B", "**B**", OK),
        ("B", "Answer: C", BAD),
    ],
    "what has no value": [
        (r"\ln 0", box(r"\log 0"), BAD),
        (r"\log_2 0", box(r"\log 0"), BAD),
        (r"\log 0", box(r"\log 0"), OK),
        (r"-\infty", box(r"\log 0"), BAD),
        (r"-\infty", box(r"\ln(1-1)"), BAD),
        ("1/0", box("0^{-1}"), BAD),
        ("x/0", box("y/0"), BAD),
        ("x/0", box("x/0"), OK),
        ("x/0", box("5"), BAD),
        ("x", box("x/0"), BAD),
        (r"\frac{\sin x}{0}", box(r"\frac{\cos x}{0}"), BAD),
        (r"\ln(x-x)", box(r"\ln(y-y)"), BAD),
        (r"\frac{x}{0}+1", box(r"\frac{x}{0}+2"), BAD),
        (r"\frac{0}{x-x}", box(r"\frac{0}{y-y}"), BAD),
        (r"\frac{1}{x-x}", box(r"\frac{1}{2x-2x}"), BAD),
        (r"\frac{1}{\ln(x-x)}", box(r"\frac{1}{\ln(y-y)}"), BAD),
        (r"\frac{x}{\sin 0}", box(r"\frac{y}{\sin 0}"), BAD),
        (r"\log_1 x", box(r"\log_1 y"), BAD),
        (r"\frac{x^2}{x}", box("x"), OK),
        ("0^{-1}", box("0^{-1}"), OK),
        (r"\infty", box("0^{-2}"), BAD),
        ("0", box(r"\frac00"), BAD),
        (r"\frac20", box(r"\frac10"), BAD),
        (r"\frac10", box(r"\frac{1}{1-1}"), BAD),
        (r"\frac10", box(r"\cot 0"), BAD),
        ("5", box(r"\frac{5}{3-3}"), BAD),
        (r"\infty", box(r"\tan 90^\circ"), BAD),
    ],
    "times and ratios": [
        ("1:3", box("10:30"), BAD),
        ("10:30", box("1:3"), BAD),
        ("9:4", box("45:20"), OK),
        ("1:3", box("20:60"), OK),
        ("2:3:4", box("4:6:8"), OK),
        ("2:3:4", box("4:6:9"), BAD),
        ("1:2", box("2:1"), BAD),
        (r"\frac12:\frac13", box("3:2"), OK),
        ("3:45 pm", box("15:45"), OK),
        ("15:45", box("3:45 p.m."), OK),
        ("3:45 am", box("15:45"), BAD),
        ("3:45", box("15:45"), BAD),
        ("12:15 am", box("0:15"), OK),
        ("12:15 pm", box("0:15"), BAD),
    ],
    "blanks inside an expression": [
        (r"\frac12", r"so it is \frac 1 2", OK),
        ("2", r"so it is \frac 1 2", BAD),
        (r"\frac{x}{2}", r"We get \frac x 2.", OK),
        (r"\frac34", r"which leaves \dfrac 3 {4}", OK),
        ("6", "It equals 2 * 3", OK),
        ("3", "It equals 2 * 3", BAD),
        ("24", "This makes 2 * 3 * 4.", OK),
        ("8", "It comes to 2 ** 3", OK),
        ("20", "It equals (2+3) * 4", OK),
        ("3", "The steps:\n* 2\n* 3", OK),
    ],
    "numbers in words": [
        ("3000000", "The answer is 3 million.", OK),
        ("3", "The answer is 3 million.", BAD),
        ("3,000,000", box(r"3 \text{ million}"), OK),
        (r"3\text{ million}", box("3000000"), OK),
        ("3", box(r"3 \text{ million}"), BAD),
        ("1500000", box(r"1.5 \text{ million people}"), OK),
        ("2500000000", "It takes 2.5 billion dollars.", OK),
        ("300", "The answer is 3 hundred", OK),
        ("60", "The answer is 5 dozen eggs.", OK),
        ("5", "The answer is 5 dozen eggs.", BAD),
        ("3.5", "The answer is half of 7.", OK),
        ("7", "The answer is half of 7.", BAD),
        ("7", "So it comes to half of 7.", BAD),
        ("3", "The answer is a third of 9.", OK),
        ("6", "The answer is two thirds of $9$.", OK),
        ("10", "The answer is twice 5.", OK),
        ("5", "The answer is twice 5.", BAD),
        ("12", "That is three times 4", OK),
        ("4", "That is three times 4", BAD),
        ("25", "The answer is 5 squared.", OK),
        ("5", "The answer is 5 squared.", BAD),
        ("10", "The answer is 20% of 50.", OK),
        ("50", "The answer is 20 percent of 50.", BAD),
        ("8", "Twice 5 is 10, and 10 less 2 is 8.", OK),
        ("7", "The answer is seven.", OK),
        ("34", box(r"\text{thirty-four}"), OK),
        (r"\text{six}", box("6"), OK),
        ("8", "The answer is seven.", BAD),
        ("14", "The answer is four ten.", BAD),
    ],
    "boxes on lines of their own": [
        ("1,2", r"\boxed{1}" + "\n" + r"\boxed{2}", OK),
        ("1,2", r"\[\boxed{1}\]" + "\n\n" + r"\[\boxed{2}\]", OK),
        ("1,2", r"- \boxed{1}" + "\n" + r"- \boxed{2}", OK),
        ("1,2", r"1. \boxed{1}" + "\n" + r"2. \boxed{2}", OK),
        ("3,5,7", r"* $\boxed{3}$" + "\n" + r"* $\boxed{5}$" + "\n" + r"* $\boxed{7}$", OK),
        ("(1,2)", r"x = \boxed{1}" + "\n" + r"y = \boxed{2}", OK),
        ("1,3", r"\boxed{1}" + "\n\n" + r"\boxed{2}", BAD),
        ("1,2", r"\boxed{1}" + "\n\nNo, wait: " + r"\boxed{2}", BAD),
        ("2", r"\boxed{1}" + "\n\nNo, wait: " + r"\boxed{2}", OK),
        ("1", r"\boxed{1}" + "\n\n" + r"\boxed{2}", BAD),
    ],
    "letters in words": [
        ("C", "Therefore C.", OK),
        ("C", "A dog is an animal. Therefore, C.", OK),
        ("A", "Therefore C.", BAD),
        ("E", "E: because the rest are wrong", OK),
        ("D", "E: because D is wrong", BAD),
        ("C", "C, because it is largest.", OK),
        ("B", "B - since the others are odd", OK),
        ("D", "So the answer must be D.", OK),
        ("C", "The correct option is thus C.", OK),
        ("E", "So it's E", OK),
        ("C", "I think C is right.", OK),
        ("C", "A is wrong. B is wrong. C is correct.", OK),
        ("B", "A is wrong. B is wrong. C is correct.", BAD),
        ("B", "Not A, so B.", OK),
        ("B", "Answer: B, since A is odd", OK),
        ("A", "The answer is A, I think, but it could be B.", OK),
        ("A", "It is A; perhaps it's B.", OK),
        ("A", "It's A. It might also be B.", OK),
        ("C", "The answer could be B, but it is C.", OK),
        ("D", "Not A. Not B. D it is.", OK),
        ("D", "I tried A and B. So D it must be!", OK),
        ("B", "Maybe it's B.", BAD),
        ("B", "D it is. Not B.", BAD),
        ("A", "A triangle has 3 sides", BAD),
        ("A", "Therefore a contradiction.", BAD),
        ("A", "It can't be A. Therefore C.", BAD),
        ("A", "It isn't A. Therefore C. It can't be A, as 7 is odd.", BAD),
    ],
    "a letter before a value": [
        ("12", box(r"\textbf{(B)}\ 12"), OK),
        ("12", box(r"\text{(B) }12"), OK),
        ("12", box("(B) 12"), OK),
        ("12", box("B: 12"), OK),
        ("42", box("C) x = 42"), OK),
        (r"\frac12", box(r"\mathrm{(D)}\ \frac{1}{2}"), OK),
        ("(1,2)", box("(A) (1,2)"), OK),
        ("12", "The answer is (B) 12.", OK),
        ("i", box("D. i"), OK),
        ("12", box(r"\textbf{(B)}\ 13"), BAD),
        ("12", box("(A)"), BAD),
        ("12", box(r"\mathbf{A}\ 12"), BAD),
        ("12", box("A 12"), BAD),
        ("12", box("(A)12"), BAD),
        ("2", box("(A, 2)"), BAD),
        ("2", box("A: 1, B: 2"), BAD),
        ("A", box("12"), BAD),
        (r"\textbf{(B)}\ 12", box("12"), OK),
        ("(B) 12", box("B"), OK),
        ("(B) 12", "The answer is 12.", OK),
        ("(B) 12", box("(C) 12"), BAD),
        ("(B) 12", box("13"), BAD),
        ("(A)(B)", box("BA"), OK),
    ],
    "choices as JSON": [
        ('{"kind":"choice","answer":"B","choices":["10","12"]}', box("12"), OK),
        ('{"kind":"choice","answer":"B","choices":["10","12"]}', box("10"), BAD),
        ('{"kind":"choice","answer":"B","choices":["10","12"]}', box("A"), BAD),
        ('{"kind":"choice","answer":"B","choices":["10","12"]}', "I think option B is right", OK),
        ('{"kind":"choice","answer":"B"}', "The best choice is (B).", OK),
        ('{"kind":"choice","answer":"B"}', "The correct option is B.", OK),
        ('{"kind":"choice","answer":"B"}', "The right choice: D", BAD),
        ('{"kind":"choice","answer":"B"}', "I say 12.", BAD),
        ('{"kind":"choice","answer":"B","choices":["10","12"]}', "It's **B**, since 12.", OK),
        ('{"kind":"choice","answer":"Z"}', "B", None),
        ('{"kind":"choice","answer":"C","choices":["10","12"]}', "B", None),
    ],
    "blanks among thousands": [
        ("1000", box("1 000"), OK),
        ("1,000", box("1 000"), OK),
        ("10 000", box("10000"), OK),
        ("2 1/2", box("2.5"), OK),
    ],
    "what is said besides": [
        ("5", box(r"5 \text{ for all } n"), OK),
        (r"x^2", box(r"f(x)=x^2 \text{ for all real }x"), OK),
        (r"\frac13", box(r"\frac13 \approx 0.333"), OK),
        ("3k", box("n=3k"), OK),
        ("n=3k", box("3"), BAD),
    ],
    "money and ordinals": [
        ("70000", "So the profit is 200,000 - 130,000 = $70,000.", OK),
        ("29", "It costs $5 and then $29.00 in all.", OK),
        ("7", "She paid $5 for one and $7 for another, $2 less than $9. The answer is 7 dollars.", OK),
        ("5", "They are 2nd and it costs 5", OK),
        ("3", "It's 3.", OK),
        ("100", "Total: 100%", OK),
        ("7.5", "Thus x = 7.5", OK),
        ("7", "7 is it", OK),
    ],
    "pairs": [
        ("(3,4)", "The point is (3, 4).", OK),
        ("(3,4)", "It lies at $(3,4)$.", OK),
        ("4", "The point is (3, 4).", BAD),
    ],
    "formulas at the end": [
        ("x+1", "So $f(x) = x+1$.", OK),
        (r"\frac{14}{3}", "The answer is \\(\\frac{14}{3}\\).", OK),
        ("9", "The answer is:\n\n\\[\n9\n\\]", OK),
        ("9", "Answer:\n9", OK),
    ],
}

BY_TOPIC["a sign in words"] = [
    ("-5", "The answer is negative 5.", OK),
    ("5", "The answer is negative 5.", BAD),
    ("-5", "The answer is minus 5.", OK),
    ("5", "The answer is minus 5.", BAD),
    ("-5", "The answer is **negative** 5.", OK),
    ("-5", "The answer is negative **5**.", OK),
    (r"-\frac12", r"The answer is minus $\frac{1}{2}$.", OK),
    ("-5", "It is minus 5 degrees.", OK),
    ("-3", "So x = minus 3", OK),
    ("-5/3", "Answer: negative 5/3", OK),
    (r"5,-5", "The answer is plus or minus 5.", OK),
    ("negative", "The answer is negative.", OK),
    ("-5", "The answer is minus five.", OK),
    ("5", "The answer is negative five.", BAD),
    ("-34", box(r"\text{negative thirty-four}"), OK),
    ("-5", box("minus 5"), OK),
    ("-5", box(r"\text{negative }5"), OK),
    ("5", box(r"\text{negative }5"), BAD),
    (r"-\frac12", box(r"\text{minus }\frac12"), OK),
    ("120", box(r"5\text{ factorial}"), OK),
    ("-5", "It is ten minus 5.", BAD),
    ("5", "It is ten minus 5.", BAD),
    ("5", "$x$ minus $5$", BAD),
    ("-5", "The answer is negative 5 or more.", BAD),
]
BY_TOPIC["a word beside the number that makes it another"] = [
    ("5", text, BAD)
    for text in (
        "The answer is at least 5.",
        "The answer is at least $5$.",
        "The answer is at least 5, since 5 works.",
        "It's at most 5.",
        "The answer is less than 5.",
        "The answer is no more than **5**.",
        "The answer is over 5.",
        "The answer is up to 5.",
        "The answer is 5 or more.",
        "The answer is $5$ or less.",
        "The answer is between 3 and 5.",
        "A number from 3 to 5.",
        "The answer is either 3 or 5.",
        "The answer is 5 or 6.",
        "So x = 3 or 5.",
        "The answer cannot be 5.",
        "The answer isn't 5.",
        "The answer is not 5.",
        "The answer is something that can't be 5.",
        "The answer is maybe 5.",
        "Thus it might be 5.",
        "The answer is one less than 5.",
        "5 more than 3",
        "3 times 5",
        "The answer is 5 times 3.",
        "The answer is 5 divided by 2.",
        "The answer is the square of 5.",
        "The answer is log base 2 of 5.",
        "The answer is 5 factorial.",
        "The answer is 5 to the power 2.",
        "The answer is 5 below zero.",
        "The answer is anything but 5.",
        "The answer is any number except 5.",
        "5 is not the answer.",
        "The answer is at least five.",
        box(r"5\text{ factorial}"),
        box(r"5\text{ or more}"),
        box(r"5\text{ and above}"),
        box(r"\text{at least }5"),
    )
]
BY_TOPIC["a word beside the number that makes it another"] += [
    ("25", "The square root of 25", BAD),
    ("6", "The answer is 5, I think, but it could be 6.", BAD),
]
BY_TOPIC["a word beside the number that leaves it"] = [
    ("5", text, OK)
    for text in (
        "The answer is 5, I think, but it could be 6.",
        "The answer is 5 and it is prime.",
        "The answer is 5 more apples.",
        "The answer is 5, not 6.",
        "He isn't sure, but the answer is 5.",
        "I may be wrong, but it is 5.",
        "There is no answer but 5.",
        "4 is not prime, so 5.",
        box(r"5\text{ apples}"),
        "It is a total of 5.",
        "The total comes to 5.",
        "The square root of 25 is 5.",
        "Of at least 9 tries, 5.",
        "3 plus 2 is 5.",
        "One less than 6 is 5.",
        "Between 4 and 6 there is only 5.",
        "It can't be 4, so it is 5.",
    )
]

HANGS = (r"\binom{1000000}{500000}", "12")


@pytest.fixture(scope="module")
def grader() -> Iterator[MathsGrader]:
    with MathsGrader() as it:
        yield it


@pytest.fixture(scope="module")
def table(grader: MathsGrader) -> dict[tuple[str, str], Grade]:
    pairs = RIGHT + WRONG
    grades = grader.grade([(rf"Thus \boxed{{{answer}}}.", target) for answer, target in pairs])
    return dict(zip(pairs, grades, strict=True))


@pytest.mark.parametrize("pair", RIGHT)
def test_right_answers_are_correct(pair: tuple[str, str], table: dict[tuple[str, str], Grade]) -> None:
    assert table[pair].label == "correct", table[pair]


@pytest.mark.parametrize("pair", WRONG)
def test_wrong_answers_are_incorrect(pair: tuple[str, str], table: dict[tuple[str, str], Grade]) -> None:
    assert table[pair].label == "incorrect", table[pair]


@pytest.mark.parametrize("topic", BY_TOPIC)
def test_answers_are_read_and_compared_by(topic: str, grader: MathsGrader) -> None:
    grades = grader.grade([(text, target) for target, text, _ in BY_TOPIC[topic]])
    for (target, text, label), grade in zip(BY_TOPIC[topic], grades, strict=True):
        assert grade.label == label, (target, text, grade)


def trace(answer: str | None, target: str | None = "5", **fields: object) -> Trace:
    prompt = Prompt(text="How many?", kind="maths", target=target)
    return Trace.model_validate({"prompt": prompt, "model": "m@1", "answer": answer, "ending": "stop", **fields})


def test_it_is_a_rule_reader_and_quotes_what_it_read(grader: MathsGrader) -> None:
    reader: LocalReader = grader
    found = trace(r"So it is \boxed{ 5 }.")
    verdict = reader.verdict(found)
    assert (verdict.label, verdict.looked_at, verdict.trace) == ("correct", "answer", found.id)
    assert verdict.quote == "5"
    assert verdict.rubric.startswith("maths@")
    assert verdict.judge.startswith("rules@")


def test_a_boxed_guess_inside_an_unfinished_thought_is_no_answer(grader: MathsGrader) -> None:
    cut = trace(None, reasoning=r"Maybe \boxed{5}? Let me check", block="unclosed", ending="length")
    verdict = grader.verdict(cut)
    assert verdict.label == "incorrect"
    assert verdict.reason == "no answer: the reasoning was cut at the token limit"


@pytest.mark.parametrize(
    ("cut", "label"),
    [("It is 5 or", "incorrect"), (r"It is \boxed{5", "incorrect"), (r"It is \boxed{5}, because", "correct")],
)
def test_an_answer_that_was_cut_counts_only_with_a_whole_box(cut: str, label: str, grader: MathsGrader) -> None:
    assert grader.verdict(trace(cut, ending="length")).label == label


def test_a_failed_call_and_a_missing_or_unreadable_target_are_unscored(grader: MathsGrader) -> None:
    failed = trace(None, ending="error", failure="429 too many requests")
    withheld = trace("5", ending="filter")
    verdicts = grader.verdicts(
        [failed, withheld, trace(r"\boxed{5}", None), trace(r"\boxed{5}", r"\frac{"), trace("5")]
    )
    assert [verdict.label for verdict in verdicts] == [None, None, None, None, "correct"]
    assert "429" in verdicts[0].reason
    assert "no reference" in verdicts[2].reason
    assert "target can't be read" in verdicts[3].reason


@pytest.mark.parametrize(
    ("text", "found", "where"),
    [
        (r"First \boxed{1}, no: \boxed{2}", "2", "boxed"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed 7$", "7", "boxed"),
        ("The final answer is $x^2$, as 3 shows.", "$x^2$", "stated"),
        ("**Answer:** 42 apples.", "42 apples", "stated"),
        ("6 * 3 = 18\n#### 18", "18", "stated"),
        ("So 7 - 2.\n<final>5</final>", "5", "stated"),
        ("So 7 - 2.\n[ANSWER]5[/ANSWER]", "5", "stated"),
        ("\u6240\u4ee5\u7b54\u6848\u662f5\u3002", "5", "stated"),
        ("\u7b54\u6848\uff1a$5$", "$5$", "stated"),
        ("We get 3, then 1,250.5 in all", "1,250.5", "last number"),
    ],
)
def test_where_the_final_answer_is_taken_from(text: str, found: str, where: str) -> None:
    answer = final_answer(text)
    assert answer is not None
    assert answer[0] == found
    assert where in answer[1]
    assert answer[0] in text


def test_nothing_is_read_into_a_text_without_an_answer(grader: MathsGrader) -> None:
    assert final_answer("I can't tell.") is None
    assert [grade.label for grade in grader.grade([(None, "5"), ("", "5"), ("No idea.", "5")])] == ["incorrect"] * 3


@given(st.integers(), st.integers())
def test_two_integers_are_the_same_exactly_when_they_are_equal(grader: MathsGrader, a: int, b: int) -> None:
    grades = grader.grade([(rf"\boxed{{{a}}}", str(b)), (rf"\boxed{{{a:,}}}", f"{b}.0"), (rf"\boxed{{{a}}}", str(a))])
    expected = "correct" if a == b else "incorrect"
    assert [grade.label for grade in grades] == [expected, expected, "correct"]


@given(st.fractions(max_denominator=10_000), st.integers(min_value=-9, max_value=9).filter(bool))
def test_a_fraction_is_itself_in_every_spelling(grader: MathsGrader, value: Fraction, by: int) -> None:
    upper, lower = value.numerator * by, value.denominator * by
    spellings = [rf"\frac{{{upper}}}{{{lower}}}", f"{upper}/{lower}", rf"\dfrac{{{upper}}}{{{lower}}}"]
    grades = grader.grade([(rf"\boxed{{{spelling}}}", str(value)) for spelling in spellings])
    assert {grade.label for grade in grades} == {"correct"}


@given(st.text("0123456789,.()[]{}\\$%^_=<>&+-/ abx°±∪\n"), st.text("0123456789,.()[]{}\\ xpicup=", min_size=1))
def test_no_text_makes_the_reading_fail(answer: str, target: str) -> None:
    from unwaver.judging.graders.maths_equality import same

    assert same(answer, target, lambda a, t: None) in (True, False, None)
    assert same(answer, answer, lambda a, t: None) is True
    found = final_answer(answer)
    assert found is None or found[0] in answer


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59))
def test_two_times_are_the_same_exactly_when_they_are_equal(
    grader: MathsGrader, h: int, m: int, o: int, n: int
) -> None:
    same, own = grader.grade([(rf"\boxed{{{h}:{m:02}}}", f"{o}:{n:02}"), (rf"\boxed{{{h:02}:{m:02}}}", f"{h}:{m:02}")])
    assert (same.label == "correct") == ((h, m) == (o, n)) and own.label == "correct"


WORDS = [
    "answer is",
    "Answer:",
    "####",
    "\\boxed{",
    "}",
    "<answer>",
    "</answer>",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "{",
    "(",
]
WORDS += [
    ")",
    "[",
    "7",
    "3, 4",
    "\\frac{1}{2}",
    "x = ",
    "is",
    "and",
    ".",
    "\n",
    "\n\n",
    " ",
    "<|im_end|>",
    "</s>",
    "Question:",
    "√",
    "°",
    "or",
]


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=30).map("".join))
@example("$$\n$$")
def test_every_reading_quotes_the_reply(text: str) -> None:
    assert all(reading.quote in text for reading in answers(text))
    if "\\boxed" not in text and not any(character.isdigit() for character in text):
        assert not any("number" in reading.where for reading in answers(text))


@given(
    st.integers(2, 99),
    st.integers(2, 99),
    st.sampled_from([r"\frac{{{}}}{{{}}}", "{}/{}", r"{}^{{{}}}", r"\sqrt[{}]{{{}}}", "({}, {})"]),
)
def test_no_number_of_a_bare_expression_is_the_answer(grader: MathsGrader, a: int, b: int, form: str) -> None:
    expression = form.format(a, b)
    texts = [f"So we get {expression}.", f"So we get ${expression}$.", f"<answer>{expression}</answer>", expression]
    assert not any("last number" in answers(text)[0].where for text in texts if "/" not in text or "frac" in text)
    assert {grade.quote for text in texts for grade in answers(text)} <= {expression, f"${expression}$"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"We get \log_2 5", r"\log_2 5"),
        (r"It is \operatorname{ln} 5.", r"\ln 5"),
        ("it is 2 ln 5", r"2\ln 5"),
        (r"It is 3 \sin^2 5", r"3\sin^2 5"),
        (r"that makes \sqrt 5.", r"\sqrt5"),
        (r"we get 2 \sqrt{5}", r"2\sqrt5"),
        (r"we get 5 \pi", r"5\pi"),
        ("that leaves 3 - 5", "-2"),
        (r"that leaves \pi - 5.", r"\pi-5"),
        ("that leaves 3x - 5", "3x-5"),
        ("It is 5 - x", "5-x"),
        (r"It is 5 - \sqrt{2}", r"5-\sqrt2"),
        ("so 7 - 2 = 5", "5"),
        ("We get 5 - I am sure.", "5"),
        ("So:\n- 5", "5"),
        ("Total - 5", "5"),
        (r"So we get 5 \text{ cm}", "5"),
    ],
)
def test_what_belongs_to_a_number_that_stands_in_no_formula(text: str, value: str, grader: MathsGrader) -> None:
    """A function or a difference is an answer of its own; none of the numbers in it is."""
    assert grader.grade([(text, value)])[0].label == "correct"
    others = {number for number in ("2", "3", "5", "7") if number != value}
    assert {grade.label for grade in grader.grade([(text, other) for other in others])} == {"incorrect"}


@pytest.mark.parametrize("text", ["We get x = 3 (mod 5).", r"it is 3 \pmod 5", "it is 3 mod 5", "So 7 choose 5 ways"])
def test_neither_a_modulus_nor_what_is_chosen_is_an_answer(text: str, grader: MathsGrader) -> None:
    assert {grade.label for grade in grader.grade([(text, "5"), (text, "7")])} == {"incorrect"}


@pytest.mark.real
@pytest.mark.parametrize(
    "unit",
    [
        "2 ln ",
        "3 - ",
        "2 \\text{",
        "3 mod ",
        "\\sin_",
        "\\(",
        "$",
        "\\[",
        "(",
        "{",
        "x^",
        "answer is ",
        "#### ",
        "\\boxed{1} and ",
        "a√",
        "<answer>",
        "1,",
        "1,,",
        "1",
        "1.",
        "$1,",
        "5 squared ",
        "10 % of ",
        "\n",
        " \n",
        "\n \nQ",
        "\n\nQuestion:",
        "- 1 ",
        "</answer>",
    ],
)
def test_long_replies_are_read_in_time_that_grows_with_them(unit: str) -> None:
    """Models go round in circles: ten times as long may take a few times ten times as long, and never a hundred."""

    def seconds(times: int) -> float:
        begun = time.process_time()
        assert isinstance(answers(unit * times), list)
        return time.process_time() - begun

    assert seconds(20_000) < 40 * seconds(2_000) + 2.0


@pytest.mark.parametrize("blank", ["\n\n", "\n \t\n", " \n  \n\n ", "\r\n\r\n"])
def test_a_question_of_its_own_behind_any_blank_line_ends_the_turn(blank: str) -> None:
    said = f"The answer is 5.{blank}**Problem 2:** What is 3 + 4? The answer is 7."
    assert [one.text for one in answers(said)][:1] == ["5"]
    assert [one.text for one in answers(said.replace(blank, " \n "))][:1] == ["7"]


@pytest.mark.real
def test_a_pathological_expression_costs_its_time_out_and_nothing_else() -> None:
    with MathsGrader(workers=2, timeout_s=1.0) as it:
        it.grade([(r"\boxed{x+1}", "1+x")])
        pairs = [(rf"\boxed{{{HANGS[0]}}}", HANGS[1])] + [(rf"\boxed{{x+{n}}}", f"{n}+x") for n in range(20)]
        grades = it.grade(pairs)
        assert grades[0].label is None
        assert "not settled within 1 s" in grades[0].reason
        assert {grade.label for grade in grades[1:]} == {"correct"}
        assert it.grade([(r"\boxed{2+x}", "x+2")])[0].label == "correct"


@pytest.mark.real
def test_a_worker_that_waits_for_the_processor_is_not_out_of_time() -> None:
    with MathsGrader(workers=1, timeout_s=1.0) as it:
        it.grade([(r"\boxed{x+1}", "1+x")])
        pid = it._pool._workers[0].child
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        again = threading.Timer(2.0, os.kill, (pid, signal.SIGCONT))
        again.start()
        assert it.grade([(r"\boxed{2+x}", "x+2")])[0].label == "correct"
        again.join()


@pytest.mark.real
def test_an_expression_that_eats_memory_kills_its_worker_only() -> None:
    with MathsGrader(workers=1) as it:
        grades = it.grade([(r"\boxed{e^{e^{e^{e^{10}}}}}", "3"), (r"\boxed{x+1}", "1+x")])
    assert [grade.label for grade in grades] == [None, "correct"]


SCRIPT = """
import sys
from unwaver.judging.graders.maths import MathsGrader
grader = MathsGrader(workers=2, timeout_s=60)
grader.grade([(r"\\boxed{x+1}", "1+x"), (r"\\boxed{x+2}", "2+x")])
print(*[pid for worker in grader._pool._workers for pid in (worker.process.pid, worker.child) if pid], flush=True)
if sys.argv[1] == "hang":
    grader.grade([(r"\\boxed{\\binom{1000000}{500000}}", "12")])
"""


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("how", [None, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_owner(how: signal.Signals | None) -> None:
    argument = "end" if how is None else "hang" if how == signal.SIGINT else "idle"
    command = [
        sys.executable,
        "-c",
        SCRIPT + ("\nimport time; time.sleep(3600)" if argument == "idle" else ""),
        argument,
    ]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert pids
    if how is not None:
        owner.send_signal(how)
    owner.wait(HANG)
    owner.stdout.close()
    until(lambda: all(gone(pid) for pid in pids), "a worker lives on without its owner")


def data(name: str) -> list[dict[str, str]]:
    folder = Path(os.environ.get("UNWAVER_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not there; name its folder in UNWAVER_DATA")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.real
def test_every_target_of_math_500_equals_itself_and_what_its_solution_boxes(grader: MathsGrader) -> None:
    rows = data("math500.jsonl")
    own = grader.grade([(rf"\boxed{{{row['answer']}}}", row["answer"]) for row in rows])
    solved = grader.grade([(row["solution"], row["answer"]) for row in rows])
    assert sum(grade.label != "correct" for grade in own) == 0
    assert sum(grade.label != "correct" for grade in solved) == 0
    shifted = grader.grade([(rf"\boxed{{{a['answer']}}}", b["answer"]) for a, b in pairwise(rows)])
    assert sum(grade.label is None for grade in shifted) == 0
    assert sum(grade.label == "correct" for grade in shifted) <= 5


@pytest.mark.real
def test_the_boxes_of_the_aime_solutions_are_correct(grader: MathsGrader) -> None:
    rows = [row for row in data("aime2024.jsonl") if r"\boxed" in row["solution"]]
    assert {grade.label for grade in grader.grade([(row["solution"], row["answer"]) for row in rows])} == {"correct"}


def upstream_pairs(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """(reply, target, whether they are the same) of every pair with a target in math-verify's own tests."""
    for file in sorted(folder.glob("test_*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", "") != "parametrize":
                continue
            names = [name.strip() for name in str(ast.literal_eval(call.args[0])).split(",")]
            for row in getattr(call.args[1], "elts", ()) if "gold" in names else ():
                try:
                    fields = dict(zip(names, ast.literal_eval(row), strict=True))
                except ValueError:  # one row is worked out: the digits of a root
                    fields = {"gold": f"{17**0.5:.15f}", "pred": r"$\sqrt{17}$", "expected": True}
                yield fields["pred"], fields["gold"], bool(fields.get("expected", fields.get("result")))


UPSTREAM = Path(os.environ.get("UNWAVER_DATA", ".")) / "math_verify-0.9.0" / "tests"


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="needs math-verify's source in UNWAVER_DATA (docs/grading.md)")
def test_as_many_of_math_verify_s_own_pairs_agree_as_the_docs_say(grader: MathsGrader) -> None:
    pairs = list(upstream_pairs(UPSTREAM))
    grades = grader.grade([(reply, target) for reply, target, _ in pairs])
    agree = [
        grade.label == ("correct" if same else "incorrect") for grade, (*_, same) in zip(grades, pairs, strict=True)
    ]
    assert (len(pairs), sum(agree)) == (275, 252)


def test_boxes_opened_without_end_are_read_in_one_pass() -> None:
    """Read one by one they take minutes, in the process that no time-out ends."""
    assert final_answer("\\boxed{" * 10_000 + "7") == ("7", "no box; taken from the last number")
    assert final_answer("\\boxed{" * 10_000 + "7}") == ("7", "boxed")


def test_the_grader_says_who_it_is_with_the_limits_it_has() -> None:
    from unwaver.judging.readers import grader, grader_identity

    with grader("maths") as usual, MathsGrader(timeout_s=9.0) as patient:
        assert usual.identity() == grader_identity("maths") and usual.looked_at == "answer"
        assert patient.identity() != usual.identity() and patient.judge != usual.judge
