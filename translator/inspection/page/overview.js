// Every head as a small map: a grid for each kind, a row for each layer, drawn when it is scrolled to.

const cells = new Map();
const pending = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawCell(headNamed(entry.target.dataset.head));
}, { rootMargin: "200px" });

function buildOverview() {
  for (const [kind, { name }] of Object.entries(KINDS)) {
    const grid = element("div", { role: "grid", "aria-label": name, "data-kind": kind });
    const widest = Math.max(0, ...heads.filter((head) => head.kind === kind).map((head) => head.number));
    const names = Array.from({ length: widest }, (_, index) => element("span", {}, `head ${index + 1}`));
    grid.append(element("div", { class: "layer head-names", "aria-hidden": "true" },
      element("span", { class: "layer-name" }), ...names));
    for (let layer = 1; layer <= data.layers[kind]; layer++) {
      const row = element("div", { role: "row", class: "layer", "data-layer": layer });
      row.append(element("span", { role: "rowheader", class: "layer-name" }, `layer ${layer}`));
      for (const head of headsOf(kind, layer)) row.append(element("span", { role: "gridcell" }, makeCell(head)));
      if (row.children.length === 1) row.append(element("span", { role: "gridcell", class: "none" }, "no heads"));
      grid.append(row);
    }
    grid.addEventListener("keydown", moveInGrid);
    grid.querySelector("button")?.setAttribute("tabindex", "0");
    byId("kinds").append(element("div", { class: "kind" }, element("h3", {}, capital(name)), grid));
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function makeCell(head) {
  const isAligned = head.key === data.alignmentHead;
  const cell = element("button", {
    type: "button", class: isAligned ? "cell aligned" : "cell", tabindex: "-1", "data-head": head.key,
    "aria-label": headName(head) + (isAligned ? ", the head of alignments" : ""),
    title: `${headName(head)}: ${headFigures(head)}`,
  }, element("canvas", { "aria-hidden": "true" }));
  cell.addEventListener("click", () => enlarge(head));
  cells.set(head.key, cell);
  return cell;
}

function drawCell(head) {
  const cell = cells.get(head.key);
  pending.unobserve(cell);
  paintSmall(cell.firstChild, head);
  cell.dataset.rows = cell.firstChild.height;
  cell.dataset.columns = cell.firstChild.width;
}

// After a change of theme or between pieces and words; maps out of sight are drawn when they are scrolled to.
function redrawOverview() {
  pending.disconnect();
  for (const cell of cells.values()) pending.observe(cell);
}

// The cell of a grid that the Tab key reaches: the one used last.
function choose(cell) {
  for (const other of cell.closest("[role=grid]").querySelectorAll("button")) other.tabIndex = other === cell ? 0 : -1;
  cell.focus();
}

function moveInGrid(event) {
  const cell = event.target.closest("button");
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const rows = [...event.currentTarget.querySelectorAll("[role=row]")]
    .map((row) => [...row.querySelectorAll("button")])
    .filter((row) => row.length);
  const row = rows.findIndex((found) => found.includes(cell));
  const column = rows[row].indexOf(cell);
  const near = (other) => other && other[Math.min(column, other.length - 1)];
  const goal = {
    ArrowLeft: rows[row][column - 1],
    ArrowRight: rows[row][column + 1],
    ArrowUp: near(rows[row - 1]),
    ArrowDown: near(rows[row + 1]),
    Home: rows[row][0],
    End: rows[row].at(-1),
  };
  if (!(event.key in goal)) return;
  event.preventDefault();
  if (goal[event.key]) choose(goal[event.key]);
}
