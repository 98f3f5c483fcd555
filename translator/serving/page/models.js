"use strict";
// What each model is.

const languageName = (code) => state.languages.find((own) => own.code === code)?.name || code;

function scoreTable(scores) {
  const row = (kind, cells) => element("tr", "", ...cells.map((cell) => element(kind, String(cell))));
  const rows = scores.map((own) =>
    row("td", [own.metric, own.value.toFixed(1), own.test_set, own.sentences.toLocaleString("en"), own.signature]),
  );
  const head = row("th", ["Score", "Value", "Test set", "Sentences", "Signature"]);
  const table = element("table", "", element("thead", "", head), element("tbody", "", ...rows));
  table.setAttribute("aria-label", "Scores");
  return element("div", "", table);
}

function showModel(own) {
  const name = `${own.name}: ${languageName(own.source)} to ${own.targets.map(languageName).join(", ")}`;
  const lines = [...own.description, ...own.training_data, `Engine: ${own.engine}.`];
  const list = element("ul", "", ...lines.map((line) => element("li", line)));
  const scores = own.scores.length ? scoreTable(own.scores) : element("p", "This run has not been evaluated.");
  return element("section", "", element("h3", name), list, scores);
}
