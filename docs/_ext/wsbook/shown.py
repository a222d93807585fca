"""Directives that run commands, programs and exchanges while the book is built, and show the output."""

from __future__ import annotations

import argparse
import html
import shutil
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from . import runner

logger = logging.getLogger(__name__)


def _step(argument: str) -> int:
    """Return the number of a chapter; 0 for ``finished``."""
    return 0 if argument.strip() == "finished" else directives.nonnegative_int(argument)


def _exits(argument: str) -> list[int]:
    return [directives.nonnegative_int(word) for word in argument.split()]


def _seconds(argument: str) -> float:
    seconds = float(argument)
    if not 0 < seconds <= runner.LONGEST:
        raise ValueError(f"at most {runner.LONGEST:g} seconds")
    return seconds


def has_command(name: str) -> bool:
    """Return whether ``python -m wsref`` has a subcommand of this name."""
    from wsref.cli.main import build_parser

    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return name in action.choices
    return False


class _Run(SphinxDirective):
    """The common part of the three directives."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "step": _step,
        "server": directives.unchanged_required,
        "log": directives.flag,
        "log-head": directives.nonnegative_int,
        "head": directives.nonnegative_int,
        "tail": directives.nonnegative_int,
        "timeout": _seconds,
        "caption": directives.unchanged_required,
    }

    @property
    def source(self) -> str:
        return "\n".join(self.content)

    @property
    def server(self) -> str | None:
        return runner.server_command(self.options.get("step"), self.options.get("server"))

    @property
    def logs(self) -> bool:
        """Whether the page shows the server's log."""
        return "log" in self.options

    def once(self, what: list[Any], run: Any) -> Any:
        """Return the result, from the cache if nothing has changed; a failure fails the build."""
        cache = getattr(self.env.app, "wsbook_cache", None)
        if cache is None:
            cache = runner.Cache(Path(self.env.app.outdir).parent / "ran")
            self.env.app.wsbook_cache = cache  # type: ignore[attr-defined]
        self.env.note_dependency(str(runner.HERE / "runner.py"))
        try:
            return cache.get([self.name, self.source, self.server, self.logs, *what], run)
        except runner.Failed as error:
            raise self.error(f"{self.name}: {error}") from None

    def shorten(self, text: str) -> str:
        return runner.shortened(text, self.options.get("head"), self.options.get("tail"))

    def block(self, text: str, language: str, *, classes: tuple[str, ...] = (), caption: str = "") -> list[nodes.Node]:
        """Return a block of text, perhaps with a caption."""
        literal = nodes.literal_block(text, text, language=language, classes=["ran", *classes])
        literal["force"] = True  # output that a lexer does not like is no mistake
        self.set_source_info(literal)
        if not caption:
            return [literal]
        wrapper = nodes.container("", literal_block=True, classes=["literal-block-wrapper", "ran-wrapper"])
        words, messages = self.parse_inline(caption)
        wrapper += nodes.caption(caption, "", *words)
        wrapper += literal
        return [wrapper, *messages]

    def log_block(self, log: str) -> list[nodes.Node]:
        """Return the server's log without the lines of its start and end, if the page asks for it."""
        if not self.logs:
            return []
        welcome = ("Open ", "Closing: ", "  ws://", "  wss://", "  After chapter ")
        lines = [line for line in log.splitlines() if line.strip() and not line.startswith(welcome)]
        text = runner.shortened("\n".join(lines) + "\n", self.options.get("log-head"))
        return self.block(text.rstrip(), "text", classes=("log",), caption="The server's log")


