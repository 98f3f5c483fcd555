// The table of scores: a row for each system, with intervals and the tests against the first.

const LEVEL = 0.05;
const asProbability = (value) => (value < 0.001 ? "<0.001" : value.toFixed(3));

function scoreCell(figure, base) {
  const cell = make("td", { className: "number", "data-metric": figure.metric }, make("span", { className: "value", text: figure.value.toFixed(2) }));
  cell.append(make("span", { className: "faint", text: ` ± ${figure.interval.toFixed(2)}` }));
  if (base === null) return cell;
  const isBetter = figure.metric === "TER" ? figure.value < base.value : figure.value > base.value;
  const isEqual = figure.value === base.value;
  const difference = figure.value - base.value;
  const text = `${isEqual ? "=" : isBetter ? "▲" : "▼"} ${difference >= 0 ? "+" : "−"}${Math.abs(difference).toFixed(2)}`;
  const isSure = figure.bootstrap < LEVEL && figure.randomisation < LEVEL;
  const className = isSure ? (isBetter ? "better" : "worse") : "unsure";
  cell.append(make("span", { className: `difference ${className}`, text: isSure ? text : `${text}, may be chance` }));
  const tests = make("span", { className: "faint tests", text: "p " });
  tests.append(
    make("span", { className: figure.bootstrap < LEVEL ? "sure" : "", text: asProbability(figure.bootstrap), title: "paired bootstrap" }),
    make("span", { className: "between", text: " · " }),
    make("span", { className: figure.randomisation < LEVEL ? "sure" : "", text: asProbability(figure.randomisation), title: "paired randomisation" })
  );
  cell.append(tests);
  return cell;
}

function buildScores() {
  const head = make("tr", {}, make("th", { text: "System", scope: "col" }));
  for (const { metric } of data.figures[0])
    head.append(make("th", { className: "number", scope: "col", text: `${metric} ${metric === "TER" ? "↓" : "↑"}` }));
  const body = make("tbody");
  data.figures.forEach((figures, index) => {
    const name = make("th", { scope: "row" }, make("span", { className: `dot ${colourOf(index)}` }), nameOf(index));
    if (index === 0) name.append(make("span", { className: "faint baseline", text: "baseline of the tests" }));
    const row = make("tr", {}, name);
    figures.forEach((figure, column) => row.append(scoreCell(figure, index ? data.figures[0][column] : null)));
    body.append(row);
  });
  byId("scores").replaceChildren(make("table", { className: "scores" }, make("thead", {}, head), body));
  const rows = data.signatures.flatMap(([metric, bootstrap, randomisation]) => [
    [`${metric}, bootstrap`, bootstrap],
    [`${metric}, randomisation`, randomisation],
  ]);
  byId("signatures").replaceChildren(
    ...rows.map(([name, text]) => make("tr", {}, make("th", { scope: "row", text: name }), make("td", { text })))
  );
  byId("warnings").hidden = data.warnings.length === 0;
  byId("warnings").replaceChildren(...data.warnings.map((text) => make("li", { text })));
}
