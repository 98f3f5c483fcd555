// Lines between the words of a layer, one colour per head; pointing at a word shows only its lines.

const lines = { kind: "cross", layer: 1, off: new Set(), weights: new Map(), hovered: null, focused: null };
const ROW_HEIGHT = 28;
const strokes = byId("strokes");

const shownHeads = () => headsOf(lines.kind, lines.layer).filter((head) => !lines.off.has(head.key));
const activeWord = () => lines.hovered ?? lines.focused;

function startLines() {
  const aligned = headNamed(data.alignmentHead);
  lines.layer = aligned ? aligned.layer : data.layers.cross;
  byId("lines-kind").append(...Object.entries(KINDS).map(([kind, { name }]) => new Option(name, kind)));
  byId("lines-kind").value = lines.kind;
  byId("lines-kind").addEventListener("change", (event) => {
    lines.kind = event.target.value;
    lines.layer = Math.min(lines.layer, data.layers[lines.kind]);
    buildLines();
  });
  byId("lines-layer").addEventListener("change", (event) => {
    lines.layer = Number(event.target.value);
    buildLines();
  });
  byId("threshold").addEventListener("input", drawLines);
  byId("all-heads").addEventListener("click", () => switchHeads(headsOf(lines.kind, lines.layer), true));
  byId("no-heads").addEventListener("click", () => switchHeads(headsOf(lines.kind, lines.layer), false));
  for (const side of ["looking", "looked"]) startWords(byId(side));
  new ResizeObserver(() => byId("lines").hidden || drawLines()).observe(strokes);
}

function startWords(list) {
  const wordAt = (event) => {
    const word = event.target.closest(".word");
    return word && { side: list.id, index: Number(word.dataset.index) };
  };
  const show = (which, word) => {
    lines[which] = word;
    drawLines();
  };
  list.addEventListener("pointerover", (event) => show("hovered", wordAt(event)));
  list.addEventListener("pointerleave", () => show("hovered", null));
  list.addEventListener("focusin", (event) => {
    for (const word of list.querySelectorAll(".word")) word.tabIndex = word === event.target ? 0 : -1;
    show("focused", wordAt(event));
  });
  list.addEventListener("focusout", () => show("focused", null));
  list.addEventListener("keydown", (event) => {
    const words = [...list.querySelectorAll(".word")];
    const at = words.indexOf(event.target);
    const other = byId(list.id === "looking" ? "looked" : "looking").querySelectorAll(".word");
    const goal = {
      ArrowUp: words[at - 1], ArrowDown: words[at + 1], Home: words[0], End: words.at(-1),
      ArrowLeft: list.id === "looked" && other[Math.min(at, other.length - 1)],
      ArrowRight: list.id === "looking" && other[Math.min(at, other.length - 1)],
    };
    if (event.key === "Escape") event.target.blur();
    if (!(event.key in goal)) return;
    event.preventDefault();
    if (goal[event.key]) goal[event.key].focus();
  });
}

// Everything that depends on the kind, the layer, or whether pieces are merged.
function buildLines() {
  const { kind, layer } = lines;
  byId("lines-layer").replaceChildren(
    ...Array.from({ length: data.layers[kind] }, (_, index) => new Option(index + 1, index + 1)));
  byId("lines-layer").value = layer;
  lines.weights = new Map(headsOf(kind, layer).map((head) => [head.key, weightsOf(head)]));
  lines.hovered = lines.focused = null;
  const looking = { encoder: "Source", decoder: "Target as read", cross: "Target as predicted" }[kind];
  byId("looking-title").textContent = `${looking}, looking`;
  byId("looked-title").textContent = `${capital(KINDS[kind].columns)}, looked at`;
  fillWords(byId("looking"), rowLabels(kind), (row) => plain(rowMeaning(kind, row)));
  fillWords(byId("looked"), columnLabels(kind), (column) => label(columnLabels(kind)[column]).textContent);
  buildSwitches();
  drawLines();
}

function fillWords(list, texts, meaning) {
  list.replaceChildren(...texts.map((text, index) => {
    const word = element("button", {
      type: "button", class: "word", "data-index": index, tabindex: index ? "-1" : "0", title: meaning(index),
    }, label(text));
    return element("li", {}, word);
  }));
}

function buildSwitches() {
  byId("head-switches").replaceChildren(...headsOf(lines.kind, lines.layer).map((head) => {
    const box = element("input", { type: "checkbox", "data-head": head.key });
    box.checked = !lines.off.has(head.key);
    box.addEventListener("change", () => switchHeads([head], box.checked));
    const alignment = head.key === data.alignmentHead ? " (alignment)" : "";
    return element("label", {}, box, sample(head), `head ${head.number}${alignment}`);
  }));
}