class Transcript(_Run):
    """Show commands and their output::

    ```{transcript}
    :step: 2
    $ curl -i http://127.0.0.1:8765/
    ```
    """

    option_spec: ClassVar[dict[str, Any]] = {
        **_Run.option_spec,
        "exit": _exits,
        "input": directives.unchanged_required,
        "when": directives.unchanged_required,
        "needs": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Run the commands."""
        try:
            commands = runner.split_commands(self.source)
        except runner.Failed as error:
            raise self.error(str(error)) from None
        later = "when" in self.options and not has_command(self.options["when"])
        if later or any(shutil.which(program) is None for program in self.options.get("needs", "").split()):
            return self.block("\n".join(f"$ {command}" for command in commands), "console")
        exits = self.options.get("exit", [0])
        stdin = self.options.get("input", "").replace("\\n", "\n")
        timeout = self.options.get("timeout", runner.TIMEOUT)

        def run() -> list[Any]:
            shown, log = runner.run_commands(
                commands, server=self.server, exits=exits, timeout=timeout, stdin=stdin, log=self.logs
            )
            return [[[one.command, one.output] for one in shown], log]

        shown, log = self.once([exits, stdin], run)
        pieces = []
        for command, output in shown:
            output = self.shorten(output).rstrip("\n")
            pieces.append(f"$ {command}" + (f"\n{output}" if output else ""))
        between = "\n\n" if any("\n" in piece for piece in pieces) else "\n"
        blocks = self.block(between.join(pieces), "console", caption=self.options.get("caption", ""))
        return [*blocks, *self.log_block(log)]


class Program(_Run):
    """Show a whole Python program and its output::

    ```{run}
    :step: 7
    from wsref import connect
    ...
    ```
    """

    option_spec: ClassVar[dict[str, Any]] = {
        **_Run.option_spec,
        "exit": directives.nonnegative_int,
        "file": directives.unchanged_required,
        "show": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Run the program."""
        source = self.source
        if "file" in self.options:
            path = runner.EXAMPLES / self.options["file"]
            self.env.note_dependency(str(path))
            source = path.read_text("utf-8").rstrip()
        exit_code = self.options.get("exit", 0)
        timeout = self.options.get("timeout", runner.TIMEOUT)

        def run() -> list[Any]:
            ran = runner.run_program(
                source + "\n", server=self.server, exit_code=exit_code, timeout=timeout, log=self.logs
            )
            return list(ran)

        output, log = self.once([exit_code, source], run)
        blocks: list[nodes.Node] = []
        if self.options.get("show", "both") in ("both", "source"):
            blocks += self.block(source, "python", caption=self.options.get("caption", ""))
        if self.options.get("show", "both") in ("both", "output") and output.strip():
            blocks += self.block(self.shorten(output).rstrip(), "text", classes=("output",))
        return [*blocks, *self.log_block(log)]


class Exchange(_Run):
    """Show sent bytes and received bytes::

    ```{exchange}
    :step: 6
    :open: /echo
    > 81 85 37 fa 21 3d 7f 9f 4d 51 58
    < frame
    ```
    """

    option_spec: ClassVar[dict[str, Any]] = {
        **_Run.option_spec,
        "open": directives.unchanged_required,
        "extensions": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Send and receive."""
        if self.server is None:
            raise self.error("exchange needs :step: or :server:")
        opened = self.options.get("open")
        timeout = self.options.get("timeout", runner.TIMEOUT)
        handshake = runner.HANDSHAKE
        if "extensions" in self.options:
            header = f"Sec-WebSocket-Extensions: {self.options['extensions']}\r\n\r\n"
            handshake = handshake.removesuffix("\r\n") + header

        def run() -> list[Any]:
            lines, log = runner.exchange(
                self.source,
                server=self.server or "",
                opened=opened,
                handshake=handshake,
                timeout=timeout,
                log=self.logs,
            )
            return [[[line.command, line.output] for line in lines], log]

        lines, log = self.once([opened, handshake], run)
        blocks: list[nodes.Node] = []
        caption = self.options.get("caption", "")
        if "caption" in self.options:
            words, messages = self.parse_inline(caption)
            blocks += [nodes.paragraph("", "", *words, classes=["exchange-caption"]), *messages]
        pieces = [_line(side, text) for side, text in lines]
        head, tail = self.options.get("head"), self.options.get("tail")
        if (head is not None or tail is not None) and len(pieces) > (head or 0) + (tail or 0):
            pieces = [*pieces[: head or 0], _line("", "..."), *(pieces[-tail:] if tail else [])]
        markup = (
            f'<div class="exchange" tabindex="0" role="group" aria-label="What is sent and received">'
            f"<pre>{''.join(pieces)}</pre></div>"
        )
        blocks.append(nodes.raw("", markup, format="html"))
        return [*blocks, *self.log_block(log)]


def _line(side: str, text: str) -> str:
    """Return a line of an exchange; a sign and a colour mark its side."""
    kind = {">": "sent", "<": "got"}.get(side, "note")
    sign = f'<span class="side">{html.escape(side)}</span> ' if side else ""
    return f'<span class="{kind}">{sign}{html.escape(text)}\n</span>'


def _no_empty_blocks(app: Any, doctree: nodes.document) -> None:
    """Fail on an empty block: the end of another fence has closed its fence."""
    for block in doctree.findall(nodes.literal_block):
        if not block.astext().strip():
            logger.warning("an empty block: a fence is closed too early or too late", location=block)


def setup(app: Any) -> None:
    """Register the directives."""
    app.connect("doctree-read", _no_empty_blocks)
    app.add_directive("transcript", Transcript)
    app.add_directive("run", Program)
    app.add_directive("exchange", Exchange)
