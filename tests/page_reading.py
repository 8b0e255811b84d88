"""What a page of a run holds, as a browser reads it."""

import json

import pandas
from bs4 import BeautifulSoup


def strict_json(text):
    """JSON as browsers take it: without NaN."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Page:
    """A page, and the numbers in it."""

    def __init__(self, html):
        self.html = html
        self.soup = BeautifulSoup(html, "html.parser")
        self.islands = [strict_json(tag.string) for tag in self.soup.find_all("script", type="application/json")]

    @classmethod
    def read(cls, path):
        return cls(path.read_text(encoding="utf-8"))

    @property
    def titles(self):
        return [tag.text for tag in self.soup.find_all("h2")]

    @property
    def text(self):
        return self.soup.find("main").get_text(" ")

    @property
    def facts(self):
        return {tag.find("dt").text: tag.find("dd").text for tag in self.soup.select(".facts div")}

    @property
    def explorer(self):
        return strict_json(self.soup.select_one(".explorer > script").string)

    def table(self, caption):
        """The table of that caption: numbers in full, words as they are shown."""
        (found,) = [tag.parent for tag in self.soup.find_all("caption") if tag.text == caption]
        names = [tag.get_text(strip=True) for tag in found.select("thead th")]
        rows = [[_value(cell) for cell in row.find_all("td")] for row in found.select("tbody tr")]
        return pandas.DataFrame(rows, columns=names)

    def chart(self, title):
        """Data and layout of plotly's."""
        (found,) = [tag for tag in self.soup.select(".chart") if tag.find("h3").text == title]
        return strict_json(found.find("script").string)


def _value(cell):
    return float(cell["data-value"]) if "data-value" in cell.attrs else cell.get_text(strip=True)