// A sample of the stroke that the lines are drawn with.
function sample(head) {
  const drawing = byId("sample").content.firstChild.cloneNode(true);
  drawing.firstChild.setAttribute("stroke", headColour(head.number));
  drawing.firstChild.setAttribute("stroke-dasharray", headDash(head.number).join(" "));
  return drawing;
}

function switchHeads(changed, isOn) {
  for (const head of changed) isOn ? lines.off.delete(head.key) : lines.off.add(head.key);
  for (const box of byId("head-switches").querySelectorAll("input")) box.checked = !lines.off.has(box.dataset.head);
  drawLines();
}

function drawLines() {
  const threshold = Number(byId("threshold").value);
  byId("threshold-value").value = threshold.toFixed(2);
  const [rows, columns] = [rowLabels(lines.kind).length, columnLabels(lines.kind).length];
  const [width, height] = [strokes.clientWidth, Math.max(rows, columns) * ROW_HEIGHT];
  const ratio = Math.min(window.devicePixelRatio || 1, 16384 / height);
  strokes.style.height = `${height}px`;
  strokes.width = Math.max(1, Math.round(width * ratio));
  strokes.height = Math.round(height * ratio);
  const context = strokes.getContext("2d");
  context.scale(ratio, ratio);
  const word = activeWord();
  const shown = shownHeads();
  const spread = Math.min(3, (ROW_HEIGHT - 10) / Math.max(1, shown.length));
  let count = 0;
  shown.forEach((head, order) => {
    const shift = ROW_HEIGHT / 2 + (order - (shown.length - 1) / 2) * spread;
    context.strokeStyle = headColour(head.number);
    context.setLineDash(headDash(head.number));
    const weights = lines.weights.get(head.key);
    for (let row = 0; row < rows; row++) {
      if (word && word.side === "looking" && word.index !== row) continue;
      for (let column = 0; column < columns; column++) {
        if (word && word.side === "looked" && word.index !== column) continue;
        const weight = weights[row * columns + column];
        if (weight < threshold) continue;
        count++;
        context.globalAlpha = 0.3 + 0.7 * weight;
        context.lineWidth = 0.75 + 5 * weight;
        const [from, to] = [row * ROW_HEIGHT + shift, column * ROW_HEIGHT + shift];
        context.beginPath();
        context.moveTo(0, from);
        context.bezierCurveTo(width / 2, from, width / 2, to, width, to);
        context.stroke();
      }
    }
  });
  strokes.dataset.lines = count;
  strokes.dataset.heads = shown.length;
  markWords(word, shown);
  showLooks(word, shown);
}

// The weights of one head from a row, or onto a column.
function looksOf(head, word) {
  const columns = columnLabels(lines.kind).length;
  const weights = lines.weights.get(head.key);
  if (word.side === "looking") return weights.subarray(word.index * columns, (word.index + 1) * columns);
  return Float32Array.from(rowLabels(lines.kind), (_, row) => weights[row * columns + word.index]);
}

function markWords(word, shown) {
  const all = word ? shown.map((head) => looksOf(head, word)) : [];
  for (const side of ["looking", "looked"]) {
    byId(side).querySelectorAll(".word").forEach((button, index) => {
      const share = word && word.side !== side ? Math.max(0, ...all.map((weights) => weights[index])) : 0;
      button.classList.toggle("active", Boolean(word) && word.side === side && word.index === index);
      button.classList.toggle("touched", share >= 0.02);
      button.style.setProperty("--share", share.toFixed(3));
    });
  }
}

function showLooks(word, shown) {
  const box = byId("looks");
  if (!word) {
    delete box.dataset.index;
    box.replaceChildren(element("p", { class: "hint" }, "Point at a word, or focus it, to see where each head looks."));
    return;
  }
  Object.assign(box.dataset, { side: word.side, index: word.index });
  const isLooking = word.side === "looking";
  const others = isLooking ? columnLabels(lines.kind) : rowLabels(lines.kind);
  const own = isLooking ? rowMeaning(lines.kind, word.index) : [label(columnLabels(lines.kind)[word.index])];
  const caption = element("caption", {}, ...own, isLooking ? " → looks at" : " ← is looked at by");
  const table = element("table", { class: "bars" }, caption);
  for (const head of shown) {
    const cell = element("td");
    for (const [index, weight] of largest(looksOf(head, word), 4).filter(([, found]) => found >= 0.01))
      cell.append(element("span", { class: "look" }, shortLabel(others[index]),
        element("span", { class: "share" }, asNumber(weight))));
    const name = element("th", { scope: "row" }, sample(head), `head ${head.number}`);
    table.append(element("tr", { "data-head": head.key }, name, cell));
  }
  box.replaceChildren(table);
}
