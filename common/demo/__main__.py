"""The papers in a browser: python -m common.demo [--host 127.0.0.1] [--port 7860]; Ctrl-C ends it.

What is uploaded stays on this machine; the page is served to it alone, unless --host says otherwise.
"""

import sys

from common import cli


def main(argv: list[str]) -> None:
    """Serve the page until Ctrl-C."""
    parser = cli.Parser(prog="python -m common.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at; 0.0.0.0: to the whole network")
    parser.add_argument("--port", type=int, default=7860, help="likewise")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(argv)
    try:
        from common.demo import page
    except ImportError as error:
        if error.name != "gradio":
            raise
        raise cli.UsageError("the page needs gradio: pip install -e '.[demo]'") from error
    page.serve(options.host, options.port)


if __name__ == "__main__":
    sys.exit(cli.run(main))
