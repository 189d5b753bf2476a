"""The page: a task is chosen, a clip or two pictures are given, input and result are shown. Needs gradio."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from common.cli import UsageError
from common.demo import examples, tasks
from common.demo.tasks import TASKS

TITLE = """# videoref: five video papers
The small networks in the box, on this machine's processor; a frame takes a second or a few. Nothing leaves it."""
CHOICES = [(task.title, name) for name, task in TASKS.items()]
FIRST = "deblur"  # the task that the page begins with
SLIDER = "Left: {}; right: {}"
HEIGHT = 320  # of players, pixels
SHELL: dict[str, Any] = {"language": "shell", "interactive": False, "show_line_numbers": False, "wrap_lines": True}
Update = dict[Any, Any]  # components and what becomes of them


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="videoref", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown(TITLE)
        task = gr.Radio(CHOICES, value=FIRST, label="Task")
        with gr.Row():
            with gr.Column():
                limits = gr.Markdown(tasks.limits(TASKS[FIRST]))
                clip = gr.Video(label="Clip", sources=["upload"], height=HEIGHT)
                with gr.Row(visible=False) as pictures:
                    first = gr.Image(label="First picture", type="numpy", sources=["upload", "clipboard"])
                    second = gr.Image(label="Second picture", type="numpy", sources=["upload", "clipboard"])
                with gr.Row():
                    example = gr.Button("An example", visible=examples.available())
                    start = gr.Button("Run", variant="primary")
                told = gr.Markdown()
                shell = gr.Code(tasks.command(TASKS[FIRST]), label="The same in a shell", lines=1, **SHELL)
            with gr.Column():
                slider = gr.ImageSlider(label=SLIDER.format(*TASKS[FIRST].labels), type="numpy", interactive=False)
                video = gr.Video(label="Result", interactive=False, autoplay=True, loop=True, height=HEIGHT)

        def choose(name: str) -> Update:
            pair = TASKS[name].takes_pictures
            return {
                limits: tasks.limits(TASKS[name]),
                clip: gr.Video(visible=not pair),
                pictures: gr.Row(visible=pair),
                slider: gr.ImageSlider(value=None, label=SLIDER.format(*TASKS[name].labels)),
                video: gr.Video(value=None, visible=not pair),
                told: "",
                shell: tasks.command(TASKS[name]),
            }

        def fill(name: str) -> Iterator[Update]:
            chosen = examples.EXAMPLES[name]
            with tempfile.TemporaryDirectory() as folder:
                made = examples.example(name, Path(folder))
                filled = {first: made[0], second: made[1]} if isinstance(made, tuple) else {clip: str(made)}
                poor = f", {chosen.told}" if chosen.told else ""
                yield filled | {told: f"The example: {chosen.clip} of `datasets/real`{poor}."}

        def work(
            name: str, path: str | None, one: Any, other: Any, progress=gr.Progress(track_tqdm=True)  # noqa: B008
        ) -> Iterator[Update]:  # fmt: skip
            source = (one, other) if TASKS[name].takes_pictures else path
            with tempfile.TemporaryDirectory() as folder:
                try:
                    result = tasks.run(name, source, Path(folder))
                except (ValueError, OSError) as error:
                    line = str(error).replace(path, Path(path).name) if path else str(error)
                    raise gr.Error(" ".join(line.split()), print_exception=False) from error
                shown = {slider: (result.before, result.after), told: result.told}
                if result.clip:
                    shown |= {video: str(result.clip), shell: tasks.command(TASKS[name], Path(path).name)}
                yield shown

        task.change(choose, task, [limits, clip, pictures, slider, video, told, shell])
        example.click(fill, task, [clip, first, second, told])
        start.click(
            work,
            [task, clip, first, second],
            [slider, video, told, shell],
            show_progress_on=slider,
            scroll_to_output=True,
        )
    return blocks


def serve(host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UsageError: the port is taken, or there is no such address.
    """
    blocks = build()
    how: dict[str, Any] = {"share": False, "max_file_size": "500mb", "quiet": True, "prevent_thread_lock": True}
    try:
        _, address, _ = blocks.launch(server_name=host, server_port=port, **how)
    except OSError as error:
        raise UsageError(f"cannot serve at {host}, port {port}: give another --port, or --host") from error
    print(f"{address} (Ctrl-C ends it)", flush=True)
    blocks.block_thread()
