#include "page.h"

namespace lathe::experiments {

const std::string_view kPageStyle = R"css(
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2933; --muted: #5b6673; --line: #d5dbe1; --shade: #f3f5f8; --link: #1a5f9e;
  --warn: #8a4b00; --warn-shade: #fff4e0; --focus: #1a5f9e;
  --c0: #1f6fb4; --c1: #c8540a; --c2: #2a8c4a; --c3: #7a4fa3; --c4: #b5304f; --c5: #14808a; --c6: #85730b; --c7: #7b8794;
  --heat0: #f3f5f8; --heat1: #f7c9a8; --heat2: #e8833a; --heat3: #a83c04; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14181d; --ink: #e4e8ed; --muted: #a3adb8; --line: #39424c; --shade: #1d2329; --link: #7dbbf2;
  --warn: #ffc878; --warn-shade: #33270f; --focus: #7dbbf2;
  --c0: #6cb2f0; --c1: #f59a55; --c2: #62c98a; --c3: #b995e0; --c4: #f0809a; --c5: #58c2cc; --c6: #cfbb4a; --c7: #98a4b0;
  --heat0: #1d2329; --heat1: #5a3313; --heat2: #a8551a; --heat3: #f59a55; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 82rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .7rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .88em; }
code { overflow-wrap: anywhere; }
pre { background: var(--shade); padding: .7rem .9rem; border-radius: 6px; overflow-x: auto; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .3rem .6rem; z-index: 3; }
nav ul { list-style: none; padding: 0; margin: .8rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
.warning { background: var(--warn-shade); color: var(--warn); border-left: 4px solid currentColor; padding: .6rem .9rem;
  border-radius: 4px; max-width: 46rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .8rem 0 1.4rem; border: 1px solid var(--line);
  border-radius: 6px; }
.tall { max-height: 40rem; overflow-y: auto; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .87rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem; color: var(--muted); position: sticky; left: 0; }
th, td { padding: .32rem .5rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--shade); position: sticky; top: 0; z-index: 1; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--paper); }
thead th:first-child { left: 0; z-index: 2; }
th.n, td.n { text-align: right; }
tbody tr:hover > * { background: var(--shade); }
td[title], th[title] { text-decoration: underline dotted var(--muted); text-underline-offset: 3px; }
thead button { all: unset; cursor: pointer; font-weight: 600; }
thead button::after { content: " \2195"; color: var(--muted); font-weight: 400; }
th[aria-sort=ascending] button::after { content: " \2191"; color: var(--ink); }
th[aria-sort=descending] button::after { content: " \2193"; color: var(--ink); }
:focus-visible, thead button:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
figure { margin: 1rem 0 1.8rem; }
figure > div { overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; max-width: 60rem; }
figcaption { color: var(--muted); font-size: .9rem; max-width: 46rem; margin-top: .3rem; overflow-wrap: anywhere; }
figure svg:focus-visible { outline-offset: -2px; }
figure svg g[data-value] { cursor: default; }
figure svg g.at { filter: brightness(.75) saturate(1.6); }
details > summary { cursor: pointer; padding: .3rem 0; color: var(--link); }
form { display: flex; flex-wrap: wrap; gap: .8rem 1.2rem; align-items: end; background: var(--shade); padding: .9rem;
  border-radius: 6px; }
label { display: block; font-size: .87rem; }
input { display: block; font: inherit; width: 9.5rem; padding: .3rem .5rem; margin-top: .15rem; color: var(--ink);
  background: var(--paper); border: 1px solid var(--muted); border-radius: 4px; }
#answer { overflow-wrap: anywhere; margin: .8rem 0; }
#tip { position: absolute; z-index: 5; pointer-events: none; background: var(--ink); color: var(--paper); font-size: .82rem;
  line-height: 1.35; padding: .35rem .55rem; border-radius: 4px; max-width: 20rem; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } h1 { font-size: 1.4rem; } th, td { padding: .3rem .5rem; }
  figure svg { min-width: 34rem; } tbody th { min-width: 6.5rem; max-width: 9.5rem; white-space: normal; overflow-wrap: break-word; }
  .fixed td { white-space: normal; } }
