"""A report page as tests read it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """What stands on a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[list[str]] = []
        self.text = ""
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "path", "use", "rect", "line", "image"}:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    def row(self, *begins: str) -> list[str]:
        """The first table row that begins so."""
        rows = [[cell.strip() for cell in row] for row in self.cells]
        return next(row for row in rows if row[: len(begins)] == list(begins))

    def attributes(self, *names: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags for name in names if name in attributes]
