"""Rubrics that a recipe may ask for besides (`judge.further`), one file each: `RUBRIC`, with its question and answers.

The wording lies beside the others in `rubrics/NAME.md`. A rubric that is here is known to recipes, to the judge, to
measures (as `NAME:TEXT`, by `questions.read`) and to docs/catalogue.md.
"""