@media print { .tall { max-height: none; overflow: visible; } nav, form { display: none; } }
)css";

const std::string_view kPageScript = R"js(
"use strict";
const say = document.getElementById("say");

// Tables: a click or Enter on a column's name sorts by it, another one turns the order round.
function key(row, column) {
  const text = row.cells[column].textContent.trim().replaceAll(",", "").replace("\u2212", "-");
  const number = /^[+-]?(\d|\.\d)/.test(text) ? parseFloat(text) : NaN;
  return { text, number, empty: text === "" || text === "\u2013" };
}
function compare(a, b, numeric) {
  if (numeric && !Number.isNaN(a.number) && !Number.isNaN(b.number)) return a.number - b.number;
  return a.text.localeCompare(b.text, "en", { numeric: true });
}
for (const table of document.querySelectorAll("table:not(.fixed)")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numeric = head.classList.contains("n");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => a.empty || b.empty ? a.empty - b.empty : (down ? -1 : 1) * compare(a, b, numeric));
      table.tBodies[0].append(...rows.map(([, row]) => row));
      say.textContent = `sorted by ${button.textContent}, ${down ? "highest" : "lowest"} first`;
    });
  });
}

// Figures: values by pointer, by touch, and by arrow keys once the figure has the focus.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
let marked = null;
function show(mark) {
  if (marked) marked.classList.remove("at");
  marked = mark;
  tip.hidden = !mark;
  if (!mark) return;
  mark.classList.add("at");
  tip.textContent = mark.dataset.value;
  const box = mark.getBoundingClientRect(), width = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, width - tip.offsetWidth - 8));
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
}
for (const svg of document.querySelectorAll("figure svg")) {
  const marks = [...svg.querySelectorAll("g[data-value]")];
  if (marks.length === 0) continue;
  svg.querySelectorAll("g[data-value] > title").forEach((title) => title.remove());  // the tip says it
  svg.tabIndex = 0;
  let at = -1;
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => show(mark));
    mark.addEventListener("pointerleave", () => show(null));
    mark.addEventListener("click", () => show(mark));
  }
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") show(null);
    if (!by) return;
    event.preventDefault();
    at = at < 0 ? (by > 0 ? 0 : marks.length - 1) : (at + by + marks.length) % marks.length;
    show(marks[at]);
    say.textContent = marks[at].dataset.value;
  });
  svg.addEventListener("blur", () => show(null));
}

// Which file to ship: the rule of `lathe report`.
const form = document.getElementById("limits");
if (form) {
  form.hidden = false;
  const files = JSON.parse(document.getElementById("files").textContent);
  const answer = document.getElementById("answer");
  const limit = (name) => form.elements[name].value.trim() === "" ? null : Number(form.elements[name].value);
  const choose = () => {
    const bytes = limit("bytes"), ms = limit("ms"), share = limit("acc");
    const fit = files.filter((f) => (bytes === null || f.bytes <= bytes) && (ms === null || f.ms <= ms) &&
      (share === null || f.acc * 100 >= share - 1e-9));
    const order = share === null ? ["acc", "bytes", "ms"] : ["bytes", "acc", "ms"];
    fit.sort((a, b) => order.reduce((d, k) => d || (k === "acc" ? b[k] - a[k] : a[k] - b[k]), 0));
    answer.replaceChildren();
    if (fit.length === 0) {
      answer.textContent = "No file is within these limits.";
      return;
    }
    const f = fit[0], name = document.createElement("strong"), command = document.createElement("pre");
    name.textContent = f.file;
    command.textContent = f.command;
    answer.append(name, `: ${(100 * f.acc).toFixed(2)} %, ${f.bytes.toLocaleString("en")} bytes, ` +
      `${(1000 * f.ms).toFixed(2)} \u00b5s; ${fit.length} of ${files.length} files are within the limits.`, command);
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => { event.preventDefault(); choose(); });
  choose();
}
)js";

}  // namespace lathe::experiments
