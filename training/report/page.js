"use strict";
// Filters, sorts and opens the rows. Without it the page shows everything, opened.

const table = document.querySelector("table");
const bodies = [...table.tBodies];
const heads = [...table.tHead.rows[0].cells];
const byId = (id) => document.getElementById(id);
const order = { column: null, descending: false };

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const family = byId("family").value;
  const dataset = byId("dataset").value;
  const trained = byId("trained").checked;
  let shown = 0;
  for (const body of bodies) {
    const data = body.dataset;
    const fits =
      words.every((word) => data.text.includes(word)) &&
      (!family || data.family === family) &&
      (!dataset || data.dataset === dataset) &&
      (!trained || data.trained === "1");
    body.hidden = !fits;
    shown += fits;
  }
  byId("shown").textContent = `${shown} of ${bodies.length} networks`;
  byId("empty").hidden = shown > 0;
}

function sort(column, descending) {
  order.column = column;
  order.descending = descending;
  const numeric = heads[column].classList.contains("number");
  const value = (body) => body.rows[0].cells[column].dataset.sort;
  const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const sorted = [...bodies].sort((x, y) => {
    const [a, b] = [value(x), value(y)];
    // What is missing comes last, whatever the direction.
    if (a === "" || b === "") return (a === "") - (b === "");
    return descending ? compare(b, a) : compare(a, b);
  });
  table.append(...sorted);
  heads.forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  byId("sort").value = `${column} ${descending}`;
}

function open(button, opened) {
  button.setAttribute("aria-expanded", String(opened));
  byId(button.getAttribute("aria-controls")).hidden = !opened;
}

byId("sort").append(new Option("the zoo's order", ""));
heads.forEach((head, column) => {
  if (head.classList.contains("plain")) return;
  const title = head.textContent;
  const numeric = head.classList.contains("number");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = title;
  // The first click shows the largest number first, but the letter a.
  button.addEventListener("click", () =>
    sort(column, order.column === column ? !order.descending : numeric)
  );
  head.replaceChildren(button);
  const ends = numeric ? ["low to high", "high to low"] : ["a to z", "z to a"];
  ends.forEach((end, i) => byId("sort").append(new Option(`${title}, ${end}`, `${column} ${!!i}`)));
});
byId("sort").addEventListener("change", (event) => {
  const [column, descending] = event.target.value.split(" ");
  if (column) return sort(Number(column), descending === "true");
  order.column = null;
  table.append(...bodies);
  heads.forEach((head) => head.removeAttribute("aria-sort"));
});
for (const button of document.querySelectorAll(".open")) {
  open(button, false);
  button.addEventListener("click", () =>
    open(button, button.getAttribute("aria-expanded") !== "true")
  );
}
for (const line of document.querySelectorAll(".line-of-code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(line);
    // Not every browser lets a page from the disk write: then the line is selected, for Ctrl-C.
    const done = await navigator.clipboard?.writeText(line.textContent).then(() => true, () => false);
    button.textContent = done ? "copied" : "selected";
  });
  line.after(button);
}
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("input", filter);
// A browser that comes back to the page keeps what was chosen.
filter();
