// One enlarged head with its axes: point at a cell or move over the map with the arrow keys to read its weight.

const enlarged = { head: null, weights: null, rows: 0, columns: 0, row: 0, column: 0, size: 0 };
const dialog = byId("enlarged");
const map = byId("map");

function enlarge(head) {
  enlarged.head = head;
  enlarged.row = enlarged.column = 0;
  // Open the dialog first: hidden elements have no size.
  if (!dialog.open) {
    dialog.showModal();
    map.focus();
  }
  drawEnlarged();
  dialog.querySelector(".scroller").scrollTo(0, 0);
  showCell(0, largestColumn(0));
}

function drawEnlarged() {
  const { head } = enlarged;
  if (!head) return;
  const [rows, columns] = [rowLabels(head.kind), columnLabels(head.kind)];
  Object.assign(enlarged, { weights: weightsOf(head), rows: rows.length, columns: columns.length });
  dialog.dataset.head = head.key;
  byId("enlarged-title").replaceChildren(capital(headName(head)));
  if (head.key === data.alignmentHead)
    byId("enlarged-title").append(element("span", { class: "badge" }, "word alignments come from this head"));
  byId("figures").textContent = capital(headFigures(head));
  dialog.querySelector(".axis-rows").textContent = {
    encoder: "source, who looks ↓", decoder: "target as read ↓", cross: "target as predicted ↓",
  }[head.kind];
  dialog.querySelector(".axis-columns").textContent = `${KINDS[head.kind].columns}, looked at →`;
  map.setAttribute("aria-label", headName(head));
  enlarged.size = cellSize();
  dialog.style.setProperty("--cell", `${enlarged.size}px`);
  byId("row-labels").replaceChildren(...rows.map((text, row) => axisLabel(text, plain(rowMeaning(head.kind, row)))));
  byId("column-labels").replaceChildren(...columns.map((text) => axisLabel(text, label(text).textContent)));
  byId("row-looks").replaceChildren();
  // So that the labels do not cover a cell that is scrolled to.
  dialog.querySelector(".scroller").style.scrollPadding =
    `${byId("column-labels").offsetHeight + 6}px 6px 6px ${byId("row-labels").offsetWidth + 6}px`;
  paintLarge();
  enlarged.row = Math.min(enlarged.row, enlarged.rows - 1);
  enlarged.column = Math.min(enlarged.column, enlarged.columns - 1);
  showCell(enlarged.row, enlarged.column);
}

const axisLabel = (text, title) => element("span", { title }, label(text));

// As large as fits in the window, but large enough to read the labels.
function cellSize() {
  const room = [(window.innerWidth - 560) / enlarged.columns, (window.innerHeight - 350) / enlarged.rows];
  return Math.floor(Math.max(16, Math.min(44, ...room)));
}

function paintLarge() {
  const { head, weights, rows, columns, size } = enlarged;
  // Browsers refuse larger canvases.
  const ratio = Math.min(window.devicePixelRatio || 1, 8192 / (Math.max(rows, columns) * size));
  map.width = Math.round(columns * size * ratio);
  map.height = Math.round(rows * size * ratio);
  map.style.width = `${columns * size}px`;
  map.style.height = `${rows * size}px`;
  const context = map.getContext("2d");
  context.scale(ratio, ratio);
  const masked = hatch(context, 8);
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const gap = size >= 20 ? 1 : 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const weight = weights[row * columns + column];
      context.fillStyle = isMasked(head.kind, row, column) ? masked : weightColour(weight);
      context.fillRect(column * size, row * size, size - gap, size - gap);
      if (size < 30 || weight < 0.095) continue;
      context.fillStyle = inkOn(weight);
      context.fillText(weight.toFixed(2).replace(/^0/, ""), (column + 0.5) * size, (row + 0.5) * size);
    }
  }
  map.dataset.rows = rows;
  map.dataset.columns = columns;
}

function largestColumn(row) {
  const { weights, columns } = enlarged;
  return largest(weights.subarray(row * columns, (row + 1) * columns), 1)[0]?.[0] ?? 0;
}

function showCell(row, column) {
  const { head, weights, columns, size } = enlarged;
  const isNewRow = row !== enlarged.row || byId("readout").dataset.head !== head.key;
  Object.assign(enlarged, { row, column });
  const weight = weights[row * columns + column];
  const readout = byId("readout");
  Object.assign(readout.dataset, { head: head.key, row, column, weight, masked: isMasked(head.kind, row, column) });
  const value = isMasked(head.kind, row, column) ? "masked" : asNumber(weight);
  readout.replaceChildren(
    element("strong", {}, value), " · ", ...rowMeaning(head.kind, row), " → looks at ",
    label(columnLabels(head.kind)[column]),
  );
  const cursor = byId("cursor");
  cursor.hidden = false;
  cursor.style.transform = `translate(${column * size}px, ${row * size}px)`;
  for (const [id, index] of [["row-labels", row], ["column-labels", column]]) {
    byId(id).querySelector(".active")?.classList.remove("active");
    byId(id).children[index]?.classList.add("active");
  }
  if (isNewRow || !byId("row-looks").firstChild) showRow(row);
}

// The pieces that a row looks at most.
function showRow(row) {
  const { head, weights, columns } = enlarged;
  const table = element("table", { class: "bars" }, element("caption", {}, ...rowMeaning(head.kind, row), ":"));
  for (const [column, weight] of largest(weights.subarray(row * columns, (row + 1) * columns), 8)) {
    const bar = element("div", { class: "weight-bar" });
    bar.style.width = `${7 * weight}rem`;
    table.append(element("tr", {},
      element("td", {}, shortLabel(columnLabels(head.kind)[column])),
      element("td", { class: "number" }, asNumber(weight)), element("td", {}, bar)));
  }
  byId("row-looks").replaceChildren(table);
}

function neighbour(step) {
  enlarge(heads[(enlarged.head.index + step + heads.length) % heads.length]);
}

function moveOverMap(event) {
  const { row, column, rows, columns } = enlarged;
  const goal = {
    ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column], Home: [row, 0], End: [row, columns - 1],
  }[event.key];
  if (!goal) return;
  event.preventDefault();
  event.stopPropagation();
  showCell(Math.max(0, Math.min(rows - 1, goal[0])), Math.max(0, Math.min(columns - 1, goal[1])));
  byId("cursor").scrollIntoView({ block: "nearest", inline: "nearest" });
}

function startEnlarged() {
  map.addEventListener("keydown", (event) => {
    if (!(event.altKey || event.ctrlKey || event.metaKey)) moveOverMap(event);
  });
  const showCellAt = (event) => {
    const row = Math.floor(event.offsetY / enlarged.size);
    const column = Math.floor(event.offsetX / enlarged.size);
    if (row >= 0 && column >= 0 && row < enlarged.rows && column < enlarged.columns) showCell(row, column);
  };
  map.addEventListener("pointermove", showCellAt);
  // A finger that taps does not move.
  map.addEventListener("click", showCellAt);
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { n: 1, p: -1, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    neighbour(step);
  });
  byId("previous").addEventListener("click", () => neighbour(-1));
  byId("next").addEventListener("click", () => neighbour(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    const cell = cells.get(enlarged.head.key);
    enlarged.head = null;
    delete dialog.dataset.head;
    if (!byId("maps").hidden) choose(cell);
  });
  byId("row-labels").addEventListener("pointerover", (event) => {
    const row = [...byId("row-labels").children].indexOf(event.target.closest("#row-labels > span"));
    if (row >= 0) showCell(row, largestColumn(row));
  });
  window.addEventListener("resize", drawEnlarged);
}
