"use strict";
const body = document.querySelector("tbody");
const rows = Array.from(body.rows);
const filter = document.querySelector("input");
const count = document.querySelector("output");
const headings = Array.from(document.querySelectorAll("th"));
const NUMBER = 8;
let sorted = -1, descending = false;

function shown() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let visible = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    if (!row.hidden) visible += 1;
  }
  count.textContent = visible === rows.length ? String(rows.length) : visible + " of " + rows.length;
}

function order(column, down) {
  sorted = column;
  descending = down;
  const value = row => column === NUMBER
    ? Number(row.cells[column].textContent)
    : row.cells[column].textContent.toLowerCase();
  const keyed = rows.map((row, place) => [value(row), place, row]);
  keyed.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : one[1] - other[1]) * (down ? -1 : 1));
  body.append(...keyed.map(entry => entry[2]));
  headings.forEach((heading, number) => heading.setAttribute(
    "aria-sort", number === column ? (down ? "descending" : "ascending") : "none"));
}

function remember() {
  const state = new URLSearchParams();
  if (filter.value) state.set("filter", filter.value);
  if (sorted >= 0) state.set("sort", (descending ? "-" : "") + headings[sorted].textContent);
  history.replaceState(null, "", state.size ? "#" + state : location.pathname + location.search);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  filter.value = state.get("filter") || "";
  const wanted = state.get("sort") || "";
  const column = headings.findIndex(heading => heading.textContent === wanted.replace(/^-/, ""));
  if (column >= 0) order(column, wanted.startsWith("-"));
  shown();
}

filter.addEventListener("input", () => { shown(); remember(); });
headings.forEach((heading, number) => heading.firstElementChild.addEventListener("click", () => {
  order(number, sorted === number && !descending);
  remember();
}));
addEventListener("hashchange", restore);
restore();
