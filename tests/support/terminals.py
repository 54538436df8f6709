"""A stream that says it is a terminal, or a file."""

import io


class FakeTerminal(io.StringIO):
    """Keeps what is printed on it."""

    encoding = "utf-8"

    def __init__(self, *, live: bool = True) -> None:
        super().__init__()
        self.live = live

    def isatty(self) -> bool:
        return self.live

    def drawn(self) -> list[str]:
        """What each redrawing of the status line has put there."""
        return self.getvalue().split("\r\x1b[K")[1:]
