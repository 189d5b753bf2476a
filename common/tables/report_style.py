"""How the report looks (CSS) and how its slider moves (JavaScript)."""

CSS = """
:root {
  --ink: #1c1e21; --soft: #62666c; --line: #d9d9d4; --paper: #fdfdfb; --band: #f5ebe8;
  --link: #1f5aa6; --bad: #b3261e; --good: #23693f; --train: #b4602a; --valid: #1f5aa6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e3e3de; --soft: #9da1a7; --line: #3a3d42; --paper: #16181b; --band: #33211f;
    --link: #8ab4f0; --bad: #ff8a80; --good: #7fc99a; --train: #e6a06c; --valid: #8ab4f0;
  }
}
* { box-sizing: border-box }
body {
  margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 64rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 Charter, "Iowan Old Style", Palatino, Georgia, "DejaVu Serif", serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.8rem; line-height: 1.2; margin: 1rem 0 }
h2 { font-size: 1.4rem; margin: 3rem 0 0; padding-top: .8rem; border-top: 2px solid var(--ink) }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem }
a { color: var(--link) }
table, dl, small, summary, figcaption, .sub, .names, svg { font-family: system-ui, "DejaVu Sans", sans-serif }
small, figcaption, .sub, .names { color: var(--soft); font-size: .8rem }
code { font: .9em/1.4 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.sub { margin: .2rem 0 1rem }
.bad, .worst { color: var(--bad) }
.best { color: var(--good) }

table {
  border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums;
  border: solid var(--ink); border-width: 1.5px 0;
}
th, td { padding: .2rem .4rem; text-align: right; vertical-align: top; font-weight: normal }
th:first-child { text-align: left }
thead th { color: var(--soft); border-bottom: 1px solid var(--ink) }
.counts, .clips { width: auto; min-width: min(100%, 24rem) }
.rows .method { width: 42%; text-align: left }
.rows tbody { border-top: 1px solid var(--line) }
.rows small { display: block; line-height: 1.4 }
.rows th:nth-child(2), .rows td:nth-last-child(6) { text-align: left }
.rows small a { margin-right: .6rem }
.rows td:last-child { white-space: nowrap }
.rows .ok td:last-child, .rows .better td:last-child { color: var(--good) }
.rows .off td { background: var(--band) }
.rows .off td:last-child { color: var(--bad); font-weight: 600 }

details { margin: .6rem 0 }
summary { cursor: pointer; font-size: .85rem }
.rows details { margin: 0; display: inline-block; vertical-align: top; max-width: 100% }
.rows summary { font-size: inherit }
dl {
  display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem .8rem;
  margin: .5rem 0; font-size: .85rem;
}
dt { color: var(--soft) }
dd { margin: 0 }
.rows dl { font-size: inherit; color: var(--ink); gap: 0 .6rem }
.missing { display: block }
.missing dt { color: var(--ink) }
.missing dd { color: var(--soft) }
.missing ul { margin: .2rem 0 1rem; padding-left: 1.2rem }

.grid { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; align-items: flex-start; margin: 1rem 0 }
figure { margin: 0; max-width: 100% }
img { display: block; max-width: 100%; height: auto }
.sharp { image-rendering: pixelated }
.sample, .pair, .names, .compare input { max-width: 100% }
.pair { position: relative; cursor: ew-resize; touch-action: pan-y; user-select: none; --at: 50% }
.pair img { width: 100%; pointer-events: none }
.pair .top { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.pair .top img { height: 100% }
.pair i {
  position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 2px #000;
}
.compare input { display: block; margin: .4rem 0 0; accent-color: var(--link) }
.names { display: flex; justify-content: space-between; margin: 0 }
.strip { display: flex; flex-wrap: wrap; gap: 10px; margin-top: .6rem; max-width: 100% }
.strip figure { max-width: calc(50% - 5px) }
.wheel { display: flex; gap: 1rem; align-items: center; width: 100%; max-width: 32rem }
.wheel img { border-radius: 50%; width: 5rem }
.chart { flex: 1 1 18rem; max-width: 29rem }
.chart i { display: inline-block; width: 1.2rem; border-top: 3px solid; margin-right: .4rem; vertical-align: middle }
.train svg, .train i { color: var(--train) }
.valid svg, .valid i { color: var(--valid) }
svg { display: block; width: 100%; font-size: 11px; fill: var(--soft) }
.axis { stroke: var(--line); fill: none }
.line { stroke: currentColor; fill: none; stroke-width: 1.8; stroke-linejoin: round }
circle { fill: currentColor }
figcaption small { display: block }

@media (max-width: 40rem) {
  .rows, .rows thead, .rows tbody { display: block }
  .rows tr { display: grid; grid-template-columns: 3.4rem 1.2fr 1.2fr 1.1fr 1.1fr 5.4rem }
  .rows thead .method { display: none }
  .rows th, .rows td { padding: .15rem .2rem; font-size: .75rem; overflow-wrap: normal }
  .rows tbody .method { grid-column: 1 / -1; width: auto; font-size: .9rem; overflow-wrap: anywhere }
  .counts th, .counts td { padding: .2rem }
}
@media print { details:not([open]) { display: none } }
"""

SCRIPT = """
for (const compare of document.querySelectorAll(".compare")) {
  const pair = compare.querySelector(".pair"), range = compare.querySelector("input");
  const show = () => pair.style.setProperty("--at", range.value + "%");
  const drag = event => {
    const box = pair.getBoundingClientRect();
    range.value = 100 * (event.clientX - box.left) / box.width;
    show();
  };
  range.addEventListener("input", show);
  pair.addEventListener("pointerdown", event => { pair.setPointerCapture(event.pointerId); drag(event); });
  pair.addEventListener("pointermove", event => { if (event.buttons) drag(event); });
  show();
}
"""
