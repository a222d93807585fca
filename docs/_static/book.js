"use strict";

/* What the built pages need a script for; without it, everything can be read. */

// What moves sideways can be moved with the keyboard, too.
function reachable() {
  const moving = ".highlight pre, .exchange, .wire-moves, .picture-moves, .table-moves, .table-wrapper";
  for (const element of document.querySelectorAll(moving)) {
    if (element.scrollWidth > element.clientWidth + 1) {
      element.tabIndex = 0;
      element.classList.add("moves");
    } else if (!element.hasAttribute("role")) {
      element.removeAttribute("tabindex");
      element.classList.remove("moves");
    }
  }
}

// In a chapter, a docstring shows its first line.
function foldDocstrings() {
  for (const pre of document.querySelectorAll(".highlight pre")) {
    const strings = [...pre.querySelectorAll(".sd")];
    for (let first = 0; first < strings.length; first++) {
      let last = first;        // a docstring has one element for each line
      while (last + 1 < strings.length && between(strings[last], strings[last + 1]).trim() === "") last++;
      if (last - first >= 2) fold(strings.slice(first, last + 1));
      first = last;
    }
  }
}

function between(one, other) {
  const range = document.createRange();
  range.setStartAfter(one);
  range.setEndBefore(other);
  return range.toString();
}

function fold(strings) {
  const rest = document.createElement("span");
  const range = document.createRange();
  range.setStartAfter(strings[0]);
  range.setEndAfter(strings.at(-1));
  rest.append(range.extractContents());
  const button = document.createElement("button");
  button.type = "button";
  button.className = "unfold";
  strings[0].after(button, rest);
  const lines = strings.length - 1;
  const show = (shown) => {
    rest.hidden = !shown;
    button.setAttribute("aria-expanded", shown);
    button.textContent = shown ? "less" : `… ${lines} more lines`;
  };
  button.addEventListener("click", () => show(rest.hidden));
  window.addEventListener("beforeprint", () => show(true));
  show(false);
}

// Sphinx's search omits numbers; those of the tables have answers, and headings may contain them.
function answerNumbers() {
  const results = document.getElementById("search-results");
  const query = new URLSearchParams(location.search).get("q") || "";
  const asked = query.match(/\b\d{3,4}\b/g) || [];
  if (!results || !asked.length || typeof NUMBERS === "undefined") return;
  const list = document.createElement("ul");
  list.className = "number-answers";
  list.setAttribute("aria-label", `Answers to ${asked.join(", ")}`);
  const add = (title, text, page) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const words = document.createElement("span");
    link.href = page;
    link.textContent = title;
    words.textContent = text;
    item.append(link, words);
    list.append(item);
  };
  for (const number of asked) {
    for (const row of NUMBERS) {
      if (row.from <= Number(number) && Number(number) <= row.to) add(row.title, row.text, row.page);
    }
    const index = Search._index;
    for (const [title, places] of Object.entries(index?.alltitles || {})) {
      if (!new RegExp(`\\b${number}\\b`).test(title)) continue;
      for (const [page, anchor] of places) {
        const href = `${index.docnames[page]}.html${anchor ? `#${anchor}` : ""}`;
        add(title, `In: ${index.titles[page]}`, href);
      }
    }
  }
  if (!list.children.length) return;
  if (/^[\d\s]+$/.test(query)) results.classList.add("only-numbers");
  results.before(list);
}

if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;     // a file may not fetch another one
}
if (location.pathname.includes("/tutorial/")) foldDocstrings();
answerNumbers();
reachable();
document.fonts?.ready.then(reachable);
window.addEventListener("resize", reachable);
for (const folded of document.querySelectorAll("details")) folded.addEventListener("toggle", reachable);
