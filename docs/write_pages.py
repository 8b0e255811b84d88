"""Writes the pages that hold what is measured or registered: `python docs/write_pages.py`.

`docs/results/NAME.md` comes from `docs/results/NAME.md.jinja`, and so does `docs/tutorial.md`, where every number is an
expression over the files of `results/`; the blocks of README.md between `<!-- NAME -->` and `<!-- /NAME -->` from
`docs/readme/NAME.md.jinja`; and `docs/catalogue.md` is what `jaxrl list --markdown` prints. tests/test_docs.py holds
that all of them are up to date.
"""

import json
import math
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jinja2
import pandas

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
NOTE = "<!-- Written by docs/write_pages.py from {}: edit that. -->\n"


def number(value: float, digits: int = 0) -> str:
    """`value` with that many digits after the point, a true minus and, from ten thousand on, commas."""
    if math.isnan(value):
        return "–"
    rounded = round(float(value), digits) + 0.0
    grouped = f"{rounded:,.{digits}f}" if abs(rounded) >= 10_000 else f"{rounded:.{digits}f}"
    return grouped.replace("-", "−")


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many digits in all; powers of ten as in 4.66e6."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = number(value, max(digits - 1 - math.floor(math.log10(abs(value) or 1.0)), 0))
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def percent(share: float, digits: int = 0) -> str:
    """A share as per cent, without the sign."""
    return number(100.0 * share, digits)


def thousands(value: float) -> str:
    """274k, 4.6k or 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}" if value < 100 * size else f"{value / size:.0f}{unit}"
    return number(value)


def listed(values: Iterable[Any], digits: int | None = None, last: str = "and") -> str:
    """0.85, 0.89 and 0.96."""
    texts = [str(value) if digits is None else number(value, digits) for value in values]
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def interval(bounds: Iterable[float], digits: int = 0, times: float = 1.0) -> str:
    """[low, high]."""
    return "[" + ", ".join(number(times * bound, digits) for bound in bounds) + "]"


def each(values: Iterable[float], digits: int = 0) -> str:
    """0.85, 0.89, 0.96."""
    return ", ".join(number(value, digits) for value in values)


def span(values: Iterable[float], digits: int = 0) -> str:
    """From the least to the most, or the one number that all are."""
    texts = [number(value, digits) for value in sorted(values)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def read_json(path: str) -> Any:
    """A file of `results/`."""
    return json.loads((RESULTS / path).read_text())


def read_csv(path: str) -> pandas.DataFrame:
    """A table of `results/`."""
    return pandas.read_csv(RESULTS / path)


def where(table: pandas.DataFrame, **columns: Any) -> pandas.DataFrame:
    """The rows that have these values."""
    for column, value in columns.items():
        table = table[table[column] == value]
    return table


def environment() -> jinja2.Environment:
    """What templates may say: `json(path)`, `csv(path)` and the filters above."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "docs"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable] = {
        "number": number, "significant": significant, "percent": percent, "thousands": thousands, "listed": listed,
        "interval": interval, "span": span, "each": each, "mean": statistics.fmean,
        "median": statistics.median, "where": where,
    }  # fmt: skip
    made.filters.update(filters)
    made.globals.update(json=read_json, csv=read_csv, len=len, zip=zip)
    return made


def catalogue() -> str:
    """What `jaxrl list --markdown` prints."""
    from contextlib import redirect_stdout
    from io import StringIO

    from jaxrl.cli import main

    with redirect_stdout(StringIO()) as printed:
        main(["list", "--markdown"])
    return printed.getvalue()


def filled(text: str) -> str:
    """Paragraphs of prose in lines of at most 120 characters."""
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    for i in range(0, len(parts), 2):
        blocks = re.split(r"\n{2,}", parts[i])
        parts[i] = "\n\n".join(block if re.match(r"[|#!<\-:{]", block.strip()) else _wrapped(block) for block in blocks)
    return "".join(parts)


def _wrapped(block: str) -> str:
    joined = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), " ".join(block.split()))
    text = textwrap.fill(joined, 120, break_long_words=False, break_on_hyphens=False).replace("\0", " ")
    # A sentence that ends in a number must not become a list.
    return re.sub(r"\n(\d+)\. ", r" \1.\n", text) + ("\n" if block.endswith("\n") else "")


def results() -> dict[Path, str]:
    """Pages of `docs` and `docs/results`, by path."""
    pages, templates, docs = {}, environment(), ROOT / "docs"
    for path in sorted([*docs.glob("*.md.jinja"), *(docs / "results").glob("*.md.jinja")]):
        name = path.relative_to(docs).as_posix()
        pages[path.with_suffix("")] = NOTE.format(f"docs/{name}") + filled(templates.get_template(name).render())
    return pages


def readme() -> str:
    """README.md with its blocks written anew."""
    templates = environment()

    def block(match: re.Match) -> str:
        text = templates.get_template(f"readme/{match[1]}.md.jinja").render().strip()
        return f"<!-- {match[1]} -->\n{text}\n<!-- /{match[1]} -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", block, (ROOT / "README.md").read_text(), flags=re.DOTALL)


def main() -> None:
    """Writes every page."""
    pages = {**results(), ROOT / "README.md": readme(), ROOT / "docs" / "catalogue.md": catalogue()}
    for path, text in pages.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
