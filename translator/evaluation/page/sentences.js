// The sentences of two systems: how many are better in each, and a list in an order that one chooses.

const STEP = 40;
const EQUAL = 0.005;
const difference = (sentence) => sentence.chrf[state.second] - sentence.chrf[state.first];

const ORDERS = {
  second: (one, other) => difference(other) - difference(one),
  first: (one, other) => difference(one) - difference(other),
  most: (one, other) => Math.abs(difference(other)) - Math.abs(difference(one)),
  worst: (one, other) => Math.max(one.chrf[state.first], one.chrf[state.second]) - Math.max(other.chrf[state.first], other.chrf[state.second]),
  lines: (one, other) => one.line - other.line,
};
const orderNames = () => [
  ["second", `${data.systems[state.second]} better first`],
  ["first", `${data.systems[state.first]} better first`],
  ["most", "largest difference first"],
  ["worst", "worst translations first"],
  ["lines", "as in the file"],
];

function chosenSentences() {
  const wanted = state.find.toLocaleLowerCase();
  const isFound = (sentence) =>
    !wanted ||
    [sentence.source || "", ...sentence.references, sentence.hypotheses[state.first], sentence.hypotheses[state.second]].some(
      (line) => line.toLocaleLowerCase().includes(wanted)
    );
  return data.sentences.filter(isFound).sort((one, other) => ORDERS[state.order](one, other) || one.line - other.line);
}

function textRow(label, nodes, className = "", score = null) {
  const name = make("dt", {}, ...label);
  if (score !== null) name.append(make("span", { className: "number faint", text: score.toFixed(1) }));
  return [name, make("dd", { className, dir: "auto" }, ...nodes)];
}

function card(sentence) {
  const [first, second] = [state.first, state.second];
  const gap = difference(sentence);
  const texts = make("dl", { className: "texts" });
  if (sentence.source !== null) texts.append(...textRow(["Source"], [sentence.source]));
  sentence.references.forEach((line, index) =>
    texts.append(...textRow([sentence.references.length > 1 ? `Reference ${index + 1}` : "Reference"], [line]))
  );
  for (const [own, other] of [[first, second], [second, first]]) {
    const line = sentence.hypotheses[own];
    const nodes = line.trim() ? marked(line, sentence.hypotheses[other], sentence.references) : [make("span", { className: "faint", text: "(blank)" })];
    const label = [make("span", { className: `dot ${colourOf(own)}` }), nameOf(own)];
    texts.append(...textRow(label, nodes, "translation", sentence.chrf[own]));
  }
  const winner = Math.abs(gap) < EQUAL ? "equal" : gap > 0 ? `${colourOf(second)}` : `${colourOf(first)}`;
  const badge = make("span", { className: "gap", text: `chrF ${signed(gap)}` });
  return make("li", { className: `card edge-${winner}`, tabindex: "-1" }, make("div", { className: "card-head" }, make("span", { className: "faint", text: `line ${count(sentence.line)}` }), badge), texts);
}

// A bar of three parts, and how many sentences differ by how much.
function drawBalance() {
  const gaps = data.sentences.map(difference);
  const better = gaps.filter((gap) => gap >= EQUAL).length;
  const worse = gaps.filter((gap) => gap <= -EQUAL).length;
  const parts = [[worse, colourOf(state.first), state.first], [gaps.length - better - worse, "equal", null], [better, colourOf(state.second), state.second]];
  const bar = make("div", { className: "balance-bar", "aria-hidden": "true" });
  const text = make("p", { className: "balance-text" });
  for (const [size, className, system] of parts) {
    const part = make("div", { className });
    part.style.flexGrow = String(size);
    if (size) bar.append(part);
    const entry = make("span", {}, make("span", { className: `dot ${className}` }));
    if (system === null) entry.append(`equal: ${count(size)}`);
    else entry.append(nameOf(system), ` better: ${count(size)}`);
    text.append(entry);
  }
  byId("balance").replaceChildren(bar, text);
}

function showSentences(keep = false) {
  const chosen = chosenSentences();
  state.count = keep ? state.count + STEP : STEP;
  const shown = chosen.slice(0, state.count);
  const list = byId("list");
  if (keep) list.append(...shown.slice(list.children.length).map(card));
  else {
    list.replaceChildren(...shown.map(card));
    state.at = -1;
  }
  byId("more").hidden = shown.length === chosen.length;
  byId("more").textContent = `Show more (${count(chosen.length - shown.length)} left)`;
  byId("found").textContent = state.find ? `${count(chosen.length)} sentence${chosen.length === 1 ? "" : "s"} found` : "";
}

function showPair() {
  fill(byId("order"), orderNames(), state.order, (order) => {
    state.order = order;
    showSentences();
  });
  drawBalance();
  showSentences();
}

function moveTo(index) {
  const list = byId("list");
  if (index >= list.children.length && !byId("more").hidden) showSentences(true);
  state.at = Math.max(0, Math.min(index, list.children.length - 1));
  const at = list.children[state.at];
  if (!at) return;
  at.focus({ preventScroll: true });
  at.scrollIntoView({ block: "nearest" });
}

function startSentences() {
  byId("find").addEventListener("input", () => {
    state.find = byId("find").value.trim();
    showSentences();
  });
  byId("more").addEventListener("click", () => {
    const next = byId("list").children.length;
    showSentences(true);
    moveTo(next);
  });
  byId("list").addEventListener("focusin", (event) => {
    const found = [...byId("list").children].indexOf(event.target.closest(".card"));
    if (found >= 0) state.at = found;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("sentences").hidden) return;
    if (event.target.closest("input, select")) {
      if (event.key === "Escape" && event.target.id === "find") moveTo(0);
      return;
    }
    if (event.key === "j") moveTo(state.at + 1);
    else if (event.key === "k") moveTo(state.at - 1);
    else if (event.key === "/") byId("find").focus();
    else return;
    event.preventDefault();
  });
}
